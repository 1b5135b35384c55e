"""The timer that runs the chores, in as many processes as there are."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.actions.require import sign
from iceprod_tasks.actions.service import Service
from iceprod_tasks.actions.weigh import weigh
from iceprod_tasks.scheduler import chores
from iceprod_tasks.scheduler.safely import safely
from iceprod_tasks.scheduler.walks import Walks

_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_JOBS_AT_ONCE = 500
_DATASETS_AT_ONCE = 200
_PILOTS_AT_ONCE = 500
_PRUNE_SECONDS = 60.0
_WEIGH_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 10.0
_WORTH_A_LINE = frozenset({'materialize', 'datasets', 'prune'})


class Scheduler:
    """Runs the chores again and again, at once when an action tells of something.

    Args:
        service: what the chores work with.
        interval_seconds: the pause when nothing happens.
    """

    def __init__(self, service: Service, *, interval_seconds: float = 1.0) -> None:
        self._service = service
        self._interval_seconds = interval_seconds
        # Where the sweeps go on; lost at a restart, which does no harm.
        self._idle_after: object = None
        self._jobs_after: object = None
        self._held_up_after: object = None
        self._looked: float | None = None
        self._datasets_from = 0
        self._pilots_after: object = None
        self._prune_at = 0.0
        self._walks = Walks(service)
        self._weighed: float | None = None

    async def run(self) -> None:
        """Run until cancelled. A chore that fails is tried again at the next turn."""
        swept = -self._interval_seconds
        while True:
            await self._service.news.wait(self._interval_seconds)
            began = time.monotonic()
            await self.follow()
            if began - swept >= self._interval_seconds:
                swept = began
                await self.sweep()
            # However much there is to do, half of the time belongs to everybody else. A turn that took long has waited
            # for a database that was away; once it is back, nobody is to wait for us.
            pause_seconds = max(_SHORTEST_PAUSE_SECONDS, time.monotonic() - began)
            await asyncio.sleep(min(pause_seconds, _LONGEST_PAUSE_SECONDS))

    async def follow(self) -> int:
        """Do what the news of this process call for; how much was changed."""
        ended, service = self._service.news.take(), self._service
        job_ids = sorted({each.job_id for each in ended})
        dataset_ids = sorted({each.dataset_id for each in ended})
        changed = await self._safely('release', lambda: chores.release_dependents(service, ended))
        changed += await self._safely('queue', lambda: chores.queue_waiting(service))
        if await self._safely('jobs', lambda: self._end_named(job_ids)):
            changed += 1 + await self._safely('datasets', lambda: chores.end_datasets(service, dataset_ids))
        return changed

    async def sweep(self) -> int:
        """Look for all there is to do, a bounded portion of each kind; how much was changed."""
        service = self._service
        changed = await self._safely('weigh', self._weigh)
        changed += await self._safely('materialize', lambda: materialize_all(service))
        changed += await self._safely('priorities', self._walks.go_on)
        changed += await self._safely('sign', lambda: sign(service))
        changed += await self._safely('retry', self._retry)
        changed += await self._safely('release', self._release_next)
        changed += await self._safely('queue', lambda: chores.queue_waiting(service))
        changed += await self._safely('jobs', self._end_next)
        changed += await self._safely('held up', self._look_again_now_and_then)
        changed += await self._safely('datasets', self._end_next_datasets)
        await self._prune_now_and_then()
        if changed:
            # What one chore changed may be work for another.
            service.news.stirred()
        return changed

    async def _safely(self, action: str, chore: Callable[[], Awaitable[int]]) -> int:
        return await safely(action, chore, logging.INFO if action in _WORTH_A_LINE else logging.DEBUG)

    async def _weigh(self) -> int:
        """Weigh all datasets when it is time, or when something was changed by hand."""
        now = time.monotonic()
        asked = self._service.news.take_reweigh()
        if not asked and self._weighed is not None and now - self._weighed < _WEIGH_SECONDS:
            return 0
        self._weighed = now
        return await weigh(self._service)

    async def _retry(self) -> int:
        return await chores.retry(self._service, await chores.active_datasets(self._service))

    async def _release_next(self) -> int:
        active = await chores.active_datasets(self._service)
        idle, self._idle_after = await self._service.store.sweeps.idle(active, self._idle_after, chores.AT_ONCE)
        return await chores.release(self._service, idle)

    async def _end_named(self, job_ids: list[str]) -> int:
        return await chores.end_jobs(self._service, await self._service.store.sweeps.jobs_named(job_ids))

    async def _end_next(self) -> int:
        active = await chores.active_datasets(self._service)
        jobs = await self._service.store.sweeps.jobs_processing(active, self._jobs_after, _JOBS_AT_ONCE)
        self._jobs_after = jobs[-1]['_id'] if len(jobs) == _JOBS_AT_ONCE else None
        return await chores.end_jobs(self._service, jobs)

    async def _look_again_now_and_then(self) -> int:
        now = time.monotonic()
        if self._looked is not None and now - self._looked < _LOOK_AGAIN_SECONDS:
            return 0
        service = self._service
        dependent = await chores.dependent_datasets(service)
        jobs = await service.store.sweeps.jobs_held_up(dependent, self._held_up_after, _JOBS_AT_ONCE)
        more = len(jobs) == _JOBS_AT_ONCE
        self._held_up_after, self._looked = (jobs[-1]['_id'], None) if more else (None, now)
        return await chores.look_again(service, jobs)

    async def _end_next_datasets(self) -> int:
        active = await chores.active_datasets(self._service)
        start = self._datasets_from if self._datasets_from < len(active) else 0
        self._datasets_from = start + _DATASETS_AT_ONCE
        return await chores.end_datasets(self._service, active[start : self._datasets_from])

    async def _prune_now_and_then(self) -> None:
        if time.monotonic() < self._prune_at:
            return
        pruned = await self._safely('prune', lambda: chores.prune(self._service))
        await self._safely('drop ended', self._drop_next_ended)
        # Where there was a whole portion, there may be another one.
        self._prune_at = time.monotonic() + (0.0 if pruned >= chores.PRUNED_AT_ONCE else _PRUNE_SECONDS)

    async def _drop_next_ended(self) -> int:
        pilots = await self._service.store.pilots.portion(self._pilots_after, _PILOTS_AT_ONCE)
        self._pilots_after = pilots[-1]['_id'] if len(pilots) == _PILOTS_AT_ONCE else None
        return await chores.drop_ended(self._service, pilots)
