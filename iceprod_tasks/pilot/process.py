"""A command in a session of its own: started, awaited, and ended with everything it started."""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

import psutil

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl

_KILL_SECONDS = 5.0


class Process:
    """A running command, the leader of its own session.

    The leader stays a zombie until `reap`: as long as it does, the kernel gives its number to nobody, so that no signal
    of ours can hit a stranger.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.exited = asyncio.Event()
        loop = asyncio.get_running_loop()
        # A thread, because pidfd_open needs a kernel newer than clusters have.
        threading.Thread(target=self._await_exit, args=(loop,), name=f'wait-{self.pid}', daemon=True).start()

    @classmethod
    def start(
        cls, argv: Sequence[str], environment: Mapping[str, str], work: Path, stdout: IO[bytes], stderr: IO[bytes]
    ) -> Self:
        """Start a command, on the thread that lives longest: the kernel kills the command when this thread ends.

        Raises:
            OSError: it cannot be started.
            ValueError: a word or a variable holds what the system cannot take.
        """
        return cls(
            subprocess.Popen(
                argv,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        )

    async def end(self, grace_seconds: float) -> None:
        """Ask the whole session to end, and kill it when the leader is not gone after a grace."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self.exited.wait()
        await self.kill()

    async def kill(self) -> None:
        """Kill what is left of the session, and wait until it is gone."""
        deadline = time.monotonic() + _KILL_SECONDS
        while any(is_alive(pid) for pid in session(self.pid)) and time.monotonic() < deadline:
            self._signal(signal.SIGKILL)
            await asyncio.sleep(0.01)
        await self.exited.wait()

    def reap(self) -> tuple[int, resource.struct_rusage]:
        """Take the exit code (128 + signal for a signal) and what the leader and those it waited for have used."""
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._popen.returncode = code
        return (128 - code if code < 0 else code), usage

    def _signal(self, number: int) -> None:
        # By process, not by group: a shell with job control gives each of its jobs a group of its own.
        for pid in session(self.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _await_exit(self, loop: asyncio.AbstractEventLoop) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self.exited.set)


def session(leader: int) -> Iterator[int]:
    """The processes of a session, the leader's zombie included."""
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader:
                yield pid


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_children() -> None:
    """Kill every command of this process and its session, without waiting: the last thing a pilot does."""
    for child in psutil.Process().children():
        for pid in session(child.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _die_with(parent: int) -> Callable[[], None]:
    """What a child does before it becomes the command: ask the kernel to be killed when the pilot is gone."""

    def ask() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before we could ask
            os._exit(1)

    return ask
