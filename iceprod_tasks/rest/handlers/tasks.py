"""Tasks: lists, single tasks and their status. Source: seed 004.

The other handler classes of the seed live in `task_actions`, `counts`, `files` and `messages`; they are importable from
here, and `setup` gathers the routes of all.
"""

from collections.abc import Mapping
from typing import Any

from tornado.httputil import url_concat

from iceprod_tasks.actions.create import create_task
from iceprod_tasks.actions.describe import Listing, list_tasks, read_task
from iceprod_tasks.actions.move import move_task, patch_task
from iceprod_tasks.rest.arguments import INTEGER, plain_name
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.handlers import counts, files, messages, task_actions
from iceprod_tasks.rest.handlers.counts import (
    DatasetTaskCountsNameStatusHandler,
    DatasetTaskCountsStatusHandler,
    DatasetTaskStatsHandler,
    DatasetTaskSummaryStatusHandler,
    TaskCountsStatusHandler,
)
from iceprod_tasks.rest.handlers.files import DatasetMultiFilesHandler, DatasetTaskFilesHandler
from iceprod_tasks.rest.handlers.messages import TasksMessagesHandler
from iceprod_tasks.rest.handlers.task_actions import (
    DatasetTaskBulkRequirementsHandler,
    DatasetTaskBulkStatusHandler,
    TaskBulkStatusHandler,
    TasksActionsCompleteHandler,
    TasksActionsErrorHandler,
    TasksActionsFailedHandler,
    TasksActionsHandBackHandler,
    TasksActionsProcessingHandler,
    TasksActionsQueueHandler,
)
from iceprod_tasks.rest.routing import (
    DATASET,
    HOLDERS,
    OPERATORS,
    PEOPLE_READ,
    PEOPLE_WRITE,
    TASK,
    Route,
    begins_work,
    in_lane,
    specs,
)
from iceprod_tasks.storage.indexes import INDEXES
from iceprod_tasks.storage.listing import Selection

DATABASE = 'iceprod_tasks'
"""The database that the collections are in unless `MONGODB_DATABASE` names another."""


def setup(handler_cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What the application needs to serve tasks.

    Args:
        handler_cfg (dict): arguments that every handler is made with.

    Returns:
        dict: `routes` (path, class, arguments), `database` (its default name), `indexes` (collection to name to
        definition).
    """
    # Tornado tries one route after the other, so those that pilots use all day come first.
    routes = specs((*task_actions.ROUTES, *ROUTES, *counts.ROUTES, *files.ROUTES, *messages.ROUTES), handler_cfg)
    indexes = {name: dict(INDEXES[name]) for name in ('tasks', 'files', 'messages')}
    return {'routes': routes, 'database': DATABASE, 'indexes': indexes}


class _Listings(Handler):
    """What lists of tasks share."""

    def listing(self, dataset_id: str | None = None) -> Listing:
        """What the query asks for; some arguments are known to lists of a dataset only."""
        selection = Selection(
            dataset_id=dataset_id,
            statuses=self.words('status') or None,
            job_id=self.argument('job_id') if dataset_id else None,
            job_index=self.integer('job_index') if dataset_id else None,
            name=self.argument('name') if dataset_id else None,
        )
        keys = self.keys()
        if keys and dataset_id and 'task_id' not in keys:
            keys.append('task_id')
        return Listing(selection, keys, self._sort(), _limit(self.argument('limit')), self.argument('after') or '')

    def _sort(self) -> list[tuple[str, int]]:
        order: dict[str, int] = {}
        for word in self.words('sort'):
            field, _, direction = word.partition('=')
            order[plain_name(field, 'sort')] = -1 if direction.strip() == '-1' else 1
        return list(order.items())

    def link(self, following: str) -> None:
        """Lead to the next page, if there is one."""
        if following:
            kept = [(name, self.argument(name) or '') for name in self.request.query_arguments if name != 'after']
            self.set_header('Link', f'<{url_concat(self.request.path, [*kept, ("after", following)])}>; rel="next"')


class MultiTasksHandler(_Listings):
    """All tasks of the service."""

    async def get(self) -> None:
        """List tasks.

        With a `limit` of at most 10 000 the answer is a page, and a `Link: rel=next` header leads to the next one;
        without, all tasks are streamed.

        Params (optional):
            status: statuses with | between them
            keys: fields to show, with | between them; all but the log when absent
            sort: fields with | between them, each `field`, `field=1` or `field=-1`
            limit: how many
            after: cursor, from the link of the page before

        Returns:
            dict: {'tasks': [task]}
        """
        page = await list_tasks(self.service, self.caller, self.listing())
        self.link(page.following)
        await self.stream(self.as_list('tasks', page.tasks))

    async def post(self) -> None:
        """Create a task.

        Body: the task's data; dataset_id, job_id, name (str), task_index, job_index (int), depends (list) and
        requirements (dict) are needed, status, priority and keys of the client's own may be there.

        Returns:
            dict: {'result': task_id}, with status 201
        """
        task_id = await create_task(self.service, self.body('task'), self.origin)
        self.set_header('Location', f'/tasks/{task_id}')
        self.answer({'result': task_id}, 201)


class TasksHandler(Handler):
    """A single task."""

    async def get(self, task_id: str) -> None:
        """Read a task.

        Args:
            task_id (str): the task id

        Returns:
            dict: the task; the ids of its claim are for whoever claimed it
        """
        self.answer(await read_task(self.service, self.caller, task_id))

    async def patch(self, task_id: str) -> None:
        """Merge data into a task.

        Body: fields to set. A status is set as PUT does; what identifies the task, its claim, and what only the
        service sets cannot be changed.

        Args:
            task_id (str): the task id

        Returns:
            dict: the task after it
        """
        self.answer(await patch_task(self.service, self.caller, task_id, self.body('task_patch')))


class TasksStatusHandler(Handler):
    """The status of a task."""

    async def put(self, task_id: str) -> None:
        """Set the status.

        Body: {'status': new status}

        Args:
            task_id (str): the task id

        Returns:
            dict: empty
        """
        await move_task(self.service, self.caller, task_id, self.body('status')['status'])
        self.answer({})


class DatasetMultiTasksHandler(_Listings):
    """The tasks of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """List the dataset's tasks.

        Params (optional):
            status: statuses with | between them
            job_id: of this job
            job_index: of the job with this index
            name: with this name
            keys: fields to show beside task_id, with | between them
            sort, limit, after: as for all tasks

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {task_id: task}
        """
        page = await list_tasks(self.service, self.caller, self.listing(dataset_id))
        self.link(page.following)
        await self.stream(self.as_dict(page.tasks, 'task_id'))


class DatasetTasksHandler(Handler):
    """A single task of a dataset."""

    async def get(self, dataset_id: str, task_id: str) -> None:
        """Read a task.

        Params (optional):
            keys: fields to show beside task_id, with | between them

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: the task
        """
        keys = self.keys()
        if keys and 'task_id' not in keys:
            keys.append('task_id')
        self.answer(await read_task(self.service, self.caller, task_id, dataset_id=dataset_id, keys=keys))


class DatasetTasksStatusHandler(Handler):
    """The status of a task of a dataset."""

    async def put(self, dataset_id: str, task_id: str) -> None:
        """Set the status.

        Body: {'status': new status}

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: empty
        """
        status = self.body('status')['status']
        await move_task(self.service, self.caller, task_id, status, dataset_id=dataset_id)
        self.answer({})


def _limit(text: str | None) -> int:
    """How many tasks; as the clients know it, 0 and what is no number mean all, and a sign does not matter."""
    return min(abs(int(text)), 2**31 - 2) if text and INTEGER.fullmatch(text) else 0


ROUTES = (
    Route(
        r'/tasks', MultiTasksHandler, {'get': in_lane('list', OPERATORS), 'post': begins_work(OPERATORS)}, keyed='post'
    ),
    Route(rf'/tasks/{TASK}', TasksHandler, {'get': HOLDERS, 'patch': OPERATORS}),
    Route(rf'/tasks/{TASK}/status', TasksStatusHandler, {'put': OPERATORS}),
    Route(rf'/datasets/{DATASET}/tasks', DatasetMultiTasksHandler, {'get': in_lane('list', PEOPLE_READ)}),
    Route(rf'/datasets/{DATASET}/tasks/{TASK}', DatasetTasksHandler, {'get': PEOPLE_READ}),
    Route(rf'/datasets/{DATASET}/tasks/{TASK}/status', DatasetTasksStatusHandler, {'put': PEOPLE_WRITE}),
)

__all__ = [
    'DatasetMultiFilesHandler', 'DatasetMultiTasksHandler', 'DatasetTaskBulkRequirementsHandler',
    'DatasetTaskBulkStatusHandler', 'DatasetTaskCountsNameStatusHandler', 'DatasetTaskCountsStatusHandler',
    'DatasetTaskFilesHandler', 'DatasetTaskStatsHandler', 'DatasetTaskSummaryStatusHandler', 'DatasetTasksHandler',
    'DatasetTasksStatusHandler', 'MultiTasksHandler', 'TaskBulkStatusHandler', 'TaskCountsStatusHandler',
    'TasksActionsCompleteHandler', 'TasksActionsErrorHandler', 'TasksActionsFailedHandler',
    'TasksActionsHandBackHandler', 'TasksActionsProcessingHandler', 'TasksActionsQueueHandler', 'TasksHandler',
    'TasksMessagesHandler', 'TasksStatusHandler', 'setup',
]  # fmt: skip
