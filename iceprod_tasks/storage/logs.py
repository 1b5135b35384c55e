"""Logs: what tasks and programs wrote."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iceprod_tasks.storage.client import Collection, Document, Duplicate

_HIDDEN = {'_id': False}
_BY_TIME = [('timestamp', 1), ('_id', 1)]
_NEWEST_FIRST = [('timestamp', -1), ('_id', -1)]


@dataclass(frozen=True, slots=True)
class LogSelection:
    """Which logs; what is None does not matter.

    Args:
        since: not older than this.
        until: not newer than this.
        name: with this name.
        dataset_id: of this dataset.
        task_id: of this task.
    """

    since: datetime | None = None
    until: datetime | None = None
    name: str | None = None
    dataset_id: str | None = None
    task_id: str | None = None

    @property
    def where(self) -> Document:
        """The filter."""
        equal = {'name': self.name, 'dataset_id': self.dataset_id, 'task_id': self.task_id}
        where: Document = {field: value for field, value in equal.items() if value is not None}
        bounds = {'$gte': self.since, '$lte': self.until}
        times = {operator: time for operator, time in bounds.items() if time is not None}
        return {**where, 'timestamp': times} if times else where

    @property
    def index(self) -> str:
        """The index that leads to the fewest logs; each of them gives the order by time as well."""
        if self.task_id is not None:
            return 'task'
        if self.dataset_id is not None:
            return 'dataset'
        return 'timestamp' if self.name is None else 'name'


class Logs:
    """Logs as documents.

    Args:
        collection: the collection `logs`.
    """

    def __init__(self, collection: Collection) -> None:
        self._logs = collection

    async def add(self, log: Document) -> None:
        """Store a new log; one with this id stays as it is."""
        with suppress(Duplicate):
            await self._logs.insert_one(log)

    async def get(self, log_id: str, dataset_id: str | None = None) -> Document | None:
        """One log, only if it belongs to the dataset where one is given."""
        where = {'log_id': log_id} if dataset_id is None else {'log_id': log_id, 'dataset_id': dataset_id}
        found: Document | None = await self._logs.find_one(where, _HIDDEN)
        return found

    def select(
        self, selection: LogSelection, *, keys: Sequence[str] = (), newest_first: bool = False, limit: int = 0
    ) -> AsyncIterator[Document]:
        """Logs by time, a batch in memory at a time.

        Args:
            selection: which logs.
            keys: fields to read; all when empty.
            newest_first: the other way round.
            limit: how many at the most, 0 for all.
        """
        return self._read(selection.where, selection.index, keys, newest_first=newest_first, limit=limit)

    async def newest_by_name(self, selection: LogSelection, *, newest_first: bool, limit: int = 0) -> list[Any]:
        """Which logs are the newest of their names, as `among` takes them; their data are not read.

        Args:
            selection: which logs; of one task.
            newest_first: which ones a limit keeps.
            limit: how many names at the most, 0 for all.
        """
        direction = -1 if newest_first else 1
        newest = {'id': {'$first': '$_id'}, 'timestamp': {'$first': '$timestamp'}}
        pipeline: list[Document] = [
            {'$match': selection.where},
            {'$sort': dict(_NEWEST_FIRST)},
            {'$group': {'_id': '$name', **newest}},
            {'$sort': {'timestamp': direction, 'id': direction}},
            *([{'$limit': limit}] if limit else []),
        ]
        return [each['id'] async for each in self._logs.aggregate(pipeline, hint=selection.index)]

    def among(
        self, ids: Sequence[Any], selection: LogSelection, *, keys: Sequence[str] = (), newest_first: bool = False
    ) -> AsyncIterator[Document]:
        """Those logs of a selection that `newest_by_name` named, by time."""
        where = {**selection.where, '_id': {'$in': list(ids)}}
        return self._read(where, selection.index, keys, newest_first=newest_first)

    def _read(
        self, where: Mapping[str, Any], index: str, keys: Sequence[str], *, newest_first: bool, limit: int = 0
    ) -> AsyncIterator[Document]:
        fields = {**dict.fromkeys(keys, True), **_HIDDEN}
        order = _NEWEST_FIRST if newest_first else _BY_TIME
        # Data can be megabytes each: MongoDB ends a batch at 16 MB, and here none is longer than a few logs.
        return self._logs.find(where, fields, sort=order, limit=limit, hint=index, batch_size=100)

    async def remove(self, log_id: str) -> int:
        """Remove a log; 1 if there was one."""
        return await self._logs.delete_many({'log_id': log_id})

    async def remove_of_task(self, dataset_id: str, task_id: str) -> int:
        """Remove all logs of a task; how many there were."""
        async with self._logs.patience():
            return await self._logs.delete_many({'task_id': task_id, 'dataset_id': dataset_id})

    async def remove_older(self, name: str, time: datetime, limit: int) -> int:
        """Remove the oldest logs of a name that are older than a time; how many there were.

        Args:
            name: of the logs.
            time: they are older than this.
            limit: how many at the most.
        """
        where = {'name': name, 'timestamp': {'$lt': time}}
        async with self._logs.patience():
            old = self._logs.find(where, {'_id': True}, sort=_BY_TIME, limit=limit, hint='name')
            return await self._logs.delete_many({'_id': {'$in': [log['_id'] async for log in old]}})
