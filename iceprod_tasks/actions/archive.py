"""Archive: all that is kept of a dataset, as lines of JSON."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.claimants import for_readers
from iceprod_tasks.domain.errors import BeingDeleted, NotFound
from iceprod_tasks.storage.archives import FORMAT, FORMAT_VERSION, line, packed
from iceprod_tasks.storage.client import utc_now

KINDS: Mapping[str, str] = {
    'jobs': 'job', 'tasks': 'task', 'files': 'file', 'messages': 'message', 'logs': 'log', 'task_stats': 'task_stats',
    'outputs': 'output', 'node_results': 'node_result',
}  # fmt: skip
"""How a line calls a document of each part of a dataset."""

_PIECE_BYTES = 256 * 1024

Line = tuple[str, Mapping[str, Any]]


async def download(service: Service, dataset_id: str) -> AsyncIterator[bytes]:
    """The archive of a dataset as it is now, compressed, in pieces.

    A stream that ends without an error is whole.

    Raises:
        NotFound: there is no such dataset.
        BeingDeleted: parts of it are gone.
    """
    dataset = await service.store.datasets.get(dataset_id)
    if dataset is None:
        raise NotFound('Dataset not found')
    if not await service.store.deletions.is_whole(dataset_id):
        raise BeingDeleted
    return packed(pieces(service, dataset))


async def pieces(service: Service, dataset: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """The lines of a dataset's archive, in pieces of bounded size.

    Raises:
        BeingDeleted: parts of the dataset were removed meanwhile; the last line is missing.
    """
    dataset_id = dataset['dataset_id']
    counts = dict.fromkeys(('dataset', 'config', 'access', *KINDS.values()), 0)
    header = {'format': FORMAT, 'version': FORMAT_VERSION, 'dataset_id': dataset_id, 'when': utc_now()}
    piece = bytearray(line(header))
    async for kind, document in _documents(service, dataset):
        counts[kind] += 1
        piece += line({'kind': kind, 'document': document})
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if not await service.store.deletions.is_whole(dataset_id):
        raise BeingDeleted
    yield bytes(piece + line({'end': True, 'counts': counts}))


async def _documents(service: Service, dataset: Mapping[str, Any]) -> AsyncIterator[Line]:
    dataset_id, datasets = dataset['dataset_id'], service.store.datasets
    # The deletion that an archive is written for is no part of the dataset.
    yield 'dataset', {**dataset, 'deleting': None}
    config = await datasets.config(dataset_id)
    if config is not None:
        yield 'config', config
    access = await datasets.access(dataset_id)
    if access is not None:
        yield 'access', access
    for part, kind in KINDS.items():
        async for document in service.store.belongings.read(part, dataset_id):
            yield kind, for_readers(document) if part == 'tasks' else document
