"""Depths: how far the queue is filled with tasks of each signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.indexes import BEST_FIRST

_SIGNATURES_A_QUERY = 100

# Signatures of which more are queued are counted each for itself, up to where it matters, and the others all together.
_DEEP = 200

_COUNTED: Document = {'$group': {'_id': '$signature', 'number': {'$sum': 1}, 'worst': {'$min': '$priority'}}}


@dataclass(frozen=True, slots=True)
class Depth:
    """How far the queue is filled with the scheduler's tasks of a signature.

    Args:
        number: of them, counted up to where it was to stop.
        worst: the lowest priority among these.
    """

    number: int = 0
    worst: float = 0.0


_NONE = Depth()


class Depths:
    """Counts the scheduler's queued tasks.

    Args:
        collection: the collection `tasks`.
    """

    def __init__(self, collection: Collection) -> None:
        self._tasks = collection
        self._deep: set[str] = set()

    async def of(self, signatures: Sequence[str], at_most: int) -> dict[str, Depth]:
        """How far the queue is filled with the scheduler's tasks of some signatures.

        Args:
            signatures: of which to count.
            at_most: tasks of each to count, the best ones.
        """
        together = await self._together([name for name in signatures if name not in self._deep])
        deep = [
            name for name in signatures if name in self._deep or together.get(name, _NONE).number > min(_DEEP, at_most)
        ]
        each = await self._each(deep, at_most)
        self._deep = {name for name, depth in each.items() if depth.number > _DEEP}
        return {**dict.fromkeys(signatures, _NONE), **together, **dict.fromkeys(deep, _NONE), **each}

    async def _together(self, signatures: Sequence[str]) -> dict[str, Depth]:
        where = _queued_of({'$in': list(signatures)})
        return await self._read([{'$match': where}, {'$sort': {'signature': 1}}, _COUNTED]) if signatures else {}

    async def _each(self, signatures: Sequence[str], at_most: int) -> dict[str, Depth]:
        found: dict[str, Depth] = {}
        for start in range(0, len(signatures), _SIGNATURES_A_QUERY):
            first, *others = (_best_of(name, at_most) for name in signatures[start : start + _SIGNATURES_A_QUERY])
            found |= await self._read([*first, *({'$unionWith': {'coll': 'tasks', 'pipeline': one}} for one in others)])
        return found

    async def _read(self, pipeline: Sequence[Document]) -> dict[str, Depth]:
        return {row['_id']: Depth(row['number'], row['worst']) async for row in self._tasks.aggregate(pipeline)}


def _queued_of(signature: Any) -> Document:
    return {'status': 'queued', 'signature': signature, 'managed': True}


def _best_of(signature: str, number: int) -> list[Document]:
    return [{'$match': _queued_of(signature)}, {'$sort': dict(BEST_FIRST)}, {'$limit': number}, _COUNTED]
