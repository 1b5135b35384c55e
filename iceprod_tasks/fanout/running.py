"""Commands on nodes for programs with an event loop of their own."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from iceprod_tasks.fanout import remote
from iceprod_tasks.fanout.engine import FANOUT, Engine, Lane
from iceprod_tasks.fanout.execution import GRACE_SECONDS, Ending, Execution, Terms
from iceprod_tasks.fanout.gathering import Gathering, grouped
from iceprod_tasks.fanout.nodes import checked
from iceprod_tasks.fanout.output import OUTPUT_LIMIT_BYTES, Output
from iceprod_tasks.fanout.remote import Ssh

OnLine = Callable[[str, str, str], object]
"""Called with the node, `stdout` or `stderr`, and a line."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What commands may take.

    Args:
        fanout: commands at once.
        timeout_seconds: a command is ended after so long, counted from its own start; None is no limit.
        grace_seconds: what is left to it between SIGTERM and SIGKILL.
        output_bytes: of each stream of a node, so much is kept.
        wait_for_pipes: whether a command is over only when nobody holds its output any more; else it is when its own
            process is. Over ssh nobody can tell, and the former holds.
    """

    fanout: int = FANOUT
    timeout_seconds: float | None = None
    grace_seconds: float = GRACE_SECONDS
    output_bytes: int = OUTPUT_LIMIT_BYTES
    wait_for_pipes: bool = False

    def terms(self, *, stderr: bool = False, session: bool = True) -> Terms:
        """What follows from it for each execution."""
        return Terms(
            timeout_seconds=self.timeout_seconds, stderr=stderr, grace_seconds=self.grace_seconds,
            wait_for_pipes=self.wait_for_pipes, limit_bytes=self.output_bytes, session=session,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command has ended on a node.

    Args:
        node: its name.
        code: its exit code; 128 and the signal that has ended it; 255 if it could not be started, or ssh has failed;
            None if it was ended from here.
        timed_out: whether its time was over.
        error: why it could not be started, or what was raised by who listened.
        stdout: what it has said.
        stderr: the same on standard error, where that is kept apart.
    """

    node: str
    code: int | None
    timed_out: bool
    error: str | None
    stdout: Output
    stderr: Output | None


@dataclass(slots=True)
class Outcomes:
    """How a command has ended on all nodes, in the order in which it has."""

    by_node: dict[str, Outcome] = field(default_factory=dict)

    @property
    def worst_code(self) -> int | None:
        """The largest exit code; None if there is none."""
        return max((each.code for each in self.by_node.values() if each.code is not None), default=None)

    @property
    def timed_out(self) -> list[str]:
        """The nodes whose time was over."""
        return [each.node for each in self.by_node.values() if each.timed_out]

    def by_output(self) -> Iterator[tuple[Output, list[str]]]:
        """Each output with the nodes that have said it; those that have said nothing are left out."""
        return grouped((each.node, each.stdout) for each in self.by_node.values())

    def by_code(self) -> Mapping[int, list[str]]:
        """Exit codes, each with its nodes; those that were ended from here have none."""
        codes: dict[int, list[str]] = {}
        for each in self.by_node.values():
            if each.code is not None:
                codes.setdefault(each.code, []).append(each.node)
        return codes


async def run(
    command: str,
    nodes: str | Iterable[str],
    *,
    ssh: Ssh | None = None,
    limits: Limits = Limits(),
    stderr: bool = False,
    on_line: OnLine | None = None,
    outcomes: Outcomes | None = None,
) -> Outcomes:
    """Run a command on nodes, so many at once, and wait for all of them.

    When this is cancelled all commands are ended first; then `outcomes` has what came of those that had begun.

    Args:
        command: for a shell; on this machine, `%h` in it is the name of the node and `%n` its place.
        nodes: a set such as `n[1-20]`, or names.
        ssh: how they are reached; None runs all commands on this machine.
        limits: what commands may take.
        stderr: whether standard error is kept apart from standard output.
        on_line: called with each line as it comes. If it raises, that ends the command on this node, and no other.
        outcomes: is filled as nodes end, and returned; a new one when None.

    Raises:
        InvalidNodes: there is no node, or one whose name cannot be one.
    """

    def argv(node: str, rank: int) -> list[str]:
        if ssh is None:
            return remote.local(remote.filled(command, node, rank))
        return ssh.command(node, command, limits.timeout_seconds, limits.grace_seconds)

    terms = limits.terms(stderr=stderr, session=ssh is None)
    return await _all(checked(nodes), argv, terms, limits.fanout, on_line, outcomes)


async def copy(
    source: str, dest: str, nodes: str | Iterable[str], *, ssh: Ssh, limits: Limits = Limits()
) -> Outcomes:  # fmt: skip
    """Copy a file or a folder of this machine to nodes.

    Args:
        source: here.
        dest: there.
        nodes: as for `run`.
        ssh: how they are reached.
        limits: the same.

    Raises:
        InvalidNodes: there is no node, or one whose name cannot be one.
    """

    def argv(node: str, _: int) -> list[str]:
        return ssh.copy(node, source, dest)

    return await _all(checked(nodes), argv, limits.terms(session=False), limits.fanout, None)


async def _all(
    nodes: Iterable[str],
    argv: Callable[[str, int], list[str]],
    terms: Terms,
    fanout: int,
    on_line: OnLine | None,
    outcomes: Outcomes | None = None,
) -> Outcomes:
    idle = asyncio.Event()
    engine = Engine(asyncio.get_running_loop(), idle.set, Lane(fanout))
    listening = _Listening(on_line, Outcomes() if outcomes is None else outcomes)
    engine.add(Execution(node, partial(argv, node, rank), terms, listening, engine) for rank, node in enumerate(nodes))
    try:
        await idle.wait()
    except asyncio.CancelledError:
        engine.stop(Ending.ABORTED)
        # Whoever is impatient cancels again, and nothing is left to them then.
        try:
            await idle.wait()
        except asyncio.CancelledError:
            engine.stop(Ending.ABORTED, at_once=True)
            await idle.wait()
        raise
    if engine.stopped_by is not None:
        raise engine.stopped_by
    return listening.outcomes


class _Listening:
    """Makes outcomes of executions, and text of their lines."""

    def __init__(self, on_line: OnLine | None, outcomes: Outcomes) -> None:
        self.wants_lines = on_line is not None
        self.outcomes = outcomes
        self._on_line = on_line
        self._gathering = Gathering()

    def on_start(self, execution: Execution) -> None:
        pass

    def on_line(self, execution: Execution, stream: str, line: bytes) -> None:
        if self._on_line is not None:
            self._on_line(str(execution.node), stream, line.decode(errors='replace'))

    def on_written(self, execution: Execution, size: int) -> None:
        pass

    def on_end(self, execution: Execution) -> None:
        node, outputs = str(execution.node), execution.outputs
        for output in outputs.values():
            self._gathering.take(output)
        timed_out = execution.ending is Ending.TIMED_OUT
        self.outcomes.by_node[node] = Outcome(
            node, execution.code, timed_out, execution.error, outputs.get('stdout') or Output(), outputs.get('stderr')
        )
