"""Demand: how many tasks of each kind wait to be run, for those who start pilots."""

from collections import Counter
from collections.abc import Mapping, Sequence

from iceprod_tasks.domain.signatures import needs_at_least
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.indexes import BEST_FIRST
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.together import Together

COUNTED_AT_MOST = 1000
"""Where counting the tasks of a kind stops: nobody starts more pilots at once."""

_SIGNATURES_A_QUERY = 100
_OWNERS = (True, False)
_COUNTED: Document = {'$group': {'_id': '$signature', 'number': {'$sum': 1}}}


class Demand:
    """Counts waiting and queued tasks by their requirements.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds
        self._counting: Together[None, dict[str, Document]] = Together(self._count, at_most=10_000)

    async def of_each_kind(self) -> dict[str, Document]:
        """What each kind of waiting and queued tasks needs, and how many there are.

        Returns:
            By signature: `requirements`, None where tasks of a kind may need anything; `waiting` and `queued`, each
            counted up to `COUNTED_AT_MOST`.
        """
        return await self._counting.ask('counts', None)

    async def _count(self, askers: Sequence[None]) -> list[dict[str, Document]]:
        """Count once for all who ask at the same time."""
        waiting: Counter[str] = Counter()
        needs = dict(await self._kinds.queued(fresh=True))
        queued = await self._numbers({'status': 'queued'}, needs)
        for managed in _OWNERS:
            where: Document = {'status': 'waiting', 'managed': managed}
            found = await self._kinds.among(where)
            waiting.update(await self._numbers(where, found))
            needs |= found
        rows = {
            name: {
                'requirements': needs_at_least(name, needs[name]),
                'waiting': min(waiting[name], COUNTED_AT_MOST),
                'queued': queued.get(name, 0),
            }
            for name in sorted({*queued, *waiting})
        }
        return [rows for _ in askers]

    async def _numbers(self, where: Document, names: Mapping[str, Document]) -> dict[str, int]:
        """How many tasks of some signatures there are, a bounded number of keys read for each."""
        found: dict[str, int] = {}
        every = list(names)
        for start in range(0, len(every), _SIGNATURES_A_QUERY):
            first, *others = (
                _counted({**where, 'signature': name}) for name in every[start : start + _SIGNATURES_A_QUERY]
            )
            pipeline = [*first, *({'$unionWith': {'coll': 'tasks', 'pipeline': one}} for one in others)]
            found |= {row['_id']: row['number'] async for row in self._tasks.aggregate(pipeline)}
        return found


def _counted(where: Document) -> list[Document]:
    # Sorted, so that the index of these tasks is taken, which all of it can be read from.
    return [{'$match': where}, {'$sort': dict(BEST_FIRST)}, {'$limit': COUNTED_AT_MOST}, _COUNTED]
