"""Statistics that pilots send with each try of a task. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import keep_stats
from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, HOLDERS, ID, PEOPLE_READ, TASK, Route, in_lane

TASK_STAT = rf'(?P<task_stat_id>{ID})'
_BUFFER_SIZE = 1000


class MultiTaskStatsHandler(Handler):
    """The statistics of a task, as its pilots send them."""

    async def post(self, task_id: str) -> None:
        """Store the statistics of a try.

        The task and its dataset need not be known to the service, unless a pilot sends them.

        Body: dataset_id (str), and whatever the pilot has to say under whatever keys.

        Args:
            task_id (str): the task id

        Returns:
            dict: {'result': task_stat_id}, with status 201
        """
        stats = bodies.parse(self.request.body)
        bodies.check(stats, 'task_stats')
        stat_id = await keep_stats.keep_stats(self.service, self.caller, task_id, stats, self.origin)
        self.answer({'result': stat_id}, 201)


class DatasetsBulkTaskStatsHandler(Handler):
    """The statistics of all tasks of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """Stream them task by task, a JSON document a line.

        Params (optional):
            last: true for the newest of each task only
            after: not older than this time, UTC unless it names a zone
            keys: fields to show, with | between them; all when absent
            buffer_size: how many are read at once, 1000 unless told

        Args:
            dataset_id (str): the dataset id

        Returns:
            lines: each a dict with task_stat_id, task_id, dataset_id, create_date and stats
        """
        asked = keep_stats.BulkListing(
            last=self.flag('last'),
            after=self.time('after'),
            keys=self.keys(),
            at_once=min(self.number('buffer_size') or _BUFFER_SIZE, _BUFFER_SIZE),
        )
        self.set_header('Content-Type', 'application/x-ndjson')
        await self.stream(self.as_lines(keep_stats.list_bulk_stats(self.service, dataset_id, asked)))


class DatasetsMultiTaskStatsHandler(Handler):
    """The statistics of a task of a dataset."""

    async def get(self, dataset_id: str, task_id: str) -> None:
        """List them, oldest first.

        Params (optional):
            last: true for the newest only
            keys: fields to show beside task_stat_id, with | between them; all when absent

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: {task_stat_id: statistics}
        """
        found = keep_stats.list_stats(self.service, dataset_id, task_id, last=self.flag('last'), keys=self.keys())
        await self.stream(self.as_dict(found, 'task_stat_id'))


class DatasetsTaskStatsHandler(Handler):
    """The statistics of one try of a task."""

    async def get(self, dataset_id: str, task_id: str, task_stat_id: str) -> None:
        """Read them.

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id
            task_stat_id (str): the id of the statistics

        Returns:
            dict: task_stat_id, task_id, dataset_id, create_date, and stats as the pilot sent them
        """
        self.answer(await keep_stats.read_stats(self.service, dataset_id, task_id, task_stat_id))


ROUTES = (
    Route(rf'/tasks/{TASK}/task_stats', MultiTaskStatsHandler, {'post': HOLDERS}, keyed='post', bulk=True),
    Route(rf'/datasets/{DATASET}/bulk/task_stats', DatasetsBulkTaskStatsHandler, {'get': in_lane('list', PEOPLE_READ)}),
    Route(rf'/datasets/{DATASET}/tasks/{TASK}/task_stats', DatasetsMultiTaskStatsHandler, {'get': PEOPLE_READ}),
    Route(rf'/datasets/{DATASET}/tasks/{TASK}/task_stats/{TASK_STAT}', DatasetsTaskStatsHandler, {'get': PEOPLE_READ}),
)
