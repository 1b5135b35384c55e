"""Trace: how a task came to be where it is."""

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain import history
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.tasks import Task


async def trace_task(service: Service, caller: Caller, task_id: str, *, dataset_id: str | None = None) -> Task:
    """The history of a task, oldest change first.

    Args:
        service: the service.
        caller: who asks; claim ids are told to operators only.
        task_id: of the task.
        dataset_id: only if the task belongs to this dataset, which the caller may read.

    Raises:
        NotFound: there is no such task.
        NotPermitted: the caller is a user that may not read the task's dataset.
    """
    task = await service.store.tasks.get(task_id, dataset_id, history.FIELDS)
    if dataset_id is None:
        # To a user, a task that does not exist looks like one of somebody else.
        await permit.check(service, caller, task['dataset_id'] if task else '', 'read')
    if task is None:
        raise NotFound('Task not found')
    told = history.history(task)
    return told if caller.operates else history.for_readers(told)
