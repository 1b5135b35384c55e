"""Kinds of tasks: which requirements stand in the queue at all.

Reading them costs one index key a kind; that is remembered for a moment. What this process queues is seen at once,
what another one queues after that moment.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.domain.signatures import UNSIGNED as UNSIGNED
from iceprod_tasks.domain.signatures import may_fit, must_fit
from iceprod_tasks.domain.statuses import TRANSITIONS, Transition
from iceprod_tasks.storage.admission import Admission
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.heads import Heads, Place
from iceprod_tasks.storage.together import Together
from iceprod_tasks.storage.transitions import guard

_QUEUED = guard(TRANSITIONS['claim'])
_FRESH_SECONDS = 1.0
_OFFERS_REMEMBERED = 1000
_KINDS_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Fitting:
    """What of the queue an offer may take.

    Args:
        names: the signatures.
        exact: whether every task of them fits; else the exact filter has to decide.
    """

    names: tuple[str, ...]
    exact: bool


class Kinds:
    """The distinct requirements of tasks, by signature.

    Args:
        tasks: the collection `tasks`.
    """

    def __init__(self, tasks: Collection) -> None:
        self._tasks = tasks
        self._queued: Mapping[str, Document] = {}
        self._seen: dict[str, Document] = {}
        self._fresh_until = 0.0
        self._forgotten = 0
        self._reading: Together[None, None] = Together(self._read, at_most=10_000)
        self._fitting: OrderedDict[str, Fitting] = OrderedDict()
        self.heads = Heads()
        self.admission = Admission(tasks)

    async def queued(self, *, fresh: bool = False) -> Mapping[str, Document]:
        """The kinds in the queue.

        Args:
            fresh: read them now, whatever is remembered.
        """
        if fresh or time.monotonic() >= self._fresh_until:
            await self._reading.ask('queued', None)
        return self._queued

    async def fitting(self, offer: Mapping[str, Any]) -> Fitting:
        """The kinds in the queue that an offer may take.

        Args:
            offer: of a pilot.
        """
        queued = await self.queued()
        key = repr(sorted(offer.items()))
        found = self._fitting.get(key)
        if found is None:
            names = tuple(sorted(name for name, needs in queued.items() if may_fit(name, needs, offer)))
            exact = all(must_fit(name, queued[name], offer) for name in names)
            found = self._fitting[key] = Fitting(names, exact)
            if len(self._fitting) > _OFFERS_REMEMBERED:
                self._fitting.popitem(last=False)
        return found

    async def _read(self, askers: Sequence[None]) -> Sequence[None]:
        began, forgotten = time.monotonic(), self._forgotten
        queued = await self.among(_QUEUED)
        if queued.keys() != self._queued.keys():
            self._fitting.clear()
        self._queued = queued
        # What was queued while this was being read may be missing in it.
        self._fresh_until = began + _FRESH_SECONDS if forgotten == self._forgotten else 0.0
        return askers

    async def among(self, where: Filter, **reading: Any) -> dict[str, Document]:
        """The kinds among the tasks of a filter, one index key read for each.

        The requirements of a kind are read once only: whichever of its tasks is read, the same offers fit the kind.

        Args:
            where: a filter with an index that leads to signatures.
            **reading: the session in which to read, where that matters.
        """
        by_name: Document = {'$sort': {'signature': 1}}
        rows = self._tasks.aggregate([{'$match': where}, by_name, {'$group': {'_id': '$signature'}}], **reading)
        names = [row['_id'] async for row in rows]
        found = {name: self._seen[name] for name in names if name in self._seen}
        if new := [name for name in names if name not in found]:
            of_one = {'$group': {'_id': '$signature', 'requirements': {'$first': '$requirements'}}}
            rows = self._tasks.aggregate([{'$match': {**where, 'signature': {'$in': new}}}, by_name, of_one], **reading)
            read = {row['_id']: row['requirements'] async for row in rows}
            if len(self._seen) > _KINDS_REMEMBERED:
                self._seen.clear()
            self._seen |= read
            found |= read
        return found

    async def gather(self) -> int:
        """Bring tasks of rare signatures to buckets if there are too many signatures; how many tasks."""
        gathered = await self.admission.gather()
        if gathered:
            self.forget()
        return gathered

    def forget(self) -> None:
        """Say that something may have been queued, of whatever kind and priority."""
        self._forgotten += 1
        self._fresh_until = 0.0
        self.heads.queued(None)

    def forget_after(self, transition: Transition) -> None:
        """Say that a transition took place."""
        if not transition.targets.isdisjoint(TRANSITIONS['claim'].sources):
            self.forget()

    def expect(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Say that tasks were queued.

        Args:
            tasks: `_id`, priority and signature of each, the best first.
        """
        if not tasks:
            return
        if not {task['signature'] for task in tasks} <= self._queued.keys():
            self._forgotten += 1
            self._fresh_until = 0.0
        self.heads.queued(Place(tasks[0]['priority'], tasks[0]['_id']))
