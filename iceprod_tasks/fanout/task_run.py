"""One run of a task: its event loop, its engine, its timers, and how it ends."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from iceprod_tasks.fanout.engine import Engine, Lane
from iceprod_tasks.fanout.execution import Ending
from iceprod_tasks.fanout.timers import EngineTimer


class Run:
    """A run, which goes on in the thread that has made it until nothing is left that holds it.

    Args:
        fanout: commands at once, of all workers that have no number of their own.
        over: asked when nothing is left; false if there is more to do after all.
    """

    def __init__(self, fanout: int, over: Callable[[], bool]) -> None:
        # Not the loop of a policy: whatever the program uses elsewhere, a run is short and its own.
        self.loop = asyncio.SelectorEventLoop()
        self.loop.set_exception_handler(self._broken)
        self.lane = Lane(fanout)
        self.engine = Engine(self.loop, self._idle, self.lane)
        self.timed_out = False
        self._over = over
        self._is_over = False
        self._timers: dict[EngineTimer, asyncio.TimerHandle] = {}

    def go(self, begin: Iterable[Callable[[], object]], timeout_seconds: float | None) -> None:
        """Run until nothing is left, whatever is raised meanwhile.

        Args:
            begin: called first, one after the other.
            timeout_seconds: after which all is ended.
        """
        if timeout_seconds is not None:
            self.loop.call_later(timeout_seconds, self._time_is_over)
        self.loop.call_soon(self._begin, begin)
        # A program may call us inside of another loop, as notebooks do. It blocks that one, like any call.
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self._go_on()
        finally:
            asyncio._set_running_loop(outer)
            for timer in list(self._timers):
                timer.invalidate()
            self.loop.close()

    def _go_on(self) -> None:
        interrupted = False
        while not self._is_over:
            try:
                self.loop.run_forever()
            except BaseException as error:  # Ctrl-C; a second one ends what does not mind the first
                self.engine.stop(Ending.ABORTED, error, at_once=interrupted)
                interrupted = True

    def _broken(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something of ours has failed: better no run than one that hangs."""
        error = context.get('exception') or RuntimeError(context['message'])
        self.engine.stop(Ending.ABORTED, error, at_once=True)

    def _begin(self, begin: Iterable[Callable[[], object]]) -> None:
        self.engine.hold()
        for each in begin:
            self.engine.call(each)
        self.engine.release()

    def _time_is_over(self) -> None:
        self.timed_out = True
        self.engine.stop(Ending.TIMED_OUT)

    def _idle(self) -> None:
        if not self._is_over and self._over():
            self._is_over = True
            self.loop.stop()

    def add_timer(self, timer: EngineTimer) -> None:
        """Let a timer fire when it is due.

        Args:
            timer: which is valid.
        """
        if not timer.autoclose:
            self.engine.hold()
        self._arm(timer)

    def rearm(self, timer: EngineTimer) -> None:
        """The next time of a timer was changed."""
        self._timers[timer].cancel()
        self._arm(timer)

    def remove_timer(self, timer: EngineTimer) -> None:
        """A timer fires no more."""
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()
            if not timer.autoclose:
                self.engine.release()

    def _arm(self, timer: EngineTimer) -> None:
        self._timers[timer] = self.loop.call_at(timer.due, self._fire, timer)

    def _fire(self, timer: EngineTimer) -> None:
        handle = self._timers[timer]
        timer.fired()
        went_well = self.engine.call(timer.eh.ev_timer, timer)
        if not (went_well and timer.goes_on):
            timer.invalidate()
        elif timer.is_valid() and self._timers[timer] is handle:
            self._arm(timer)
