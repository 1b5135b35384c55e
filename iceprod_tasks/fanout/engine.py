"""Runs many executions, so many at once; what goes wrong with one is no matter of the others."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from iceprod_tasks.fanout.execution import Ending, Execution

log = logging.getLogger('iceprod_tasks.fanout')

FANOUT = 32
"""Commands at once, unless it is set: the default of ClusterShell 1.1."""
_BEGUN_A_TURN = 16
"""What runs has its turn in between."""


class Lane:
    """Executions that wait for each other.

    Args:
        fanout: how many run at once; None is no limit.
    """

    def __init__(self, fanout: int | None = FANOUT) -> None:
        self.fanout = fanout
        self.running = 0
        self.waiting: deque[Execution] = deque()
        self.is_pumped = False

    @property
    def has_room(self) -> bool:
        """Whether another one may begin."""
        return self.fanout is None or self.running < self.fanout


class Engine:
    """Runs executions on an event loop.

    Args:
        loop: which runs, or will.
        idle: called whenever nothing is left that holds the run: all executions and holds are over.
        lane: of executions that have none of their own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, idle: Callable[[], None], lane: Lane) -> None:
        self.loop = loop
        self.errors: list[Exception] = []
        """What listeners have raised; each has ended one execution."""
        self.stopped_by: BaseException | None = None
        """What has ended all of them."""
        self._idle = idle
        self._lane = lane
        self._executions: dict[Execution, Lane] = {}
        self._background: set[Execution] = set()
        self._holds = 0
        self._stopping: Ending | None = None

    def add(self, executions: Iterable[Execution], lane: Lane | None = None, *, in_background: bool = False) -> None:
        """Run executions as soon as their lane has room.

        Args:
            executions: which are new. All are known before the first one begins, as its listener may end the others.
            lane: where they wait.
            in_background: whether they are aborted when all others are over.
        """
        lane = lane or self._lane
        given = list(executions)
        self._executions |= dict.fromkeys(given, lane)
        if in_background:
            self._background |= set(given)
        if self._stopping is not None:
            for execution in given:
                execution.end(self._stopping)
            return
        lane.waiting.extend(given)
        self.pump(lane)

    def hold(self) -> None:
        """Something else than an execution is not over."""
        self._holds += 1

    def release(self) -> None:
        """It is now."""
        self._holds -= 1
        self._look()

    def pump(self, lane: Lane | None = None) -> None:
        """Begin what may begin; to be called when a fan-out was changed."""
        lane = lane or self._lane
        if lane.is_pumped:
            return
        lane.is_pumped = True
        for _ in range(_BEGUN_A_TURN):
            if not lane.waiting or not lane.has_room:
                break
            execution = lane.waiting.popleft()
            if not execution.is_over:
                lane.running += 1
                execution.begin()
        lane.is_pumped = False
        if lane.waiting and lane.has_room:
            self.loop.call_soon(self.pump, lane)

    def tell(self, execution: Execution, call: Callable[..., object], *details: object) -> None:
        """Call a method of a listener; if that raises, the execution is ended as failed."""
        if not self.call(call, *details):
            execution.error = repr(self.errors[-1])
            execution.end(Ending.FAILED)

    def call(self, function: Callable[..., object], *arguments: object) -> bool:
        """Call something that is not ours; whether it went well.

        An `Exception` is logged and kept in `errors`. Anything else that is raised stops everything.
        """
        try:
            function(*arguments)
        except Exception as error:
            log.exception('a handler has failed')
            self.errors.append(error)
            return False
        except BaseException as error:
            self.stop(Ending.ABORTED, error)
        return True

    def over(self, execution: Execution) -> None:
        """An execution is over."""
        lane = self._executions.pop(execution)
        self._background.discard(execution)
        if execution.has_begun:
            lane.running -= 1
        self.pump(lane)
        self._look()

    def stop(self, why: Ending, error: BaseException | None = None, *, at_once: bool = False) -> None:
        """End all executions, those that wait as well.

        Args:
            why: for all of them.
            error: which has led to it; the first one is kept.
            at_once: without a grace.
        """
        self.stopped_by = self.stopped_by or error
        self._stopping = self._stopping or why
        for execution in list(self._executions):
            execution.end(why, at_once=at_once)
        self._look()

    @property
    def is_stopping(self) -> bool:
        """Whether all are being ended."""
        return self._stopping is not None

    def _look(self) -> None:
        if len(self._executions) == len(self._background) and (self._stopping is not None or not self._holds):
            for execution in list(self._background):
                execution.end(Ending.ABORTED)
            if not self._executions:
                self._idle()
