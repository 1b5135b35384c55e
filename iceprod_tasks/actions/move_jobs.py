"""Move jobs: set their status by hand, one or many, and change their fields. Their tasks stay as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import InvalidRequest, NotFound
from iceprod_tasks.domain.jobs import IDENTITY, JOB_STATUSES, SERVICE_FIELDS

_AT_ONCE = 5000


async def move_job(service: Service, dataset_id: str, job_id: str, status: str) -> None:
    """Set the status of one job.

    Raises:
        NotFound: the dataset has no such job.
    """
    if not await _move(service, dataset_id, [job_id], status):
        raise NotFound('Job not found')


async def move_jobs(service: Service, dataset_id: str, job_ids: Sequence[str], status: str) -> None:
    """Set the status of many jobs; those that are unknown, or of another dataset, are passed over.

    Raises:
        NotFound: the dataset has none of the jobs.
    """
    if not await _move(service, dataset_id, job_ids, status):
        raise NotFound('Jobs not found')


async def patch_job(service: Service, job_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge fields into a job.

    Args:
        service: the service.
        job_id: of the job.
        changes: valid by their schema.

    Returns:
        The job after it.

    Raises:
        InvalidRequest: a field cannot be changed by anybody.
        NotFound: there is no such job.
    """
    if not changes:
        raise InvalidRequest('Missing update data')
    for key in changes:
        if key in SERVICE_FIELDS or key in IDENTITY:
            raise InvalidRequest(f'key {key} cannot be changed')
    job = await service.store.jobs.patch(job_id, changes)
    if job is None:
        raise NotFound('Job not found')
    service.news.stirred()
    return job


async def _move(service: Service, dataset_id: str, job_ids: Sequence[str], status: str) -> int:
    moved = 0
    for start in range(0, len(job_ids), _AT_ONCE):
        some = job_ids[start : start + _AT_ONCE]
        moved += await service.store.jobs.set_status(some, JOB_STATUSES, status, dataset_id=dataset_id)
    service.news.stirred()
    return moved
