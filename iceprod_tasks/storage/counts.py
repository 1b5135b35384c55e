"""Counts, summaries and statistics of tasks and jobs."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.tallies import Tallies
from iceprod_tasks.storage.tasks import in_dataset


class Counts:
    """What is asked about many tasks at once.

    Args:
        tasks: the collection `tasks`.
        jobs: the collection `jobs`.
        tallies: what is kept of it; everything is counted where they do not know.
    """

    def __init__(self, tasks: Collection, jobs: Collection, tallies: Tallies) -> None:
        self._tasks = tasks
        self._jobs = jobs
        self._tallies = tallies

    async def by_status(self, dataset_id: str | None = None) -> dict[str, int]:
        """Tasks a status, as they are at one moment; statuses without tasks are absent."""
        kept = await self._tallies.by_status(dataset_id)
        return kept if kept is not None else await self.count_by_status(dataset_id)

    async def count_by_status(self, dataset_id: str | None = None) -> dict[str, int]:
        """The same, counted."""
        return await _by_status(self._tasks, {} if dataset_id is None else {'dataset_id': dataset_id})

    async def in_statuses(self, dataset_id: str, statuses: Iterable[str]) -> int:
        """How many tasks of a dataset are in one of some statuses."""
        async with self._tasks.patience():
            return await self._tasks.count(in_dataset(dataset_id, sorted(statuses)))

    async def jobs_by_status(self, dataset_id: str) -> dict[str, int]:
        """Jobs of a dataset a status; statuses without jobs are absent."""
        return await _by_status(self._jobs, {'dataset_id': dataset_id})

    async def by_job(self, job_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Tasks a status for each of some jobs."""
        pipeline: list[Document] = [
            {'$match': {'job_id': {'$in': list(job_ids)}}},
            {'$group': {'_id': {'job': '$job_id', 'status': '$status'}, 'count': {'$sum': 1}}},
        ]
        counts: dict[str, dict[str, int]] = {job_id: {} for job_id in job_ids}
        async for each in self._tasks.aggregate(pipeline):
            counts[each['_id']['job']][each['_id']['status']] = each['count']
        return counts

    async def by_name_and_status(self, dataset_id: str) -> dict[str, dict[str, int]]:
        """Tasks a status for each name, names in the order of their task_index."""
        kept = await self._tallies.by_name_and_status(dataset_id)
        return kept if kept is not None else await self.count_by_name_and_status(dataset_id)

    async def count_by_name_and_status(self, dataset_id: str) -> dict[str, dict[str, int]]:
        """The same, counted."""
        pipeline: list[Document] = [
            {'$match': {'dataset_id': dataset_id}},
            {
                '$group': {
                    '_id': {'name': '$name', 'status': '$status'},
                    'count': {'$sum': 1},
                    'place': {'$min': '$task_index'},
                }
            },
        ]
        async with self._tasks.patience():
            rows = [row async for row in self._tasks.aggregate(pipeline, allowDiskUse=True)]
        places: dict[str, int] = {}
        for row in rows:
            name = row['_id']['name']
            places[name] = min(places.get(name, row['place']), row['place'])
        names: dict[str, dict[str, int]] = {name: {} for name in sorted(places, key=lambda name: (places[name], name))}
        for row in rows:
            names[row['_id']['name']][row['_id']['status']] = row['count']
        return names

    def ids_by_status(self, dataset_id: str, status: str) -> AsyncIterator[Document]:
        """The ids of a dataset's tasks in one status."""
        where = {'dataset_id': dataset_id, 'status': status}
        return self._tasks.find(where, {'_id': False, 'task_id': True}, sort=[('_id', 1)], batch_size=5000)

    async def walltimes(self, dataset_id: str) -> dict[str, dict[str, Any]]:
        """Sums over the complete tasks of each name, names in the order of their task_index; times in hours."""
        pipeline: list[Document] = [
            {'$match': {'dataset_id': dataset_id, 'status': 'complete'}},
            {
                '$group': {
                    '_id': '$name',
                    'place': {'$min': '$task_index'},
                    'count': {'$sum': 1},
                    'gpu': {'$sum': '$requirements.gpu'},
                    'total_hrs': {'$sum': '$walltime'},
                    'total_err_hrs': {'$sum': '$walltime_err'},
                    'avg_hrs': {'$avg': '$walltime'},
                    'stddev_hrs': {'$stdDevSamp': '$walltime'},
                    'min_hrs': {'$min': '$walltime'},
                    'max_hrs': {'$max': '$walltime'},
                }
            },
            {'$sort': {'place': 1, '_id': 1}},
        ]
        async with self._tasks.patience():
            rows = [row async for row in self._tasks.aggregate(pipeline, allowDiskUse=True)]
        return {row['_id']: {key: row[key] for key in row if key not in ('_id', 'place')} for row in rows}


async def _by_status(collection: Collection, where: Filter) -> dict[str, int]:
    # Sorting first lets MongoDB group straight from the index on status.
    group = {'$group': {'_id': '$status', 'count': {'$sum': 1}}}
    pipeline: list[Document] = [{'$match': where}, {'$sort': {'status': 1}}, group]
    async with collection.patience():
        return {each['_id']: each['count'] async for each in collection.aggregate(pipeline)}
