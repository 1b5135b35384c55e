"""`file:` names: files of this machine, below the folders that the site allows."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

from iceprod_tasks.pilot.files.contents import Arrival, Departure, write_all
from iceprod_tasks.pilot.files.errors import Trouble, WrongEntry, disk
from iceprod_tasks.pilot.files.inside import draft, open_plain
from iceprod_tasks.pilot.files.pieces import BLOCK_BYTES, in_thread

_THIS_MACHINE = frozenset({'', 'localhost'})

Place = tuple[Path, tuple[str, ...]]


class LocalFetch:
    """A file that is fetched from this machine.

    Args:
        url: `file:/...` or `file:///...`.
        roots: where it may be.
    """

    def __init__(self, url: str, roots: Sequence[Path]) -> None:
        self._path, self._roots = path_of(url), roots
        self._seen: tuple[int, ...] = ()

    async def go(self, arrival: Arrival) -> None:
        """Copy what is missing of it."""
        with ExitStack() as held, disk():
            file = await in_thread(lambda: held.enter_context(open_plain(*below(self._path, self._roots))))
            seen = _what_it_is(file.fileno())
            if arrival.size and seen != self._seen:
                await arrival.begin_anew()
            self._seen = seen
            arrival.check_size(os.fstat(file.fileno()).st_size)
            while data := await in_thread(os.pread, file.fileno(), BLOCK_BYTES, arrival.size):
                await arrival.take(data)
            if _what_it_is(file.fileno()) != seen:
                raise Trouble('the file has changed meanwhile')


class LocalSend:
    """A file that is sent to a place on this machine; nothing is seen there before all of it is.

    Args:
        url: `file:/...` or `file:///...`.
        roots: where it may go.
    """

    def __init__(self, url: str, roots: Sequence[Path]) -> None:
        self._path, self._roots = path_of(url), roots

    async def go(self, departure: Departure) -> None:
        """Copy it, into folders that are made where they are missing."""
        with ExitStack() as held, disk():
            target = await in_thread(lambda: held.enter_context(draft(*below(self._path, self._roots, last=False))))
            async for data in departure.blocks():
                await in_thread(write_all, target.file, data)
            await in_thread(target.complete)

    async def abandon(self) -> None:
        """Nothing is left where it has failed."""


def path_of(url: str) -> str:
    """The path of a `file:` name; `?` and `#` are part of it.

    Raises:
        WrongEntry: it is no absolute path, or one of another machine.
    """
    path = url.partition(':')[2]
    if path.startswith('//'):
        host, slash, rest = path[2:].partition('/')
        if host.lower() not in _THIS_MACHINE:
            raise WrongEntry(f'{host!r} is another machine; file: names are of this one, as file:///data/x')
        path = slash + rest
    path = unquote(path)
    if not path.startswith('/') or '\0' in path:
        raise WrongEntry('a file: name is an absolute path, as file:///data/x')
    return path


def below(path: str, roots: Sequence[Path], *, last: bool = True) -> Place:
    """The root that a path is below, and the way from there, without links.

    Args:
        path: an absolute one.
        roots: the folders that are allowed.
        last: whether the last part may be a link as well; that of a file to be written may not.

    Raises:
        WrongEntry: it is below none of them.
        Trouble: a root is not there.
    """
    folder, _, name = path.rstrip('/').rpartition('/')
    real = Path(os.path.realpath(path) if last else os.path.join(os.path.realpath(folder or '/'), name))  # noqa: PTH118
    for root in roots:
        try:
            real_root = root.resolve(strict=True)
        except OSError as error:
            raise Trouble(f'the --file-root {root} is not there: {error.strerror}', again=False) from error
        if real != real_root and real.is_relative_to(real_root) and '..' not in real.parts:
            return real_root, real.relative_to(real_root).parts
    raise WrongEntry('it is not below a folder that this pilot allows (--file-root)')


def _what_it_is(number: int) -> tuple[int, ...]:
    """What changes when somebody puts another file there, or writes to it."""
    found = os.fstat(number)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
