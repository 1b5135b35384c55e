"""Results of nodes: how the command of a task ended on each node, equal results kept once."""

from collections.abc import AsyncIterator, Sequence

from iceprod_tasks.storage.client import Collection, Document

_HIDDEN = {'_id': False, 'node_result_id': False, 'dataset_id': False, 'bytes': False, 'updated': False}
_IN_ORDER = [('group', 1), ('part', 1)]


class NodeResults:
    """Results of nodes, a document for some nodes of a group with equal results.

    Args:
        collection: the collection `node_results`.
    """

    def __init__(self, collection: Collection) -> None:
        self._results = collection

    async def add(self, results: Sequence[Document]) -> None:
        """Store results; those that are there already stay as they are."""
        await self._results.insert_absent(results)

    async def used_bytes(self, task_id: str, epoch: int) -> int:
        """How much the results of an attempt take up."""
        total: list[Document] = [
            {'$match': {'task_id': task_id, 'epoch': epoch}},
            {'$group': {'_id': None, 'bytes': {'$sum': '$bytes'}}},
        ]
        return sum([each['bytes'] async for each in self._results.aggregate(total)])

    async def newest_epoch(self, task_id: str) -> int:
        """The epoch of the last attempt that has results; 0 when none has."""
        found = await self._results.find_one({'task_id': task_id}, {'epoch': True}, sort=[('epoch', -1)])
        return int(found['epoch']) if found else 0

    def of(self, task_id: str, epoch: int) -> AsyncIterator[Document]:
        """The results of an attempt, group by group."""
        return self._results.find({'task_id': task_id, 'epoch': epoch}, _HIDDEN, sort=_IN_ORDER, batch_size=100)

    async def remove_earlier(self, task_id: str, epoch: int) -> int:
        """Remove the results of attempts before this one; how many there were."""
        return await self._results.delete_many({'task_id': task_id, 'epoch': {'$lt': epoch}})
