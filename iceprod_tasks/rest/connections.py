"""The open connections of a server: those that wait for a request, longest first, and those at work on one."""

import socket
from collections.abc import Iterator

from tornado.iostream import IOStream

from iceprod_tasks.rest.stream import Stream

_LOOKED_AT = 64


class Connections:
    """What is open.

    Args:
        most: how many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[Stream, None] = {}
        self._at_work: set[Stream] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._at_work)

    def __iter__(self) -> Iterator[Stream]:
        return iter([*self._waiting, *self._at_work])

    @property
    def at_work(self) -> int:
        """On how many a request is worked on."""
        return len(self._at_work)

    def await_request(self, stream: Stream) -> None:
        """One is new, or its last request is answered."""
        self.forget(stream)
        self._waiting[stream] = None
        stream.await_head()

    def begin_work(self, stream: Stream) -> None:
        """The head of a request is there."""
        self._waiting.pop(stream, None)
        self._at_work.add(stream)
        stream.begin_work()

    def forget(self, stream: Stream) -> None:
        """One is closed."""
        self._waiting.pop(stream, None)
        self._at_work.discard(stream)

    def idle(self) -> list[Stream]:
        """Those that wait and have sent nothing that is still to be read, the longest first."""
        return [stream for stream in self._waiting if not _has_sent(stream)]

    def make_room(self) -> bool:
        """Close the one that has been idle for longest, if one more would be too many.

        Returns:
            Whether there is room for one more.
        """
        if len(self) < self._most:
            return True
        for stream, _ in zip(self._waiting, range(_LOOKED_AT), strict=False):
            if not _has_sent(stream):
                self.forget(stream)
                stream.close()
                return True
        return False


def _has_sent(stream: IOStream) -> bool:
    """Whether a client has sent something that is still to be read."""
    if stream.closed():
        return False
    try:
        return bool(stream.socket.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
