"""What belongs to a dataset many times over: read and removed by the dataset, in bounded portions."""

from collections.abc import AsyncIterator, Mapping

from iceprod_tasks.storage.client import Collection, Document

PARTS = ('tasks', 'jobs', 'files', 'messages', 'logs', 'task_stats', 'outputs', 'node_results')
"""The collections whose documents name their dataset."""

_HIDDEN = {'_id': False}
_AT_ONCE = 2000
_READ_AT_ONCE = 500
# Where two indexes lead with the dataset; the others have one.
_INDEXES = {'tasks': 'dataset_status', 'jobs': 'dataset_status'}
_BY_PLACE = {'tasks': [('job_index', 1), ('name', 1), ('_id', 1)], 'jobs': [('job_index', 1)]}


class Belongings:
    """The documents of datasets.

    Args:
        collections: the collection of each of `PARTS`.
    """

    def __init__(self, collections: Mapping[str, Collection]) -> None:
        self._parts = collections

    def read(self, part: str, dataset_id: str) -> AsyncIterator[Document]:
        """The documents of a part, one after the other; tasks and jobs by place, others in the order of an index."""
        return self._parts[part].find(
            {'dataset_id': dataset_id}, _HIDDEN, sort=_BY_PLACE.get(part), batch_size=_READ_AT_ONCE
        )

    async def remove(self, part: str, dataset_id: str) -> AsyncIterator[int]:
        """Remove the documents of a part, portion by portion; how many each portion had.

        What comes while it runs may be left; a run that removes nothing has found nothing.
        """
        ids = []
        options = {'hint': _INDEXES[part]} if part in _INDEXES else {}
        found = self._parts[part].find({'dataset_id': dataset_id}, {'_id': True}, batch_size=_AT_ONCE, **options)
        async for document in found:
            ids.append(document['_id'])
            if len(ids) == _AT_ONCE:
                yield await self._remove(part, ids)
                ids = []
        if ids:
            yield await self._remove(part, ids)

    async def _remove(self, part: str, ids: list[object]) -> int:
        async with self._parts[part].patience():
            return await self._parts[part].delete_many({'_id': {'$in': ids}})
