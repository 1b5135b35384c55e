"""The chores: each a bounded piece of work that any number of processes may do at once.

None reads first and writes what it read: the status table's guard in every update decides. They touch tasks of
datasets with a record only; tasks that old clients made for themselves stay as those put them.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from iceprod_tasks.actions.reopen import reopen
from iceprod_tasks.actions.service import Ended, Service
from iceprod_tasks.domain.datasets import ended_as as dataset_ended_as
from iceprod_tasks.domain.jobs import ended_as as job_ended_as
from iceprod_tasks.domain.statuses import RUNNABLE, TRANSITIONS
from iceprod_tasks.domain.tasks import retry_delay_seconds
from iceprod_tasks.scheduler.stuck import fates_of
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.datasets import KEPT, dependent_in, in_debug, in_statuses
from iceprod_tasks.storage.depths import Depth
from iceprod_tasks.storage.queueing import Gap
from iceprod_tasks.storage.sweeps import failed_too_often, failed_tries, tries_beyond
from iceprod_tasks.storage.transitions import Note

WHO = 'scheduler'
AT_ONCE = 2000
"""Tasks that a chore looks at in one run."""

QUEUED_AT_ONCE = 20_000
"""Tasks that one run of `queue_waiting` queues, and a portion more at the most."""

PRUNED_AT_ONCE = 1000
"""Pilots, and logs, that one run of `prune` removes at the most."""

_MANAGED = (True,)
_GOING_ON = ('processing', 'truncated')
_PILOT_SILENCE = timedelta(days=14)
_PILOT_LOG = 'stdlog'
_PILOT_LOG_AGE = timedelta(days=31)
_OUTPUT_AGE = timedelta(days=31)


async def active_datasets(service: Service) -> list[str]:
    """The datasets that chores care for.

    One that has ended in errors may go on when others do that it depends on.
    """
    unfinished = (in_statuses(*_GOING_ON, 'suspended'), dependent_in('errors'))
    return [
        dataset['dataset_id']
        for where in unfinished
        async for dataset in service.store.datasets.select({**where, **KEPT}, keys=('dataset_id',))
    ]


async def dependent_datasets(service: Service) -> list[str]:
    """The datasets whose tasks depend on other datasets, unless they are complete."""
    where = {**dependent_in(*_GOING_ON, 'suspended', 'errors'), **KEPT}
    found = service.store.datasets.select(where, keys=('dataset_id',), sort=())
    return [dataset['dataset_id'] async for dataset in found]


async def release(service: Service, idle: Sequence[Mapping[str, Any]]) -> int:
    """Let idle tasks wait to be queued once all that they depend on is complete; how many do now."""
    if not idle:
        return 0
    blocked = await service.store.sweeps.blocked(idle)
    free = [task for task in idle if task['task_id'] not in blocked]
    if not free:
        return 0
    # First of all: a task that goes on in a job that has ended would be seen by no chore after a crash.
    await reopen(service, free)
    note = Note(who=WHO, why='dependencies complete')
    return await service.store.tasks.move_many(TRANSITIONS['release'], note, [task['task_id'] for task in free])


async def release_dependents(service: Service, ended: Sequence[Ended]) -> int:
    """Release what waited for tasks that have just ended."""
    if not ended:
        return 0
    portions = service.store.sweeps.dependents([each.task_id for each in ended], AT_ONCE)
    return sum([await release(service, idle) async for idle in portions])


async def queue_waiting(service: Service) -> int:
    """Queue waiting tasks by priority, up to a depth for each signature; how many were queued.

    One depth for all would let tasks that nobody can take keep out all others.
    """
    queueing, full_at = service.store.queueing, service.limits.queue_depth
    waiting = await queueing.waiting(managed=_MANAGED)
    depths = await queueing.depths.of(list(waiting), full_at)
    gaps = {name: _gap(depths[name], best, full_at) for name, best in waiting.items()}
    queued = 0
    async with aclosing(queueing.filling({name: gap for name, gap in gaps.items() if gap})) as portions:
        async for tasks in portions:
            queued += await queueing.queue(tasks, Note(who=WHO))
            if queued >= QUEUED_AT_ONCE:
                # Other chores have their turn first.
                service.news.stirred()
                break
    return queued


def _gap(depth: Depth, best: float, full_at: int) -> Gap | None:
    """What the queue may take of a signature, of which the best waiting task has this priority."""
    if depth.number < full_at:
        return Gap(min(full_at - depth.number, AT_ONCE))
    # A full queue must not keep a task waiting that is better than those which would fill it. What is worse than
    # they are and queued already does not count: else one bad task would let in all that is better than it.
    return Gap(min(full_at, AT_ONCE), above=depth.worst) if best > depth.worst else None


async def retry(service: Service, dataset_ids: Sequence[str]) -> int:
    """Give reset tasks another try after a delay that grows, or up after too many failures; how many moved.

    In debug datasets somebody wants to look at a failed try: it is suspended.
    """
    limits, select = service.limits, service.store.datasets.select
    debugged = [each['dataset_id'] async for each in select(in_debug(dataset_ids), keys=('dataset_id',))]
    others = sorted(set(dataset_ids) - set(debugged))
    moved = await _move(service, 'suspend', 'a try failed in a debug dataset', failed_too_often(debugged, 0))
    moved += await _move(service, 'give up', 'too many failures', failed_too_often(others, limits.max_failures))
    moved += await _move(service, 'retry', 'another try', failed_tries(dataset_ids, 0, 0.0))
    for failures in range(1, limits.max_failures + 1):
        delay = retry_delay_seconds(failures, limits.retry_delay_seconds)
        moved += await _move(service, 'retry', 'another try', failed_tries(others, failures, delay))
    delay = retry_delay_seconds(limits.max_failures + 1, limits.retry_delay_seconds)
    return moved + await _move(service, 'retry', 'another try', tries_beyond(others, limits.max_failures, delay))


async def _move(service: Service, transition: str, why: str, filters: Sequence[Mapping[str, Any]]) -> int:
    note = Note(who=WHO, why=why)
    return sum([await service.store.tasks.move_all(TRANSITIONS[transition], note, where) for where in filters])


async def end_jobs(service: Service, jobs: Sequence[Mapping[str, Any]]) -> int:
    """End jobs whose tasks have all stopped; how many ended."""
    if not jobs:
        return 0
    done = 0
    ended = await _ends_of(service, jobs)
    for status in sorted(set(ended.values())):
        job_ids = [job_id for job_id, its_status in ended.items() if its_status == status]
        done += await service.store.jobs.set_status(job_ids, ('processing',), status)
    # A task that was let go on after it was counted, and before its job ended, has not reopened that.
    now = await _ends_of(service, [job for job in jobs if job['job_id'] in ended])
    wrong = [job_id for job_id, status in ended.items() if now.get(job_id) != status]
    return done - await service.store.jobs.set_status(wrong, ('errors', 'suspended', 'complete'), 'processing')


async def look_again(service: Service, jobs: Sequence[Mapping[str, Any]]) -> int:
    """Look again at jobs that ended because of tasks of other datasets; how many are different now.

    Those may have been resumed, failed, cancelled or deleted since, and nothing of it is seen in the job itself.
    """
    ends = await _ends_of(service, jobs)
    counts = await service.store.counts.by_job([job['job_id'] for job in jobs])
    changed: dict[str, set[str]] = {}
    for job in jobs:
        job_id, before, now = job['job_id'], job['status'], ends.get(job['job_id'], 'processing')
        if not counts[job_id].get('idle') or now == before:
            continue
        if await service.store.jobs.set_status([job_id], (before,), now):
            changed.setdefault(job['dataset_id'], set()).add(job_id)
    await service.store.datasets.reopen(sorted(changed), suspended=True)
    return sum(map(len, changed.values()))


async def _ends_of(service: Service, jobs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The status in which each of some jobs has ended, of those that have."""
    if not jobs:
        return {}
    counts = await service.store.counts.by_job([job['job_id'] for job in jobs])
    resting = [job for job in jobs if counts[job['job_id']].get('idle') and RUNNABLE.isdisjoint(counts[job['job_id']])]
    fates = await fates_of(service, resting, {job_id: each.get('idle', 0) for job_id, each in counts.items()})
    ends = {
        job['job_id']: job_ended_as(job['tasks_total'], counts[job['job_id']], fates.get(job['job_id'], ()))
        for job in jobs
    }
    return {job_id: status for job_id, status in ends.items() if status is not None}


async def end_datasets(service: Service, dataset_ids: Sequence[str]) -> int:
    """End those of some datasets whose jobs have all been made and have all ended; how many ended.

    A truncated dataset makes no more jobs: it ends with those that it has.
    """
    ended = 0
    async for dataset in service.store.datasets.select({**in_statuses(*_GOING_ON, among=dataset_ids), **KEPT}):
        ended += await _end_dataset(service, dataset)
    return ended


async def _end_dataset(service: Service, dataset: Mapping[str, Any]) -> int:
    dataset_id, jobs_submitted = dataset['dataset_id'], dataset['jobs_submitted']
    goes_on = {'dataset_id': dataset_id, 'status': 'processing'}
    if await service.store.jobs.exists(goes_on):
        return 0
    made = dataset['status'] == 'truncated' or 0 < jobs_submitted <= dataset['jobs_materialized']
    if not made and await service.store.datasets.own_config(dataset_id):
        return 0
    counts = await service.store.counts.jobs_by_status(dataset_id)
    status = dataset_ended_as(counts)
    # Nobody but its clients knows how far a dataset is whose config is not ours, or has not come yet.
    if status is None or not (made or 0 < jobs_submitted <= sum(counts.values())):
        return 0
    # Whoever gives it more jobs, or lets a job go on, may have come between.
    seen = (dataset['status'],)
    ended = await service.store.datasets.set_status(dataset_id, seen, status, jobs_submitted=jobs_submitted)
    if ended and await service.store.jobs.exists(goes_on):
        ended -= await service.store.datasets.set_status(dataset_id, (status,), 'processing')
    return ended


async def prune(service: Service) -> int:
    """Remove pilots that have not been heard of for long, old logs of pilots and old outputs; how many there were."""
    now, store = utc_now(), service.store
    pruned = await store.pilots.remove_silent(now - _PILOT_SILENCE, PRUNED_AT_ONCE)
    pruned += await store.outputs.remove_older(now - _OUTPUT_AGE, PRUNED_AT_ONCE)
    return pruned + await store.logs.remove_older(_PILOT_LOG, now - _PILOT_LOG_AGE, PRUNED_AT_ONCE)


async def drop_ended(service: Service, pilots: Sequence[Mapping[str, Any]]) -> int:
    """Take tasks that are not being processed any more out of what pilots say they work on; how many pilots changed."""
    listed = sorted({task_id for pilot in pilots for task_id in pilot['tasks']})
    if not listed:
        return 0
    running = await service.store.tasks.processing(listed)
    changed = 0
    for pilot in pilots:
        ended = [task_id for task_id in pilot['tasks'] if task_id not in running]
        if ended:
            changed += await service.store.pilots.drop_tasks(pilot, ended)
    return changed
