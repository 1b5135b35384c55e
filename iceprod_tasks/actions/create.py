"""Create: one task, by a client that does its own bookkeeping."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.actions.weigh import base_of, late_days
from iceprod_tasks.domain.priorities import offset, place, priority
from iceprod_tasks.domain.tasks import SERVICE_FIELDS, Task, new_id, new_task
from iceprod_tasks.storage.client import utc_now


async def create_task(service: Service, given: Mapping[str, Any]) -> str:
    """Store a new task.

    Its dataset need not have a record; if it has one, the scheduler cares for the task too, and gives it a priority
    unless it comes with one.

    Args:
        service: the service.
        given: the task as the client describes it, valid by its schema; what only the service sets is overwritten.

    Returns:
        The new task's id.
    """
    dataset = await service.store.datasets.get(given['dataset_id'])
    own = {key: value for key, value in given.items() if key not in SERVICE_FIELDS}
    if dataset is None or 'priority' in own:
        task = new_task(own, new_id(), utc_now(), managed=dataset is not None)
        await service.store.tasks.add(task)
    else:
        base = await base_of(service, dataset)
        task = _weighed(own, dataset, base)
        await service.store.tasks.add(task)
        await service.store.weights.written_with(dataset['dataset_id'], base)
    service.news.stirred()
    return str(task['task_id'])


def _weighed(given: Mapping[str, Any], dataset: Mapping[str, Any], base: float) -> Task:
    now = utc_now()
    where = place(given['task_index'], dataset['tasks_per_job'], given['job_index'])
    own = offset(where, late_days(dataset, now))
    return new_task({**given, 'priority': priority(base, own)}, new_id(), now, managed=True, priority_offset=own)
