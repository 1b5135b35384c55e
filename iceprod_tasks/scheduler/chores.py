"""The chores: each a bounded piece of work that any number of processes may do at once.

None reads first and writes what it read: the status table's guard in every update decides. They touch tasks of
datasets with a record only; tasks that old clients made for themselves stay as those put them.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from iceprod_tasks.actions.service import Ended, Service
from iceprod_tasks.domain.datasets import ended_as as dataset_ended_as
from iceprod_tasks.domain.jobs import ended_as as job_ended_as
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.domain.tasks import retry_delay_seconds
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.datasets import KEPT, in_statuses
from iceprod_tasks.storage.sweeps import failed_too_often, failed_tries
from iceprod_tasks.storage.transitions import Note

WHO = 'scheduler'
AT_ONCE = 2000
"""Tasks that a chore looks at in one run."""

PRUNED_AT_ONCE = 1000
"""Pilots, and logs, that one run of `prune` removes at the most."""

_MANAGED = (True,)
_GOING_ON = ('processing', 'truncated')
_PILOT_SILENCE = timedelta(days=14)
_PILOT_LOG = 'stdlog'
_PILOT_LOG_AGE = timedelta(days=31)


async def active_datasets(service: Service) -> list[str]:
    """The datasets that chores care for."""
    found = service.store.datasets.select({**in_statuses(*_GOING_ON), **KEPT}, keys=('dataset_id',))
    return [dataset['dataset_id'] async for dataset in found]


async def release(service: Service, idle: Sequence[Mapping[str, Any]]) -> int:
    """Let idle tasks wait to be queued once all that they depend on is complete; how many do now."""
    if not idle:
        return 0
    blocked = await service.store.tasks.blocked(idle)
    free = [task['task_id'] for task in idle if task['task_id'] not in blocked]
    if not free:
        return 0
    note = Note(who=WHO, why='dependencies complete')
    return await service.store.tasks.move_many(TRANSITIONS['release'], note, free)


async def release_dependents(service: Service, ended: Sequence[Ended]) -> int:
    """Release what waited for tasks that have just ended."""
    if not ended:
        return 0
    return await release(service, await service.store.sweeps.dependents([each.task_id for each in ended]))


async def queue_waiting(service: Service) -> int:
    """Queue waiting tasks by priority, up to a depth for each signature; how many were queued.

    One depth for all would let tasks that nobody can take keep out all others.
    """
    queued = 0
    for signature in await service.store.queueing.signatures(managed=_MANAGED):
        queued += await _queue_signature(service, signature)
    return queued


async def _queue_signature(service: Service, signature: str) -> int:
    queueing = service.store.queueing
    depth = service.limits.queue_depth
    room = min(depth - await queueing.depth(signature, depth), AT_ONCE)
    if room > 0:
        best = await queueing.best([signature], room, managed=_MANAGED)
    else:
        # A full queue must not keep a task waiting that is better than one in it.
        lowest = await queueing.lowest_priority(signature)
        best = await queueing.best([signature], AT_ONCE, managed=_MANAGED, above=lowest)
    return await queueing.queue(best, Note(who=WHO)) if best else 0


async def retry(service: Service, dataset_ids: Sequence[str]) -> int:
    """Give reset tasks another try after a delay that grows, or up after too many failures; how many moved."""
    limits, tasks = service.limits, service.store.tasks
    moved = 0
    for where in failed_too_often(dataset_ids, limits.max_failures):
        moved += await tasks.move_all(TRANSITIONS['give up'], Note(who=WHO, why='too many failures'), where)
    for failures in range(limits.max_failures + 1):
        delay = retry_delay_seconds(failures, limits.retry_delay_seconds)
        for where in failed_tries(dataset_ids, failures, delay):
            moved += await tasks.move_all(TRANSITIONS['retry'], Note(who=WHO, why='another try'), where)
    return moved


async def end_stops(service: Service) -> int:
    """Suspend or cancel tasks whose pilots were asked to stop and have not done it in time; how many there were."""
    note, moves, ended = Note(who=WHO, why='did not stop in time'), service.store.moves, 0
    for then in ('suspend', 'cancel'):
        while overdue := await moves.overdue(then):
            ended += await moves.end_overdue(then, overdue, note)
    return ended


async def end_jobs(service: Service, jobs: Sequence[Mapping[str, Any]]) -> int:
    """End jobs whose tasks have all stopped; how many ended."""
    if not jobs:
        return 0
    counts = await service.store.counts.by_job([job['job_id'] for job in jobs])
    ended: dict[str, list[str]] = {}
    for job in jobs:
        status = job_ended_as(job['tasks_total'], counts[job['job_id']])
        if status is not None:
            ended.setdefault(status, []).append(job['job_id'])
    done = 0
    for status, job_ids in ended.items():
        done += await service.store.jobs.set_status(job_ids, ('processing',), status)
    return done


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
        await service.store.datasets.set_status(dataset_id, (status,), 'processing')
    return ended


async def prune(service: Service) -> int:
    """Remove pilots that have not been heard of for long, and old logs of pilots; how many there were."""
    now, store = utc_now(), service.store
    pruned = await store.pilots.remove_silent(now - _PILOT_SILENCE, PRUNED_AT_ONCE)
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
