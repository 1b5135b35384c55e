"""The processes of a run: each leads a session of its own, can be killed and paused, and outlives nobody."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import psutil

from tests.journeys.commands import ROOT
from tests.leaks import leaks_in

MARK = 'ICEPROD_TASKS_FAULTS'
"""An environment variable by which everything that a run started is found, whoever its parent is by now."""

# Runs in the new process and becomes the program. SIGKILL, because a paused process would never see anything else.
_LAUNCHER = """
import ctypes, os, signal, sys
parent, *command = sys.argv[1:]
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(parent):
    sys.exit('the run has ended')
os.execv(command[0], command)
"""

# Below the range of outgoing connections: a port stays free while the program that listens there is being restarted.
_PORTS = range(20000, 30000)
_SETTLE_SECONDS = 10.0


class Process:
    """A program that runs; faults hit this one process and none of its children."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.paused = False
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._popen.poll()

    @property
    def runs(self) -> bool:
        """Whether it is there and not paused."""
        return self.exit_code is None and not self.paused

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        self._popen.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        self._popen.send_signal(signal.SIGCONT)
        self.paused = False

    async def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM, and SIGKILL to one that is still there after some seconds; its exit code."""
        self._popen.terminate()
        end = time.monotonic() + seconds
        while self.exit_code is None and time.monotonic() < end:
            await asyncio.sleep(0.02)
        self.kill()
        return self._popen.returncode


class Processes:
    """Starts processes and ends them all with the `with` block; the kernel does when this process is killed.

    The kernel's signal comes when the *thread* that started them ends: start them on the main one.

    Args:
        logs: an existing folder for what they say.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._mark = uuid4().hex
        self._started: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()
        self.end_strays()
        assert kind is not None or leaks_in(self._logs) == []

    def start(self, name: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a program, in the folder of the repository.

        Args:
            name: of its log, which programs started one after the other may share.
            argv: the absolute path of the program, and its arguments.
            environment: all of it; PATH, HOME and LANG when absent.
        """
        with (self._logs / f'{name}.log').open('ab') as log:
            popen = subprocess.Popen(
                [sys.executable, '-I', '-S', '-c', _LAUNCHER, str(os.getpid()), *argv],
                cwd=ROOT,
                env={**(plain_environment() if environment is None else environment), MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = Process(name, popen)
        self._started.append(process)
        return process

    def strays(self) -> Iterator[psutil.Process]:
        """What runs with our mark and was not started here: commands of tasks, and what pilots start to guard them."""
        ours = {process.pid for process in self._started}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid not in ours and process.environ().get(MARK) == self._mark:
                    yield process

    async def strays_after(self, seconds: float) -> int:
        """How many of those there are after some seconds; 0 as soon as there are none."""
        end = time.monotonic() + seconds
        while (left := len(list(self.strays()))) and time.monotonic() < end:
            await asyncio.sleep(0.1)
        return left

    def end_strays(self) -> None:
        """Kill them."""
        end = time.monotonic() + _SETTLE_SECONDS
        while (left := list(self.strays())) and time.monotonic() < end:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.02)


def plain_environment() -> dict[str, str]:
    """The few variables that every program gets; none of ours changes how it works."""
    return {name: os.environ[name] for name in ('PATH', 'HOME', 'LANG', 'PYTHONPATH') if name in os.environ}


def free_ports(count: int) -> list[int]:
    """TCP ports on which nobody listens."""
    found: list[int] = []
    for port in random.sample(_PORTS, k=200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(('127.0.0.1', port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f'no {count} free ports between {_PORTS[0]} and {_PORTS[-1]}')
