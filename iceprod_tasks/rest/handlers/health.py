"""Is the service there?"""

from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import ANYBODY, Route


class HealthHandler(Handler):
    """A sign of life, without the database."""

    async def get(self) -> None:
        """Answer.

        Returns:
            dict: empty
        """
        self.answer({})


ROUTES = (Route(r'/healthz', HealthHandler, {'get': ANYBODY}),)
