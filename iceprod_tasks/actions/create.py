"""Create: one task or job, by a client that does its own bookkeeping."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.actions.weigh import base_of, late_days
from iceprod_tasks.domain import jobs as jobs_domain
from iceprod_tasks.domain.errors import BeingDeleted, Conflict
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.priorities import offset, place, priority
from iceprod_tasks.domain.tasks import SERVICE_FIELDS, Task, new_task
from iceprod_tasks.storage.tasks import among


async def create_task(service: Service, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new task.

    Its dataset need not have a record; if it has one, the scheduler cares for the task too, and gives it a priority
    unless it comes with one. While the dataset is suspended, a task that comes without a status is suspended with it.

    Args:
        service: the service.
        given: the task as the client describes it, valid by its schema; what only the service sets is overwritten.
        origin: of its id and its time.

    Returns:
        The new task's id.

    Raises:
        BeingDeleted: its dataset is.
    """
    task_id = origin.new_id()
    if origin.again and await service.store.tasks.exists(among([task_id])):
        return task_id
    dataset = await service.store.datasets.get(given['dataset_id'])
    if dataset is not None and dataset.get('deleting'):
        raise BeingDeleted
    own = {key: value for key, value in given.items() if key not in SERVICE_FIELDS}
    if dataset is not None and dataset['status'] == 'suspended':
        own.setdefault('status', 'suspended')
    if dataset is None or 'priority' in own:
        task = new_task(own, task_id, origin.began, managed=dataset is not None)
        await service.store.tasks.add(task)
    else:
        base = await base_of(service, dataset)
        task = _weighed(own, task_id, origin.began, dataset, base)
        await service.store.tasks.add(task)
        await service.store.weights.written_with(dataset['dataset_id'], base)
    service.news.stirred()
    return task_id


async def create_job(service: Service, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new job.

    Its dataset need not have a record; if it has one, the scheduler ends the job with its last task, and the job gets
    the id that the dataset's config would give it, unless it comes with one, so that it is made once by whomever.

    Args:
        service: the service.
        given: the job as the client describes it, valid by its schema; what only the service sets is overwritten.
        origin: of its id and its time.

    Returns:
        The new job's id.

    Raises:
        InvalidRequest: its id is no UUID.
        Conflict: there is one with its id, or in its place of the dataset.
    """
    dataset_id, job_index = given['dataset_id'], given['job_index']
    dataset = await service.store.datasets.get(dataset_id)
    tasks_total = max(0, dataset['tasks_per_job']) if dataset else 0
    own = {key: value for key, value in given.items() if key not in jobs_domain.SERVICE_FIELDS}
    job = own | jobs_domain.new_job(dataset_id, job_index, tasks_total, origin.began)
    if not dataset:
        job['job_id'] = origin.new_id()
    if 'job_id' in given:
        job['job_id'] = jobs_domain.checked_id(given['job_id'])
    try:
        await service.store.jobs.add(job)
    except Conflict:
        made = await service.store.jobs.get(job['job_id'], dataset_id) if origin.again else None
        # One of the same moment was made by this very request.
        if made is None or made['create_date'] != origin.began:
            raise
    service.news.stirred()
    return str(job['job_id'])


def _weighed(given: Mapping[str, Any], task_id: str, now: datetime, dataset: Mapping[str, Any], base: float) -> Task:
    where = place(given['task_index'], dataset['tasks_per_job'], given['job_index'])
    own = offset(where, late_days(dataset, now))
    return new_task({**given, 'priority': priority(base, own)}, task_id, now, managed=True, priority_offset=own)
