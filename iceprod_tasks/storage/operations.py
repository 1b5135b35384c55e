"""Operations on tasks with names outside: the one that is active on each, and those that were.

That no task has two at once is held by a unique index. What is written with a session lands together with the rest of
its transaction, or not at all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.errors import OperationActive
from iceprod_tasks.storage.client import Collection, Document, Duplicate, Session

_HIDDEN = {'_id': False}


class Operations:
    """The operations.

    Args:
        collection: the collection `operations`.
    """

    def __init__(self, collection: Collection) -> None:
        self._operations = collection

    async def primary_time(self) -> datetime:
        """The clock by which operations are timed."""
        return await self._operations.primary_time()

    async def add(self, operation: Document, session: Session) -> None:
        """Store an operation.

        Raises:
            OperationActive: another one is active on its task.
        """
        try:
            await self._operations.insert_one(operation, session=session)
        except Duplicate:
            raise OperationActive from None

    async def get(self, operation_id: str, session: Session = None) -> Document | None:
        """One operation."""
        found: Document | None = await self._operations.find_one(
            {'operation_id': operation_id}, _HIDDEN, session=session
        )
        return found

    async def active(self, task_id: str, session: Session = None) -> Document | None:
        """The operation that is active on a task."""
        where = {'task_id': task_id, 'active': True}
        found: Document | None = await self._operations.find_one(where, _HIDDEN, session=session)
        return found

    async def end(self, operation_ids: Sequence[str], outcome: str, session: Session = None) -> int:
        """End those of some operations that are active; how many were."""
        where = {'operation_id': {'$in': list(operation_ids)}, 'active': True}
        ended = {'active': False, 'ended': '$$NOW', 'outcome': {'$literal': outcome}}
        return await self._operations.update_many(where, [{'$set': ended}], session=session)

    async def portion(self, after: Any, limit: int) -> list[Document]:
        """The first active operations behind an `_id`."""
        where: Document = {'active': True} | ({} if after is None else {'_id': {'$gt': after}})
        return await self._operations.all(where, sort=[('_id', 1)], limit=limit, hint='active')

    async def overdue(self, limit: int) -> list[Document]:
        """Active operations whose time is over, by the primary's clock; those over for longest first."""
        where = {'active': True, '$expr': {'$lte': ['$deadline', '$$NOW']}}
        return await self._operations.all(where, _HIDDEN, sort=[('deadline', 1)], limit=limit, hint='deadline')

    async def are_active(self, task_ids: Sequence[str]) -> set[str]:
        """Those of some tasks on which an operation is active."""
        where = {'task_id': {'$in': list(task_ids)}, 'active': True}
        return {each['task_id'] for each in await self._operations.all(where, {'_id': False, 'task_id': True})}

    async def history(self, external: Mapping[str, str], limit: int) -> list[Document]:
        """The operations on all tasks that have or had a name outside: {system, app, id}; the newest first."""
        where = {f'external.{key}': external[key] for key in ('system', 'app', 'id')}
        return await self._operations.all(where, _HIDDEN, sort=[('accepted', -1), ('_id', -1)], limit=limit)

    async def remove_older(self, time: datetime, limit: int, session: Session) -> int:
        """Remove operations that ended before a time, a number of them at the most; how many there were."""
        where = {'active': False, 'ended': {'$lt': time}}
        old = await self._operations.all(where, {'_id': True}, sort=[('ended', 1)], limit=limit)
        return await self._operations.delete_many({'_id': {'$in': [each['_id'] for each in old]}}, session=session)
