"""Exports: all that a database has, or what it has of some datasets, as lines that can be imported again.

Each document is whole, and as it was at some moment while the export ran; `export_lines.EXPORTED` says why the order
makes that good enough.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.errors import Conflict, NotFound
from iceprod_tasks.domain.tasks import SCHEMA_VERSION, new_id
from iceprod_tasks.storage.client import Document
from iceprod_tasks.storage.export_lines import EXPORTED, FORMAT, FORMAT_VERSION, OF_DATASETS, document_line, line
from iceprod_tasks.storage.export_writing import Writer
from iceprod_tasks.storage.store import Store

_AT_ONCE = 500
_REMEMBERED = 10_000
# Left to itself, MongoDB may read a whole collection to find one dataset's documents in order.
_INDEXES = {
    'jobs': 'dataset', 'tasks': 'dataset_job_name', 'files': 'task', 'messages': 'dataset', 'logs': 'dataset',
    'task_stats': 'dataset', 'outputs': 'dataset', 'node_results': 'dataset',
}  # fmt: skip

Told = Callable[[int, int], None]
"""Is told from time to time how many documents are done, and about how many there are."""


class Export:
    """An export of a database.

    Args:
        store: the database.
        database: its name.
        release: of the software.
        dataset_ids: only these datasets; everything when empty.
    """

    def __init__(self, store: Store, database: str, release: str, dataset_ids: Sequence[str] = ()) -> None:
        self._source = {name: store.collection(name) for name in EXPORTED}
        self._chosen = sorted(set(dataset_ids))
        self._about = {'format': FORMAT, 'version': FORMAT_VERSION, 'database': database, 'datasets': self._chosen}
        self._release = release

    async def write(self, writer: Writer, told: Told) -> None:
        """Write all lines that are not written yet.

        Raises:
            NotFound: a dataset is not there.
            Conflict: what is written belongs to another export.
            OSError: the file cannot be written.
        """
        if writer.header is None:
            writer.put(line(await self._header()))
        header = writer.header
        if not isinstance(header, dict) or {name: header.get(name) for name in self._about} != self._about:
            raise Conflict('an export of something else was begun under this name; remove it or take another name')
        counts: Mapping[str, int] = header['counts']
        done, about = sum(writer.counts.values()), sum(counts.values())
        for name in () if writer.ended else counts:
            async for document in self._rest(name, writer):
                writer.put(document_line(name, document))
                done += 1
                if done % _AT_ONCE == 0:
                    told(done, about)
        if not writer.ended:
            writer.end()

    async def _header(self) -> Document:
        await self._check_all_there()
        names = OF_DATASETS if self._chosen else tuple(EXPORTED)
        return {
            **self._about,
            'export_id': new_id(),
            'release': self._release,
            'schema': SCHEMA_VERSION,
            'when': await self._source['tasks'].primary_time(),
            'counts': {name: await self._size(name) for name in names},
        }

    async def _check_all_there(self) -> None:
        found = self._source['datasets'].find({'dataset_id': {'$in': self._chosen}}, {'dataset_id': True})
        missing = set(self._chosen) - {dataset['dataset_id'] async for dataset in found}
        if missing:
            raise NotFound(f'there is no dataset {", ".join(sorted(missing))}')

    async def _size(self, name: str) -> int:
        if not self._chosen:
            return await self._source[name].size()
        async with self._source[name].patience():
            return await self._source[name].count({'dataset_id': {'$in': self._chosen}})

    async def _rest(self, name: str, writer: Writer) -> AsyncIterator[Document]:
        """The documents of a collection behind the last one that is written."""
        last = writer.last(name)
        if self._chosen:
            for dataset_id in self._chosen:
                if last is None or dataset_id >= last['dataset_id']:
                    same = last if last is not None and dataset_id == last['dataset_id'] else None
                    async for document in self._behind(name, same, {'dataset_id': dataset_id}):
                        yield document
            return
        everything = self._behind(name, last, {})
        async for document in self._without_new(everything, writer) if name in OF_DATASETS[1:] else everything:
            yield document

    def _behind(self, name: str, last: Document | None, where: Document) -> AsyncIterator[Document]:
        """Documents in the order of their `_id`."""
        hint: Document = {'hint': _INDEXES[name]} if where and name in _INDEXES else {}
        behind = where if last is None else {**where, '_id': {'$gt': last['_id']}}
        return self._source[name].find(behind, sort=[('_id', 1)], batch_size=_AT_ONCE, allow_disk_use=True, **hint)

    async def _without_new(self, documents: AsyncIterator[Document], writer: Writer) -> AsyncIterator[Document]:
        """Documents that do not belong to a dataset which has come since the datasets were read."""
        last = writer.last('datasets')
        new: dict[Any, bool] = {}
        async for document in documents:
            dataset_id = document.get('dataset_id')
            if dataset_id not in new:
                if len(new) == _REMEMBERED:
                    new.clear()
                record = await self._source['datasets'].find_one({'dataset_id': dataset_id}, {'_id': True})
                new[dataset_id] = record is not None and (last is None or record['_id'] > last['_id'])
            if not new[dataset_id]:
                yield document
