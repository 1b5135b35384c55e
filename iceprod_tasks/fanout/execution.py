"""One command on one node, from its place in the queue to its end."""

import asyncio
import enum
import fcntl
import logging
import os
import signal
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from iceprod_tasks.fanout.output import OUTPUT_LIMIT_BYTES, Lines, Output
from iceprod_tasks.fanout.processes import Process
from iceprod_tasks.fanout.writing import Writing

log = logging.getLogger('iceprod_tasks.fanout')

CANNOT_START = 255
"""The code of a command that could not be started at all."""
GRACE_SECONDS = 2.0
"""Between SIGTERM and SIGKILL, unless it is set."""
_READ_BYTES = 2**16
_UNWATCHED_SECONDS = 0.02
"""Most commands that are over by then have closed their pipes and ended, and need not be watched at all."""
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.01, 0.1
_LEFT_AFTER_KILL_SECONDS = 1.0
"""Who is still there by then was ended, and its new parent has not looked."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all executions of a command.

    Args:
        timeout_seconds: each is ended after so long, counted from its own start; None is no limit.
        stdin: whether something may be written to it.
        stderr: whether standard error is kept apart from standard output.
        session: whether it has a session of its own. Linux divides processors between sessions first, so that a hundred
            clients of ssh with a session each take a fifth longer than in one; they never ask anything at a terminal.
        grace_seconds: what is left to it between SIGTERM and SIGKILL.
        wait_for_pipes: whether it ends only when nobody holds its output any more; else it ends with its own process,
            and what it has left in the background is let be.
        limit_bytes: of each stream so much is kept, and of each line.
    """

    timeout_seconds: float | None = None
    stdin: bool = False
    stderr: bool = False
    session: bool = True
    grace_seconds: float = GRACE_SECONDS
    wait_for_pipes: bool = False
    limit_bytes: int = OUTPUT_LIMIT_BYTES


class Ending(enum.Enum):
    """Why a command was ended that would have gone on."""

    TIMED_OUT = enum.auto()
    ABORTED = enum.auto()
    FAILED = enum.auto()
    """Whoever listened to it has failed."""


class Listener(Protocol):
    """Who is told what happens to an execution; what it raises ends that execution only."""

    wants_lines: bool
    """Whether `on_line` is called. Output is kept in any case."""

    def on_start(self, execution: 'Execution') -> None:
        """It was begun; should it have been impossible, that is the next thing to be told."""

    def on_line(self, execution: 'Execution', stream: str, line: bytes) -> None:
        """A line was said on `stdout` or `stderr`."""

    def on_written(self, execution: 'Execution', size: int) -> None:
        """So many bytes were written to its standard input."""

    def on_end(self, execution: 'Execution') -> None:
        """It is over, with all that it has started unless that was left in the background."""


class Keeper(Protocol):
    """Who runs executions."""

    loop: asyncio.AbstractEventLoop

    def tell(self, execution: 'Execution', call: Callable[..., object], *details: object) -> None:
        """Call a method of a listener; if that raises, the execution is ended as failed."""

    def over(self, execution: 'Execution') -> None:
        """An execution is over, and its listener was told."""


class Execution:
    """A command on a node.

    Args:
        node: its name, or whatever else the result is kept by.
        argv: gives the program and its arguments when it is begun.
        terms: what holds for it.
        listener: who is told.
        keeper: who runs it.
    """

    __slots__ = (
        '_argv', '_finishing', '_is_watched', '_keeper', '_lines', '_listener', '_process', '_readers', '_timers',
        '_writing', 'code', 'ending', 'error', 'has_begun', 'is_over', 'node', 'outputs', 'terms',
    )  # fmt: skip

    def __init__(
        self, node: object, argv: Callable[[], Sequence[str]], terms: Terms, listener: Listener, keeper: Keeper
    ) -> None:
        self.node = node
        self.terms = terms
        self.outputs: Mapping[str, Output] = {}
        self.code: int | None = None
        self.ending: Ending | None = None
        self.error: str | None = None
        self.has_begun = False
        self.is_over = False
        self._argv = argv
        self._listener = listener
        self._keeper = keeper
        self._process: Process | None = None
        self._is_watched = False
        self._finishing = False
        # As long as it waits it is small: there may be a hundred thousand of them.
        self._writing: Writing | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._readers: dict[str, int] = {}
        self._lines: dict[str, Lines] = {}

    # Its beginning.

    def begin(self) -> None:
        """Start the command; if that cannot be done it is over with code 255, and `error` says why."""
        self.has_begun = True
        terms, loop = self.terms, self._keeper.loop
        names = ('stdout', 'stderr') if terms.stderr else ('stdout',)
        self.outputs = {name: Output(terms.limit_bytes) for name in names}
        if self._listener.wants_lines:
            self._lines = {name: Lines(terms.limit_bytes) for name in names}
        stdin = terms.stdin and self._stdin.is_needed
        argv: Sequence[str] = ()
        try:
            argv = self._argv()
            process = Process(argv, stdin=stdin, stderr=terms.stderr, session=terms.session)
            self._listen(process)
        except (OSError, ValueError) as error:
            self._not_started(argv, error)
            return
        self._process = process
        self._timers.append(loop.call_later(_UNWATCHED_SECONDS, self._watch))
        if terms.timeout_seconds is not None:
            self._timers.append(loop.call_later(terms.timeout_seconds, self.end, Ending.TIMED_OUT))
        self._keeper.tell(self, self._listener.on_start, self)
        if stdin:
            self._stdin.begin(process)

    def _listen(self, process: Process) -> None:
        """Be told when it says something; if the loop has no room for that, it is ended."""
        loop = self._keeper.loop
        try:
            for name, descriptor in process.readers.items():
                loop.add_reader(descriptor, self._readable, name)
        except OSError:
            for descriptor in process.readers.values():
                loop.remove_reader(descriptor)
            process.abandon()
            raise
        self._readers = process.readers

    def _not_started(self, argv: Sequence[str], error: OSError | ValueError) -> None:
        why = getattr(error, 'strerror', None) or error
        self.error = f'cannot start {argv[0]}: {why}' if argv else f'cannot start: {why}'
        log.warning('%s: %s', self.node, self.error)
        self.code = CANNOT_START
        self._keeper.tell(self, self._listener.on_start, self)
        self._take('stderr' if self.terms.stderr else 'stdout', self.error.encode(errors='replace') + b'\n')
        self._finish()

    # What it says.

    def _readable(self, name: str) -> None:
        if data := os.read(self._readers[name], _READ_BYTES):
            self._take(name, data)
        else:
            self._close_reader(name)
            if not self._readers:
                self._watch()
                self._look()

    def _take(self, name: str, data: bytes) -> None:
        self.outputs[name].add(data)
        if self._lines:
            for line in self._lines[name].feed(data):
                if self.ending in _SILENT:
                    break
                self._keeper.tell(self, self._listener.on_line, self, name, line)

    def _close_reader(self, name: str) -> None:
        descriptor = self._readers.pop(name)
        self._keeper.loop.remove_reader(descriptor)
        os.close(descriptor)

    def _drain(self) -> None:
        """Read what is in the pipes now, and no more: somebody in the background may go on writing for ever."""
        for name, descriptor in list(self._readers.items()):
            left = _waiting_bytes(descriptor)
            while left > 0 and (data := os.read(descriptor, min(left, _READ_BYTES))):
                left -= len(data)
                self._take(name, data)
            self._close_reader(name)

    # What is said to it.

    def write(self, data: bytes) -> None:
        """Send something to its standard input, now or when it has begun."""
        if self.terms.stdin:
            self._stdin.add(data)

    def write_eof(self) -> None:
        """Nothing more is written: its standard input ends behind what was."""
        self._stdin.end()

    @property
    def _stdin(self) -> Writing:
        if self._writing is None:
            self._writing = Writing(self._keeper.loop, self._written)
        return self._writing

    def _written(self, size: int) -> None:
        self._keeper.tell(self, self._listener.on_written, self, size)

    # Its end.

    def end(self, why: Ending, *, at_once: bool = False) -> None:
        """End it, if it is not over: SIGTERM to its group, and SIGKILL when its grace is over.

        Args:
            why: the first reason is kept.
            at_once: whether SIGKILL comes now.
        """
        if self.is_over:
            return
        first = self.ending is None
        self.ending = self.ending or why
        if self._finishing:
            return
        if self._process is None:
            if not self.has_begun:
                self._finish()
        elif at_once:
            self._kill()
        elif first:
            self._process.signal_group(signal.SIGTERM)
            self._timers.append(self._keeper.loop.call_later(self.terms.grace_seconds, self._kill))
            if self.code is None:
                self._watch()
            else:  # its own process is over, and others hold its pipes
                self._until_group_is_gone(_FIRST_LOOK_SECONDS)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.signal_group(signal.SIGKILL)
            self._watch()
            self._timers.append(self._keeper.loop.call_later(_LEFT_AFTER_KILL_SECONDS, self._give_up))

    def _give_up(self) -> None:
        if self.code is not None:
            self._finish()

    def _watch(self) -> None:
        """See whether its own process has ended, and from now on be told when it does."""
        if self._process is None or self._is_watched:
            return
        self._exited()
        if self.code is None and not self._finishing:
            self._is_watched = self._process.watch(self._keeper.loop, self._exited)
            if not self._is_watched:
                self._timers.append(self._keeper.loop.call_later(_LONGEST_LOOK_SECONDS, self._watch))

    def _exited(self) -> None:
        if self._process is None or self._finishing or self.code is not None:
            return
        self.code = self._process.poll()
        if self.code is None:
            return
        if self.ending is None:
            self._look()
        else:
            self._until_group_is_gone(_FIRST_LOOK_SECONDS)

    def _look(self) -> None:
        """Whether it is over by itself: its process is, and its pipes are or do not matter."""
        if self.code is not None and self.ending is None and not (self.terms.wait_for_pipes and self._readers):
            self._finish()

    def _until_group_is_gone(self, seconds: float) -> None:
        if self._process is None or self._process.group_is_gone:
            self._finish()
        else:
            later = min(2 * seconds, _LONGEST_LOOK_SECONDS)
            self._timers.append(self._keeper.loop.call_later(seconds, self._until_group_is_gone, later))

    def _finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        for timer in self._timers:
            timer.cancel()
        if self._process is not None:
            if self._writing is not None:
                self._writing.close()
            self._drain()
        for name, lines in self._lines.items():
            if (line := lines.rest()) is not None and self.ending not in _SILENT:
                self._keeper.tell(self, self._listener.on_line, self, name, line)
        for output in self.outputs.values():
            output.close()
        if self.ending is not None:
            self.code = None
        self.is_over = True
        self._keeper.tell(self, self._listener.on_end, self)
        self._keeper.over(self)


_SILENT = (Ending.ABORTED, Ending.FAILED)
"""Nobody is told what it says after that."""


def _waiting_bytes(descriptor: int) -> int:
    size: int = struct.unpack('i', fcntl.ioctl(descriptor, termios.FIONREAD, b'\0' * 4))[0]
    return size
