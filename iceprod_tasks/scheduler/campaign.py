"""The timer that keeps the lease of a service that leads, and takes the one of a service that is gone.

It runs in each process, also in one without chores: who answers must know who leads.
"""

import asyncio

from iceprod_tasks.actions.lead import campaign
from iceprod_tasks.actions.service import Service
from iceprod_tasks.scheduler.safely import safely

_TURNS_A_LEASE = 3


class Campaign:
    """Asks for the lease again and again.

    Args:
        service: for which it asks.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self) -> None:
        """Run until cancelled; the first turn is the caller's. A lease that is not renewed any more runs out."""
        while True:
            await asyncio.sleep(self._service.leadership.lease_seconds / _TURNS_A_LEASE)
            await self.turn()

    async def turn(self) -> int:
        """Ask once; 1 when a term is new."""
        return await safely('lead', lambda: campaign(self._service))
