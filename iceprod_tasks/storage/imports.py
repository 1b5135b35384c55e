"""Imports: exports read into a database, checked before anything is changed, and never over what is there.

The last to come are the datasets' records: chores care for no dataset without one, so a service that runs on the
database meanwhile ends nothing that is not all there. Tasks come when what their pilots read is there.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from iceprod_tasks.domain.errors import Conflict
from iceprod_tasks.storage.client import Document
from iceprod_tasks.storage.export_lines import EXPORTED, collection_of
from iceprod_tasks.storage.export_reading import ExportFile, Line, document_at, portions
from iceprod_tasks.storage.restoring import restored
from iceprod_tasks.storage.store import Store

MARKS = 'imports'
"""The collection that says which exports have been, or are being, read into the database."""

_LAST = ('tasks', 'jobs', 'datasets')
_STAGES = (tuple(name for name in EXPORTED if name not in _LAST), *((name,) for name in _LAST))
_AT_ONCE = 500
_BYTES_AT_ONCE = 8 * 1024 * 1024
# Two databases may have it without having anything else in common.
_COUNTERS = 'counters'

Told = Callable[[int], None]
"""Is told from time to time how many documents are done."""


class Import:
    """An import into a database.

    Args:
        store: the database, with its indexes.
        file: the export.
        merge: whether to leave what is there already as it is; otherwise anything that is there is refused.
    """

    def __init__(self, store: Store, file: ExportFile, *, merge: bool = False) -> None:
        self._target = {name: store.collection(name) for name in (*EXPORTED, MARKS)}
        self._file = file
        self._merge = merge
        self.imported: Counter[str] = Counter()
        """Documents that this run has stored, by collection."""
        self.present: Counter[str] = Counter()
        """Documents that were there before it."""

    async def mark(self, header: Document) -> Document | None:
        """When an import of this export began here, and when it was `finished`; None if it never began."""
        found: Document | None = await self._target[MARKS].find_one({'_id': header['export_id']})
        return found

    async def check(self, header: Document, told: Told) -> int:
        """Read the whole file, and change nothing.

        Returns:
            How many documents there are.

        Raises:
            BrokenExport: it is not whole, or of a later release.
            Conflict: something of it is there already, and does not come from this very export.
        """
        mine = self._merge or await self.mark(header) is not None
        done = 0
        for name, portion in portions(self._file.documents(header), _AT_ONCE, _BYTES_AT_ONCE):
            if not mine and name != _COUNTERS:
                await self._check_absent(name, portion)
            done += len(portion)
            told(done)
        return done

    async def run(self, header: Document, told: Told) -> None:
        """Store what is not there yet; may be interrupted and repeated.

        Raises:
            Conflict: a document cannot be stored beside what is there.
        """
        await self._note(header, {'$setOnInsert': {'began': await self._now(), 'release': header['release']}})
        done = 0
        for stage in _STAGES:
            lines = (line for line in self._file.lines() if collection_of(line.raw) in stage)
            for name, portion in portions(lines, _AT_ONCE, _BYTES_AT_ONCE):
                documents = [document_at(line) for line in portion]
                await (self._raise(documents) if name == _COUNTERS else self._store(name, documents))
                done += len(portion)
                told(done)
        await self._note(header, {'$set': {'finished': await self._now()}})

    async def _note(self, header: Document, change: Document) -> None:
        await self._target[MARKS].update_one({'_id': header['export_id']}, change, upsert=True)

    async def _now(self) -> Any:
        return await self._target[MARKS].primary_time()

    async def _check_absent(self, name: str, portion: Sequence[Line]) -> None:
        present = await self._present(name, [line.id for line in portion])
        for line in portion:
            if line.id in present:
                raise Conflict(
                    f'line {line.number}: {EXPORTED[name]} {line.id} of {name} is there already, and not from this '
                    'export; with --merge all that is there stays as it is'
                )

    async def _store(self, name: str, documents: Sequence[Document]) -> None:
        key, target = EXPORTED[name], self._target[name]
        present = await self._present(name, [document[key] for document in documents])
        new = [document for document in documents if document[key] not in present]
        if name == 'tasks':
            now = await self._now()
            new = [restored(task, now) for task in new]
        async with target.patience():
            stored = await target.insert_absent(new)
        if stored < len(new):
            # Another import of this file may have been faster. What is not there even so has lost its place.
            ids = [document[key] for document in new]
            missing = set(ids) - await self._present(name, ids)
            if missing:
                raise Conflict(f'{key} {min(missing)} of {name} cannot be stored: another one has its place')
        self.imported[name] += stored
        self.present[name] += len(documents) - stored

    async def _raise(self, counters: Sequence[Document]) -> None:
        """Let counters go on behind the numbers that were given in either database."""
        for counter in counters:
            numbers = {key: value for key, value in counter.items() if key != '_id'}
            await self._target[_COUNTERS].update_one({'_id': counter['_id']}, {'$max': numbers}, upsert=True)
            self.imported[_COUNTERS] += 1

    async def _present(self, name: str, ids: Sequence[str]) -> set[str]:
        """Those of some ids that are there."""
        key = EXPORTED[name]
        found = self._target[name].find({key: {'$in': list(ids)}}, {key: True}, batch_size=_AT_ONCE)
        return {document[key] async for document in found}
