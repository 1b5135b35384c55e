"""How exports are written: so that an interrupted one can go on.

An export is `NAME.part` until it is whole. A compressed one is a row of small gzip members, each of whole lines: what
was cut off is found and dropped, and what comes after is appended.
"""

import fcntl
import gzip
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from iceprod_tasks.domain.errors import Conflict
from iceprod_tasks.storage import export_lines
from iceprod_tasks.storage.archives import put_in_place
from iceprod_tasks.storage.client import Document
from iceprod_tasks.storage.export_lines import LONGEST_LINE_BYTES

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 4
_PIECE_BYTES = 1024 * 1024

Piece = tuple[int, bytes]
"""Where it ends in the file, and what it says."""


class Sink(Protocol):
    """Where an export is written to."""

    def write(self, lines: bytes, /) -> Any:
        """Take whole lines."""


class Writer:
    """Writes the lines of an export, and knows what it has written.

    Args:
        sink: where they go, some at a time.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._last: dict[str, bytes] = {}
        self.counts: Counter[str] = Counter()
        self.header: Document | None = None
        self.ended = False

    def put(self, raw: bytes) -> None:
        """Write a line."""
        self.note(raw)
        self._waiting += raw
        if len(self._waiting) >= _PIECE_BYTES or self.ended:
            self._sink.write(bytes(self._waiting))
            self._waiting.clear()

    def note(self, raw: bytes) -> None:
        """Take a line for written."""
        name = export_lines.collection_of(raw)
        if name is not None:
            self.counts[name] += 1
            self._last[name] = raw
        elif self.header is None:
            self.header = export_lines.read(raw)
        else:
            self.ended = True
        self._digest.update(raw)

    def last(self, collection: str) -> Document | None:
        """The last document of a collection that was written."""
        raw = self._last.get(collection)
        return export_lines.document_of(raw) if raw else None

    def end(self) -> None:
        """Write the last line."""
        self.put(export_lines.line({'end': True, 'counts': dict(self.counts), 'sha256': self._digest.hexdigest()}))


class PartFile:
    """An export on its way into a file; only its owner can read it, since it has the keys to claims.

    Args:
        path: of the file, once it is whole.

    Raises:
        Conflict: somebody else is writing it.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f'{path.name}.part')
        self._packed = path.suffix == '.gz'
        self._file = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600), 'r+b')
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Conflict(f'{self._part} is being written by another export') from None

    def go_on(self) -> Writer:
        """A writer that goes on behind the last whole line of an interrupted export."""
        writer, end = Writer(self), 0
        for piece_end, lines in _members(self._file) if self._packed else _lines(self._file):
            whole = lines.splitlines(keepends=True)
            # Blocks that had not reached the disk when the machine went down are zeros.
            if not all(each.endswith(b'\n') and export_lines.is_json(each) for each in whole):
                break
            for each in whole:
                writer.note(each)
            end = piece_end
        self._file.seek(end)
        self._file.truncate()
        return writer

    def write(self, lines: bytes) -> None:
        """Append whole lines; they outlive the process."""
        self._file.write(gzip.compress(lines, _LEVEL, mtime=0) if self._packed else lines)
        self._file.flush()

    def finish(self) -> None:
        """Give the file its name, once all of it is on the disk."""
        put_in_place(self._file, self._part, self._path)

    def close(self) -> None:
        """Leave it as it is, unless there is nothing in it."""
        if not self._file.closed:
            if not self._file.tell():
                self._part.unlink()
            self._file.close()


def _lines(file: BinaryIO) -> Iterator[Piece]:
    end = 0
    while raw := file.readline(LONGEST_LINE_BYTES):
        end += len(raw)
        yield end, raw


def _members(file: BinaryIO) -> Iterator[Piece]:
    """The members of a gzip file, up to the first one that is not whole."""
    end, data = 0, file.read(_PIECE_BYTES)
    while data:
        unpacker, lines = zlib.decompressobj(_GZIP), bytearray()
        while data and not unpacker.eof:
            end += len(data)
            try:
                lines += unpacker.decompress(data)
            except zlib.error:
                return
            data = b'' if unpacker.eof else file.read(_PIECE_BYTES)
        if not unpacker.eof:
            return
        end -= len(unpacker.unused_data)
        yield end, bytes(lines)
        data = unpacker.unused_data or file.read(_PIECE_BYTES)
