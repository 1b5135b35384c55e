"""Statistics of tries, as pilots sent them.

They are kept as text: pilots name their numbers as they like, and documents cannot have every key.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime

import orjson

from iceprod_tasks.storage.client import Collection, Document, Duplicate

_HIDDEN = {'_id': False}
_BY_TIME = [('create_date', 1), ('_id', 1)]


class TaskStats:
    """Statistics as documents.

    Args:
        collection: the collection `task_stats`.
    """

    def __init__(self, collection: Collection) -> None:
        self._stats = collection

    async def add(self, stat: Document) -> None:
        """Store the statistics of a try; those with this id stay as they are."""
        with suppress(Duplicate):
            await self._stats.insert_one({**stat, 'stats': orjson.dumps(stat['stats']).decode()})

    async def get(self, dataset_id: str, task_id: str, task_stat_id: str) -> Document | None:
        """The statistics of one try."""
        where = {'task_stat_id': task_stat_id, 'task_id': task_id, 'dataset_id': dataset_id}
        found = await self._stats.find_one(where, _HIDDEN)
        return _opened(found) if found else None

    async def of_task(
        self, dataset_id: str, task_id: str, *, last: bool = False, keys: Sequence[str] = ()
    ) -> AsyncIterator[Document]:
        """Those of a task, oldest first.

        Args:
            dataset_id: of the task's dataset.
            task_id: of the task.
            last: only the newest.
            keys: fields to read; all when empty.
        """
        where = {'dataset_id': dataset_id, 'task_id': task_id}
        order = [(field, -1) for field, _ in _BY_TIME] if last else _BY_TIME
        async for stat in self._stats.find(where, _fields(keys), sort=order, limit=1 if last else 0):
            yield _opened(stat)

    async def of_dataset(
        self, dataset_id: str, *, after: datetime | None, keys: Sequence[str], at_once: int
    ) -> AsyncIterator[Document]:
        """Those of a dataset, task by task, each oldest first; a batch in memory at a time.

        Args:
            dataset_id: of the dataset.
            after: not older than this.
            keys: fields to read; all when empty.
            at_once: how many a batch has at the most.
        """
        where: Document = {'dataset_id': dataset_id}
        if after is not None:
            where['create_date'] = {'$gte': after}
        order = [('task_id', 1), *_BY_TIME]
        # No other order is read without sorting; the planner would like to begin with the time.
        found = self._stats.find(where, _fields(keys), sort=order, hint='dataset', batch_size=at_once)
        async for stat in found:
            yield _opened(stat)


def _fields(keys: Sequence[str]) -> Document:
    return {**dict.fromkeys(keys, True), **_HIDDEN}


def _opened(stat: Document) -> Document:
    if 'stats' in stat:
        stat['stats'] = orjson.loads(stat['stats'])
    return stat
