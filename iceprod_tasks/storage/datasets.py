"""Datasets, their jobs, their configs, and who may read and write them."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from iceprod_tasks.storage.client import Collection, Document, Filter, Sort

_HIDDEN = {'_id': False}


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

    async def next_number(self) -> int:
        """A running number, never given twice."""
        counter = await self._counters.find_one_and_update({'_id': 'dataset'}, {'$inc': {'last': 1}}, upsert=True)
        return int(counter['last'])

    async def add(self, dataset: Document, access: Document, config: Mapping[str, Any] | None) -> None:
        """Store a new dataset; its record comes last, so that nobody sees half of one."""
        await self.set_access(access)
        if config is not None:
            await self._put_config(dataset['dataset_id'], config)
        await self._datasets.insert_one(dataset)

    async def get(self, dataset_id: str) -> Document | None:
        """One dataset."""
        found: Document | None = await self._datasets.find_one({'dataset_id': dataset_id}, _HIDDEN)
        return found

    def select(self, where: Filter, *, keys: Sequence[str] = (), sort: Sort = (('_id', 1),)) -> AsyncIterator[Document]:
        """Datasets one after the other."""
        return self._datasets.find(where, {**dict.fromkeys(keys, True), **_HIDDEN}, sort=list(sort))

    def unmade(self) -> AsyncIterator[Document]:
        """Datasets in progress whose jobs have not all been made."""
        missing = {'$lt': ['$jobs_materialized', '$jobs_submitted']}
        return self._datasets.find({'status': 'processing', '$expr': missing}, _HIDDEN, sort=[('_id', 1)])

    async def readable_ids(self, user: str, groups: Sequence[str]) -> list[str]:
        """The datasets that a user may read."""
        where = {'$or': [{'read_users': user}, {'read_groups': {'$in': list(groups)}}]}
        found = self._auths.find(where, {'_id': False, 'dataset_id': True}, batch_size=5000)
        return [each['dataset_id'] async for each in found]

    async def set_status(self, dataset_id: str, sources: Iterable[str], target: str) -> int:
        """Move a dataset from one of some statuses to another; 1 if it was in one of them, else 0."""
        ended = {'end_date': '$$NOW'} if target == 'complete' else {}
        return await self._datasets.update_one(
            {'dataset_id': dataset_id, 'status': {'$in': list(sources)}},
            [{'$set': {'status': target, 'status_changed': '$$NOW', **ended}}],
        )

    async def advance(self, dataset_id: str, jobs_materialized: int) -> int:
        """Note how many jobs have been made; it never goes back. 0 when the dataset is not in progress any more."""
        where = {'dataset_id': dataset_id, 'status': 'processing'}
        return await self._datasets.update_one(where, {'$max': {'jobs_materialized': jobs_materialized}})

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
        kept = {'dataset_id': dataset_id, 'text': json.dumps(dict(config), ensure_ascii=False)}
        await self._config.replace_one({'dataset_id': dataset_id}, kept)


class Jobs:
    """Jobs as documents.

    Args:
        collection: the collection `jobs`.
    """

    def __init__(self, collection: Collection) -> None:
        self._jobs = collection

    async def add_absent(self, jobs: Sequence[Document]) -> int:
        """Store those jobs that are not there yet; how many were stored."""
        async with self._jobs.patience():
            return await self._jobs.insert_absent(jobs)

    async def get(self, job_id: str, dataset_id: str | None = None) -> Document | None:
        """One job, only if it belongs to the dataset where one is given."""
        where = {'job_id': job_id} if dataset_id is None else {'job_id': job_id, 'dataset_id': dataset_id}
        found: Document | None = await self._jobs.find_one(where, _HIDDEN)
        return found

    def select(
        self, where: Filter, *, keys: Sequence[str] = (), limit: int = 0, sort: Sort = (('_id', 1),)
    ) -> AsyncIterator[Document]:
        """Jobs one after the other."""
        fields = dict.fromkeys(keys, True) or None
        return self._jobs.find(where, fields, sort=list(sort), limit=limit, batch_size=1000)

    async def set_status(self, job_ids: Sequence[str], sources: Iterable[str], target: str) -> int:
        """Move jobs from one of some statuses to another; how many were in one of them."""
        where = {'job_id': {'$in': list(job_ids)}, 'status': {'$in': list(sources)}}
        return await self._jobs.update_many(where, [{'$set': {'status': target, 'status_changed': '$$NOW'}}])

    async def exists(self, where: Filter) -> bool:
        """Whether any job matches."""
        return await self._jobs.find_one(where, {'_id': True}) is not None


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


def jobs_in(statuses: Sequence[str], job_ids: Sequence[str]) -> Document:
    """The filter of those of some jobs that are in some statuses."""
    return {'job_id': {'$in': list(job_ids)}, 'status': {'$in': list(statuses)}}


def of_dataset(dataset_id: str, statuses: Sequence[str] | None = None, job_index: int | None = None) -> Document:
    """The filter of a dataset's jobs."""
    where: Document = {'dataset_id': dataset_id}
    if statuses is not None:
        where['status'] = {'$in': list(statuses)}
    return where if job_index is None else {**where, 'job_index': job_index}
