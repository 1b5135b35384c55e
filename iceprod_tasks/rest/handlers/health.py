"""Is the service there, and can it work?"""

from iceprod_tasks.actions.ready import why_not_ready
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


class ReadyHandler(Handler):
    """What load balancers ask."""

    async def get(self) -> None:
        """Say whether this process can work: the database takes writes, and the process is not stopping.

        However often it is asked, it looks at the database once a second at most.

        Returns:
            dict: {'ready': true or false, 'why': what is in the way, 'warnings': what an operator should know};
                503 when it cannot
        """
        why = await why_not_ready(self.service)
        self.answer({'ready': not why, 'why': why, 'warnings': self.service.warnings}, 503 if why else 200)


ROUTES = (
    Route(r'/healthz', HealthHandler, {'get': ANYBODY}),
    Route(r'/readyz', ReadyHandler, {'get': ANYBODY}),
)
