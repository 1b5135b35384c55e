"""Archives of datasets: lines of JSON, compressed, and the folder that they are kept in.

The format is described in docs/operating.md. All work on bytes and files is done in threads, a piece at a time.
"""

import asyncio
import base64
import contextlib
import os
import re
import uuid
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from iceprod_tasks.domain.errors import ArchiveFailed, InvalidRequest
from iceprod_tasks.domain.times import wire_time

FORMAT = 'iceprod-tasks dataset archive'
FORMAT_VERSION = 1
SUFFIX = '.ndjson.gz'

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 4
_PART = '.part'


def line(value: Mapping[str, Any]) -> bytes:
    """A line of an archive; times are as on the wire, bytes as Base64."""
    return orjson.dumps(value, default=_text, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return wire_time(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f'{type(value).__name__} is not JSON')


async def packed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, compressed; a piece is in memory at a time."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async for piece in pieces:
        yield await asyncio.to_thread(packer.compress, piece)
    yield await asyncio.to_thread(packer.flush)


class Archives:
    """A folder of archives, one a dataset.

    Args:
        folder: where they are; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def check(self) -> None:
        """See whether an archive can be written at all, before anything is done for it.

        Raises:
            ArchiveFailed: it cannot.
        """
        with _failures():
            await asyncio.to_thread(self._try_out)

    async def write(self, dataset_id: str, pieces: AsyncIterator[bytes]) -> Path:
        """Write an archive; it is there whole, on the disk, or not at all.

        Args:
            dataset_id: of the dataset; nobody else may be writing its archive.
            pieces: of the compressed file.

        Returns:
            Where it is.

        Raises:
            ArchiveFailed: it cannot be written.
        """
        path = self._path(dataset_id)
        part = path.with_name(f'.{path.name}.{uuid.uuid4().hex}{_PART}')
        with _failures():
            file = await asyncio.to_thread(self._open, path, part)
            try:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(put_in_place, file, part, path)
            finally:
                # After a failure this says the same once more, and after success the part is no more.
                with contextlib.suppress(OSError):
                    file.close()
                with contextlib.suppress(OSError):
                    part.unlink()
        return path

    def _path(self, dataset_id: str) -> Path:
        if not re.fullmatch(r'\w+', dataset_id, re.ASCII):
            raise InvalidRequest('an archive is named by letters, digits and underscores')
        return self._folder.absolute() / f'{dataset_id}{SUFFIX}'

    def _try_out(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        trial = self._folder / f'.{uuid.uuid4().hex}{_PART}'
        trial.write_bytes(b'')
        trial.unlink()

    def _open(self, path: Path, part: Path) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for abandoned in self._folder.glob(f'.{path.name}.*{_PART}'):
            abandoned.unlink(missing_ok=True)
        return part.open('xb')


def put_in_place(file: BinaryIO, part: Path, path: Path) -> None:
    """Give a file its name once all of it is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveFailed(f'the archive cannot be written: {error.strerror or type(error).__name__}') from error
