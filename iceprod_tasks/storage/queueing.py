"""Queueing: the best waiting tasks that nothing holds back, and how full the queue is."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.depths import Depths
from iceprod_tasks.storage.holding import blocked, portions
from iceprod_tasks.storage.indexes import BEST_FIRST, SCANS_MERGED
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.transitions import Note, guard, touched, update

# Two values of `managed` a signature.
_SIGNATURES_A_QUERY = SCANS_MERGED // 2
_READ = dict.fromkeys(('task_id', 'priority', 'depends', 'managed', 'signature'), True)
_HELD_AT_ONCE = 2000
_QUEUE = TRANSITIONS['queue']

# From this many signatures on it pays to read all that waits of them at once, where that is not much.
_MANY = 40
_READ_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Gap:
    """What the queue may take of a signature.

    Args:
        number: of tasks at the most.
        above: only those of a higher priority.
    """

    number: int
    above: float | None = None

    def best_of(self, tasks: Sequence[Document]) -> list[Document]:
        """Those of some tasks that go in, which come the best first."""
        return [task for task in tasks if self.above is None or task['priority'] > self.above][: self.number]


class Queueing:
    """Tasks between waiting and queued.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds
        self.depths = Depths(collection)

    async def waiting(self, *, managed: Sequence[bool]) -> dict[str, float]:
        """The signatures of waiting tasks and the highest priority of each, the best first.

        One index key is read for each.
        """
        found: dict[str, float] = {}
        for each in managed:
            pipeline: list[Document] = [
                {'$match': {'status': 'waiting', 'managed': each}},
                {'$sort': {'signature': 1, 'priority': -1}},
                {'$group': {'_id': '$signature', 'priority': {'$first': '$priority'}}},
            ]
            async for row in self._tasks.aggregate(pipeline):
                name, priority = row['_id'], row['priority']
                found[name] = max(priority, found.get(name, priority))
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    async def signatures(self, *, managed: Sequence[bool]) -> list[str]:
        """The signatures of waiting tasks, that of the best task first."""
        return list(await self.waiting(managed=managed))

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
            if len(found) == number:
                # Others have to be as good as the last of those.
                where['priority'] = {'$gte': found[-1]['priority']}
            if dataset_ids is not None:
                where['dataset_id'] = {'$in': list(dataset_ids)}
            found = _best_first([*found, *await self._best_of(where, number)])[:number]
        return found

    async def filling(self, gaps: Mapping[str, Gap]) -> AsyncGenerator[list[Document], None]:
        """The scheduler's best waiting tasks that nothing holds back, in portions.

        Args:
            gaps: what the queue may take of each signature.
        """
        portion: list[Document] = []
        names = list(gaps)
        for start in range(0, len(names), _SIGNATURES_A_QUERY):
            some = {name: gaps[name] for name in names[start : start + _SIGNATURES_A_QUERY]}
            together = await self._filling_many(some) if len(some) >= _MANY else None
            if together is not None:
                portion += together
            else:
                for name, gap in some.items():
                    portion += await self.best([name], gap.number, managed=(True,), above=gap.above)
                    if len(portion) >= _READ_AT_ONCE:
                        yield _best_first(portion)
                        portion = []
            if len(portion) >= _READ_AT_ONCE:
                yield _best_first(portion)
                portion = []
        if portion:
            yield _best_first(portion)

    async def _filling_many(self, gaps: Mapping[str, Gap]) -> list[Document] | None:
        """What fills some gaps, where not much waits of all these signatures; None where it does."""
        where: Document = {'status': 'waiting', 'managed': True, 'signature': {'$in': list(gaps)}}
        tasks = [task async for task in self._tasks.find(where, _READ, sort=BEST_FIRST, limit=_READ_AT_ONCE)]
        if len(tasks) == _READ_AT_ONCE:
            return None
        held = await blocked(self._tasks, tasks)
        free: dict[str, list[Document]] = {}
        for task in tasks:
            if task['task_id'] not in held:
                free.setdefault(task['signature'], []).append(task)
        # A task may have come to another signature since.
        return [task for name, some in free.items() if name in gaps for task in gaps[name].best_of(some)]

    async def _best_of(self, where: Document, number: int) -> list[Document]:
        """The best of one query, looked at twice only where something holds tasks at the head back."""
        head = [task async for task in self._tasks.find(where, _READ, sort=BEST_FIRST, limit=number)]
        held = await blocked(self._tasks, head)
        free = [task for task in head if task['task_id'] not in held]
        return free if not held or len(head) < number else await self._first_free(where, number)

    async def _first_free(self, where: Document, number: int) -> list[Document]:
        free: list[Document] = []
        tasks = self._tasks.find(where, _READ, sort=BEST_FIRST, batch_size=_HELD_AT_ONCE)
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


def _best_first(tasks: Sequence[Document]) -> list[Document]:
    return sorted(tasks, key=lambda task: (-task['priority'], task['_id']))
