"""How a task is run: in which thread, from which threads it takes orders, and how it ends."""

import contextlib
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType

from iceprod_tasks.fanout.execution import Ending
from iceprod_tasks.fanout.ports import EnginePort
from iceprod_tasks.fanout.results import Results, TaskError
from iceprod_tasks.fanout.task_run import Run
from iceprod_tasks.fanout.timers import EngineTimer
from iceprod_tasks.fanout.Worker.Worker import Worker


class TimeoutError(TaskError):  # noqa: A001 - its name there
    """The time of a run was over."""


class AlreadyRunningError(TaskError):
    """A task was resumed that runs."""


class _Abort(BaseException):
    """Leaves a handler that has aborted its own task; `except Exception` does not hold it up."""

    def __init__(self, *, kill: bool) -> None:
        super().__init__()
        self.kill = kill


class Runner(Results):
    """What a thread runs, and the rules for other threads.

    Args:
        thread: which runs it; None makes one.
        name: of the thread that is made.
    """

    def __init__(self, thread: threading.Thread | None, name: str) -> None:
        super().__init__()
        self._changed = threading.Condition()
        # What is guarded by it:
        self._posted: deque[Callable[[], object]] = deque()
        self._run: Run | None = None
        self._is_asked = False
        self._is_busy = False
        self._is_dead = False
        self._abort: _Abort | None = None
        # What only its own thread touches:
        self._scheduled: dict[Worker, None] = {}
        self._timers: dict[EngineTimer, None] = {}
        self._ports: dict[EnginePort, None] = {}
        self._timeout_seconds: float | None = None
        self._excepthook: Callable[..., object] = self.default_excepthook
        self._has_own_thread = thread is None
        self.thread = thread or threading.Thread(target=self._start_thread, name=name)

    @property
    def _fanout(self) -> int:
        """How many commands run at once."""
        raise NotImplementedError

    def _change_fanout(self, fanout: int) -> None:
        """Run so many at once from now on."""
        if self._run is not None:
            self._run.lane.fanout = fanout
            self._run.engine.pump()

    def _is_task_self(self) -> bool:
        return self.thread is threading.current_thread()

    def running(self) -> bool:
        """Whether it runs."""
        return self._run is not None

    def resume(self, timeout: float | None = 0) -> None:
        """Run all that is scheduled. In its own thread this blocks until all is over; from others it does not.

        Args:
            timeout: seconds for the whole run; 0 or None is no limit.

        Raises:
            TimeoutError: they were over.
            AlreadyRunningError: it runs, and this is its own thread.
            Exception: whatever a handler has raised, when all is over.
        """
        if self._is_task_self():
            self._resume(timeout)
            return
        with self._changed:
            self._timeout_seconds = timeout
            if not self._is_busy:
                self._is_asked = True
                self._changed.notify_all()

    def _resume(self, timeout: float | None) -> None:
        with self._changed:
            if self._is_busy:
                raise AlreadyRunningError('task is already running')
            self._is_busy = True
            self._is_asked = False
        self._reset()
        run = Run(self._fanout, self._take_leave)
        try:
            with self._changed:
                self._run = run
                if self._abort is not None:
                    self._abort_soon(run, self._abort)
            run.go(self._begin_all(run), timeout if timeout and timeout > 0 else None)
        finally:
            with self._changed:
                self._run = self._abort = None
                self._is_busy = False
                self._changed.notify_all()
        self._conclude(run)

    def _begin_all(self, run: Run) -> Iterator[Callable[[], object]]:
        """What a run begins with, each made when it is its turn."""
        for port in list(self._ports):
            yield partial(self._start_port, run, port)
        yield self._take_posted
        while self._timers:
            timer = self._timers.popitem()[0]
            yield partial(self._add_timer, timer)
        while self._scheduled:
            worker = next(iter(self._scheduled))
            del self._scheduled[worker]
            yield partial(worker._begin, run)

    def _conclude(self, run: Run) -> None:
        engine = run.engine
        if isinstance(engine.stopped_by, _Abort):
            self._terminate(kill=engine.stopped_by.kill)
        elif engine.stopped_by is not None:
            raise engine.stopped_by
        elif run.timed_out:
            raise TimeoutError('the time of the run is over')
        elif engine.errors:
            for other in engine.errors[1:]:
                engine.errors[0].add_note(f'and another handler: {other!r}')
            raise engine.errors[0]

    def _in_thread(self, call: Callable[[], object]) -> None:
        """Call something now if this is the task's thread, else there as soon as it runs."""
        if self._is_task_self():
            call()
        else:
            self._post(call)

    def _post(self, call: Callable[[], object]) -> None:
        with self._changed:
            self._posted.append(call)
            if self._run is not None:
                self._run.loop.call_soon_threadsafe(self._take_posted)

    def _take_posted(self) -> None:
        run = self._run
        if run is None:
            return
        run.engine.hold()
        while self._posted:
            run.engine.call(self._posted.popleft())
        run.engine.release()

    def _take_leave(self) -> bool:
        """Whether nothing has come from other threads meanwhile; what comes from now on is for the next run."""
        with self._changed:
            if self._posted and self._run is not None and not self._run.engine.is_stopping:
                return False
            self._run = None
            return True

    def abort(self, kill: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the seed
        """End all that it runs, and forget what is scheduled and the results.

        In a handler nothing behind it is reached. From other threads it waits until the task has stopped; a task with a
        thread of its own ends with it.

        Args:
            kill: whether the task and its thread part, so that `task_self` makes a new one.
        """
        if self._is_task_self():
            if self._is_busy:
                raise _Abort(kill=kill)
            self._terminate(kill=kill)
            return
        with self._changed:
            self._is_dead = self._is_dead or self._has_own_thread
            was_busy = self._is_busy
            if was_busy:
                self._abort = _Abort(kill=kill)
            if self._run is not None and self._abort is not None:
                self._abort_soon(self._run, self._abort)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_busy)
        if not was_busy and not self._has_own_thread:
            self._terminate(kill=kill)

    @staticmethod
    def _abort_soon(run: Run, why: _Abort) -> None:
        run.loop.call_soon_threadsafe(run.engine.stop, Ending.ABORTED, why)

    def _terminate(self, kill: bool) -> None:  # noqa: FBT001 - as in the seed
        """Forget everything; with `kill`, the thread as well."""
        self._scheduled.clear()
        self._timers.clear()
        with self._changed:
            self._posted.clear()
        if kill:
            for port in list(self._ports):
                self._remove_port(port)
        self._reset()
        if kill:
            with self._changed:
                self._is_dead = True
                self._changed.notify_all()
            self._part()

    def _part(self) -> None:
        """Belong to the thread no more."""
        raise NotImplementedError

    def _start_thread(self) -> None:
        """Run in a thread of its own whenever that is asked for, until it is aborted or something is raised."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_asked or self._is_dead)
                if self._is_dead:
                    break
                timeout = self._timeout_seconds
            try:
                self._resume(timeout)
            except BaseException as error:
                with contextlib.suppress(Exception):  # a hook that fails itself
                    self.excepthook(type(error), error, error.__traceback__)
                break
        self._terminate(kill=True)

    def join(self) -> None:
        """Wait until the task, which another thread runs, has stopped; not at all if it does not run."""
        if self._is_task_self():
            return
        with self._changed:
            self._changed.wait_for(lambda: self._is_dead or not (self._is_busy or self._is_asked))

    # What is run.

    def _schedule(self, worker: Worker) -> None:
        if self._run is None:
            self._scheduled[worker] = None
        else:
            worker._begin(self._run)

    def _add_timer(self, timer: EngineTimer) -> None:
        if self._run is None:
            self._timers[timer] = None
        elif timer.is_valid():
            timer.bind(self._run)
            self._run.add_timer(timer)

    def _add_port(self, port: EnginePort) -> None:
        self._ports[port] = None
        if self._run is not None:
            self._start_port(self._run, port)

    def _start_port(self, run: Run, port: EnginePort) -> None:
        if not port.autoclose:
            run.engine.hold()
        if not port.has_started and port.eh is not None:
            port.has_started = True
            run.engine.call(port.eh.ev_port_start, port)

    def _remove_port(self, port: EnginePort) -> None:
        port.close()
        if port in self._ports:
            del self._ports[port]
            if self._run is not None and not port.autoclose:
                self._run.engine.release()

    # What else is raised in its own thread.

    def default_excepthook(
        self, exc_type: type[BaseException], exc_value: BaseException, tb: TracebackType | None
    ) -> None:
        """Print what was raised in a thread of the task's own."""
        print(f'Exception in thread {self.thread}:', file=sys.stderr)  # noqa: T201
        traceback.print_exception(exc_type, exc_value, tb, file=sys.stderr)

    @property
    def excepthook(self) -> Callable[..., object]:
        """Called with what was raised in a thread of the task's own: class, error, traceback."""
        return self._excepthook

    @excepthook.setter
    def excepthook(self, hook: Callable[..., object]) -> None:
        self._excepthook = hook
        if not self._has_own_thread:
            sys.excepthook = hook
