"""Reopen: jobs and datasets that have ended go on when tasks of theirs do."""

from collections.abc import Iterable, Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.storage.datasets import in_statuses

_JOBS_OVER = ('errors', 'complete', 'suspended')
_DATASETS_OVER = ('errors', 'complete')
"""A suspended dataset stays so: whoever has suspended it lets it go on."""


async def reopen(service: Service, tasks: Iterable[Mapping[str, Any]]) -> None:
    """Make the jobs and datasets of some tasks processing where they have ended.

    Args:
        service: the service.
        tasks: with job_id and dataset_id.
    """
    places = {(task['job_id'], task['dataset_id']) for task in tasks}
    if not places:
        return
    await service.store.jobs.set_status(sorted({job_id for job_id, _ in places}), _JOBS_OVER, 'processing')
    over = in_statuses(*_DATASETS_OVER, among=sorted({dataset_id for _, dataset_id in places}))
    async for dataset in service.store.datasets.select(over, keys=('dataset_id',)):
        await service.store.datasets.set_status(dataset['dataset_id'], _DATASETS_OVER, 'processing')
