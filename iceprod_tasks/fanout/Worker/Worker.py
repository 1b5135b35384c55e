"""What all workers have: a handler, events in their order, and the results of their task that are theirs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from iceprod_tasks.fanout.engine import Lane
from iceprod_tasks.fanout.Event import event, takes_worker_only
from iceprod_tasks.fanout.execution import GRACE_SECONDS, Ending, Execution, Terms
from iceprod_tasks.fanout.NodeSet import NodeSet
from iceprod_tasks.fanout.output import OUTPUT_LIMIT_BYTES
from iceprod_tasks.fanout.results import Buffer, Gathered, UnknownKey

if TYPE_CHECKING:
    from iceprod_tasks.fanout.Task import Task
    from iceprod_tasks.fanout.task_run import Run

FANOUT_UNLIMITED = -1
FANOUT_DEFAULT = None
_EVENTS = ('ev_start', 'ev_pickup', 'ev_read', 'ev_error', 'ev_written', 'ev_hup', 'ev_timeout', 'ev_close')


class WorkerException(Exception):
    """What is wrong with a worker."""


class WorkerError(WorkerException):
    """The same; the class that is raised."""


WorkerBadArgumentError = ValueError


class Worker:
    """Commands that a task runs together.

    Args:
        handler: who is told, or None.
        timeout: seconds for each command, from its own start; None or a negative number is no limit.
        stderr: whether standard error is kept apart.
        autoclose: whether it ends when all else is over.
    """

    SNAME_STDIN = 'stdin'
    SNAME_STDOUT = 'stdout'
    SNAME_STDERR = 'stderr'
    _in_session = True

    def __init__(
        self, handler: Any, timeout: float | None = None, *, stderr: bool = False, autoclose: bool = False
    ) -> None:
        self.eh = handler
        self.task: Task | None = None
        self.started = False
        self.current_node: Any = None
        self.current_msg: bytes | None = None
        self.current_errmsg: bytes | None = None
        self.current_rc: int | None = 0
        self.current_sname: str | None = None
        self._fanout: int | None = FANOUT_DEFAULT
        self._timeout = None if timeout is None or timeout < 0 else timeout
        self._stderr = stderr
        self._autoclose = autoclose
        self._executions: list[Execution] = []
        self._left = 0
        self._written: list[bytes] = []
        self._has_eof = False
        self._is_aborted = False
        self._has_timeout = False
        self._tell: Mapping[str, Callable[..., object] | None] = {}
        self.wants_lines = False
        self._reads_errors = True

    # What it runs, which each kind of worker says.

    def _commands(self) -> Iterable[tuple[Any, Callable[[], list[str]]]]:
        """Each node, or key, or set of nodes, with what gives the arguments of its command."""
        raise NotImplementedError

    def _terms(self) -> Terms:
        """What holds for its commands, as its task has it."""
        task = self._scheduled()
        limit = self._timeout if self._timeout is not None else (task.info('command_timeout') or None)
        return Terms(
            timeout_seconds=limit, stdin=not self._has_eof or bool(self._written), stderr=self._stderr,
            grace_seconds=task.info('kill_grace', GRACE_SECONDS), wait_for_pipes=bool(task.info('wait_for_pipes')),
            limit_bytes=task.info('output_limit', OUTPUT_LIMIT_BYTES), session=self._in_session,
        )  # fmt: skip

    # Its beginning and end, of which its task decides.

    def _set_task(self, task: 'Task') -> None:
        """Belong to a task, once."""
        if self.task is not None:
            raise WorkerError('worker has already been scheduled')
        self.task = task

    def _begin(self, run: 'Run') -> None:
        """Have all commands run as soon as there is room for them."""
        if self._is_aborted:
            return
        task = self._scheduled()
        self._tell = {name: event(self.eh, name) for name in _EVENTS}
        self._reads_errors = not takes_worker_only(self.eh, 'ev_read')
        self.wants_lines = bool(self._tell['ev_read'] or self._tell['ev_error'] or task.info('debug'))
        terms = self._terms()
        executions = [Execution(node, argv, terms, self, run.engine) for node, argv in self._commands()]
        self._executions, self._left = executions, len(executions)
        for execution in executions:
            for data in self._written:
                execution.write(data)
            if self._has_eof:
                execution.write_eof()
        lane = None
        if self._fanout is not FANOUT_DEFAULT:
            lane = Lane(None if self._fanout == FANOUT_UNLIMITED else self._fanout)
        run.engine.add(executions, lane, in_background=self._autoclose)

    def abort(self) -> None:
        """End all its commands; they have no return codes then."""
        self._is_aborted = True
        for execution in self._executions:
            execution.end(Ending.ABORTED)

    def write(self, buf: bytes, sname: str | None = None) -> None:  # noqa: ARG002 - there is one stream
        """Write to the standard input of all its commands, those that have not begun as well.

        Args:
            buf: what.
            sname: `stdin`.
        """
        self._written.append(buf)
        for execution in self._executions:
            execution.write(buf)

    def set_write_eof(self, sname: str | None = None) -> None:  # noqa: ARG002
        """The standard input of its commands ends behind what was written."""
        self._has_eof = True
        for execution in self._executions:
            execution.write_eof()

    # What an engine tells.

    def on_start(self, execution: Execution) -> None:
        """A command has begun."""
        task = self._scheduled()
        if not self.started:
            self.started = True
            self._call('ev_start')
        for node in _nodes(execution):
            for stream, output in execution.outputs.items():
                task._output_add((self, node), stream, output)
            self.current_node = node
            self._call('ev_pickup', node)

    def on_line(self, execution: Execution, stream: str, line: bytes) -> None:
        """A command has said a line."""
        task = self._scheduled()
        self.current_sname = stream
        for node in _nodes(execution):
            self.current_node = node
            if task.info('debug'):
                task.info('print_debug')(task, f'{node}: {line!r}')
            if stream == self.SNAME_STDERR:
                self.current_errmsg = line
                self._call('ev_error')
                if self._reads_errors:
                    self._call('ev_read', node, stream, line)
            else:
                self.current_msg = line
                self._call('ev_read', node, stream, line)

    def on_written(self, execution: Execution, size: int) -> None:
        """A command has got something."""
        self.current_sname = self.SNAME_STDIN
        for node in _nodes(execution):
            self.current_node = node
            self._call('ev_written', node, self.SNAME_STDIN, size)

    def on_end(self, execution: Execution) -> None:
        """A command is over."""
        task = self._scheduled()
        self._left -= 1
        for output in execution.outputs.values():
            task._output_end(output)
        try:
            for node in _nodes(execution):
                self._ended(task, node, execution)
        finally:
            if not self._left and self.started:
                self._close()

    def _ended(self, task: 'Task', node: Any, execution: Execution) -> None:
        self.current_node = node
        if execution.ending is Ending.TIMED_OUT:
            self._has_timeout = True
            task._timeout_add((self, node))
        elif execution.code is not None:
            self.current_rc = execution.code
            task._rc_set((self, node), execution.code)
            self._call('ev_hup', node, execution.code)

    def _close(self) -> None:
        if self._has_timeout:
            self._call('ev_timeout')
        self._call('ev_close', self._has_timeout)

    def _call(self, name: str, *details: Any) -> None:
        if call := self._tell[name]:
            call(self, *details)

    # Its results.

    def did_timeout(self) -> bool:
        """Whether the time of any of its commands was over."""
        return self._scheduled()._num_timeout_by_worker(self) > 0

    def read(self, node: Any = None, sname: str = 'stdout') -> Buffer | None:
        """What a node has said so far; None if it has said nothing.

        Args:
            node: which.
            sname: `stdout` or `stderr`.

        Raises:
            WorkerError: it has not been scheduled.
        """
        return self._scheduled()._msg_by_source((self, node), sname)

    def flush_buffers(self) -> None:
        """Forget what was said so far."""
        self._scheduled()._flush_by_worker(self, 'stdout')

    def flush_errors(self) -> None:
        """Forget what was said on standard error so far."""
        self._scheduled()._flush_by_worker(self, 'stderr')

    def _scheduled(self) -> 'Task':
        if self.task is None:
            raise WorkerError('worker is not task bound')
        return self.task


class DistantWorker(Worker):
    """Commands on nodes, or for nodes."""

    def node_buffer(self, node: str) -> Buffer | None:
        """What a node has said; None if it has said nothing."""
        return self.read(node, self.SNAME_STDOUT)

    def node_error(self, node: str) -> Buffer | None:
        """The same on standard error."""
        return self.read(node, self.SNAME_STDERR)

    node_error_buffer = node_error

    def node_retcode(self, node: str) -> int:
        """The return code of a node.

        Raises:
            UnknownKey: it has none, or not yet.
        """
        try:
            return self._scheduled()._rc_by_source((self, node))
        except KeyError:
            raise UnknownKey(node) from None

    node_rc = node_retcode

    def iter_buffers(self, match_keys: Iterable[str] | None = None) -> Iterator[tuple[Gathered, NodeSet]]:
        """The different outputs, each with its nodes; only of some nodes, if these are given."""
        return _as_sets(self._scheduled()._msg_iter_by_worker(self, match_keys))

    def iter_errors(self, match_keys: Iterable[str] | None = None) -> Iterator[tuple[Gathered, NodeSet]]:
        """The same on standard error."""
        return _as_sets(self._scheduled()._msg_iter_by_worker(self, match_keys, 'stderr'))

    def iter_node_buffers(self, match_keys: Iterable[str] | None = None) -> Iterator[tuple[str, Gathered]]:
        """Each node with what it has said."""
        return self._scheduled()._kmsg_iter_by_worker(self, match_keys)

    def iter_node_errors(self, match_keys: Iterable[str] | None = None) -> Iterator[tuple[str, Gathered]]:
        """The same on standard error."""
        return self._scheduled()._kmsg_iter_by_worker(self, match_keys, 'stderr')

    def iter_retcodes(self, match_keys: Iterable[str] | None = None) -> Iterator[tuple[int, NodeSet]]:
        """The return codes, each with its nodes."""
        return _as_sets(self._scheduled()._rc_iter_by_worker(self, match_keys))

    def iter_node_retcodes(self) -> Iterator[tuple[str, int]]:
        """Each node with its return code."""
        return self._scheduled()._krc_iter_by_worker(self)

    def num_timeout(self) -> int:
        """How many nodes had their time over."""
        return self._scheduled()._num_timeout_by_worker(self)

    def iter_keys_timeout(self) -> Iterator[str]:
        """The nodes whose time was over."""
        return self._scheduled()._iter_keys_timeout_by_worker(self)


_Found = TypeVar('_Found')


def _as_sets(found: Iterable[tuple[_Found, list[str]]]) -> Iterator[tuple[_Found, NodeSet]]:
    return ((each, NodeSet.fromlist(nodes)) for each, nodes in found)


def _nodes(execution: Execution) -> Iterable[Any]:
    """Whom an execution is for: one node or key, or all nodes of a set."""
    return execution.node if isinstance(execution.node, AllNodes) else (execution.node,)


class AllNodes(tuple[str, ...]):
    """The nodes that one command is run for."""

    __slots__ = ()
