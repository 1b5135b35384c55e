"""Who leads?"""

from iceprod_tasks.actions.lead import who_leads
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import OPERATORS, Route


class LeaderHandler(Handler):
    """The service that alone accepts operations."""

    async def get(self) -> None:
        """Say which one it is, by the lease in the database.

        Returns:
            dict: {'leader': its advertised address, 'term': number of its term, 'until': when that ends unless it is
                renewed, 'is_leader': whether it is this service}; the first three are null when nobody leads
        """
        self.answer(await who_leads(self.service))


ROUTES = (Route(r'/leader', LeaderHandler, {'get': OPERATORS}),)
