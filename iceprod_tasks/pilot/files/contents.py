"""The two ends of a transfer on this machine: what arrives, and what is to be sent."""

import os
from collections.abc import AsyncIterator
from typing import IO, Protocol

from iceprod_tasks.pilot.files.checksums import Checksum
from iceprod_tasks.pilot.files.compression import NotCompressed, packer, read_block, reader
from iceprod_tasks.pilot.files.errors import Trouble, WrongEntry, disk
from iceprod_tasks.pilot.files.pieces import BLOCK_BYTES, in_thread


class Fetch(Protocol):
    """One file that is being fetched."""

    async def go(self, arrival: 'Arrival') -> None:
        """Bring what is missing of it.

        Raises:
            Trouble: it broke; call again, and it goes on behind what has arrived, or anew where that cannot be.
            WrongEntry: it cannot be fetched.
        """


class Send(Protocol):
    """One file that is being sent."""

    async def go(self, departure: 'Departure') -> None:
        """Send it, or what is missing of it.

        Raises:
            Trouble: it broke; call again.
            WrongEntry: it cannot be sent.
        """

    async def abandon(self) -> None:
        """Remove what an upload that has failed has left."""


class Arrival:
    """The bytes of a remote file that have arrived so far.

    Args:
        file: an empty one, unbuffered.
        limit_bytes: the most that is taken.
        checksum: what they must come to, if that is known.
    """

    def __init__(self, file: IO[bytes], limit_bytes: int, checksum: Checksum | None) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._checksum = checksum
        self._digest = checksum and checksum.digest()
        self.size = 0

    def check_size(self, size: int) -> None:
        """Refuse a file that is too large, before it comes.

        Raises:
            WrongEntry: it is.
        """
        _check_size(size, self._limit_bytes)

    async def take(self, data: bytes) -> None:
        """Take what comes next.

        Raises:
            WrongEntry: it becomes too large.
            Trouble: the disk would not have it.
        """
        self.check_size(self.size + len(data))
        await in_thread(self._take, data)

    def _take(self, data: bytes) -> None:
        write_all(self._file, data)
        if self._digest:
            self._digest.update(data)
        self.size += len(data)

    async def begin_anew(self) -> None:
        """Forget what has arrived."""
        with disk():
            await in_thread(self._file.truncate, 0)
        self._file.seek(0)
        self._digest = self._checksum and self._checksum.digest()
        self.size = 0

    def check(self) -> None:
        """Look at the checksum of all that has arrived.

        Raises:
            WrongEntry: it is another one.
        """
        if self._checksum and self._digest and not self._checksum.is_of(self._digest):
            words = self._checksum.words(self._digest)
            raise WrongEntry(f'wrong checksum: it is {words}, not {self._checksum.text}')


class Departure:
    """The bytes that are to be sent.

    Args:
        file: an open one, which nobody changes any more.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    async def blocks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """A part of the bytes, a block at a time.

        Raises:
            Trouble: they cannot be read, or are fewer than there were.
        """
        end = self.size if end is None else end
        while start < end:
            with disk():
                data = await in_thread(os.pread, self._file.fileno(), min(BLOCK_BYTES, end - start), start)
            if not data:
                raise Trouble('the file has become shorter', again=False)
            start += len(data)
            yield data


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write to an unbuffered file.

    Raises:
        Trouble: the disk would not have it.
    """
    view = memoryview(data)
    with disk():
        while view:
            view = view[file.write(view) :]


async def decompress(kind: str, source: IO[bytes], target: IO[bytes], limit_bytes: int) -> None:
    """Decompress a file into another one.

    Raises:
        WrongEntry: it is damaged, of another kind, or becomes too large.
        Trouble: the disk would not have it.
    """
    source.seek(0)
    if not source.read(1):
        # Two of the libraries take nothing for a file without contents.
        raise NotCompressed(f'cannot be decompressed as {kind}: it is empty')
    source.seek(0)
    blocks, size = reader(kind, source), 0
    while data := await in_thread(read_block, blocks, kind):
        size += len(data)
        _check_size(size, limit_bytes)
        await in_thread(write_all, target, data)


async def compress(kind: str, source: Departure, target: IO[bytes]) -> None:
    """Compress a file into another one.

    Raises:
        Trouble: the disk would not have it.
    """
    packing = packer(kind)
    async for data in source.blocks():
        await in_thread(write_all, target, await in_thread(packing.compress, data))
    await in_thread(write_all, target, await in_thread(packing.flush))


async def check(departure: Departure, checksum: Checksum) -> None:
    """Look at the checksum of what is to be sent.

    Raises:
        WrongEntry: it is another one.
    """
    digest = checksum.digest()
    async for data in departure.blocks():
        await in_thread(digest.update, data)
    if not checksum.is_of(digest):
        raise WrongEntry(f'wrong checksum: it is {checksum.words(digest)}, not {checksum.text}')


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise WrongEntry(f'larger than {limit_bytes / 1e9:g} GB')
