"""Trace: how a task came to be where it is."""

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain import history
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.tasks import Task


async def trace_task(service: Service, task_id: str, *, dataset_id: str | None = None) -> Task:
    """The history of a task, oldest change first.

    Args:
        service: the service.
        task_id: of the task.
        dataset_id: only if the task belongs to this dataset.

    Raises:
        NotFound: there is no such task.
    """
    task = await service.store.tasks.get(task_id, dataset_id, history.FIELDS)
    if task is None:
        raise NotFound('Task not found')
    return history.history(task)
