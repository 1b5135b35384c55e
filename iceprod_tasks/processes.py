"""Several processes behind one port: a parent starts them, starts them again when they die, and ends them.

The parent has the listening sockets and, where there is one, the private mongod; it answers no request. Its children
inherit the sockets, so that what one of them does not accept is accepted by another. They are equal, and know nothing
of each other.

A child reads what it needs from its standard input, and stops when that closes: because the parent says so, or because
there is no parent any more. It says that it is up in a line on its standard output.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import orjson

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import announcement, listen, port_of, running
from iceprod_tasks.settings import Settings
from iceprod_tasks.stopping import Stopping
from iceprod_tasks.storage.keeper import database

log = logging.getLogger('iceprod_tasks.processes')

_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A child that lived so long begins anew with the shortest delay."""
_GRACE_SECONDS = 10.0
"""What a child may need to end beside the time that its requests have."""
_KILLED = 128


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is told.

    Args:
        settings: as for one process, with the database that the parent has found.
        descriptors: of the listening sockets.
    """

    settings: Settings
    descriptors: tuple[int, ...]


async def serve(settings: Settings, announce: Callable[[str], None], child: Sequence[str]) -> int:
    """Run the service in several processes until SIGTERM or SIGINT.

    Args:
        settings: how; `processes` says how many.
        announce: told in a line where the service is, once all processes are up.
        child: the command that runs `serve_child`.

    Returns:
        The worst exit code of the children.

    Raises:
        CannotStart: the port is taken, or there is no database; the text says what to mend.
    """
    family: list[_Child] = []
    stopping = Stopping(at_once=lambda: _kill(family))
    # Made here, so that the children do not each make one.
    settings.secret()
    sockets = listen(settings)
    async with database(settings) as data:
        order = Order(replace(settings, mongodb_url=data.url), tuple(each.fileno() for each in sockets))
        family += [_Child(child, order, stopping) for _ in range(settings.processes)]
        # The first one makes the indexes, and finds out for all whether anything is in the way.
        lives = [asyncio.create_task(family[0].live())]
        await family[0].settled.wait()
        if family[0].came_up:
            lives += [asyncio.create_task(each.live()) for each in family[1:]]
            await asyncio.gather(*(each.settled.wait() for each in family))
        if all(each.came_up for each in family):
            for line in announcement(settings, port_of(sockets), data.place, family[0].warnings):
                announce(line)
            await stopping.wait()
        stopping.begin()
        # From here on only the children listen, each as long as it is told to.
        for listener in sockets:
            listener.close()
        return max(await asyncio.gather(*lives))


class _Child:
    """One of the processes, and those that come after it when it dies."""

    def __init__(self, command: Sequence[str], order: Order, stopping: Stopping) -> None:
        self._command = command
        self._order = order
        self._stopping = stopping
        self._process: Process | None = None
        self.settled = asyncio.Event()
        self.came_up = False
        self.warnings: list[str] = []

    async def live(self) -> int:
        """Run until the end is wished for, again and again; only what never came up is not tried again.

        Returns:
            The last exit code.
        """
        delay_seconds = _FIRST_DELAY_SECONDS
        try:
            while not self._stopping.begun:
                began = time.monotonic()
                code = await self._run()
                if self._stopping.begun or not self.came_up:
                    return code
                if time.monotonic() - began > _STEADY_SECONDS:
                    delay_seconds = _FIRST_DELAY_SECONDS
                log.error('a process ended with %d; another one starts in %.1f s', code, delay_seconds)
                await self._stopping.within(delay_seconds)
                delay_seconds = min(2 * delay_seconds, _LONGEST_DELAY_SECONDS)
            return 0
        finally:
            self.settled.set()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def _run(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, pass_fds=self._order.descriptors
        )
        self._process = process
        stdin, stdout = cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout)
        stdin.write(pickle.dumps(self._order))
        hearing = asyncio.create_task(self._hear(stdout))
        ended = asyncio.create_task(process.wait())
        wished = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, wished}, return_when=asyncio.FIRST_COMPLETED)
        stdin.close()
        wished.cancel()
        settings = self._order.settings
        patience_seconds = settings.drain_notice_seconds + settings.drain_seconds + _GRACE_SECONDS
        await asyncio.wait({ended}, timeout=patience_seconds)
        if not ended.done():
            log.error('process %d does not end; it is killed', process.pid, extra={'action': 'stop'})
            process.kill()
        await hearing
        code = await ended
        return code if code >= 0 else _KILLED - code

    async def _hear(self, stdout: asyncio.StreamReader) -> None:
        if line := await stdout.readline():
            self.warnings = orjson.loads(line)['warnings']
            self.came_up = True
            self.settled.set()


def _kill(family: Sequence[_Child]) -> None:
    for each in family:
        each.kill()


def order() -> Order:
    """What this process is told as a child, read from its standard input."""
    told: Order = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent wrote it
    return told


async def serve_child(told: Order) -> None:
    """Be one of several processes, until standard input closes or a signal comes.

    Args:
        told: see `order`.

    Raises:
        CannotStart: something is in the way; the text says what to mend.
    """
    stopping = Stopping()
    _at_end_of(sys.stdin.fileno(), stopping.begin)
    settings = told.settings
    sockets = [socket.socket(fileno=descriptor) for descriptor in told.descriptors]
    for listener in sockets:
        listener.setblocking(False)  # noqa: FBT003
    async with running(settings, settings.mongodb_url, Tokens(settings.secret()), sockets) as up:
        sys.stdout.buffer.write(orjson.dumps({'warnings': up.service.warnings}) + b'\n')
        sys.stdout.buffer.flush()
        await stopping.wait()


def _at_end_of(descriptor: int, call: Callable[[], None]) -> None:
    """Call when a pipe that brings nothing more is closed."""
    loop = asyncio.get_running_loop()

    def closed() -> None:
        # A closed pipe can be read for ever.
        loop.remove_reader(descriptor)
        call()

    loop.add_reader(descriptor, closed)
