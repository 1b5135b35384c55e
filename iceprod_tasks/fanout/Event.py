"""What happens to workers, timers and ports: the module that programs import instead of `ClusterShell.Event`."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any


class EventHandler:
    """Told what happens; whoever wants to know something overrides the method of it.

    What a handler raises ends the command on this node and no other, and comes out of `resume` when all are over.
    """

    def ev_start(self, worker: Any) -> None:
        """A worker has begun; once, before all else.

        Args:
            worker: which.
        """

    def ev_pickup(self, worker: Any, node: Any) -> None:
        """The command on a node has begun.

        Args:
            worker: which.
            node: its name, or the key of a worker without nodes.
        """

    def ev_read(self, worker: Any, node: Any, sname: str, msg: bytes) -> None:
        """A line has come.

        Args:
            worker: which.
            node: who has said it.
            sname: `stdout`, or `stderr` where that is kept apart.
            msg: the line, without its end.
        """

    def ev_written(self, worker: Any, node: Any, sname: str, size: int) -> None:
        """Something was written to a command.

        Args:
            worker: which.
            node: to whom.
            sname: `stdin`.
            size: bytes.
        """

    def ev_hup(self, worker: Any, node: Any, rc: int) -> None:
        """The command on a node has ended by itself; one that was ended because of its time has no such event.

        Args:
            worker: which.
            node: where.
            rc: its return code.
        """

    def ev_close(self, worker: Any, timedout: bool) -> None:  # noqa: FBT001 - as it is called
        """A worker is over; once, after all else.

        Args:
            worker: which.
            timedout: whether the time of any node was over.
        """

    def ev_port_start(self, port: Any) -> None:
        """A port has begun.

        Args:
            port: which.
        """

    def ev_msg(self, port: Any, msg: Any) -> None:
        """A message has come.

        Args:
            port: where.
            msg: what was sent.
        """

    def ev_timer(self, timer: Any) -> None:
        """The time of a timer has come.

        Args:
            timer: which.
        """


def event(handler: Any, name: str) -> Callable[..., object] | None:
    """What to call when an event comes, with the worker and all that is known of it; None if nobody is interested.

    Args:
        handler: of any class, or None. Those from before ClusterShell 1.8 take the worker alone.
        name: of the event.
    """
    method: Callable[..., object] | None = getattr(handler, name, None)
    if method is None or getattr(method, '__func__', None) is getattr(EventHandler, name, method):
        return None
    if name in _OF_THE_WORKER_ALONE or not takes_worker_only(handler, name):
        return method
    warnings.warn(f'{type(handler).__name__}.{name} should take more than the worker', DeprecationWarning, stacklevel=2)
    return _with_worker_only(method)


_OF_THE_WORKER_ALONE = ('ev_start', 'ev_error', 'ev_timeout')
"""The last two are events of old, which nobody has to know."""


def takes_worker_only(handler: Any, name: str) -> bool:
    """Whether a handler's method has no argument but the worker."""
    method = getattr(handler, name, None)
    if method is None:
        return False
    kinds = [each.kind for each in inspect.signature(method).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL not in kinds and sum(kind in positional for kind in kinds) == 1


def _with_worker_only(method: Callable[..., object]) -> Callable[..., object]:
    return lambda worker, *_: method(worker)
