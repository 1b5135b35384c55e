"""The fresh folder of one attempt: where it works, its temporary files, what it printed and what it says."""

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO, Self

END_BYTES = 64 * 1024


class Folder:
    """`work/` is the command's working directory, `tmp/` its TMPDIR; `stdout` and `stderr` stand beside them.

    In `bin/` are the programs by which it speaks of itself; what they are told they leave in `spool/`.

    Output goes to files, never to pipes: nothing blocks when nobody reads, and a process left in the background
    holds up nobody. The pilot keeps the files open, so what was printed can be read even if the task removed them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / 'work'
        self.tmp = path / 'tmp'
        self.programs = path / 'bin'
        self.spool = path / 'spool'
        for folder in (self.work, self.tmp, self.programs, self.spool):
            folder.mkdir()
        # Appending, so that a task that truncates or reopens its own output leaves no holes.
        self.stdout: IO[bytes] = (path / 'stdout').open('ab+', buffering=0)
        self.stderr: IO[bytes] = (path / 'stderr').open('ab+', buffering=0)

    @classmethod
    def make(cls, parent: Path) -> Self:
        """Make a new one.

        Args:
            parent: an existing folder.

        Raises:
            OSError: it cannot be made.
        """
        path = Path(tempfile.mkdtemp(prefix='iceprod-attempt-', dir=parent))
        try:
            return cls(path)
        except OSError:
            remove_tree(path)
            raise

    def used_bytes(self) -> int:
        """The disk space taken; entries that vanish or cannot be read count nothing."""
        return _used_bytes(self.path)

    def close(self) -> None:
        """Let go of the output files."""
        self.stdout.close()
        self.stderr.close()

    def remove(self) -> None:
        """Close and remove all of it."""
        self.close()
        remove_tree(self.path)


def end_of(stream: IO[bytes]) -> str:
    """The last 64 KiB of a file as text, still at most 64 KiB where bytes that are no text had to be replaced.

    NUL is one of them: the service takes none, and a report must never be refused for what a command prints.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - END_BYTES))
    text = stream.read(END_BYTES).decode('utf-8', errors='replace').replace('\0', '\ufffd')
    return text.encode()[-END_BYTES:].decode('utf-8', errors='ignore')


def remove_tree(path: Path) -> None:
    """Remove a tree, folders without write permission included; what cannot be removed stays."""
    _open_up(path)
    for place, names, _ in os.walk(path):
        for name in names:
            _open_up(Path(place, name))
    shutil.rmtree(path, ignore_errors=True)


def _open_up(path: Path) -> None:
    # A link is removed itself; its target is none of ours.
    if not path.is_symlink():
        with contextlib.suppress(OSError):
            path.chmod(stat.S_IRWXU)


def _used_bytes(path: Path) -> int:
    used, folders = 0, [str(path)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return used
