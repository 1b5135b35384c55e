"""Kinds of tasks: which requirements stand in the queue at all.

Reading them costs one index key a kind; that is remembered for a moment. What this process queues is seen at once,
what another one queues after that moment.
"""

import time
from collections.abc import Mapping

from iceprod_tasks.domain.statuses import TRANSITIONS, Transition
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.transitions import guard

_QUEUED = guard(TRANSITIONS['claim'])
_FRESH_SECONDS = 1.0


class Kinds:
    """The distinct requirements of tasks, by signature.

    Args:
        tasks: the collection `tasks`.
    """

    def __init__(self, tasks: Collection) -> None:
        self._tasks = tasks
        self._queued: Mapping[str, Document] = {}
        self._fresh_until = 0.0
        self._forgotten = 0

    async def queued(self, *, fresh: bool = False) -> Mapping[str, Document]:
        """The kinds in the queue.

        Args:
            fresh: read them now, whatever is remembered.
        """
        began, forgotten = time.monotonic(), self._forgotten
        if fresh or began >= self._fresh_until:
            self._queued = await self.among(_QUEUED)
            # What was queued while this was being read may be missing in it.
            self._fresh_until = began + _FRESH_SECONDS if forgotten == self._forgotten else 0.0
        return self._queued

    async def among(self, where: Filter) -> dict[str, Document]:
        """The kinds among the tasks of a filter, one index key read for each.

        Args:
            where: a filter with an index that leads to signatures.
        """
        pipeline: list[Document] = [
            {'$match': where},
            {'$sort': {'signature': 1}},
            {'$group': {'_id': '$signature', 'requirements': {'$first': '$requirements'}}},
        ]
        return {each['_id']: each['requirements'] async for each in self._tasks.aggregate(pipeline)}

    def forget(self) -> None:
        """Say that there may be a new kind in the queue."""
        self._forgotten += 1
        self._fresh_until = 0.0

    def forget_after(self, transition: Transition) -> None:
        """Say that a transition took place."""
        if not transition.targets.isdisjoint(TRANSITIONS['claim'].sources):
            self.forget()
