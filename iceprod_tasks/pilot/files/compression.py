"""Compressed files, read and written a block at a time."""

import bz2
import gzip
import lzma
import zlib
from typing import IO, Protocol, cast

from iceprod_tasks.pilot.files.errors import WrongEntry
from iceprod_tasks.pilot.files.pieces import BLOCK_BYTES

_WORDS = {
    False: '', 'none': '', True: 'gzip', 'gzip': 'gzip', 'gz': 'gzip', 'bzip': 'bzip', 'bz2': 'bzip', 'lzma': 'lzma',
}  # fmt: skip
_ENDINGS = {'': (), 'gzip': ('.gz',), 'bzip': ('.bz2', '.bz'), 'lzma': ('.xz', '.lzma')}
_MOST_MEMORY_BYTES = 256 * 1024 * 1024
"""For lzma, whose files say themselves how much memory they take; the strongest level of xz takes 65 MiB."""


class NotCompressed(WrongEntry):
    """A file is not what its compression says, or is cut off."""


class Reader(Protocol):
    """Reads what a compressed file was made from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


class Packer(Protocol):
    """Makes a compressed file."""

    def compress(self, data: bytes, /) -> bytes:
        """What comes next of it, perhaps nothing yet."""

    def flush(self) -> bytes:
        """The rest."""


def kind_of(word: object) -> str:
    """The compression that a word of an entry means: gzip, bzip, lzma, or '' for none.

    Raises:
        ValueError: there is no such word.
    """
    if not isinstance(word, bool | str) or word not in _WORDS:
        raise ValueError(f'unknown compression {word!r}')
    return _WORDS[word]


def without_ending(name: str, kind: str) -> str:
    """A name without the ending that a compression gives."""
    for ending in _ENDINGS[kind]:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def reader(kind: str, file: IO[bytes]) -> Reader:
    """Reads a compressed file; never more of the result than is asked for."""
    if kind == 'lzma':
        return _LzmaReader(file)
    return cast(Reader, gzip.GzipFile(fileobj=file, mode='rb') if kind == 'gzip' else bz2.BZ2File(file, 'rb'))


def read_block(source: Reader, kind: str) -> bytes:
    """The next block of a reader.

    Raises:
        NotCompressed: the file is damaged or of another kind.
    """
    try:
        return source.read(BLOCK_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise NotCompressed(f'cannot be decompressed as {kind}: {error}') from error


def packer(kind: str) -> Packer:
    """Packs a file, the same bytes for the same contents."""
    if kind == 'gzip':
        # With a head and an end as gzip has them, but no time and no name.
        return zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    return bz2.BZ2Compressor() if kind == 'bzip' else lzma.LZMACompressor()


class _LzmaReader:
    """The library's own reader has no bound for the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream = self._new()

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=_MOST_MEMORY_BYTES)

    def read(self, size: int, /) -> bytes:
        while True:
            fresh = b''
            if self._stream.eof:
                fresh = self._stream.unused_data or self._file.read(BLOCK_BYTES)
                # Zeros may stand behind a stream; another stream may, too.
                fresh = fresh.lstrip(b'\0')
                if not fresh:
                    return b''
                self._stream = self._new()
            elif self._stream.needs_input:
                fresh = self._file.read(BLOCK_BYTES)
                if not fresh:
                    raise EOFError('it is cut off')
            if data := self._stream.decompress(fresh, size):
                return data
