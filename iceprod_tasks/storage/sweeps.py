"""What the scheduler looks for, in bounded portions; only in datasets that have a record."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.holding import blocked, full_at, portions

# With more, MongoDB gives up the merge sort over datasets and sorts everything that matches.
_DATASETS_AT_ONCE = 200

_IDLE = dict.fromkeys(('task_id', 'job_id', 'dataset_id', 'depends', 'managed'), True)


class Sweeps:
    """Looks for tasks and jobs that chores care for.

    Args:
        tasks: the collection `tasks`.
        jobs: the collection `jobs`.
    """

    def __init__(self, tasks: Collection, jobs: Collection) -> None:
        self._tasks = tasks
        self._jobs = jobs

    async def idle(self, dataset_ids: Sequence[str], after: Any, limit: int) -> tuple[list[Document], Any]:
        """Idle tasks of some datasets behind an `_id`, with what their release asks for.

        Returns:
            The first portion of them; and the `_id` behind which the next one begins, None at the end.
        """
        found: list[Document] = []
        for where in _in_datasets(dataset_ids, {'status': 'idle', **_behind(after)}):
            tasks = self._tasks.find(where, _IDLE, sort=[('_id', 1)], limit=limit)
            async with aclosing(portions(tasks, limit)) as some:
                found += await anext(some, [])
        found.sort(key=lambda task: task['_id'])
        # Where a query has more, what it gave fills a portion by itself: so this one ends before what was not read.
        number = full_at(found, limit)
        return found[:number], None if number is None else found[number - 1]['_id']

    def dependents(self, task_ids: Sequence[str], at_once: int) -> AsyncIterator[list[Document]]:
        """The scheduler's idle tasks that depend on one of these, with what their release asks for, in portions."""
        where = {'status': 'idle', 'depends': {'$in': list(task_ids)}, 'managed': True}
        return portions(self._tasks.find(where, _IDLE), at_once)

    async def blocked(self, idle: Sequence[Mapping[str, Any]]) -> set[str]:
        """The ids of those of these tasks that something holds back; see `blocked`."""
        return await blocked(self._tasks, idle)

    async def idle_of_jobs(self, job_ids: Sequence[str]) -> list[Document]:
        """The idle tasks of some jobs, with what their release asks for."""
        where = {'job_id': {'$in': list(job_ids)}, 'status': 'idle'}
        return [task async for task in self._tasks.find(where, _IDLE, hint='job_id')]

    async def jobs_processing(self, dataset_ids: Sequence[str], after: Any, limit: int) -> list[Document]:
        """Jobs of some datasets that have not ended, behind an `_id`."""
        found: list[Document] = []
        for where in _in_datasets(dataset_ids, {'status': 'processing', **_behind(after)}):
            found += [job async for job in self._jobs.find(where, sort=[('_id', 1)], limit=limit)]
        return sorted(found, key=lambda job: job['_id'])[:limit]

    async def jobs_held_up(self, dataset_ids: Sequence[str], after: Any, limit: int) -> list[Document]:
        """Jobs of some datasets that have ended, but not well, behind an `_id`."""
        found: list[Document] = []
        for status in ('errors', 'suspended'):
            for where in _in_datasets(dataset_ids, {'status': status, **_behind(after)}):
                found += [job async for job in self._jobs.find(where, sort=[('_id', 1)], limit=limit)]
        return sorted(found, key=lambda job: job['_id'])[:limit]

    async def jobs_named(self, job_ids: Sequence[str]) -> list[Document]:
        """Those of these jobs that have not ended."""
        where = {'job_id': {'$in': list(job_ids)}, 'status': 'processing'}
        return [job async for job in self._jobs.find(where)]


def failed_tries(dataset_ids: Sequence[str], failures: int, at_least_seconds_ago: float) -> list[Document]:
    """The filters of reset tasks with a number of failures whose last one is a while ago, on the primary's clock.

    A task that says a number of its own has no more tries beyond it.
    """
    rested = {'$lte': ['$status_changed', {'$subtract': ['$$NOW', round(at_least_seconds_ago * 1000)]}]}
    bounded = {'$lte': ['$failures', {'$ifNull': ['$max_failures', failures]}]}
    return _in_datasets(dataset_ids, {'status': 'reset', 'failures': failures, '$expr': {'$and': [rested, bounded]}})


def tries_beyond(dataset_ids: Sequence[str], failures: int, at_least_seconds_ago: float) -> list[Document]:
    """The filters of reset tasks with more failures than a number that allow themselves more, as for `failed_tries`."""
    return [
        {**where, 'failures': {'$gt': failures}, 'max_failures': {'$gt': failures}}
        for where in failed_tries(dataset_ids, failures, at_least_seconds_ago)
    ]


def failed_too_often(dataset_ids: Sequence[str], failures: int) -> list[Document]:
    """The filters of reset tasks with more failures than a number, or than that which they say themselves."""
    beyond = {'$gt': ['$failures', {'$ifNull': ['$max_failures', failures]}]}
    return _in_datasets(dataset_ids, {'status': 'reset', '$expr': beyond})


def _in_datasets(dataset_ids: Sequence[str], where: Document) -> list[Document]:
    starts = range(0, len(dataset_ids), _DATASETS_AT_ONCE)
    return [{'dataset_id': {'$in': list(dataset_ids[start : start + _DATASETS_AT_ONCE])}, **where} for start in starts]


def _behind(after: Any) -> Document:
    return {} if after is None else {'_id': {'$gt': after}}
