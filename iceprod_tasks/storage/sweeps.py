"""What the scheduler looks for, in bounded portions; only in datasets that have a record."""

from collections.abc import Sequence
from typing import Any

from iceprod_tasks.storage.client import Collection, Document

# With more, MongoDB gives up the merge sort over datasets and sorts everything that matches.
_DATASETS_AT_ONCE = 200


class Sweeps:
    """Looks for tasks and jobs that chores care for.

    Args:
        tasks: the collection `tasks`.
        jobs: the collection `jobs`.
    """

    def __init__(self, tasks: Collection, jobs: Collection) -> None:
        self._tasks = tasks
        self._jobs = jobs

    async def idle(self, dataset_ids: Sequence[str], after: Any, limit: int) -> list[Document]:
        """Idle tasks of some datasets behind an `_id`: `_id`, task_id and depends."""
        found: list[Document] = []
        fields = {'task_id': True, 'depends': True}
        for where in _in_datasets(dataset_ids, {'status': 'idle', **_behind(after)}):
            found += [task async for task in self._tasks.find(where, fields, sort=[('_id', 1)], limit=limit)]
        return sorted(found, key=lambda task: task['_id'])[:limit]

    async def dependents(self, task_ids: Sequence[str]) -> list[Document]:
        """The scheduler's idle tasks that depend on one of these."""
        where = {'status': 'idle', 'depends': {'$in': list(task_ids)}, 'managed': True}
        return [task async for task in self._tasks.find(where, {'task_id': True, 'depends': True})]

    async def jobs_processing(self, dataset_ids: Sequence[str], after: Any, limit: int) -> list[Document]:
        """Jobs of some datasets that have not ended, behind an `_id`."""
        found: list[Document] = []
        for where in _in_datasets(dataset_ids, {'status': 'processing', **_behind(after)}):
            found += [job async for job in self._jobs.find(where, sort=[('_id', 1)], limit=limit)]
        return sorted(found, key=lambda job: job['_id'])[:limit]

    async def jobs_named(self, job_ids: Sequence[str]) -> list[Document]:
        """Those of these jobs that have not ended."""
        where = {'job_id': {'$in': list(job_ids)}, 'status': 'processing'}
        return [job async for job in self._jobs.find(where)]


def failed_tries(dataset_ids: Sequence[str], failures: int, at_least_seconds_ago: float) -> list[Document]:
    """The filters of reset tasks with a number of failures whose last one is a while ago, on the primary's clock."""
    rested = {'$lte': ['$status_changed', {'$subtract': ['$$NOW', round(at_least_seconds_ago * 1000)]}]}
    return _in_datasets(dataset_ids, {'status': 'reset', 'failures': failures, '$expr': rested})


def failed_too_often(dataset_ids: Sequence[str], failures: int) -> list[Document]:
    """The filters of reset tasks with more failures than a number."""
    return _in_datasets(dataset_ids, {'status': 'reset', 'failures': {'$gt': failures}})


def _in_datasets(dataset_ids: Sequence[str], where: Document) -> list[Document]:
    starts = range(0, len(dataset_ids), _DATASETS_AT_ONCE)
    return [{'dataset_id': {'$in': list(dataset_ids[start : start + _DATASETS_AT_ONCE])}, **where} for start in starts]


def _behind(after: Any) -> Document:
    return {} if after is None else {'_id': {'$gt': after}}
