"""One command on this machine."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from iceprod_tasks.fanout import remote
from iceprod_tasks.fanout.results import Buffer
from iceprod_tasks.fanout.Worker.Worker import Worker


class WorkerPopen(Worker):
    """Runs one command on this machine.

    Args:
        command: for a shell.
        key: what its results are asked by; the worker itself unless it is given.
        handler: who is told, or None.
        stderr: whether standard error is kept apart.
        timeout: seconds; None or a negative number is no limit.
        autoclose: whether it ends when all else is over.

    Raises:
        ValueError: there is no command.
    """

    def __init__(
        self,
        command: str,
        key: Any = None,
        handler: Any = None,
        stderr: bool = False,  # noqa: FBT001, FBT002 - in the order of ClusterShell
        timeout: float | None = -1,
        autoclose: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        super().__init__(handler, timeout, stderr=stderr, autoclose=autoclose)
        if not command:
            raise ValueError('missing command parameter in WorkerPopen constructor')
        self.command = command
        self.key = self if key is None else key

    def set_key(self, key: Any) -> None:
        """Ask for its results by another key, from its start on."""
        self.key = key

    def read(self, node: Any = None, sname: str = 'stdout') -> Buffer | None:
        """What it has said so far; None if it has said nothing."""
        return super().read(self.key if node is None else node, sname)

    def error(self) -> Buffer | None:
        """The same on standard error."""
        return self.read(sname=self.SNAME_STDERR)

    def retcode(self) -> int | None:
        """Its return code; None if it has none, or not yet."""
        return self._executions[0].code if self._executions and self._executions[0].is_over else None

    def _commands(self) -> Iterable[tuple[Any, Callable[[], list[str]]]]:
        return ((self.key, partial(remote.local, self.command)),)


WORKER_CLASS = WorkerPopen
