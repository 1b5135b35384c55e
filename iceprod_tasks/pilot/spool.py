"""The spool in which a running task leaves what it says of itself, and the pilot that looks into it.

What is there comes from a task, which may be hostile. Nothing is followed out of the folder, of no file more is read
than a bound, and a file is gone before it is read, so that none counts twice.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from iceprod_tasks.client import Note
from iceprod_tasks.pilot.files.errors import WrongEntry
from iceprod_tasks.pilot.files.inside import open_plain_in
from iceprod_tasks.pilot.waiting import pause

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
FILE_BYTES = 64 * 1024
TEXT_CHARACTERS = 16_384
NAME_CHARACTERS = 255
MOST_STEPS = 10**15
_DIGITS = len(str(MOST_STEPS))

_FILES_A_LOOK = 10_000
_FILES_A_PORTION = 200
_LOOKS_AT_ONCE = 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task says it is.

    Args:
        completed: steps done; None where it does not say.
        added: so many more are.
        total: of how many; None where it does not say.
    """

    completed: int | None
    added: int
    total: int | None


Saying = Note | Progress


def read(data: bytes) -> Saying | None:
    """What a file of the spool says; None where that is nothing.

    Args:
        data: fields `key=value`, each ended by NUL. Keys that are not known mean nothing.
    """
    fields: dict[str, str] = {}
    for field in data.split(b'\0'):
        key, found, value = field.decode(errors='replace').partition('=')
        if found:
            fields[key] = value
    steps = {key: fields[key] for key in ('completed', 'add', 'total') if key in fields}
    if not steps:
        return _note(fields) if 'text' in fields else None
    if not all(_is_number(value) for value in steps.values()):
        return None
    numbers = {key: min(int(value), MOST_STEPS) for key, value in steps.items()}
    return Progress(numbers.get('completed'), numbers.get('add', 0), numbers.get('total'))


class Spool:
    """The folder.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_empty(self) -> bool:
        """Whether nothing is there that is complete; cheap."""
        with self._open() as folder:
            return folder is None or not any(_names(folder))

    def names(self) -> list[str]:
        """The files that are complete, in the order in which they were written; at most 10 000 at once."""
        with self._open() as folder:
            if folder is None or (last := max(_with_times(folder), default=None)) is None:
                return []
            # A listing may miss a file that comes meanwhile, and have one that came after it. The next one misses none
            # that was there before the last one of this.
            return [name for when, name in sorted(_with_times(folder)) if (when, name) <= last]

    def take(self, names: Sequence[str]) -> list[Saying]:
        """Read some files, and remove them; what is no file, or cannot be removed, is left alone.

        Args:
            names: of the files.
        """
        with self._open() as folder:
            found = [] if folder is None else [_take(folder, name) for name in names]
        return [saying for data in found if data is not None and (saying := read(data)) is not None]

    @contextlib.contextmanager
    def _open(self) -> Iterator[int | None]:
        try:
            folder = os.open(self._path, _FOLDER)
        except OSError:  # the task has removed it, or has put something else in its place
            yield None
            return
        try:
            yield folder
        finally:
            os.close(folder)


class Listening:
    """Hears what a task says while a block runs, twice a second, and once more after it.

    Args:
        path: of the spool.
        hear: told each thing that it says.
    """

    def __init__(self, path: Path, hear: Callable[[Saying], None]) -> None:
        self._spool = Spool(path)
        self._hear = hear
        self._over = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # Not cancelled: what has been taken out of the spool would be lost.
        for result in await asyncio.gather(*filter(None, [self._running]), return_exceptions=True):
            if isinstance(result, Exception):
                log.error('the listening broke off', exc_info=result)

    async def _run(self) -> None:
        while True:
            await pause(self._over, LOOK_SECONDS)
            last = self._over.is_set()
            await self._look()
            if last:
                return

    async def _look(self) -> None:
        for _ in range(_LOOKS_AT_ONCE):
            if self._spool.is_empty():
                return
            names = await asyncio.to_thread(self._spool.names)
            for start in range(0, len(names), _FILES_A_PORTION):
                for saying in await asyncio.to_thread(self._spool.take, names[start : start + _FILES_A_PORTION]):
                    self._hear(saying)
            if len(names) < _FILES_A_LOOK:
                return


def _names(folder: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in islice(entries, _FILES_A_LOOK):
            if not entry.name.startswith('.'):
                yield entry


def _with_times(folder: int) -> Iterator[tuple[int, str]]:
    for entry in _names(folder):
        with contextlib.suppress(OSError):
            yield entry.stat(follow_symlinks=False).st_mtime_ns, entry.name


def _take(folder: int, name: str) -> bytes | None:
    with contextlib.suppress(OSError, WrongEntry), open_plain_in(folder, name) as file:
        os.unlink(name, dir_fd=folder)
        return file.read(FILE_BYTES)
    return None


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _DIGITS


def _note(fields: dict[str, str]) -> Note:
    text = fields['text'][:TEXT_CHARACTERS]
    note: Note = {'message_id': secrets.token_hex(16), 'mtype': 'notification'}
    match fields.get('mtype'):
        case 'result':
            return {**note, 'mtype': 'result', 'result': text}
        case 'silent':
            return {**note, 'mtype': 'silent', 'text': text}
        case 'error':
            note = {**note, 'mtype': 'error', 'text': text, 'name': fields.get('name', '')[:NAME_CHARACTERS]}
            # The last lines of a stack trace say most.
            stack = fields.get('stacktrace')
            return note if stack is None else {**note, 'stacktrace': stack[-TEXT_CHARACTERS:]}
    return {**note, 'text': text}
