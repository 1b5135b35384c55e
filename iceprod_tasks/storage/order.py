"""The order in which tasks would be handed out, read from the head of the queue without going through it."""

from collections.abc import Sequence

from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.indexes import BEST_FIRST, SCANS_MERGED
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.queueing import Queueing

_BOTH = (True, False)
_FIELDS = dict.fromkeys(
    (
        'task_id', 'dataset_id', 'name', 'job_index', 'task_index', 'status', 'priority', 'priority_offset', 'weighed',
    ),
    True,
)  # fmt: skip


class Order:
    """The best tasks of all kinds.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
        queueing: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds, queueing: Queueing) -> None:
        self._tasks = collection
        self._kinds = kinds
        self._queueing = queueing

    async def queued(self, number: int, dataset_ids: Sequence[str] | None = None) -> list[Document]:
        """The best queued tasks.

        Args:
            number: how many at the most.
            dataset_ids: of these datasets only.
        """
        where: Document = {} if dataset_ids is None else {'dataset_id': {'$in': list(dataset_ids)}}
        signatures = list(await self._kinds.queued(fresh=True))
        found: list[Document] = []
        for start in range(0, len(signatures), SCANS_MERGED):
            kinds = {'status': 'queued', 'signature': {'$in': signatures[start : start + SCANS_MERGED]}}
            found += [
                task async for task in self._tasks.find({**kinds, **where}, _FIELDS, sort=BEST_FIRST, limit=number)
            ]
        return _ordered(found)[:number]

    async def waiting(self, number: int, dataset_ids: Sequence[str] | None = None) -> list[Document]:
        """The best waiting tasks that depend on no known unfinished one; arguments as for `queued`."""
        signatures = await self._queueing.signatures(managed=_BOTH)
        best = await self._queueing.best(signatures, number, managed=_BOTH, dataset_ids=dataset_ids)
        where = {'_id': {'$in': [task['_id'] for task in best]}}
        return _ordered([task async for task in self._tasks.find(where, _FIELDS)])


def _ordered(tasks: Sequence[Document]) -> list[Document]:
    return sorted(tasks, key=lambda task: (-task['priority'], task['_id']))
