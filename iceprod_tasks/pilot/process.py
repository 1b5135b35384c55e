"""A command under its warden: started, awaited, and ended with everything it started."""

import asyncio
import contextlib
import errno
import logging
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from iceprod_tasks.pilot import warden
from iceprod_tasks.pilot.cgroups import Group
from iceprod_tasks.pilot.folder import Folder

log = logging.getLogger(__name__)

KILL_SECONDS = 10.0

_MACHINE_IS_FULL = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})


class MachineTrouble(Exception):
    """This machine cannot run anything at the moment, which says nothing about the task."""


class CannotStart(Exception):
    """There is no such command, or it cannot be run."""


@dataclass(frozen=True, slots=True)
class End:
    """How a command ended.

    Args:
        exit_code: 128 + its number for a signal.
        cause: whether it ended by itself, because it was ordered to, or because the lease was over.
        cpu_seconds: what it and everything it started have used.
        peak_bytes: the largest memory of a single process; 0 when too small to tell.
    """

    exit_code: int
    cause: Literal['itself', 'order', 'lease'] = 'itself'
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class Process:
    """A command that runs. Nothing of it outlives this process, its warden or its lease.

    Made by `start`.
    """

    def __init__(self, popen: subprocess.Popen[bytes], line: socket.socket, program: str) -> None:
        self._popen = popen
        self._line = line
        self._program = program
        self._end: End | None = None
        self._trouble: CannotStart | MachineTrouble | None = None
        self.warden = popen.pid
        self.exited = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        environment: Mapping[str, str],
        folder: Folder,
        deadline: float,
        group: Group | None = None,
    ) -> Self:
        """Start a command.

        Args:
            argv: the program and its arguments.
            environment: all that it sees.
            folder: where it works, and where its output goes.
            deadline: when its lease is over, on the clock of wardens.
            group: of cgroup v2, in which it is to be; None for none.

        Raises:
            CannotStart: it is none.
            MachineTrouble: there is no room for it on this machine.
        """
        try:
            words = [os.fsencode(word) for word in argv]
            variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        except ValueError as error:
            raise CannotStart(str(error)) from error
        popen, line = _start_warden(folder)
        try:
            await asyncio.get_running_loop().sock_sendall(
                line, warden.packed('run', words, variables, deadline, b'' if group is None else bytes(group.joined_by))
            )
            await _heard(line)
        except BaseException as error:
            line.close()
            _reap(popen)
            if isinstance(error, EOFError | OSError):
                raise MachineTrouble('the warden has died') from error
            raise
        return cls(popen, line, argv[0])

    def work_until(self, deadline: float) -> None:
        """Set another end of the lease; one that is past kills the command at once."""
        self._order('until', deadline)

    async def end(self, grace_seconds: float) -> End:
        """Ask all of the command to end, and kill what is left after a grace; how the command has ended.

        Does no harm to one that has ended by itself.

        Raises:
            CannotStart: there was no such command, or it could not be run.
            MachineTrouble: there was no room for it on this machine.
        """
        if not self.exited.is_set():
            self._order('end', grace_seconds)
            # A warden that somebody has stopped must hear it too.
            self._popen.send_signal(signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds + KILL_SECONDS):
                    await self.exited.wait()
        if self._trouble is not None:
            raise self._trouble
        if self._end is None:
            log.error('process %d cannot be killed, and is left to its warden', self.warden)
            return End(warden.KILLED, 'order')
        return self._end

    def close(self) -> None:
        """Let go of the command: what still runs is killed without being waited for."""
        self._listening.cancel()
        # Not before nobody listens: the loop would take another file of the same number for it.
        self._listening.add_done_callback(lambda _: self._line.close())
        _reap(self._popen)

    def _order(self, *order: str | float) -> None:
        with contextlib.suppress(OSError):  # it has left, and what it said last is still to be read
            self._line.send(warden.packed(*order))

    async def _listen(self) -> None:
        try:
            word, *how = await _heard(self._line)
        except (EOFError, OSError):
            self._end = End(warden.KILLED)  # by the kernel, as its warden was killed
        else:
            if word == 'failed':
                self._trouble = _trouble(self._program, *how)
            else:
                self._end = End(*how)
        self.exited.set()


def _start_warden(folder: Folder) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, its_own = socket.socketpair()
    ours.settimeout(0)
    with its_own:
        try:
            popen = subprocess.Popen(
                [sys.executable, '-I', '-S', warden.__file__],
                cwd=folder.work,
                # It is the command's parent, whose environment a command can read: no secret of ours is in it.
                env={name: value for name, value in os.environ.items() if name == 'LD_LIBRARY_PATH'},
                stdin=its_own.fileno(),
                stdout=folder.stdout,
                stderr=folder.stderr,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise MachineTrouble(str(error)) from error
    return popen, ours


def _reap(popen: subprocess.Popen[bytes]) -> None:
    """Take in a warden that leaves, however long it takes."""
    if popen.poll() is None:
        threading.Thread(target=popen.wait, name=f'reap-{popen.pid}', daemon=True).start()


def _trouble(program: str, number: int, why: str) -> CannotStart | MachineTrouble:
    if number in _MACHINE_IS_FULL:
        return MachineTrouble(why)
    return CannotStart(str(OSError(number, why, program)) if number else why)


async def _heard(line: socket.socket) -> Any:
    """The next message of the warden."""
    size = int.from_bytes(await _received(line, warden.SIZE_BYTES), 'big')
    return marshal.loads(await _received(line, size))  # noqa: S302 - from a program of ours


async def _received(line: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b''
    while len(data) < size:
        piece = await loop.sock_recv(line, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
