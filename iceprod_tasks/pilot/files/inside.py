"""Files below one folder, which no name and no link leads out of.

Each part of a path is opened from the folder before it and never as a link, so that it does not matter who changes
what meanwhile.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Self

from iceprod_tasks.pilot.files.errors import WrongEntry

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK the opening of a fifo would wait for somebody who writes to it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Outside(WrongEntry):
    """A name leads out of its folder, or to something that is no plain file."""


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file of a relative name.

    Raises:
        Outside: it is absolute, goes up, or names no file.
    """
    parts = tuple(part for part in name.split('/') if part not in {'', '.'})
    if name.startswith('/') or '..' in parts or not parts or '\0' in name:
        raise Outside(f'{name!r} leaves its folder or names no file')
    return parts


class Draft:
    """A file that is being written, under a name of its own until it is complete.

    Args:
        folder: the open folder; the draft closes it.
        name: what the file is to be called there.
    """

    def __init__(self, folder: int, name: str) -> None:
        self._folder, self._name = folder, name
        self._temporary: str | None = f'.iceprod-{secrets.token_hex(8)}.part'
        try:
            number = os.open(self._temporary, _MAKE, 0o666, dir_fd=folder)
        except OSError:
            os.close(folder)
            raise
        self.file: IO[bytes] = os.fdopen(number, 'r+b', buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        os.close(self._folder)

    def complete(self) -> None:
        """Give the file its name, when all of it is on the disk; a plain file of that name is replaced.

        Raises:
            Outside: something else has that name.
            OSError: the disk would not have it.
        """
        os.fsync(self.file.fileno())
        _refuse_unless_plain(self._folder, self._name, or_nothing=True)
        if self._temporary is not None:
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._temporary = None
        with contextlib.suppress(OSError):
            # Some systems cannot do that with folders, and the contents are safe already.
            os.fsync(self._folder)


def draft(root: Path, parts: Sequence[str]) -> Draft:
    """Begin a file, in folders that are made where they are missing.

    Args:
        root: an existing folder.
        parts: of a relative path, as `parts_of` gives them.

    Raises:
        Outside: a part is a link or no folder, or what has the name is no plain file.
        OSError: the disk would not have it.
    """
    with _folder_of(root, parts, make=True) as folder:
        _refuse_unless_plain(folder, parts[-1], or_nothing=True)
        return Draft(os.dup(folder), parts[-1])


def open_plain(root: Path, parts: Sequence[str]) -> IO[bytes]:
    """Open a plain file for reading.

    Raises:
        Outside: a part is a link or no folder, or it is no plain file.
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
    """
    with _folder_of(root, parts, make=False) as folder:
        return open_plain_in(folder, parts[-1])


def open_plain_in(folder: int, name: str) -> IO[bytes]:
    """Open a plain file of an open folder for reading.

    Args:
        folder: the descriptor of the folder.
        name: of the file, without any folder.

    Raises:
        Outside: it is no plain file.
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
    """
    # Looked at before it is opened, as the opening alone can set off a device.
    _refuse_unless_plain(folder, name, or_nothing=False)
    try:
        file = os.fdopen(os.open(name, _READ, dir_fd=folder), 'rb', buffering=0)
    except OSError as error:
        _refuse_unless_plain(folder, name, or_nothing=False)
        raise error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Outside(f'{name!r} is no plain file')
    return file


@contextlib.contextmanager
def _folder_of(root: Path, parts: Sequence[str], *, make: bool) -> Iterator[int]:
    folder = os.open(root, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = _step(folder, part, make=make)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _step(folder: int, part: str, *, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=folder)
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise Outside(f'{part!r} is a link or no folder') from error
        raise


def _refuse_unless_plain(folder: int, name: str, *, or_nothing: bool) -> None:
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        if or_nothing:
            return
        raise
    if not stat.S_ISREG(mode):
        raise Outside(f'{name!r} is a link, a folder or a device, no plain file')
