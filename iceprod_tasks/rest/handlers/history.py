"""The history of tasks: every change of their status, and why."""

from iceprod_tasks.actions.trace import trace_task
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, PEOPLE_READ, TASK, TRACERS, Route


class TasksHistoryHandler(Handler):
    """The history of a task."""

    async def get(self, task_id: str) -> None:
        """Read it, oldest change first.

        Args:
            task_id (str): the task id

        Returns:
            dict: {task_id, status, epoch, failures, evictions, truncated, phases, history}; `history` is a list of
                {when, from, to, transition, why, who, epoch}. It begins with the creation, then come the newest 50
                changes; `truncated` is true when there were more. `phases` is a list of {phase, when, epoch}, what
                pilots did with the task
        """
        self.answer(await trace_task(self.service, task_id))


class DatasetTasksHistoryHandler(Handler):
    """The history of a task of a dataset."""

    async def get(self, dataset_id: str, task_id: str) -> None:
        """Read it, oldest change first.

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: as for all tasks
        """
        self.answer(await trace_task(self.service, task_id, dataset_id=dataset_id))


ROUTES = (
    Route(rf'/tasks/{TASK}/history', TasksHistoryHandler, {'get': TRACERS}),
    Route(rf'/datasets/{DATASET}/tasks/{TASK}/history', DatasetTasksHistoryHandler, {'get': PEOPLE_READ}),
)
