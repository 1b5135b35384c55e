"""Logs of tasks and programs. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import keep_logs
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import (
    DATASET,
    ID,
    OPERATORS,
    OWNERS_READ,
    OWNERS_WRITE,
    REPORTERS,
    TASK,
    Route,
    in_lane,
)
from iceprod_tasks.storage.logs import LogSelection

LOG = rf'(?P<log_id>{ID})'


class MultiLogsHandler(Handler):
    """All logs of the service."""

    async def get(self) -> None:
        """List logs, oldest first.

        Params (optional):
            from: the earliest time, UTC unless it names a zone
            to: the latest time
            name: with this name
            dataset_id: of this dataset
            task_id: of this task
            limit: how many
            keys: fields to show beside log_id, with | between them

        Returns:
            dict: {log_id: log}
        """
        selection = LogSelection(
            since=self.time('from'),
            until=self.time('to'),
            name=self.argument('name') or None,
            dataset_id=self.argument('dataset_id') or None,
            task_id=self.argument('task_id') or None,
        )
        found = keep_logs.list_logs(self.service, selection, limit=self.number('limit'), keys=self.keys())
        await self.stream(self.as_dict(found, 'log_id'))

    async def post(self) -> None:
        """Store a log. Its dataset and task need not be known to the service, unless it comes from a pilot.

        Body args (json):
            data (str): what it says
            name (str): (optional) what kind of log it is, `log` unless told
            dataset_id (str): (optional) of the task's dataset
            task_id (str): (optional) of the task

        Returns:
            dict: {'result': log_id}, with status 201
        """
        log_id = await keep_logs.keep_log(self.service, self.caller, self.body('log'), self.origin)
        self.answer({'result': log_id}, 201)


class LogsHandler(Handler):
    """A single log."""

    async def get(self, log_id: str) -> None:
        """Read it.

        Args:
            log_id (str): the log id

        Returns:
            dict: the log
        """
        self.answer(await keep_logs.read_log(self.service, log_id))

    async def delete(self, log_id: str) -> None:
        """Remove it, if it is there.

        Args:
            log_id (str): the log id

        Returns:
            dict: empty
        """
        await keep_logs.throw_log(self.service, log_id)
        self.answer({})


class DatasetMultiLogsHandler(Handler):
    """The logs of a dataset."""

    async def post(self, dataset_id: str) -> None:
        """Store a log of the dataset.

        Body args (json):
            data (str): what it says
            name, task_id (str): (optional) as for all logs

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {'result': log_id}, with status 201
        """
        log = {**self.body('log'), 'dataset_id': dataset_id}
        self.answer({'result': await keep_logs.keep_log(self.service, self.caller, log, self.origin)}, 201)


class DatasetLogsHandler(Handler):
    """A single log of a dataset."""

    async def get(self, dataset_id: str, log_id: str) -> None:
        """Read it.

        Args:
            dataset_id (str): the dataset id
            log_id (str): the log id

        Returns:
            dict: the log
        """
        self.answer(await keep_logs.read_log(self.service, log_id, dataset_id=dataset_id))


class DatasetTaskLogsHandler(Handler):
    """The logs of a task of a dataset."""

    async def get(self, dataset_id: str, task_id: str) -> None:
        """List them; 404 when there is none.

        Params (optional):
            num: how many; how many names with `group`
            group: true for the newest log of each name only
            order: desc for the newest first, unless told; or asc
            keys: fields to show, with | between them; all when absent

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: {'logs': [log]}
        """
        asked = keep_logs.TaskLogListing(
            newest_of_each_name=self.flag('group'),
            newest_first=_newest_first(self.argument('order') or 'desc'),
            limit=self.number('num'),
            keys=self.keys(),
        )
        found = await keep_logs.list_task_logs(self.service, dataset_id, task_id, asked)
        await self.stream(self.as_list('logs', found))

    async def delete(self, dataset_id: str, task_id: str) -> None:
        """Remove all of them.

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: empty
        """
        await keep_logs.throw_task_logs(self.service, dataset_id, task_id)
        self.answer({})


def _newest_first(order: str) -> bool:
    if order.lower() not in ('asc', 'desc'):
        raise InvalidRequest('Bad argument "order": must be asc or desc')
    return order.lower() == 'desc'


ROUTES = (
    Route(r'/logs', MultiLogsHandler, {'get': in_lane('list', OPERATORS), 'post': REPORTERS}, keyed='post', bulk=True),
    Route(rf'/logs/{LOG}', LogsHandler, {'get': in_lane('list', OPERATORS), 'delete': OPERATORS}),
    Route(rf'/datasets/{DATASET}/logs', DatasetMultiLogsHandler, {'post': OWNERS_WRITE}, keyed='post', bulk=True),
    Route(rf'/datasets/{DATASET}/logs/{LOG}', DatasetLogsHandler, {'get': in_lane('list', OWNERS_READ)}),
    Route(
        rf'/datasets/{DATASET}/tasks/{TASK}/logs',
        DatasetTaskLogsHandler,
        {'get': in_lane('list', OWNERS_READ), 'delete': OWNERS_WRITE},
    ),
)
