"""The chores: each a bounded piece of work that any number of processes may do at once.

None reads first and writes what it read: the status table's guard in every update decides. They touch tasks of
datasets with a record only; tasks that old clients made for themselves stay as those put them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.service import Ended, Service
from iceprod_tasks.domain.datasets import ended_as as dataset_ended_as
from iceprod_tasks.domain.jobs import ended_as as job_ended_as
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.domain.tasks import retry_delay_seconds
from iceprod_tasks.storage.datasets import KEPT, in_statuses
from iceprod_tasks.storage.sweeps import failed_too_often, failed_tries
from iceprod_tasks.storage.transitions import Note

WHO = 'scheduler'
AT_ONCE = 2000
"""Tasks that a chore looks at in one run."""

_MANAGED = (True,)


async def active_datasets(service: Service) -> list[str]:
    """The datasets that chores care for."""
    where = {**in_statuses('processing', 'truncated'), **KEPT}
    found = service.store.datasets.select(where, keys=('dataset_id',))
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
    """End those of some datasets whose jobs have all been made and have all ended; how many ended."""
    ended = 0
    async for dataset in service.store.datasets.select({**in_statuses('processing', among=dataset_ids), **KEPT}):
        dataset_id = dataset['dataset_id']
        if not 0 < dataset['jobs_submitted'] <= dataset['jobs_materialized']:
            continue
        if await service.store.jobs.exists({'dataset_id': dataset_id, 'status': 'processing'}):
            continue
        status = dataset_ended_as(await service.store.counts.jobs_by_status(dataset_id))
        if status is not None:
            ended += await service.store.datasets.set_status(dataset_id, ('processing',), status)
    return ended
