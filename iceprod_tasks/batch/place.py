"""The folder of a supervisor: there is one supervisor in it at a time."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = 10.0


class Taken(Exception):
    """Another supervisor of this name is at work, or a command that one has left behind."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that nobody else can read.

    Args:
        folder: where it is.
        lock: the file that says that it is in use, for as long as it is open.
    """

    folder: Path
    lock: int

    def write(self, name: str, text: str, mode: int) -> Path:
        """Replace a file; who reads it sees the old text or the new one.

        Args:
            name: of the file.
            text: what is in it.
            mode: who may do what with it, from its first byte on.

        Returns:
            Where it is.
        """
        path, new = self.folder / name, self.folder / f'{name}.new'
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), 'w', encoding='utf-8') as file:
            file.write(text)
        new.replace(path)
        return path


def root_of(environment: Mapping[str, str]) -> Path:
    """Where a user's supervisors have their folders."""
    state = environment.get('XDG_STATE_HOME') or f'{environment.get("HOME", "/")}/.local/state'
    return Path(state) / 'iceprod-tasks' / 'supervisors'


@contextlib.contextmanager
def place(folder: Path, patience_seconds: float = _PATIENCE_SECONDS) -> Iterator[Place]:
    """Take a folder, and let it go afterwards.

    Args:
        folder: made where it is missing.
        patience_seconds: how long to wait for another one to leave.

    Raises:
        Taken: it does not.
        OSError: there can be no such folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    lock = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(lock, folder, time.monotonic() + patience_seconds)
        yield Place(folder.resolve(), lock)
    finally:
        os.close(lock)


def _take(lock: int, folder: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Taken(f'{folder.name}: another supervisor of this name is at work') from None
            time.sleep(0.1)
        else:
            return
