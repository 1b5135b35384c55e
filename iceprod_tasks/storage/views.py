"""Tasks as they look from outside, found by their stamps: the bytes of their documents' ids, oldest first."""

from collections.abc import AsyncIterator, Sequence

from bson import ObjectId

from iceprod_tasks.storage.client import Collection, Document, Filter

_FIELDS = ('name', 'dataset_id', 'status', 'steps', 'updated', 'message_at', 'messages')
_SHOWN = dict.fromkeys(_FIELDS, True)
_ID = {'_id': True}
_READ_AT_ONCE = 500


class Views:
    """What there is to see of tasks.

    Args:
        collection: the collection `tasks`.
    """

    def __init__(self, collection: Collection) -> None:
        self._tasks = collection

    async def by_stamp(self, stamp: bytes) -> Document | None:
        """The task with a stamp."""
        return await self._one({'_id': ObjectId(stamp)})

    async def by_id(self, task_id: str) -> Document | None:
        """The task with a task_id."""
        return await self._one({'task_id': task_id})

    async def _one(self, where: Filter) -> Document | None:
        found = await self._tasks.find_one(where, _SHOWN)
        return None if found is None else _stamped(found)

    async def stamps(self, at_most: int, dataset_ids: Sequence[str] | None = None) -> list[bytes]:
        """The stamps of tasks, in any order; no more index keys are read than there are stamps.

        Args:
            at_most: how many.
            dataset_ids: of tasks in these datasets; the oldest of all when None.
        """
        if dataset_ids is None:
            found = self._tasks.find({}, _ID, sort=[('_id', 1)], limit=at_most, hint='_id_')
        else:
            where = {'dataset_id': {'$in': list(dataset_ids)}}
            found = self._tasks.find(where, _ID, limit=at_most, hint='dataset_job_name')
        return [task['_id'].binary async for task in found]

    async def each(self, stamps: Sequence[bytes]) -> AsyncIterator[Document]:
        """The tasks with some stamps that are still there, in the order of the stamps, a batch in memory at a time."""
        ordered = sorted(stamps)
        for start in range(0, len(ordered), _READ_AT_ONCE):
            ids = [ObjectId(stamp) for stamp in ordered[start : start + _READ_AT_ONCE]]
            async for task in self._tasks.find({'_id': {'$in': ids}}, _SHOWN, sort=[('_id', 1)], hint='_id_'):
                yield _stamped(task)


def _stamped(task: Document) -> Document:
    return {**task, 'stamp': task.pop('_id').binary}
