"""Datasets, their configs, and who may read and write them."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from iceprod_tasks.domain.datasets import ENDED, is_ours
from iceprod_tasks.storage.client import Collection, Document, Duplicate, Filter, Session, Sort
from iceprod_tasks.storage.readable import readable

_HIDDEN = {'_id': False}

KEPT: Document = {'deleting': None}
"""The filter of datasets that are not being deleted."""


class Datasets:
    """The records of datasets and what belongs to each one once.

    Args:
        datasets: the collection `datasets`.
        config: the collection `config`.
        auths: the collection `auths`.
        counters: the collection `counters`.
    """

    def __init__(self, datasets: Collection, config: Collection, auths: Collection, counters: Collection) -> None:
        self._datasets = datasets
        self._config = config
        self._auths = auths
        self._counters = counters

    async def next_number(self, session: Session = None) -> int:
        """A running number, never given twice."""
        last = {'$inc': {'last': 1}}
        counter = await self._counters.find_one_and_update({'_id': 'dataset'}, last, upsert=True, session=session)
        return int(counter['last'])

    async def add(self, dataset: Document, access: Document, config: Mapping[str, Any] | None) -> None:
        """Store a new dataset; its record comes last, so that nobody sees half of one. A record with its id stays."""
        await self.set_access(access)
        if config is not None:
            await self._put_config(dataset['dataset_id'], config)
        with suppress(Duplicate):
            await self._datasets.insert_one(dataset)

    async def add_named(self, dataset: Document, access: Document, session: Session) -> None:
        """Store the dataset of an application of another service.

        Args:
            dataset: with `external`: {system, app}.
            access: who may read and write it.
            session: of the transaction.

        Raises:
            Duplicate: the application has one.
        """
        await self._auths.insert_one(access, session=session)
        await self._datasets.insert_one(dataset, session=session)

    async def find_named(self, system: str, app: str, session: Session = None) -> Document | None:
        """The dataset of an application of another service."""
        where = {'external.system': system, 'external.app': app}
        found: Document | None = await self._datasets.find_one(where, _HIDDEN, session=session)
        return found

    async def get(self, dataset_id: str) -> Document | None:
        """One dataset."""
        found: Document | None = await self._datasets.find_one({'dataset_id': dataset_id}, _HIDDEN)
        return found

    async def is_deleting(self, dataset_id: str) -> bool:
        """Whether a dataset has a record that is marked to be deleted."""
        found = await self._datasets.find_one({'dataset_id': dataset_id}, {'_id': False, 'deleting': True})
        return bool(found and found.get('deleting'))

    def select(self, where: Filter, *, keys: Sequence[str] = (), sort: Sort = (('_id', 1),)) -> AsyncIterator[Document]:
        """Datasets one after the other."""
        return self._datasets.find(where, {**dict.fromkeys(keys, True), **_HIDDEN}, sort=list(sort))

    def unmade(self) -> AsyncIterator[Document]:
        """Datasets in progress whose jobs have not all been made."""
        missing = {'$lt': ['$jobs_materialized', '$jobs_submitted']}
        return self._datasets.find({'status': 'processing', '$expr': missing, **KEPT}, _HIDDEN, sort=[('_id', 1)])

    async def any_goes_on(self) -> bool:
        """Whether any dataset has not ended."""
        where = {'status': {'$in': ['processing', 'truncated']}}
        return await self._datasets.find_one(where, {'_id': True}) is not None

    def readable(
        self, where: Filter, user: str, groups: Sequence[str], keys: Sequence[str] = ()
    ) -> AsyncIterator[Document]:
        """Those of some datasets that a user may read, oldest first.

        Args:
            where: which datasets.
            user: name of the user.
            groups: of the user.
            keys: fields to read, dataset_id among them; all when empty.
        """
        granted = {'$or': [{'read_users': user}, {'read_groups': {'$in': list(groups)}}]}
        return readable(self._datasets, self._auths, where, granted, keys)

    async def set_status(
        self, dataset_id: str, sources: Iterable[str], target: str, *, jobs_submitted: int | None = None
    ) -> int:
        """Move a dataset from one of some statuses to another; 1 if it was in one of them, else 0.

        A dataset that was truncated stays so when it goes on.

        Args:
            dataset_id: of the dataset.
            sources: statuses that it may be in.
            target: its new status; `end_date` is set when it comes to an end, and cleared when it goes on.
            jobs_submitted: only if it still has this number of jobs.
        """
        where: Document = {'dataset_id': dataset_id, 'status': {'$in': list(sources)}}
        if jobs_submitted is not None:
            where['jobs_submitted'] = jobs_submitted
        changes = _going_on() if target == 'processing' else _status_change(target)
        return await self._datasets.update_one(where, [{'$set': changes}])

    async def reopen(self, dataset_ids: Sequence[str], *, suspended: bool, session: Session = None) -> int:
        """Let datasets go on that have ended; how many did.

        Args:
            dataset_ids: of these datasets.
            suspended: also those that are suspended with all their jobs made.
            session: of a transaction that it is part of.
        """
        over: list[Document] = [{'status': {'$in': list(ENDED)}}]
        if suspended:
            made = {'$expr': {'$gte': ['$jobs_materialized', '$jobs_submitted']}}
            over.append({'status': 'suspended', **made})
        where = {'dataset_id': {'$in': list(dataset_ids)}, '$or': over}
        return await self._datasets.update_many(where, [{'$set': _going_on()}], session=session)

    async def put_status(self, dataset_id: str, target: str) -> int:
        """Set the status of a dataset whatever it was; 1 if there is such a dataset, else 0.

        Unlike others, this `processing` lets a truncated dataset make its jobs again.
        """
        changes = _status_change(target) | ({'truncated': False} if target == 'processing' else {})
        return await self._datasets.update_one({'dataset_id': dataset_id}, [{'$set': changes}])

    async def set_field(self, dataset_id: str, name: str, value: Any) -> int:
        """Set a field that nothing else depends on; 1 if there is such a dataset, else 0."""
        return await self._datasets.update_one({'dataset_id': dataset_id}, {'$set': {name: value}})

    async def grow(self, dataset_id: str, jobs_submitted: int) -> int:
        """Give a dataset more jobs; one that had ended goes on, unless it was truncated.

        Returns:
            1, or 0 when there is no such dataset, its number of jobs is fixed or larger already, or it does not know
            how many tasks a job has.
        """
        where = {
            'dataset_id': dataset_id,
            'jobs_immutable': {'$ne': True},
            'jobs_submitted': {'$lte': jobs_submitted},
            'tasks_per_job': {'$gt': 0},
        }
        reopens = {
            '$and': [
                {'$lt': ['$jobs_submitted', jobs_submitted]},
                {'$in': ['$status', list(ENDED)]},
                {'$ne': ['$truncated', True]},
            ]
        }
        changes = {
            'jobs_submitted': jobs_submitted,
            'tasks_submitted': {'$multiply': [jobs_submitted, '$tasks_per_job']},
            'status': {'$cond': [reopens, 'processing', '$status']},
            'status_changed': {'$cond': [reopens, '$$NOW', '$status_changed']},
            'end_date': {'$cond': [reopens, None, '$end_date']},
        }
        return await self._datasets.update_one(where, [{'$set': changes}])

    async def untruncate(self, dataset_id: str) -> None:
        """Let a dataset make all its jobs again when it goes on."""
        await self._datasets.update_one({'dataset_id': dataset_id}, {'$set': {'truncated': False}})

    async def advance(self, dataset_id: str, jobs_materialized: int) -> int:
        """Note how many jobs have been made; it never goes back. 0 when the dataset is not in progress any more."""
        where = {'dataset_id': dataset_id, 'status': 'processing', **KEPT}
        return await self._datasets.update_one(where, {'$max': {'jobs_materialized': jobs_materialized}})

    async def set_retention(self, dataset_id: str, changes: Mapping[str, Any]) -> int:
        """Say what becomes of a dataset after its end, unless it is being deleted; how many were told."""
        return await self._datasets.update_one({'dataset_id': dataset_id, **KEPT}, {'$set': dict(changes)})

    async def access(self, dataset_id: str) -> Document | None:
        """Who may read and write a dataset."""
        found: Document | None = await self._auths.find_one({'dataset_id': dataset_id}, _HIDDEN)
        return found

    async def set_access(self, access: Document) -> None:
        """Say who may read and write a dataset."""
        await self._auths.replace_one({'dataset_id': access['dataset_id']}, dict(access))

    async def config(self, dataset_id: str) -> Document | None:
        """The config of a dataset, as it was given."""
        found = await self._config.find_one({'dataset_id': dataset_id}, _HIDDEN)
        return json.loads(found['text']) if found else None

    async def own_config(self, dataset_id: str) -> Document | None:
        """The config of a dataset if it is of our version; the text of others, which may be long, is not read."""
        found = await self._config.find_one({'dataset_id': dataset_id, 'foreign': {'$ne': True}}, _HIDDEN)
        config = json.loads(found['text']) if found else None
        return config if config is not None and is_ours(config) else None

    async def set_config(self, dataset_id: str, config: Mapping[str, Any], depends_on: Sequence[str]) -> None:
        """Put a config in place, and note which other datasets its tasks depend on.

        Noted before and dropped after: a crash between leaves a dependency too many, never one too few. What jobs
        that have been made depend on stays noted.
        """
        where = {'dataset_id': dataset_id}
        both = {'$setUnion': [{'$ifNull': ['$depends_on', []]}, {'$literal': list(depends_on)}]}
        await self._datasets.update_one(where, [{'$set': {'depends_on': {'$sortArray': {'input': both, 'sortBy': 1}}}}])
        await self._put_config(dataset_id, config)
        unmade = {**where, 'jobs_materialized': 0}
        await self._datasets.update_one(unmade, {'$set': {'depends_on': list(depends_on)}})

    async def _put_config(self, dataset_id: str, config: Mapping[str, Any]) -> None:
        # As text: configs of other systems have keys and depths that documents cannot have.
        text = json.dumps(dict(config), ensure_ascii=False)
        kept = {'dataset_id': dataset_id, 'foreign': not is_ours(config), 'text': text}
        await self._config.replace_one({'dataset_id': dataset_id}, kept)


def _status_change(target: str) -> Document:
    """What changes with a dataset's status; an end is dated when it comes, not when it is told again."""
    since = {'$cond': [{'$eq': ['$status', target]}, {'$ifNull': ['$end_date', '$$NOW']}, '$$NOW']}
    truncated = {'truncated': True} if target == 'truncated' else {}
    end_date = since if target in ENDED else None
    return {'status': target, 'status_changed': '$$NOW', 'end_date': end_date, **truncated}


def _going_on() -> Document:
    """What changes when a dataset goes on: one that was truncated stays so."""
    return _status_change('processing') | {
        'status': {'$cond': [{'$eq': ['$truncated', True]}, 'truncated', 'processing']}
    }


def in_statuses(*statuses: str, among: Sequence[str] | None = None) -> Document:
    """The filter of datasets in some statuses, of all when none is named; held to some ids where given."""
    where: Document = {'status': {'$in': list(statuses)}} if statuses else {}
    return where if among is None else {**where, 'dataset_id': {'$in': list(among)}}


def dependent_in(*statuses: str) -> Document:
    """The filter of datasets in some statuses whose tasks depend on other datasets."""
    return {'depends_on': {'$gt': ''}, 'status': {'$in': list(statuses)}}


def in_debug(dataset_ids: Sequence[str]) -> Document:
    """The filter of those of some datasets that are being debugged."""
    return {'dataset_id': {'$in': list(dataset_ids)}, 'debug': True}
