"""Which idle tasks cannot go on by themselves, looked up where no task of their job runs any more."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.jobs import stuck
from iceprod_tasks.storage.datasets import in_statuses, jobs_in

_IDLE_AT_ONCE = 5000
_LOST_TASKS = {'failed': 'errors', 'suspended': 'suspended'}
_LOST_JOBS = ('errors', 'suspended')
_MAKING = tuple(status for status in DATASET_STATUSES if status != 'truncated')

Job = Mapping[str, Any]
Task = Mapping[str, Any]


async def fates_of(service: Service, jobs: Sequence[Job], idle: Mapping[str, int]) -> dict[str, list[str]]:
    """What the idle tasks of some jobs that are stuck make of these jobs.

    Args:
        service: the service.
        jobs: none of whose tasks can run.
        idle: how many idle tasks each has.

    Returns:
        For each job `errors` or `suspended` for each such task.
    """
    fates: dict[str, list[str]] = {}
    for some in _portions(jobs, idle):
        fates |= await _fates_of(service, some)
    return fates


def _portions(jobs: Sequence[Job], idle: Mapping[str, int]) -> Iterator[list[Job]]:
    portion: list[Job] = []
    number = 0
    for job in jobs:
        portion.append(job)
        number += idle[job['job_id']]
        if number >= _IDLE_AT_ONCE:
            yield portion
            portion, number = [], 0
    if portion:
        yield portion


async def _fates_of(service: Service, jobs: Sequence[Job]) -> dict[str, list[str]]:
    idle = await service.store.sweeps.idle_of_jobs([job['job_id'] for job in jobs])
    known = await service.store.tasks.named((name for task in idle for name in task['depends']), ('status', 'job_id'))
    lost = await _lost(service, known)
    waiting: dict[str, dict[str, list[str]]] = {job['job_id']: {} for job in jobs}
    for task in idle:
        waiting[task['job_id']][task['task_id']] = task['depends']
    # A missing task is gone for good, unless it has not been made yet.
    missing = {job_id: _others(tasks) - known.keys() for job_id, tasks in waiting.items()}
    early = await _early(service, [job for job in jobs if missing[job['job_id']]])
    fates = {}
    for job_id, tasks in waiting.items():
        gone = () if job_id in early else missing[job_id]
        far = {name: lost[name] for name in _others(tasks) if name in lost}
        fates[job_id] = list(stuck(tasks, far | dict.fromkeys(gone, 'errors')).values())
    return fates


def _others(tasks: Mapping[str, Sequence[str]]) -> set[str]:
    """What some tasks depend on that is not among them."""
    return {name for names in tasks.values() for name in names} - tasks.keys()


async def _lost(service: Service, tasks: Mapping[str, Task]) -> dict[str, str]:
    """Those of some tasks that will not complete by themselves, each with what that makes of a dependent's job."""
    idle = {task_id: task['job_id'] for task_id, task in tasks.items() if task['status'] == 'idle'}
    found = service.store.jobs.select(
        jobs_in(_LOST_JOBS, sorted(set(idle.values()))), keys=('job_id', 'status'), sort=()
    )
    jobs = {job['job_id']: job['status'] async for job in found}
    lost = {task_id: _LOST_TASKS[task['status']] for task_id, task in tasks.items() if task['status'] in _LOST_TASKS}
    return lost | {task_id: jobs[job_id] for task_id, job_id in idle.items() if job_id in jobs}


async def _early(service: Service, jobs: Sequence[Job]) -> set[str]:
    """Those of some jobs that were made before a job of the same job_index that they may depend on."""
    select = service.store.datasets.select
    dataset_ids = sorted({job['dataset_id'] for job in jobs})
    if not dataset_ids:
        return set()
    own = select(in_statuses(among=dataset_ids), keys=('dataset_id', 'depends_on'), sort=())
    depends_on = {dataset['dataset_id']: dataset.get('depends_on', ()) async for dataset in own}
    other_ids = sorted({other_id for ids in depends_on.values() for other_id in ids})
    # A truncated one makes no more jobs.
    others = select(in_statuses(*_MAKING, among=other_ids), keys=('dataset_id', 'jobs_materialized'), sort=())
    made = {dataset['dataset_id']: dataset['jobs_materialized'] async for dataset in others}
    least = {
        dataset_id: min((made[each] for each in ids if each in made), default=None)
        for dataset_id, ids in depends_on.items()
    }
    return {
        job['job_id']
        for job in jobs
        if (number := least.get(job['dataset_id'])) is not None and number <= job['job_index']
    }
