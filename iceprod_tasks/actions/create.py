"""Create: one task, by a client that does its own bookkeeping."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import BeingDeleted
from iceprod_tasks.domain.tasks import SERVICE_FIELDS, new_id, new_task
from iceprod_tasks.storage.client import utc_now


async def create_task(service: Service, given: Mapping[str, Any]) -> str:
    """Store a new task.

    Its dataset need not have a record; if it has one, the scheduler cares for the task too.

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
    await service.store.tasks.add(new_task(own, task_id, utc_now(), managed=dataset is not None))
    service.news.stirred()
    return task_id
