"""What is written to the standard input of a command."""

import asyncio
import os
from collections import deque
from collections.abc import Callable

from iceprod_tasks.fanout.processes import Process

_WRITES_A_TURN = 16
"""What others have to say and to hear comes between."""


class Writing:
    """Keeps what is to be written until the command has begun and has room for it.

    Args:
        loop: which runs.
        written: told how many bytes were written.
    """

    __slots__ = ('_is_busy', '_loop', '_pieces', '_process', '_takes_more', '_waits', '_written')

    def __init__(self, loop: asyncio.AbstractEventLoop, written: Callable[[int], object]) -> None:
        self._loop = loop
        self._written = written
        self._pieces: deque[memoryview] = deque()
        self._process: Process | None = None
        self._takes_more = True
        self._is_busy = False
        self._waits = False

    @property
    def is_needed(self) -> bool:
        """Whether the command needs a pipe at all."""
        return self._takes_more or bool(self._pieces)

    def begin(self, process: Process) -> None:
        """The command has begun."""
        self._process = process
        self._go_on()

    def add(self, data: bytes) -> None:
        """Write something; nothing behind `end`."""
        if self._takes_more and data:
            self._pieces.append(memoryview(data))
            self._go_on()

    def end(self) -> None:
        """Nothing more is written."""
        self._takes_more = False
        self._go_on()

    def close(self) -> None:
        """Nobody reads any more, or nobody shall."""
        self._takes_more = False
        self._pieces.clear()
        process = self._process
        if process is not None and process.stdin is not None:
            if self._waits:
                self._loop.remove_writer(process.stdin)
            os.close(process.stdin)
            process.stdin = None

    def _go_on(self) -> None:
        process = self._process
        if process is None or process.stdin is None or self._is_busy or self._waits:
            return
        self._is_busy = True  # who is told may write more
        try:
            self._write_some(process)
        except BlockingIOError:
            pass
        except OSError:  # it does not listen any more
            self.close()
        self._is_busy = False
        if process.stdin is not None and self._pieces:
            self._waits = True
            self._loop.add_writer(process.stdin, self._there_is_room, process.stdin)
        elif not self._takes_more:
            self.close()

    def _write_some(self, process: Process) -> None:
        for _ in range(_WRITES_A_TURN):
            if not self._pieces or process.stdin is None:
                return
            size = process.write(self._pieces[0])
            rest = self._pieces.popleft()[size:]
            if rest:
                self._pieces.appendleft(rest)
            self._written(size)

    def _there_is_room(self, descriptor: int) -> None:
        self._loop.remove_writer(descriptor)
        self._waits = False
        self._go_on()
