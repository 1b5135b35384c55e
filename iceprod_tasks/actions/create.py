"""Create: one task or job, by a client that does its own bookkeeping."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain import jobs as jobs_domain
from iceprod_tasks.domain.errors import BeingDeleted
from iceprod_tasks.domain.tasks import SERVICE_FIELDS, new_id, new_task
from iceprod_tasks.storage.client import utc_now


async def create_task(service: Service, given: Mapping[str, Any]) -> str:
    """Store a new task.

    Its dataset need not have a record; if it has one, the scheduler cares for the task too. While
    it is suspended, a task that comes without a status is suspended with it.

    Args:
        service: the service.
        given: the task as the client describes it, valid by its schema; what only the service sets is overwritten.

    Returns:
        The new task's id.

    Raises:
        BeingDeleted: its dataset is.
    """
    dataset = await service.store.datasets.get(given['dataset_id'])
    if dataset is not None and dataset.get('deleting'):
        raise BeingDeleted
    task_id = new_id()
    own = {key: value for key, value in given.items() if key not in SERVICE_FIELDS}
    if dataset is not None and dataset['status'] == 'suspended':
        own.setdefault('status', 'suspended')
    await service.store.tasks.add(new_task(own, task_id, utc_now(), managed=dataset is not None))
    service.news.stirred()
    return task_id


async def create_job(service: Service, given: Mapping[str, Any]) -> str:
    """Store a new job.

    Its dataset need not have a record; if it has one, the scheduler ends the job with its last task, and the job gets
    the id that the dataset's config would give it, unless it comes with one, so that it is made once by whomever.

    Args:
        service: the service.
        given: the job as the client describes it, valid by its schema; what only the service sets is overwritten.

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
    job = own | jobs_domain.new_job(dataset_id, job_index, tasks_total, utc_now())
    if not dataset:
        job['job_id'] = new_id()
    if 'job_id' in given:
        job['job_id'] = jobs_domain.checked_id(given['job_id'])
    await service.store.jobs.add(job)
    service.news.stirred()
    return str(job['job_id'])
