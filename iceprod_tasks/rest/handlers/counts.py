"""Counts, summaries and statistics of tasks. Source: seed 004."""

from iceprod_tasks.actions import describe
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, OPERATORS, PEOPLE_READ, Route, in_lane


class TaskCountsStatusHandler(Handler):
    """Tasks a status, of the whole service."""

    async def get(self) -> None:
        """Count all tasks by status.

        Returns:
            dict: {status: number}, all statuses in their order
        """
        self.answer(await describe.count_tasks(self.service))


class DatasetTaskSummaryStatusHandler(Handler):
    """Task ids a status."""

    async def get(self, dataset_id: str) -> None:
        """Group the ids of a dataset's tasks by status.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {status: [task_id]}, statuses that occur in their order
        """
        await self.stream(self.as_groups(describe.summarize(self.service, dataset_id)))


class DatasetTaskCountsStatusHandler(Handler):
    """Tasks a status, of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """Count a dataset's tasks by status.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {status: number}, statuses that occur in their order
        """
        self.answer(await describe.count_tasks(self.service, dataset_id))


class DatasetTaskCountsNameStatusHandler(Handler):
    """Tasks a name and status, of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """Count a dataset's tasks by name and status.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {name: {status: number}}, names in the order of their task_index
        """
        self.answer(await describe.count_names(self.service, dataset_id))


class DatasetTaskStatsHandler(Handler):
    """Wall times of a dataset's complete tasks."""

    async def get(self, dataset_id: str) -> None:
        """Give statistics of the complete tasks of each name.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {name: {count, gpu, total_hrs, total_err_hrs, avg_hrs, stddev_hrs, min_hrs, max_hrs, efficiency}}
        """
        self.answer(await describe.statistics(self.service, dataset_id))


ROUTES = (
    Route(r'/task_counts/status', TaskCountsStatusHandler, {'get': OPERATORS}),
    Route(
        rf'/datasets/{DATASET}/task_summaries/status',
        DatasetTaskSummaryStatusHandler,
        {'get': in_lane('list', PEOPLE_READ)},
    ),
    Route(rf'/datasets/{DATASET}/task_counts/status', DatasetTaskCountsStatusHandler, {'get': PEOPLE_READ}),
    Route(
        rf'/datasets/{DATASET}/task_counts/name_status',
        DatasetTaskCountsNameStatusHandler,
        {'get': in_lane('list', PEOPLE_READ)},
    ),
    Route(rf'/datasets/{DATASET}/task_stats', DatasetTaskStatsHandler, {'get': in_lane('list', PEOPLE_READ)}),
)
