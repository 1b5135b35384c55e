"""Attach files: the file entries of tasks, added, listed and removed."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.files import check_local, new_file, shown
from iceprod_tasks.storage.tasks import among


async def attach_by_place(service: Service, dataset_id: str, given: Mapping[str, Any]) -> str:
    """Add a file entry to the task with a job_index and a name.

    Returns:
        The id of that task.

    Raises:
        InvalidRequest: there is no such task, or the entry is not valid.
    """
    task_id = await service.store.tasks.find_in_job(dataset_id, given['job_index'], given['task_name'])
    if task_id is None:
        raise InvalidRequest('task referred to not found')
    await _add(service, dataset_id, task_id, given)
    return task_id


async def attach(service: Service, dataset_id: str, task_id: str, given: Mapping[str, Any]) -> None:
    """Add a file entry to a task.

    Raises:
        InvalidRequest: the dataset has no such task, or the entry is not valid.
    """
    if not await service.store.tasks.exists(among([task_id], dataset_id)):
        raise InvalidRequest('task referred to not found')
    await _add(service, dataset_id, task_id, given)


async def attached(service: Service, dataset_id: str, task_id: str | None = None) -> list[dict[str, Any]]:
    """The file entries of a dataset, or of one task of it."""
    return [shown(entry) for entry in await service.store.files.of(dataset_id, task_id)]


async def detach(service: Service, dataset_id: str, task_id: str, filename: str | None = None) -> None:
    """Remove all file entries of a task, or those of one file."""
    await service.store.files.remove(dataset_id, task_id, filename)


async def _add(service: Service, dataset_id: str, task_id: str, given: Mapping[str, Any]) -> None:
    check_local(given.get('local', ''))
    await service.store.files.put(new_file(dataset_id, task_id, given))
