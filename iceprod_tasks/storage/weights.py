"""The bases of datasets, and the priorities of tasks that follow from them.

A dataset's `base_version` grows whenever tasks may have another base than the dataset. A walk over the tasks that was
through since then is noted as `base_version_applied`. While the two differ, there is something to rewrite.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.kinds import Kinds

_ENDED = ('failed', 'complete')
_REWRITTEN = [status for status in STATUSES if status not in _ENDED]
_DAY_MS = 86_400_000
_DATASETS_AT_ONCE = 200

CARED_FOR: Document = {
    '$or': [
        {'status': {'$in': ['processing', 'truncated', 'suspended']}},
        # Jobs of such a dataset may still wait for those of another one.
        {'status': 'errors', 'depends_on.0': {'$exists': True}},
    ]
}
"""The filter of datasets with work left."""


class Weights:
    """What makes priorities, and where they are written.

    Args:
        datasets: the collection `datasets`.
        jobs: the collection `jobs`.
        tasks: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, datasets: Collection, jobs: Collection, tasks: Collection, kinds: Kinds) -> None:
        self._datasets = datasets
        self._jobs = jobs
        self._tasks = tasks
        self._kinds = kinds

    async def datasets(self) -> list[Document]:
        """Every dataset with work left, with `age_days` by the database's clock, so that all processes see the same."""
        age = {'$divide': [{'$subtract': ['$$NOW', '$start_date']}, _DAY_MS]}
        pipeline: list[Document] = [{'$match': CARED_FOR}, {'$set': {'age_days': age}}, {'$unset': '_id'}]
        return [each async for each in self._datasets.aggregate(pipeline)]

    async def jobs_processing(self, dataset_ids: Sequence[str]) -> dict[str, int]:
        """How many jobs of each dataset are processing, from the index alone."""
        counts: dict[str, int] = {}
        for start in range(0, len(dataset_ids), _DATASETS_AT_ONCE):
            some = list(dataset_ids[start : start + _DATASETS_AT_ONCE])
            pipeline: list[Document] = [
                {'$match': {'dataset_id': {'$in': some}, 'status': 'processing'}},
                {'$group': {'_id': '$dataset_id', 'count': {'$sum': 1}}},
            ]
            async with self._jobs.patience():
                counts |= {each['_id']: each['count'] async for each in self._jobs.aggregate(pipeline)}
        return counts

    async def set_base(self, dataset: Mapping[str, Any], base: float, factors: Mapping[str, float]) -> int:
        """Give a dataset another base, unless somebody else has done so; 1 if it was done, else 0.

        Args:
            dataset: as it was read.
            base: the new base.
            factors: its parts.
        """
        before = dataset.get('base_priority')
        where = {'dataset_id': dataset['dataset_id'], 'base_priority': before}
        # Before its first base a dataset has no tasks that follow it.
        behind = int(before is not None and before != base)
        change = {'$set': {'base_priority': base, 'base_factors': dict(factors)}, '$inc': {'base_version': behind}}
        return await self._datasets.update_one(where, change)

    async def written_with(self, dataset_id: str, base: float) -> None:
        """Say that tasks were written with a base; if the dataset has another one by now, they are rewritten."""
        where = {'dataset_id': dataset_id, 'base_priority': {'$ne': base}}
        await self._datasets.update_one(where, {'$inc': {'base_version': 1}})

    async def rewrite_again(self, dataset_id: str) -> None:
        """Say that a dataset may have tasks with an old base: such as have ended before and go on now."""
        await self._datasets.update_one({'dataset_id': dataset_id}, {'$inc': {'base_version': 1}})

    def behind(self) -> AsyncIterator[Document]:
        """Datasets with tasks that may have another base: dataset_id, base_priority, base_version."""
        versions = [{'$ifNull': [name, 0]} for name in ('$base_version', '$base_version_applied')]
        fields = {'_id': False, 'dataset_id': True, 'base_priority': True, 'base_version': True}
        where = {**CARED_FOR, 'base_priority': {'$ne': None}, '$expr': {'$ne': versions}}
        return self._datasets.find(where, fields)

    async def tasks(self, dataset_id: str, after: Any, until: Any, limit: int) -> list[Document]:
        """The next unfinished tasks of a dataset, by `_id`: what status they have may change meanwhile.

        Args:
            dataset_id: of the dataset.
            after: the `_id` behind which to begin, None for the first one.
            until: the last `_id`, None for no end.
            limit: how many.

        Returns:
            `_id`, weighed, priority and priority_offset of each.
        """
        bounds = {**({} if after is None else {'$gt': after}), **({} if until is None else {'$lte': until})}
        where = {'dataset_id': dataset_id, 'status': {'$in': _REWRITTEN}, **({'_id': bounds} if bounds else {})}
        fields = {'weighed': True, 'priority': True, 'priority_offset': True}
        return [task async for task in self._tasks.find(where, fields, sort=[('_id', 1)], limit=limit)]

    async def rewrite(self, ids: Sequence[Any], base: float) -> int:
        """Give tasks the priority that follows from a base, unless they have come to keep their own; how many."""
        priority = {'$round': [{'$add': [base, '$priority_offset']}, 6]}
        where = {'_id': {'$in': list(ids)}, 'weighed': True}
        try:
            return await self._tasks.update_many(where, [{'$set': {'priority': priority}}], hint='_id_')
        finally:
            # Any of them may be the best of the queue now.
            self._kinds.heads.queued(None)

    async def applied(self, dataset_id: str, version: int) -> int:
        """Note that a walk over the tasks is through, unless there is cause for another one; 1 if noted, else 0."""
        where = {'dataset_id': dataset_id, 'base_version': version}
        return await self._datasets.update_one(where, {'$set': {'base_version_applied': version}})
