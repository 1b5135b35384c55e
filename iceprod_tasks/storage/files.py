"""File entries of tasks."""

from collections.abc import Sequence

from iceprod_tasks.storage.client import Collection, Document

_SHOWN = {'_id': False, 'dataset_id': False, 'task_id': False, 'file_id': False}


class Files:
    """File entries as documents.

    Args:
        collection: the collection `files`.
    """

    def __init__(self, collection: Collection) -> None:
        self._files = collection

    async def put(self, entry: Document) -> None:
        """Store an entry, in place of the same one where it is there."""
        await self._files.replace_one({'file_id': entry['file_id']}, entry)

    async def add_absent(self, entries: Sequence[Document]) -> int:
        """Store those entries that are not there yet; how many were stored."""
        return await self._files.insert_absent(entries)

    async def of(self, dataset_id: str, task_id: str | None = None) -> list[Document]:
        """The entries of a dataset, or of one task of it, oldest first."""
        where: Document = {'dataset_id': dataset_id} | ({} if task_id is None else {'task_id': task_id})
        hint = 'dataset' if task_id is None else 'task'
        return [entry async for entry in self._files.find(where, _SHOWN, sort=[('_id', 1)], hint=hint)]

    async def remove(self, dataset_id: str, task_id: str, filename: str | None = None) -> int:
        """Remove all entries of a task, or those of one file; how many there were."""
        where = {'dataset_id': dataset_id, 'task_id': task_id}
        return await self._files.delete_many(where if filename is None else {**where, 'remote': filename})
