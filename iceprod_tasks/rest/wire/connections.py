"""The open connections of a server: those that wait for a request, those that receive one, and those at work on one.

The first two kinds stand in the order in which they came to that.
"""

import itertools
import socket
import time
from collections.abc import Iterator

from tornado.iostream import IOStream

from iceprod_tasks.rest.wire.stream import TOO_SLOW, Stream

_LOOKED_AT = 64
_RECEIVING_SECONDS = 5.0
"""A body that has taken longer than this makes room."""


class Connections:
    """What is open.

    Args:
        most: how many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[Stream, None] = {}
        self._receiving: dict[Stream, float] = {}
        self._at_work: set[Stream] = set()

    def __len__(self) -> int:
        return len(self._waiting) + self.at_work

    def __iter__(self) -> Iterator[Stream]:
        return iter([*self._waiting, *self._receiving, *self._at_work])

    @property
    def at_work(self) -> int:
        """On how many there is a request, whole or not."""
        return len(self._receiving) + len(self._at_work)

    def await_request(self, stream: Stream) -> None:
        """One is new, or its last request is answered."""
        self.forget(stream)
        self._waiting[stream] = None
        stream.await_head()

    def receive(self, stream: Stream) -> None:
        """The head of a request is there."""
        self.forget(stream)
        self._receiving[stream] = time.monotonic()
        stream.receive()

    def begin_work(self, stream: Stream) -> None:
        """All of a request is there."""
        self.forget(stream)
        self._at_work.add(stream)

    def forget(self, stream: Stream) -> None:
        """One is closed."""
        self._waiting.pop(stream, None)
        self._receiving.pop(stream, None)
        self._at_work.discard(stream)

    def idle(self) -> list[Stream]:
        """Those that wait and have sent nothing that is still to be read, the longest first."""
        return [stream for stream in self._waiting if not _has_sent(stream)]

    def make_room(self) -> bool:
        """If one more would be too many, close the one that has been idle for longest, or that receives too slowly.

        Returns:
            Whether there is room for one more.
        """
        return len(self) < self._most or self._close_idle() or self._close_slow()

    def _close_idle(self) -> bool:
        for stream in itertools.islice(self._waiting, _LOOKED_AT):
            if not _has_sent(stream):
                self.forget(stream)
                stream.close()
                return True
        return False

    def _close_slow(self) -> bool:
        stream, since = next(iter(self._receiving.items()), (None, 0.0))
        if stream is None or time.monotonic() - since < _RECEIVING_SECONDS:
            return False
        self.forget(stream)
        stream.refuse(*TOO_SLOW)
        return True


def _has_sent(stream: IOStream) -> bool:
    """Whether a client has sent something that is still to be read."""
    if stream.closed():
        return False
    try:
        return bool(stream.socket.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
