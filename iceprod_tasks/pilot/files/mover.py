"""The mover: brings a task's files in before its command, and out after it."""

import asyncio
import contextlib
import itertools
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from iceprod_tasks.pilot.files.contents import Arrival, Departure, Fetch, Send, check, compress, decompress
from iceprod_tasks.pilot.files.entry import Entry, entry_of, shown
from iceprod_tasks.pilot.files.errors import FileRefused, FileTrouble, NotThere, Trouble, WrongEntry, disk
from iceprod_tasks.pilot.files.http import HttpFetch, HttpSend
from iceprod_tasks.pilot.files.inside import draft, open_plain
from iceprod_tasks.pilot.files.local import LocalFetch, LocalSend
from iceprod_tasks.pilot.files.pieces import in_thread
from iceprod_tasks.pilot.files.rules import FileRules
from iceprod_tasks.pilot.files.s3 import S3
from iceprod_tasks.pilot.files.web import Web

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved.

    Args:
        files: how many.
        size: their bytes on the way, all together; once each, however often they were begun.
        seconds: how long it took.
    """

    files: int
    size: int
    seconds: float


class Mover:
    """Moves the files of tasks; one for a pilot, good for all its slots.

    Args:
        rules: what the site allows.
    """

    def __init__(self, rules: FileRules) -> None:
        self._rules = rules
        self._s3 = S3(rules)

    async def bring_in(self, entries: Sequence[Mapping[str, Any]], work: Path) -> Moved:
        """Fetch what a task reads. All entries are checked first, those of its output as well.

        Args:
            entries: of the task, as the service gives them.
            work: the task's folder.

        Raises:
            FileRefused: an entry is wrong; nothing more is moved.
            FileTrouble: a file did not come, however often it was tried.
        """
        read = [entry for entry in self._read(entries) if entry.comes_in]
        return await self._all(read, self._one_in, work)

    async def bring_out(self, entries: Sequence[Mapping[str, Any]], work: Path) -> Moved:
        """Send what a task has written; nothing of the task may run any more.

        Args:
            entries: of the task, as the service gives them.
            work: the task's folder.

        Raises:
            FileRefused: an entry is wrong, or a file that must be there is not.
            FileTrouble: a file could not be sent, however often it was tried.
        """
        written = [entry for entry in self._read(entries) if entry.goes_out]
        return await self._all(written, self._one_out, work)

    def _read(self, entries: Sequence[Mapping[str, Any]]) -> list[Entry]:
        read: list[Entry] = []
        arriving: set[tuple[str, ...]] = set()
        leaving: set[str] = set()
        for given in entries:
            word = 'upload' if given.get('movement') == 'output' else 'download'
            name = f'{word} {shown(given.get("remote"))}'
            try:
                entry = entry_of(given, self._rules)
            except WrongEntry as error:
                raise FileRefused(f'{name}: {error}') from error
            if entry is None:
                continue
            if (entry.comes_in and entry.parts in arriving) or (entry.goes_out and entry.remote in leaving):
                raise FileRefused(f'{name}: another entry has the same place')
            arriving |= {entry.parts} if entry.comes_in else set()
            leaving |= {entry.remote} if entry.goes_out else set()
            read.append(entry)
        return read

    async def _all(
        self, entries: Sequence[Entry], one: Callable[[Entry, Path, Web], Awaitable[int]], work: Path
    ) -> Moved:
        began, places = time.monotonic(), asyncio.Semaphore(self._rules.at_once)
        word = 'download' if one == self._one_in else 'upload'

        async def move(entry: Entry, web: Web) -> int | None:
            async with places:
                with _named(word, entry.name):
                    try:
                        size = await one(entry, work, web)
                    except NotThere:
                        if not entry.maybe:
                            raise
                        log.info('%s %s: it is not there', word, entry.name, extra={'action': word})
                        return None
            log.info('%s %s: %d bytes', word, entry.name, size, extra={'action': word})
            return size

        try:
            async with Web(self._rules) as web, asyncio.TaskGroup() as group:
                moving = [group.create_task(move(entry, web)) for entry in entries]
        except BaseExceptionGroup as errors:
            # The others were cancelled for this one.
            raise errors.exceptions[0] from errors.exceptions[0].__cause__
        sizes = [size for size in (each.result() for each in moving) if size is not None]
        return Moved(len(sizes), sum(sizes), time.monotonic() - began)

    async def _one_in(self, entry: Entry, work: Path, web: Web) -> int:
        with ExitStack() as held:
            with _ours():
                target = await in_thread(lambda: held.enter_context(draft(work, entry.parts)))
                file = await _scratch(work, held) if entry.compression else target.file
            arrival = Arrival(file, entry.limit_bytes, entry.checksum)
            fetch = await self._fetch(entry, web)
            await self._patiently(lambda: fetch.go(arrival), entry)
            arrival.check()
            if entry.compression:
                await decompress(entry.compression, file, target.file, entry.limit_bytes)
            with _ours():
                await in_thread(target.complete)
            return arrival.size

    async def _one_out(self, entry: Entry, work: Path, web: Web) -> int:
        with ExitStack() as held:
            with disk():
                file = await in_thread(lambda: held.enter_context(open_plain(work, entry.parts)))
                departure = _within_limit(file, entry)
                if entry.compression:
                    packed = await _scratch(work, held)
                    await compress(entry.compression, departure, packed)
                    departure = _within_limit(packed, entry)
            if entry.checksum and not entry.comes_in:
                await check(departure, entry.checksum)
            try:
                await self._send_all(departure, entry, web)
            except NotThere as error:
                # Only the task's own file may be missing; no place for it is an error in any case.
                raise WrongEntry(str(error)) from error
            return departure.size

    async def _send_all(self, departure: Departure, entry: Entry, web: Web) -> None:
        send = await self._send(entry, web, departure.size)
        try:
            await self._patiently(lambda: send.go(departure), entry)
        except BaseException:
            await send.abandon()
            raise

    async def _fetch(self, entry: Entry, web: Web) -> Fetch:
        if entry.scheme == 'file':
            return LocalFetch(entry.remote, self._rules.file_roots)
        if entry.scheme == 's3':
            return await self._s3.fetch(web, entry.remote)
        return HttpFetch(web, _always(entry.remote))

    async def _send(self, entry: Entry, web: Web, size: int) -> Send:
        if entry.scheme == 'file':
            return LocalSend(entry.remote, self._rules.file_roots)
        if entry.scheme == 's3':
            return await self._s3.send(web, entry.remote, size)
        return HttpSend(web, _always(entry.remote))

    async def _patiently(self, go: Callable[[], Awaitable[None]], entry: Entry) -> None:
        """Take a transfer up again as often as the rules say."""
        for failed in itertools.count():
            try:
                await go()
                return
            except Trouble as error:
                if not error.again or failed + 1 >= self._rules.tries:
                    raise
                log.info('%s: %s; once more', entry.name, error, extra={'action': 'retry'})
                delay = self._rules.retry.delay(failed, at_least_seconds=error.wait_seconds)
                await asyncio.sleep(delay or 0.0)


@contextlib.contextmanager
def _named(word: str, name: str) -> Iterator[None]:
    """Says in which direction, and which file, for those who do not know."""
    try:
        yield
    except WrongEntry as error:
        raise FileRefused(f'{word} {name}: {error}') from error
    except Trouble as error:
        raise FileTrouble(f'{word} {name}: {error}') from error
    except UnicodeError as error:
        # The system has no bytes for a character of the name.
        raise FileRefused(f'{word} {name}: {error}') from error


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    """For the task's folder: if that is not there, no file is to blame."""
    try:
        with disk():
            yield
    except NotThere as error:
        raise Trouble("the task's folder is not there", again=False) from error


def _within_limit(file: IO[bytes], entry: Entry) -> Departure:
    departure = Departure(file)
    if departure.size > entry.limit_bytes:
        raise WrongEntry(f'larger than {entry.limit_bytes / 1e9:g} GB')
    return departure


async def _scratch(work: Path, held: ExitStack) -> IO[bytes]:
    """A file without a name, on the same disk."""
    return await in_thread(lambda: held.enter_context(tempfile.TemporaryFile(dir=work, buffering=0)))


def _always(url: str) -> Callable[[], Awaitable[str]]:
    async def address() -> str:
        return url

    return address
