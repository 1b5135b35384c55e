"""Admission: how many signatures there may be, whatever users submit.

A claim looks at every signature in the queue, so that their number must stay bounded. A signature that some unfinished
task has already is good. A new one is, too, as long as there is room. Beyond that tasks come to one of 256 buckets,
which may hold anything: each claim looks into all of them, and decides about each task by its requirements.

Which signatures there are is read from the indexes of unfinished tasks, one key each, and remembered for some seconds:
what no task has any more makes room by itself. Each process admits by what it has read, so that several together can
admit as many times more as there are processes. `gather` finds what came about so, and what comes back from among
ended tasks, out of imports, or from releases that had no bound.
"""

import time
from collections import Counter
from collections.abc import Mapping

from iceprod_tasks.domain.signatures import BUCKETS, bucket_of, holds_anything
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.indexes import UNFINISHED_UNSEEN

KINDS_AT_MOST = 2000
"""Signatures that are admitted beside the buckets."""

UNFINISHED: tuple[Document, ...] = (
    {'status': 'queued'},
    {'status': 'waiting', 'managed': True},
    {'status': 'waiting', 'managed': False},
    *({'status': status} for status in UNFINISHED_UNSEEN),
)
"""Filters that together cover all unfinished tasks, each with an index that leads to signatures."""

_FRESH_SECONDS = 10.0
# A few too many are not worth reading all of the index.
_GATHERED_BEYOND = 1.25
_GATHERED_AT_ONCE = 10_000


class Admission:
    """Which signatures new and changed tasks may have.

    Args:
        tasks: the collection `tasks`.
        at_most: signatures beside the buckets.
    """

    def __init__(self, tasks: Collection, at_most: int = KINDS_AT_MOST) -> None:
        self._tasks = tasks
        self.at_most = at_most
        self._known: set[str] = set()
        self._fresh_until = 0.0

    async def admitted(self, name: str) -> str:
        """The signature that a task gets.

        Args:
            name: the signature that it would have if it were alone.

        Returns:
            That, or its bucket when there are too many others.
        """
        if name in self._known or holds_anything(name):
            return name
        if time.monotonic() >= self._fresh_until:
            await self._read()
        if name not in self._known:
            if len(self._known) >= self.at_most:
                return bucket_of(name)
            self._known.add(name)
        return name

    async def gather(self) -> int:
        """Bring tasks of the rarest signatures to buckets when there are too many; how many tasks."""
        if time.monotonic() >= self._fresh_until:
            await self._read()
        if len(self._known) <= self.at_most * _GATHERED_BEYOND:
            return 0
        self._fresh_until = 0.0
        gathered = 0
        async with self._tasks.patience():
            kept = await self._largest()
            for where in UNFINISHED:
                rare = await self._names(where, len(kept) + _GATHERED_AT_ONCE) - kept
                for bucket, names in _by_bucket(rare).items():
                    gathered += await self._tasks.update_many(
                        {**where, 'signature': {'$in': names}}, {'$set': {'signature': bucket}}
                    )
        return gathered

    async def _read(self) -> None:
        # Whoever asks meanwhile goes by what was known before.
        self._fresh_until = time.monotonic() + _FRESH_SECONDS
        known: set[str] = set()
        for where in UNFINISHED:
            known |= await self._names(where, 2 * self.at_most)
        self._known = known

    async def _names(self, where: Filter, at_most: int) -> set[str]:
        """Exact and ladder signatures of a filter, as many as asked for; one index key is read for each."""
        pipeline: list[Document] = [
            {'$match': {**where, 'signature': {'$gt': ''}}},
            {'$sort': {'signature': 1}},
            {'$group': {'_id': '$signature'}},
            {'$limit': at_most + BUCKETS},
        ]
        names = {row['_id'] async for row in self._tasks.aggregate(pipeline)}
        return {name for name in names if not holds_anything(name)}

    async def _largest(self) -> set[str]:
        """The signatures of most tasks, as many as there may be."""
        tasks: Counter[str] = Counter()
        for where in UNFINISHED:
            pipeline: list[Document] = [
                {'$match': {**where, 'signature': {'$gt': ''}}},
                {'$sort': {'signature': 1}},
                {'$group': {'_id': '$signature', 'tasks': {'$sum': 1}}},
                {'$sort': {'tasks': -1}},
                {'$limit': self.at_most + BUCKETS},
            ]
            async for row in self._tasks.aggregate(pipeline, allowDiskUse=True):
                if not holds_anything(row['_id']):
                    tasks[row['_id']] += row['tasks']
        return {name for name, _ in tasks.most_common(self.at_most)}


def _by_bucket(names: set[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(bucket_of(name), []).append(name)
    return found
