"""A command as a process: in a group of its own, with pipes, and with word of its end for an event loop."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


class Process:
    """A command that runs.

    It leads a process group of its own, so that all it starts can be ended with it, and Ctrl-C at the terminal reaches
    only who has started it.

    Args:
        argv: the program and its arguments; no shell is added.
        stdin: whether there is a pipe to it; without one its standard input is empty.
        stderr: whether standard error has a pipe of its own; else it goes with standard output.
        session: whether it leads a session as well, and so has no terminal to ask anything at.

    Raises:
        OSError: it cannot be started.
        ValueError: an argument has a null byte.
    """

    def __init__(self, argv: Sequence[str], *, stdin: bool, stderr: bool, session: bool) -> None:
        theirs: list[int] = []
        ours: list[int] = []
        try:
            if stdin:
                _pipe(theirs, ours)
            for _ in range(1 + stderr):
                _pipe(ours, theirs)
            self._popen = subprocess.Popen(
                argv,
                stdin=theirs[0] if stdin else subprocess.DEVNULL,
                stdout=theirs[stdin],
                stderr=theirs[-1],
                start_new_session=session,
                process_group=None if session else 0,
            )
        except BaseException:
            _close(ours)
            raise
        finally:
            _close(theirs)
        self.stdin = ours[0] if stdin else None
        self._is_written_to = False
        self.readers = dict(zip(('stdout', 'stderr'), ours[stdin:], strict=False))

    @property
    def pid(self) -> int:
        """Its number, and that of its group."""
        return self._popen.pid

    def write(self, data: memoryview) -> int:
        """Write to its standard input as much as there is room for; how many bytes that were.

        Raises:
            BlockingIOError: there is no room.
            OSError: nobody reads it any more, or there is no pipe to it.
        """
        if self.stdin is None:
            raise BrokenPipeError
        if not self._is_written_to:
            os.set_blocking(self.stdin, False)
            self._is_written_to = True
        return os.write(self.stdin, data)

    def poll(self) -> int | None:
        """Its exit code if it has ended, 128 and the signal if one has ended it; None as long as it runs."""
        code = self._popen.poll()
        return 128 - code if code is not None and code < 0 else code

    def watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> bool:
        """Have a function called in the event loop when it has ended; nobody else may wait for it.

        Args:
            loop: the running event loop.
            ended: called once; `poll` gives the code then.

        Returns:
            Whether that can be done: not if there is neither a descriptor nor a thread left.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # an old kernel, or no descriptor is left
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._wait, args=(loop, ended), daemon=True).start()
                return True
            return False

        def readable() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            ended()

        loop.add_reader(descriptor, readable)
        return True

    def _wait(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits for it
            loop.call_soon_threadsafe(ended)

    def signal_group(self, number: int) -> None:
        """Send a signal to it and all of its group."""
        # After the leader was reaped its number is that of its group as long as the group has a member. The kernel
        # gives a free number out again only after all the others.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def abandon(self) -> None:
        """End it at once, and have nothing to do with it any more."""
        self.signal_group(signal.SIGKILL)
        self._popen.wait()
        _close(each for each in (self.stdin, *self.readers.values()) if each is not None)

    @property
    def group_is_gone(self) -> bool:
        """Whether nobody of its group is left, but for the dead whose new parent has not looked yet."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # somebody who has become another user
            return False
        return _PROC.exists() and self.pid not in _living_groups()


_PROC = Path('/proc/self/stat')


def _living_groups() -> set[int]:
    groups = set()
    for each in _PROC.parent.parent.iterdir():
        if each.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, group = (each / 'stat').read_bytes().rpartition(b')')[2].split()[:3]
                if state not in (b'Z', b'X'):
                    groups.add(int(group))
    return groups


def _pipe(reading: list[int], writing: list[int]) -> None:
    """Add the ends of a new pipe to those of one side and of the other."""
    one, other = os.pipe()
    reading.append(one)
    writing.append(other)


def _close(descriptors: Iterable[int]) -> None:
    for each in descriptors:
        os.close(each)
