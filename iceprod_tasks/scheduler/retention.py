"""The timer that deletes: interrupted deletions are taken up, and datasets go whose retention is over.

It runs beside the other chores, because an archive of a large dataset takes minutes, and queueing must not wait for it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from iceprod_tasks.actions.clear import clear
from iceprod_tasks.actions.delete import delete_expired, take_up
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import Conflict
from iceprod_tasks.scheduler.chores import WHO
from iceprod_tasks.scheduler.safely import safely

log = logging.getLogger('iceprod_tasks.scheduler')

_AT_ONCE = 100


class Retention:
    """Deletes again and again what is to be deleted.

    Args:
        service: what the chores work with.
        interval_seconds: the pause between two looks.
    """

    def __init__(self, service: Service, *, interval_seconds: float = 10.0) -> None:
        self._service = service
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Run until cancelled. What fails is tried again at a later turn."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.turn()

    async def turn(self) -> int:
        """Look once for all there is to delete, a bounded portion of each kind; how many datasets are gone."""
        gone = await safely('take up deletions', lambda: take_up_deletions(self._service), logging.INFO)
        gone += await safely('expire', lambda: expire(self._service), logging.INFO)
        await safely('clear', lambda: clear(self._service, _AT_ONCE), logging.INFO)
        return gone


async def take_up_deletions(service: Service) -> int:
    """Go on with deletions that nobody is at work on, each once; how many datasets are gone."""
    gone = 0
    for _ in range(await service.store.deletions.left_alone()):
        if service.drain.begun:
            break
        try:
            deletion = await take_up(service)
        except Conflict as error:
            log.info('a deletion is given up: %s', error, extra={'action': 'take up deletions'})
            continue
        gone += deletion is not None and deletion.deleted is not None
    return gone


async def expire(service: Service) -> int:
    """Delete datasets whose retention is over, unless unfinished datasets depend on them; how many are gone."""
    gone = 0
    async for portion in _portions(service.store.deletions.expired(service.limits.retention_days)):
        needed = await service.store.deletions.dependents([dataset['dataset_id'] for dataset in portion])
        for dataset in portion:
            if dataset['dataset_id'] not in needed and not service.drain.begun:
                gone += await _expire(service, dataset)
        if gone >= _AT_ONCE or service.drain.begun:
            break
    return gone


async def _expire(service: Service, dataset: dict[str, Any]) -> bool:
    try:
        deletion = await delete_expired(service, dataset, WHO)
    except Conflict as error:
        log.debug('%s is kept: %s', dataset['dataset_id'], error, extra={'action': 'expire'})
        return False
    return deletion is not None and deletion.deleted is not None


async def _portions(datasets: AsyncIterator[dict[str, Any]]) -> AsyncIterator[list[dict[str, Any]]]:
    portion = []
    async for dataset in datasets:
        portion.append(dataset)
        if len(portion) == _AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion
