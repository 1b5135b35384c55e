"""The timer that takes tasks from pilots that are not heard of any more, or do not stop when asked to.

It runs beside the other chores, so that a long one of them leaves no task lying. All tasks are its business, also those
whose dataset has no record.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.maintain import is_quiet
from iceprod_tasks.actions.service import Service
from iceprod_tasks.scheduler.chores import WHO
from iceprod_tasks.scheduler.safely import safely
from iceprod_tasks.storage.leases import LEASE_OVER, STOP_OVERDUE, fates, silent
from iceprod_tasks.storage.transitions import Note

_PORTIONS = 20
"""Portions of each kind that one turn takes at the most."""


class Rescue:
    """Takes tasks back again and again.

    Args:
        service: what the chores work with.
        interval_seconds: the pause between two looks.
    """

    def __init__(self, service: Service, *, interval_seconds: float = 1.0) -> None:
        self._service = service
        self._interval_seconds = interval_seconds
        # Where the next look at tasks without a lease begins; lost at a restart, which does no harm.
        self._unleased_after: object = None

    async def run(self) -> None:
        """Run until cancelled. What fails is tried again at a later turn."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.turn()

    async def turn(self) -> int:
        """Look once for all there is to take, some portions of each kind; how many tasks were taken."""
        taken = await safely('stop', lambda: end_stops(self._service))
        taken += await safely('rescue', lambda: rescue(self._service), logging.INFO)
        return taken + await safely('rescue unleased', self._rescue_unleased, logging.INFO)

    async def _rescue_unleased(self) -> int:
        grace_seconds = self._service.limits.unleased_grace_seconds
        tasks, self._unleased_after = await self._service.store.leases.silent(grace_seconds, self._unleased_after)
        return await _take(self._service, tasks, silent(grace_seconds), 'no word of its pilot for too long')


async def rescue(service: Service) -> int:
    """Take tasks whose lease is over; how many there were. Those of operations are left alone in maintenance."""
    taken, named = 0, not await is_quiet(service)
    for _ in range(_PORTIONS):
        tasks = await service.store.leases.over(named=named)
        if not tasks:
            break
        taken += await _take(service, tasks, LEASE_OVER, 'its lease is over')
    return taken


async def end_stops(service: Service) -> int:
    """Take tasks whose pilots were asked to stop and have not done it in time; how many there were."""
    taken = 0
    for _ in range(_PORTIONS):
        tasks = await service.store.leases.overdue()
        if not tasks:
            break
        taken += await _take(service, tasks, STOP_OVERDUE, 'did not stop in time')
    return taken


async def _take(service: Service, tasks: Sequence[Mapping[str, Any]], over: Mapping[str, Any], why: str) -> int:
    """Take those of some tasks for which it is still so that their pilots' time is over."""
    if not tasks:
        return 0
    taken = 0
    for transition, where in fates(service.limits.max_evictions):
        lost = {'exit_code': None, 'message': why} if transition.name == 'lose' else {}
        note = Note(who=WHO, why=why, outcome=lost)
        number = await service.store.leases.take(tasks, transition, {'$and': [over, where]}, note)
        if number and transition.target == 'failed':
            # Some of them have not ended; nothing follows from that.
            for task in tasks:
                service.news.ended(task)
        taken += number
    if taken:
        service.news.stirred()
    return taken
