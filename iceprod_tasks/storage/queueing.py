"""Queueing: the best waiting tasks that nothing holds back, and how full the queue is."""

from collections.abc import Sequence
from contextlib import aclosing

from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.holding import blocked, portions
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.transitions import Note, guard, touched, update

# Two values of `managed` a signature, and 200 scans are what MongoDB merges.
_SIGNATURES_A_QUERY = 100
_BEST_FIRST = [('priority', -1), ('_id', 1)]
_READ = dict.fromkeys(('task_id', 'priority', 'depends', 'managed', 'signature'), True)
_HELD_AT_ONCE = 2000
_QUEUE = TRANSITIONS['queue']


class Queueing:
    """Tasks between waiting and queued.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds

    async def signatures(self, *, managed: Sequence[bool]) -> list[str]:
        """The signatures of waiting tasks; one index key is read for each."""
        found: set[str] = set()
        for each in managed:
            pipeline: list[Document] = [
                {'$match': {'status': 'waiting', 'managed': each}},
                {'$sort': {'signature': 1}},
                {'$group': {'_id': '$signature'}},
            ]
            found |= {row['_id'] async for row in self._tasks.aggregate(pipeline)}
        return sorted(found)

    async def best(
        self,
        signatures: Sequence[str],
        number: int,
        *,
        managed: Sequence[bool],
        above: float | None = None,
        dataset_ids: Sequence[str] | None = None,
    ) -> list[Document]:
        """The best waiting tasks that nothing holds back, as `blocked` says.

        Args:
            signatures: among which to look.
            number: how many at the most.
            managed: whether tasks of datasets with a record, without one, or both.
            above: only those of a higher priority.
            dataset_ids: only those of these datasets.

        Returns:
            `_id` and priority of each, the best first.
        """
        found: list[Document] = []
        for start in range(0, len(signatures), _SIGNATURES_A_QUERY):
            where: Document = {
                'status': 'waiting',
                'managed': {'$in': list(managed)},
                'signature': {'$in': list(signatures[start : start + _SIGNATURES_A_QUERY])},
            }
            if above is not None:
                where['priority'] = {'$gt': above}
            if dataset_ids is not None:
                where['dataset_id'] = {'$in': list(dataset_ids)}
            found += await self._best_of(where, number)
        return sorted(found, key=lambda task: (-task['priority'], task['_id']))[:number]

    async def _best_of(self, where: Document, number: int) -> list[Document]:
        """The best of one query, looked at twice only where something holds tasks at the head back."""
        head = [task async for task in self._tasks.find(where, _READ, sort=_BEST_FIRST, limit=number)]
        held = await blocked(self._tasks, head)
        free = [task for task in head if task['task_id'] not in held]
        return free if not held or len(head) < number else await self._first_free(where, number)

    async def _first_free(self, where: Document, number: int) -> list[Document]:
        free: list[Document] = []
        tasks = self._tasks.find(where, _READ, sort=_BEST_FIRST, batch_size=_HELD_AT_ONCE)
        async with aclosing(portions(tasks, _HELD_AT_ONCE)) as some:
            async for portion in some:
                held = await blocked(self._tasks, portion)
                free += [task for task in portion if task['task_id'] not in held]
                if len(free) >= number:
                    break
        return free[:number]

    async def queue(self, tasks: Sequence[Document], note: Note) -> int:
        """Queue tasks found by `best`, unless something happened to them since; how many were queued."""
        where = {'_id': {'$in': [task['_id'] for task in tasks]}, **guard(_QUEUE)}
        try:
            queued = await self._tasks.update_many(where, update(_QUEUE, note), hint='_id_')
        finally:
            # It may be done although nobody knows.
            self._kinds.expect(tasks)
        return queued

    async def queued_by(self, request: str) -> int:
        """How many tasks a request has queued, of those that are queued or have been handed out since."""
        where = {'status': {'$in': ['queued', 'processing']}, **touched(request)}
        async with self._tasks.patience():
            return await self._tasks.count(where, hint='status')

    async def depth(self, signature: str, at_most: int) -> int:
        """How many tasks of a signature the scheduler has queued, counted up to a number."""
        where = {'status': 'queued', 'signature': signature, 'managed': True}
        return await self._tasks.count(where, limit=at_most)

    async def priority_at(self, signature: str, rank: int) -> float | None:
        """The priority of the scheduler's queued task of a signature at a rank, 1 for the best; None without one."""
        found = await self._tasks.find_one(
            {'status': 'queued', 'signature': signature, 'managed': True},
            {'_id': False, 'priority': True},
            sort=_BEST_FIRST,
            skip=rank - 1,
        )
        return found['priority'] if found else None
