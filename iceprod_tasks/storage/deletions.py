"""Deletions of datasets: the mark that a dataset gets first, and who is at work on it.

The mark is the field `deleting` of the record: when, who, force, archive, and what leads a deletion through a crash:
its `stage`, and the `worker` that has it in hand `until` a time. Everything that decides is one update that the
worker's id guards. After that time anybody may take the deletion up.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.domain.datasets import ENDED
from iceprod_tasks.domain.retention import kept_days
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.datasets import KEPT

ASKED, STOPPING, REMOVING = 'asked', 'stopping', 'removing'
"""The stages: nothing is changed but the mark; nothing is gone; not whole any more."""

_HIDDEN = {'_id': False}
_LEASE_MS = 60_000
_CLEAR_AFTER_MS = 3_600_000
_DAY_MS = 86_400_000
_IN_NO_HANDS = {'$lte': ['$deleting.until', '$$NOW']}


@dataclass(frozen=True, slots=True)
class Demand:
    """Who wants a dataset deleted, and how.

    Args:
        who: the caller.
        worker: an id of this attempt.
        force: although work runs and other datasets depend on it.
        archive: whether to archive it first; None for what the deletion, or else the dataset, says.
        expiry: whether it is its retention that asks.
    """

    who: str
    worker: str
    force: bool = False
    archive: bool | None = None
    expiry: bool = False


class Deletions:
    """The marks of datasets that are being deleted, and traces of those that are gone.

    Args:
        datasets: the collection `datasets`.
        config: the collection `config`.
        auths: the collection `auths`.
        deletions: the collection `deletions`.
    """

    def __init__(self, datasets: Collection, config: Collection, auths: Collection, deletions: Collection) -> None:
        self._datasets = datasets
        self._config = config
        self._auths = auths
        self._deletions = deletions

    async def begin(self, dataset_id: str, asked: Demand) -> Document | None:
        """Mark a dataset, or take its deletion up where nobody is at work on it.

        Returns:
            The record as marked; None when there is none, or somebody is at work on its deletion.
        """
        where = {'dataset_id': dataset_id, '$or': [KEPT, {'deleting.worker': ''}, {'$expr': _IN_NO_HANDS}]}
        return await self._mark(where, asked)

    async def begin_expiry(self, seen: Mapping[str, Any], asked: Demand) -> Document | None:
        """Mark a dataset whose retention is over, unless it is not as it was seen any more."""
        unchanged = {key: seen.get(key) for key in ('dataset_id', 'status', 'status_changed', 'retention_days')}
        return await self._mark({**unchanged, **KEPT}, asked)

    async def take_up(self, worker: str) -> Document | None:
        """Take up the deletion that nobody has been at work on for longest; the record as marked, or None."""
        where = {'deleting.until': {'$exists': True}, '$expr': _IN_NO_HANDS}
        change = {'deleting.worker': {'$literal': worker}, 'deleting.until': _from_now(_LEASE_MS)}
        return await self._update(where, change, sort=[('deleting.until', 1)])

    async def left_alone(self) -> int:
        """How many deletions nobody is at work on."""
        return await self._datasets.count({'deleting.until': {'$exists': True}, '$expr': _IN_NO_HANDS})

    async def keep(self, dataset_id: str, worker: str, **changes: Any) -> Document | None:
        """Hold on to a deletion for longer, and note its progress; the record, None when somebody else has it."""
        fields = {f'deleting.{name}': {'$literal': value} for name, value in changes.items()}
        where = {'dataset_id': dataset_id, 'deleting.worker': worker}
        return await self._update(where, {**fields, 'deleting.until': _from_now(_LEASE_MS)})

    async def insist(self, dataset_id: str) -> int:
        """Force a deletion that somebody else is at work on; how many there were."""
        where = {'dataset_id': dataset_id, 'deleting.until': {'$exists': True}}
        return await self._datasets.update_one(where, {'$set': {'deleting.force': True}})

    async def take_back(self, dataset_id: str, worker: str, *, force: bool) -> int:
        """Unmark a dataset that nothing was done to; how many were unmarked.

        Args:
            dataset_id: of the dataset.
            worker: who has the deletion in hand.
            force: only if it is forced, or not, as it was when this was decided.
        """
        mine = {'dataset_id': dataset_id, 'deleting.worker': worker}
        asked = {'deleting.stage': ASKED, 'deleting.force': force}
        return await self._datasets.update_one({**mine, **asked}, {'$set': KEPT})

    async def release(self, dataset_id: str, worker: str, *, rest_seconds: float = 0.0) -> None:
        """Put a deletion down: whoever asks for it can go on at once, chores do after a rest."""
        where = {'dataset_id': dataset_id, 'deleting.worker': worker}
        change = {'deleting.worker': '', 'deleting.until': _from_now(round(rest_seconds * 1000))}
        await self._datasets.update_one(where, [{'$set': change}])

    async def is_whole(self, dataset_id: str) -> bool:
        """Whether a dataset is there and nothing of it has been removed."""
        where = {'dataset_id': dataset_id, 'deleting.stage': {'$ne': REMOVING}}
        return await self._datasets.find_one(where, {'_id': True}) is not None

    async def dependents(self, dataset_ids: Sequence[str]) -> dict[str, list[str]]:
        """The unfinished datasets that depend on some datasets, by those."""
        where = {'depends_on': {'$in': list(dataset_ids)}, 'status': {'$ne': 'complete'}, **KEPT}
        dependents: dict[str, list[str]] = {}
        async for each in self._datasets.find(where, {'dataset_id': True, 'depends_on': True}):
            for dataset_id in set(each['depends_on']).intersection(dataset_ids):
                dependents.setdefault(dataset_id, []).append(each['dataset_id'])
        return dependents

    async def expired(self, default_days: float | None) -> AsyncIterator[Document]:
        """Datasets whose retention is over, on the primary's clock; those that ended first come first of a retention.

        Args:
            default_days: how long datasets are kept that say nothing of it, None for ever.
        """
        for status in ENDED:
            for own_days in await self._due(status, default_days):
                days = kept_days(own_days, default_days)
                over = {'$lte': ['$status_changed', {'$subtract': ['$$NOW', round((days or 0) * _DAY_MS)]}]}
                where = {'status': status, 'retention_days': own_days, '$expr': over, **KEPT}
                async for dataset in self._datasets.find(where, _HIDDEN, sort=[('status_changed', 1)], hint='ended'):
                    yield dataset

    async def _due(self, status: str, default_days: float | None) -> list[float | None]:
        """The retentions that are over for some dataset; one index key is read for each that occurs."""
        days = {'$ifNull': ['$_id', default_days]}
        over = {'$lte': [{'$add': ['$oldest', {'$multiply': [days, _DAY_MS]}]}, '$$NOW']}
        pipeline: list[Document] = [
            {'$match': {'status': status}},
            {'$sort': {'status': 1, 'retention_days': 1, 'status_changed': 1}},
            {'$group': {'_id': '$retention_days', 'oldest': {'$first': '$status_changed'}}},
            {'$match': {'$expr': {'$and': [{'$ne': [days, None]}, over]}}},
        ]
        return [each['_id'] async for each in self._datasets.aggregate(pipeline, hint='ended')]

    async def remove_config(self, dataset_id: str) -> None:
        """Remove a dataset's config: from now on nobody can make tasks from it."""
        await self._config.delete_many({'dataset_id': dataset_id})

    async def remove_record(self, dataset_id: str) -> None:
        """Remove a dataset's record, leaving a trace by which late-comers will be found."""
        trace = {'dataset_id': _literal(dataset_id), 'clear_after': _from_now(_CLEAR_AFTER_MS)}
        await self._deletions.update_one({'dataset_id': dataset_id}, [{'$set': trace}], upsert=True)
        await self._datasets.delete_many({'dataset_id': dataset_id})

    async def remove_access(self, dataset_id: str) -> None:
        """Remove who may read and write a dataset that is gone."""
        if await self._deletions.find_one({'dataset_id': dataset_id}) is not None:
            await self._auths.delete_many({'dataset_id': dataset_id})

    async def traces(self, limit: int) -> list[str]:
        """Datasets that have been gone for so long that nothing can come for them any more."""
        where = {'$expr': {'$lte': ['$clear_after', '$$NOW']}}
        found = self._deletions.find(where, {'dataset_id': True}, sort=[('clear_after', 1)], limit=limit)
        return [each['dataset_id'] async for each in found]

    async def forget(self, dataset_id: str) -> None:
        """Remove the trace of a dataset."""
        await self._deletions.delete_many({'dataset_id': dataset_id})

    async def _mark(self, where: Document, asked: Demand) -> Document | None:
        said = {'$ifNull': ['$deleting.archive', '$archive', False]}
        new = {'when': '$$NOW', 'who': _literal(asked.who), 'stage': ASKED, 'archived': None}
        now = {
            'force': {'$or': ['$deleting.force', asked.force]},
            'archive': said if asked.archive is None else asked.archive,
            'expiry': asked.expiry,
            'worker': _literal(asked.worker),
            'until': _from_now(_LEASE_MS),
        }
        return await self._update(where, {'deleting': {'$mergeObjects': [{'$ifNull': ['$deleting', new]}, now]}})

    async def _update(self, where: Document, fields: Document, **options: Any) -> Document | None:
        found: Document | None = await self._datasets.find_one_and_update(
            where, [{'$set': fields}], projection=_HIDDEN, **options
        )
        return found


def _from_now(milliseconds: int) -> Document:
    return {'$add': ['$$NOW', milliseconds]}


def _literal(value: Any) -> Document:
    return {'$literal': value}
