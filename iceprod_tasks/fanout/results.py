"""What the last run of a task has brought: outputs, return codes and time-outs, by worker and node."""

from collections.abc import Iterable, Iterator
from typing import Any

from iceprod_tasks.fanout.gathering import Gathering, grouped
from iceprod_tasks.fanout.MsgTree import Message
from iceprod_tasks.fanout.output import Output

Source = tuple[Any, Any]
"""A worker and one of its keys, which are names of nodes or whatever was given for a command without nodes."""


class TaskException(Exception):
    """What is wrong with a task."""


class TaskError(TaskException):
    """The same; the class that ClusterShell's other errors derive from."""


class TaskMsgTreeError(TaskError):
    """Outputs were asked for that are not kept."""


class UnknownKey(KeyError, ValueError):
    """There is no return code of this key: ClusterShell 1.1 raises a ValueError then, newer ones a KeyError."""


class Buffer(bytes):
    """What was said, as bytes that print as text."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.decode(errors='replace')


class Gathered(Message):
    """What several have said alike.

    Args:
        output: what it is.
    """

    __slots__ = ('_output',)

    def __init__(self, output: Output) -> None:
        self._output = output

    @property
    def truncated(self) -> bool:
        """Whether more was said than is kept."""
        return self._output.truncated

    def message(self) -> bytes:
        """All that is kept of it; a last line says if that is not everything."""
        return self._output.data


class Results:
    """Outputs, codes and time-outs of a run, and the questions that a program has about them.

    Methods that begin with an underscore are those of ClusterShell 1.1. They are asked by workers.
    """

    def __init__(self) -> None:
        self._reset()

    def _keeps(self, stream: str) -> bool:  # noqa: ARG002 - others decide
        """Whether outputs of a stream are kept."""
        return True

    def _reset(self) -> None:
        """Forget the last run."""
        self._outputs: dict[str, dict[Source, Output]] = {'stdout': {}, 'stderr': {}}
        self._codes: dict[Source, int] = {}
        self._timeouts: dict[Source, None] = {}
        self._max_rc: int | None = None
        self._gathering = Gathering()

    # What comes in.

    def _output_add(self, source: Source, stream: str, output: Output) -> None:
        """A source has begun to say something."""
        if self._keeps(stream) and stream in self._outputs:
            self._outputs[stream][source] = output
        else:
            output.limit = 0

    def _output_end(self, output: Output) -> None:
        """A source says nothing more."""
        self._gathering.take(output)

    def _msg_add(self, source: Source, msg: bytes) -> None:
        """A source has said a line."""
        if self._keeps('stdout'):
            self._outputs['stdout'].setdefault(source, Output()).add(msg + b'\n')

    def _rc_set(self, source: Source, rc: int, override: bool = True) -> None:  # noqa: FBT001, FBT002 - as in the seed
        """A source has ended with a code."""
        if override or source not in self._codes:
            self._codes[source] = rc
        self._max_rc = rc if self._max_rc is None else max(rc, self._max_rc)

    def _timeout_add(self, source: Source) -> None:
        """The time of a source was over."""
        self._timeouts[source] = None

    # Of one source, one worker, one key.

    def _msg_by_source(self, source: Source, stream: str = 'stdout') -> Buffer | None:
        """What a source has said; None if it has said nothing."""
        output = self._kept(stream).get(source)
        return Buffer(output.data) if output is not None and output.said else None

    def _msg_iter_by_key(self, key: Any, stream: str = 'stdout') -> Iterator[bytes]:
        """What each worker has heard from a key."""
        return (output.data for (_, each), output in self._kept(stream).items() if each == key and output.said)

    def _msg_iter_by_worker(
        self, worker: Any, match_keys: Iterable[Any] | None = None, stream: str = 'stdout'
    ) -> Iterator[tuple[Gathered, list[Any]]]:
        """The different outputs that a worker has heard, each with its keys."""
        return _messages(self._heard(worker, match_keys, stream))

    def _kmsg_iter_by_worker(
        self, worker: Any, match_keys: Iterable[Any] | None = None, stream: str = 'stdout'
    ) -> Iterator[tuple[Any, Gathered]]:
        """Each key of a worker with what it has said."""
        return ((key, Gathered(output)) for key, output in self._heard(worker, match_keys, stream) if output.said)

    def _rc_by_source(self, source: Source) -> int:
        """The code of a source; a KeyError if it has none."""
        return self._codes[source]

    def _rc_iter_by_key(self, key: Any) -> Iterator[int]:
        """The codes of a key, one for each worker."""
        return (code for (_, each), code in self._codes.items() if each == key)

    def _rc_iter_by_worker(
        self, worker: Any, match_keys: Iterable[Any] | None = None
    ) -> Iterator[tuple[int, list[Any]]]:
        """The codes of a worker, each with its keys."""
        wanted = _wanted(match_keys)
        codes: dict[int, list[Any]] = {}
        for (each, key), code in self._codes.items():
            if each is worker and (not wanted or key in wanted):
                codes.setdefault(code, []).append(key)
        yield from codes.items()

    def _krc_iter_by_worker(self, worker: Any) -> Iterator[tuple[Any, int]]:
        """Each key of a worker with its code."""
        return ((key, code) for (each, key), code in self._codes.items() if each is worker)

    def _num_timeout_by_worker(self, worker: Any) -> int:
        """How many keys of a worker had their time over."""
        return sum(1 for _ in self._iter_keys_timeout_by_worker(worker))

    def _iter_keys_timeout_by_worker(self, worker: Any) -> Iterator[Any]:
        """The keys of a worker whose time was over."""
        return (key for each, key in self._timeouts if each is worker)

    def _flush_by_worker(self, worker: Any, stream: str) -> None:
        """Forget what a worker has heard so far."""
        for (each, _), output in self._outputs[stream].items():
            if each is worker:
                output.clear()

    def _heard(self, worker: Any, match_keys: Iterable[Any] | None, stream: str) -> Iterator[tuple[Any, Output]]:
        wanted = _wanted(match_keys)
        return (
            (key, output)
            for (each, key), output in self._kept(stream).items()
            if each is worker and (wanted is None or key in wanted)
        )

    # Of all.

    def key_buffer(self, key: Any) -> Buffer:
        """What a key has said, in all workers, one behind the other; nothing if it is not known.

        Args:
            key: a node, or the key of a command without nodes.

        Raises:
            TaskMsgTreeError: outputs are not kept.
        """
        return Buffer(b''.join(self._msg_iter_by_key(key)))

    def key_error(self, key: Any) -> Buffer:
        """The same on standard error, where that was kept apart."""
        return Buffer(b''.join(self._msg_iter_by_key(key, 'stderr')))

    def key_retcode(self, key: Any) -> int:
        """The return code of a key, the largest one if several workers have it.

        Args:
            key: a node, or the key of a command without nodes.

        Raises:
            UnknownKey: there is none.
        """
        codes = list(self._rc_iter_by_key(key))
        if not codes:
            raise UnknownKey(key)
        return max(codes)

    node_buffer, node_error, node_retcode = key_buffer, key_error, key_retcode

    def max_retcode(self) -> int | None:
        """The largest return code of the last run; None if there was none (ClusterShell 1.1 says 0 then).

        A command that a signal has ended has 128 and the signal. One that was ended because of its time has none.
        """
        return self._max_rc

    def iter_buffers(self, match_keys: Iterable[Any] | None = None) -> Iterator[tuple[Gathered, list[Any]]]:
        """The different outputs, each with the keys that have said it.

        Args:
            match_keys: only of these keys; of all if it is empty.

        Raises:
            TaskMsgTreeError: outputs are not kept.
            TypeError: `match_keys` is a text.
        """
        return self._iter_streams('stdout', match_keys)

    def iter_errors(self, match_keys: Iterable[Any] | None = None) -> Iterator[tuple[Gathered, list[Any]]]:
        """The same on standard error, where that was kept apart."""
        return self._iter_streams('stderr', match_keys)

    def iter_retcodes(self, match_keys: Iterable[Any] | None = None) -> Iterator[tuple[int, list[Any]]]:
        """The return codes, each with its keys.

        Args:
            match_keys: only these keys; then codes that none of them has come with an empty list.
        """
        wanted = _wanted(match_keys)
        codes: dict[int, list[Any]] = {}
        for (_, key), code in self._codes.items():
            keys = codes.setdefault(code, [])
            if not wanted or key in wanted:
                keys.append(key)
        yield from codes.items()

    def num_timeout(self) -> int:
        """How many nodes had their time over."""
        return len(self._timeouts)

    def iter_keys_timeout(self) -> Iterator[Any]:
        """The nodes whose time was over."""
        return (key for _, key in self._timeouts)

    def flush_buffers(self) -> None:
        """Forget what was said so far."""
        self._flush('stdout')

    def flush_errors(self) -> None:
        """Forget what was said on standard error so far."""
        self._flush('stderr')

    def _flush(self, stream: str) -> None:
        for output in self._outputs[stream].values():
            output.clear()

    def _iter_streams(self, stream: str, match_keys: Iterable[Any] | None) -> Iterator[tuple[Gathered, list[Any]]]:
        wanted = _wanted(match_keys)
        return _messages((key, each) for (_, key), each in self._kept(stream).items() if not wanted or key in wanted)

    def _kept(self, stream: str) -> dict[Source, Output]:
        if not self._keeps(stream):
            raise TaskMsgTreeError(f'{stream} is not kept: {stream}_msgtree is off')
        return self._outputs[stream]


def _wanted(match_keys: Iterable[Any] | None) -> set[Any] | None:
    if isinstance(match_keys, str | bytes):
        raise TypeError('match_keys has to be a sequence of keys')
    return None if match_keys is None else set(match_keys)


def _messages(outputs: Iterable[tuple[Any, Output]]) -> Iterator[tuple[Gathered, list[Any]]]:
    return ((Gathered(output), keys) for output, keys in grouped(outputs))
