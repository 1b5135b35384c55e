"""Reopen: jobs and datasets that have ended go on when tasks of theirs do."""

from collections.abc import Iterable, Mapping
from typing import Any

from iceprod_tasks.actions.service import Service

_JOBS_OVER = ('errors', 'complete', 'suspended')


async def reopen(service: Service, tasks: Iterable[Mapping[str, Any]]) -> None:
    """Make the jobs and datasets of some tasks processing where they have ended.

    A suspended dataset goes on when a job of it does, but not before all its jobs have been made: until then, whoever
    has suspended it does not want more of them.

    Args:
        service: the service.
        tasks: with job_id and dataset_id.
    """
    places = {(task['job_id'], task['dataset_id']) for task in tasks}
    if not places:
        return
    job_ids = sorted({job_id for job_id, _ in places})
    reopened = await service.store.jobs.set_status(job_ids, _JOBS_OVER, 'processing')
    dataset_ids = sorted({dataset_id for _, dataset_id in places})
    await service.store.datasets.reopen(dataset_ids, suspended=reopened > 0)
    if reopened:
        for dataset_id in dataset_ids:
            # The priority of a task that has ended is not kept up to date.
            await service.store.weights.rewrite_again(dataset_id)
