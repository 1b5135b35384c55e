"""Create: one task, by a client that does its own bookkeeping."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
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
    """
    dataset = await service.store.datasets.get(given['dataset_id'])
    task_id = new_id()
    own = {key: value for key, value in given.items() if key not in SERVICE_FIELDS}
    if dataset is not None and dataset['status'] == 'suspended':
        own.setdefault('status', 'suspended')
    await service.store.tasks.add(new_task(own, task_id, utc_now(), managed=dataset is not None))
    service.news.stirred()
    return task_id
