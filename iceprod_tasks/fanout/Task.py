"""Tasks: commands that a thread runs together. The module that programs import instead of `ClusterShell.Task`."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

from iceprod_tasks.fanout.NodeSet import NodeSet
from iceprod_tasks.fanout.ports import EnginePort
from iceprod_tasks.fanout.results import TaskError, TaskException, TaskMsgTreeError
from iceprod_tasks.fanout.runner import AlreadyRunningError, Runner, TimeoutError  # noqa: A004 - its name there
from iceprod_tasks.fanout.timers import EngineTimer
from iceprod_tasks.fanout.Worker.Exec import ExecWorker
from iceprod_tasks.fanout.Worker.Popen import WorkerPopen
from iceprod_tasks.fanout.Worker.Ssh import WorkerSsh
from iceprod_tasks.fanout.Worker.Worker import FANOUT_UNLIMITED, Worker

__all__ = [
    'FANOUT_UNLIMITED', 'AlreadyRunningError', 'EnginePort', 'EngineTimer', 'NodeSet', 'Task', 'TaskError',
    'TaskException', 'TaskMsgTreeError', 'TimeoutError', 'WorkerPopen', 'task_cleanup', 'task_self', 'task_terminate',
    'task_wait',
]  # fmt: skip

_WORKERS: dict[str, type[ExecWorker]] = {'exec': ExecWorker, 'ssh': WorkerSsh}


def _task_print_debug(task: 'Task', line: str) -> None:  # noqa: ARG001
    print(line)  # noqa: T201 - the seed's way


class Task(Runner):
    """Commands, copies and timers that are run together, in one thread.

    A thread has one task, which `task_self` gives. `Task()` makes one with a thread of its own. Methods may be called
    from other threads; what they change is changed in the thread of the task, now if it runs, else when it does.

    Args:
        thread: whose task this is, a `threading.Thread` or its number; None makes a new thread.
        defaults: ignored; ClusterShell reads files for it.
        thread_id: the number of a thread, as in ClusterShell 1.1.
    """

    _default_info: ClassVar[dict[str, Any]] = {
        'command_timeout': 0, 'connect_timeout': 10, 'debug': False, 'fanout': 32, 'print_debug': _task_print_debug,
    }  # fmt: skip
    _tasks: ClassVar[dict[threading.Thread, 'Task']] = {}
    _task_lock: ClassVar[threading.Lock] = threading.Lock()
    _numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def __new__(cls, thread: Any = None, defaults: Any = None, *, thread_id: int | None = None) -> 'Task':  # noqa: ARG004
        """The task of a thread, made if there is none; or a new one in a new thread."""
        wanted = thread if thread is not None else thread_id
        if wanted is None:
            return object.__new__(cls)
        with cls._task_lock:
            owner = _thread(wanted)
            if owner not in cls._tasks:
                for gone in [each for each in cls._tasks if each.ident is not None and not each.is_alive()]:
                    del cls._tasks[gone]
                cls._tasks[owner] = object.__new__(cls)
            return cls._tasks[owner]

    def __init__(self, thread: Any = None, defaults: Any = None, *, thread_id: int | None = None) -> None:  # noqa: ARG002
        if hasattr(self, '_info'):
            return
        self._info = {**self._default_info, 'engine': 'asyncio'}
        self._default: dict[str, Any] = {
            'stderr': False, 'stdin': True, 'stdout_msgtree': True, 'stderr_msgtree': True, 'engine': 'auto',
            'port_qlimit': 100, 'auto_tree': True, 'local_workername': 'exec', 'distant_workername': 'ssh',
        }  # fmt: skip
        wanted = thread if thread is not None else thread_id
        super().__init__(None if wanted is None else _thread(wanted), f'Task-{next(Task._numbers)}')
        if wanted is None:
            with Task._task_lock:
                Task._tasks[self.thread] = self
            self.thread.start()

    @property
    def thread_id(self) -> int | None:
        """The number of its thread."""
        return self.thread.ident

    # What is known of it.

    def info(self, info_key: str, def_val: Any = None) -> Any:
        """What is set for it.

        Args:
            info_key: `fanout`, `connect_timeout`, `command_timeout`, `debug`, `print_debug`, those of `WorkerSsh`,
                `kill_grace` (seconds between SIGTERM and SIGKILL), `output_limit` (bytes of each stream of a node),
                `wait_for_pipes`, or a word of the program's own.
            def_val: the answer if nothing is set.
        """
        return self._info.get(info_key, def_val)

    def set_info(self, info_key: str, value: Any) -> None:
        """Set something; a new `fanout` holds at once.

        Args:
            info_key: see `info`.
            value: what.

        Raises:
            ValueError: the number makes no sense.
        """
        if info_key == 'fanout' and (not isinstance(value, int) or value < 1):
            raise ValueError(f'fanout has to be a positive number, not {value!r}')
        self._in_thread(lambda: self._set_info(info_key, value))

    def _set_info(self, info_key: str, value: Any) -> None:
        self._info[info_key] = value
        if info_key == 'fanout':
            self._change_fanout(value)

    def default(self, default_key: str, def_val: Any = None) -> Any:
        """How commands are run, unless they say otherwise.

        Args:
            default_key: see `set_default`.
            def_val: the answer if nothing is set.
        """
        return self._default.get(default_key, def_val)

    def set_default(self, default_key: str, value: Any) -> None:
        """Set how commands are run, unless they say otherwise.

        Args:
            default_key: `stderr`, `stdin`, `stdout_msgtree`, `stderr_msgtree`, `port_qlimit`; `local_workername` and
                `distant_workername`, which are `exec` or `ssh`; or a word of the program's own.
            value: what.

        Raises:
            ValueError: there is no such worker.
        """
        if default_key in ('local_workername', 'distant_workername') and value not in _WORKERS:
            raise ValueError(f'no worker is named {value!r}, only {" and ".join(_WORKERS)}')
        self._default[default_key] = value

    @property
    def _fanout(self) -> int:
        return int(self._info['fanout'])

    def _keeps(self, stream: str) -> bool:
        return bool(self._default.get(f'{stream}_msgtree', True))

    # What is run.

    def shell(self, command: str, **kwargs: Any) -> Worker:
        """Schedule a command: on this machine, on nodes, or on this machine for each node.

        Args:
            command: for a shell.
            nodes: a set, where it is run; None for this machine. An empty set is an error.
            remote: False runs it on this machine, once for each node (`ExecWorker`).
            key: what results are asked by, without nodes.
            handler: who is told.
            timeout: seconds, for each node from its own start.
            autoclose: whether it ends when all else is over.
            stderr: whether standard error is kept apart.
            stdin: False closes its standard input.
            tree: only False and None; there is no tree mode.
            **kwargs: all of these.

        Returns:
            The worker.

        Raises:
            InvalidNodes: there is no node, or one whose name cannot be one.
            TaskError: tree mode was asked for.
        """
        nodes = kwargs.get('nodes')
        if kwargs.get('tree'):
            raise TaskError('tree mode required for distant shell command with unknown topology!')
        given = {
            'handler': kwargs.get('handler'), 'timeout': kwargs.get('timeout'),
            'autoclose': kwargs.get('autoclose', False), 'stderr': kwargs.get('stderr', self.default('stderr')),
        }  # fmt: skip
        worker: Worker
        if nodes is None:
            worker = WorkerPopen(command, key=kwargs.get('key'), **given)
        elif kwargs.get('key') is not None:
            raise AssertionError("'key' argument not supported for distant command")
        else:
            name = 'distant_workername' if kwargs.get('remote', True) else 'local_workername'
            worker = _WORKERS[self.default(name)](nodes, command=command, **given)
        if not kwargs.get('stdin', self.default('stdin')):
            worker.set_write_eof()
        self.schedule(worker)
        return worker

    def copy(self, source: str, dest: str, nodes: Any, **kwargs: Any) -> Worker:
        """Schedule the copy of a file or a folder to nodes.

        Args:
            source: here.
            dest: there.
            nodes: a set.
            handler: who is told.
            timeout: seconds, for each node from its own start.
            stderr: whether standard error is kept apart.
            preserve: whether times and modes are kept.
            reverse: whether it goes from the nodes to here.
            tree: only False and None.
            **kwargs: all from `handler` on.

        Returns:
            The worker.

        Raises:
            InvalidNodes: there is no node, or one whose name cannot be one.
            ValueError: what comes from several nodes should not go into a folder.
        """
        if nodes is None:
            raise AssertionError('local copy not supported')
        if kwargs.get('tree'):
            raise TaskError('tree mode required for distant shell command with unknown topology!')
        worker = _WORKERS[self.default('distant_workername')](
            nodes, kwargs.get('handler'), kwargs.get('timeout'), source=source, dest=dest,
            stderr=kwargs.get('stderr', self.default('stderr')), preserve=kwargs.get('preserve'),
            reverse=kwargs.get('reverse'),
        )  # fmt: skip
        self.schedule(worker)
        return worker

    def rcopy(self, source: str, dest: str, nodes: Any, **kwargs: Any) -> Worker:
        """Schedule the copy of a file or a folder from nodes into a folder here, named after source and node."""
        return self.copy(source, dest, nodes, **{**kwargs, 'reverse': True})

    def timer(self, fire: float, handler: Any, interval: float = -1.0, autoclose: bool = False) -> EngineTimer:  # noqa: FBT001, FBT002
        """Have `ev_timer` of a handler called.

        Args:
            fire: seconds from now; it fires while the task runs.
            handler: whose.
            interval: seconds between that and the next times; none if it is not positive.
            autoclose: whether the run may end without it.
        """
        if fire < 0:
            raise AssertionError("timer's relative fire time must be a positive floating number")
        timer = EngineTimer(fire, interval, autoclose, handler)
        self._in_thread(lambda: self._add_timer(timer))
        return timer

    def port(self, handler: Any = None, autoclose: bool = False) -> EnginePort:  # noqa: FBT001, FBT002
        """A new port for messages from other threads.

        Args:
            handler: whose `ev_msg` is called.
            autoclose: whether a run may end as long as the port is open.
        """
        port = EnginePort(handler, autoclose, self.default('port_qlimit'))
        port.open(self._post)
        self._in_thread(lambda: self._add_port(port))
        return port

    def remove_port(self, port: EnginePort) -> None:
        """Close a port.

        Args:
            port: which.
        """
        self._in_thread(lambda: self._remove_port(port))

    def schedule(self, worker: Worker) -> None:
        """Run a worker: now if the task runs and there is room, else when it does.

        Args:
            worker: one that was not scheduled before.

        Raises:
            WorkerError: it was.
        """
        if self not in list(Task._tasks.values()):
            raise AssertionError('deleted task instance, call task_self() again!')
        worker._set_task(self)
        self._in_thread(lambda: self._schedule(worker))

    def run(self, command: Any = None, **kwargs: Any) -> Worker | None:
        """Schedule a command and run it, as `shell` and `resume` do; without a command it is `resume`.

        Args:
            command: see `shell`; a number is the time for all.
            **kwargs: those of `shell`, or `timeout` of `resume`.

        Returns:
            The worker of the command.
        """
        if command is None or isinstance(command, int | float):
            self.resume(kwargs.get('timeout', command))
            return None
        worker = self.shell(command, **kwargs)
        self.resume()
        return worker

    def _part(self) -> None:
        """Belong to the thread no more."""
        with Task._task_lock:
            if Task._tasks.get(self.thread) is self:
                del Task._tasks[self.thread]

    @classmethod
    def wait(cls, from_thread: Any) -> None:
        """Wait until all tasks have stopped.

        Args:
            from_thread: but for the task of this thread, or of the thread with this number.
        """
        with cls._task_lock:
            tasks = dict(cls._tasks)
        for thread, task in tasks.items():
            if from_thread not in (thread, thread.ident):
                task.join()


def _thread(wanted: Any) -> threading.Thread:
    if isinstance(wanted, threading.Thread):
        return wanted
    for each in threading.enumerate():
        if each.ident == wanted:
            return each
    raise ValueError(f'there is no thread {wanted!r}')


def task_self(defaults: Any = None) -> Task:
    """The task of this thread, made if there is none.

    Args:
        defaults: ignored.
    """
    return Task(thread=threading.current_thread(), defaults=defaults)


def task_wait() -> None:
    """Wait until the tasks of all other threads have stopped."""
    Task.wait(threading.current_thread())


def task_terminate() -> None:
    """Part this thread from its task, and end what that runs."""
    task_self().abort(kill=True)


def task_cleanup() -> None:
    """Part all threads from their tasks, and end what those run."""
    while Task._tasks:
        for task in list(Task._tasks.values()):
            task.abort(kill=True)
            if task._has_own_thread and not task._is_task_self():
                task.thread.join()
