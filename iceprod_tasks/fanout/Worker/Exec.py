"""Commands on this machine, one for each node."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from iceprod_tasks.fanout import remote
from iceprod_tasks.fanout.nodes import checked
from iceprod_tasks.fanout.NodeSet import NodeSet
from iceprod_tasks.fanout.Worker.Worker import AllNodes, DistantWorker


class ExecWorker(DistantWorker):
    """Runs a command on this machine for each of some nodes, or copies a file there and then.

    In the command, `%h` and `%host` are the name of the node, `%n` and `%rank` its place in the set, and `%%` is `%`.
    With `%hosts` there is one command for all nodes, with their set in its place. Any other `%` is left as it is,
    where ClusterShell has an error.

    Args:
        nodes: a set as text, a `NodeSet`, or names.
        handler: who is told, or None.
        timeout: seconds for each node; None or a negative number is no limit.
        command: what is run.
        source: what is copied, if there is no command.
        dest: where to.
        stderr: whether standard error is kept apart.
        autoclose: whether it ends when all else is over.
        preserve: whether copies keep times and modes.
        reverse: whether the copy goes the other way.

    Raises:
        InvalidNodes: there is no node, or one whose name cannot be one.
        ValueError: there is neither a command nor a source; or what is copied back should not go into a folder.
    """

    def __init__(self, nodes: Any, handler: Any = None, timeout: float | None = None, **kwargs: Any) -> None:
        super().__init__(handler, timeout, stderr=kwargs.get('stderr', False), autoclose=kwargs.get('autoclose', False))
        self._names = checked(nodes if isinstance(nodes, str) else (str(each) for each in nodes))
        self.command: str | None = kwargs.get('command')
        self.source: str | None = kwargs.get('source')
        self.dest: str | None = kwargs.get('dest')
        self._preserve = bool(kwargs.get('preserve'))
        self._reverse = bool(kwargs.get('reverse'))
        if self.command is None and not self.source:
            raise ValueError('missing command or source parameter in worker constructor')
        if self.command is None and self._reverse and not Path(self.dest or '').is_dir():
            raise ValueError('reverse copy dest must be a directory')

    @property
    def nodes(self) -> NodeSet:
        """Its nodes."""
        return NodeSet.fromlist(self._names)

    def _commands(self) -> Iterable[tuple[Any, Callable[[], list[str]]]]:
        command = self.command
        if command is None:
            return ((node, partial(self._copy, node, rank)) for rank, node in enumerate(self._names))
        if remote.names_all_hosts(command):
            return ((AllNodes(self._names), partial(self._run, command, str(self.nodes), 0)),)
        return ((node, partial(self._run, command, node, rank)) for rank, node in enumerate(self._names))

    def _run(self, command: str, node: str, rank: int) -> list[str]:
        return remote.local(remote.filled(command, node, rank))

    def _copy(self, node: str, rank: int) -> list[str]:
        source = remote.filled(self.source or '', node, rank)
        dest = remote.filled(self.dest or '', node, rank)
        return remote.local_copy(source, dest, preserve=self._preserve, reverse=self._reverse)


WORKER_CLASS = ExecWorker
