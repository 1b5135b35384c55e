"""Jobs of datasets."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.errors import Conflict
from iceprod_tasks.storage.client import Collection, Document, Duplicate, Filter

_HIDDEN = {'_id': False}


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

    async def add(self, job: Document) -> None:
        """Store a new job.

        Raises:
            Conflict: there is one with its id, or in its place of the dataset.
        """
        try:
            await self._jobs.insert_one(job)
        except Duplicate:
            raise Conflict('there is a job with this job_id or job_index already') from None

    async def get(self, job_id: str, dataset_id: str | None = None) -> Document | None:
        """One job, only if it belongs to the dataset where one is given."""
        where = {'job_id': job_id} if dataset_id is None else {'job_id': job_id, 'dataset_id': dataset_id}
        found: Document | None = await self._jobs.find_one(where, _HIDDEN)
        return found

    def select(self, where: Filter, *, keys: Sequence[str] = ()) -> AsyncIterator[Document]:
        """Jobs one after the other: a whole dataset's by place, those in some statuses by age."""
        fields = dict.fromkeys(keys, True) or None
        order = [('_id', 1)] if 'status' in where else [('job_index', 1)]
        return self._jobs.find(where, fields, sort=order, batch_size=1000)

    def named(self, dataset_id: str, job_ids: Sequence[str] | None = None) -> AsyncIterator[Document]:
        """Jobs of a dataset, all or those with some ids: job_id and status of each."""
        where: Document = {'dataset_id': dataset_id} | ({} if job_ids is None else {'job_id': {'$in': list(job_ids)}})
        fields = {'_id': False, 'job_id': True, 'status': True}
        hint = 'dataset' if job_ids is None else 'job_id'
        return self._jobs.find(where, fields, hint=hint, batch_size=5000)

    def ids_by_status(self, dataset_id: str, status: str) -> AsyncIterator[Document]:
        """The ids of a dataset's jobs in one status."""
        fields = {'_id': False, 'job_id': True}
        return self._jobs.find(of_dataset(dataset_id, [status]), fields, sort=[('_id', 1)], batch_size=5000)

    async def set_status(
        self, job_ids: Sequence[str], sources: Iterable[str], target: str, *, dataset_id: str | None = None
    ) -> int:
        """Move jobs from one of some statuses to another, of one dataset where one is given; how many could be."""
        where: Document = {'job_id': {'$in': list(job_ids)}, 'status': {'$in': list(sources)}}
        if dataset_id is not None:
            where['dataset_id'] = dataset_id
        change = [{'$set': {'status': target, 'status_changed': '$$NOW'}}]
        return await self._jobs.update_many(where, change, hint='job_id')

    async def patch(self, job_id: str, changes: Mapping[str, Any]) -> Document | None:
        """Set fields of a job, and when its status changed where that is among them.

        Returns:
            The job after it, None when there is none.
        """
        fields: Document = {name: {'$literal': value} for name, value in changes.items()}
        if 'status' in changes:
            fields['status_changed'] = '$$NOW'
        found: Document | None = await self._jobs.find_one_and_update(
            {'job_id': job_id}, [{'$set': fields}], projection=_HIDDEN
        )
        return found

    def those_in(self, statuses: Sequence[str], job_ids: Sequence[str]) -> AsyncIterator[Document]:
        """Those of some jobs that are in some statuses: job_id and status of each."""
        where = {'job_id': {'$in': list(job_ids)}, 'status': {'$in': list(statuses)}}
        return self._jobs.find(where, {'_id': False, 'job_id': True, 'status': True}, hint='job_id')

    async def exists(self, where: Filter) -> bool:
        """Whether any job matches."""
        return await self._jobs.find_one(where, {'_id': True}) is not None


def of_dataset(dataset_id: str, statuses: Sequence[str] | None = None, job_index: int | None = None) -> Document:
    """The filter of a dataset's jobs."""
    where: Document = {'dataset_id': dataset_id}
    if statuses is not None:
        where['status'] = {'$in': list(statuses)}
    return where if job_index is None else {**where, 'job_index': job_index}
