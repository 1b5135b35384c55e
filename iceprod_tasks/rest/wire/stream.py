"""The stream of a connection: what is between Tornado and the socket. It knows what has moved, and closes gently."""

import contextlib
import fcntl
import socket
import sys
import termios
import time
from typing import Any

from tornado.iostream import IOStream

from iceprod_tasks.rest.wire.lingering import linger
from iceprod_tasks.rest.wire.plain_answers import refusal

TOO_SLOW = 408, 'the request took too long to arrive'

_HEAD_SECONDS = 20.0
"""How long the head of a request may take, from its first byte on."""
_IDLE_SECONDS = 600.0
"""How long a connection may rest between two requests."""
_TAKING_SECONDS = 60.0
_LEAST_BYTES = 64 * 1024
"""So much of an answer must be taken in that time, or the rest of it."""


class Stream(IOStream):
    """Tornado's stream, with times."""

    lingers = False
    """Whether the other side may still be sending when it is closed."""

    _waits = True
    _waits_since = 0.0
    _head_since = 0.0
    _owes_since = 0.0
    _sent_bytes = 0
    _taken_bytes = 0
    """What the other side had taken when it was last found to take enough."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        super().set_nodelay(True)

    def set_nodelay(self, value: bool) -> None:  # noqa: FBT001 - Tornado's
        """Leave it as it is: answers are written in large pieces, and none has to wait for the next.

        Tornado switches it on and off for each answer, which are two calls of the system.
        """

    def await_head(self) -> None:
        """From now on the next request is waited for."""
        self._waits = True
        self._waits_since = time.monotonic()
        # Part of the next request may have come with the last one.
        self._head_since = self._waits_since if self._read_buffer_size else 0.0

    def receive(self) -> None:
        """The head of a request is there."""
        self._waits = False

    def end_if_slow(self) -> None:
        """Close it when the other side sends the head of a request, or takes an answer, too slowly, or is gone."""
        now = time.monotonic()
        if self.closed():
            return
        if self.writing():
            self._end_if_not_taken(now)
            return
        self._owes_since = 0.0
        if self._waits and self._head_since and now - self._head_since > _HEAD_SECONDS:
            self.refuse(*TOO_SLOW)
        elif self._waits and now - self._waits_since > _IDLE_SECONDS:
            self.close()

    def _end_if_not_taken(self, now: float) -> None:
        # The kernel takes megabytes at once, and then nothing until a good part of it has gone.
        taken_bytes = self._sent_bytes - _unsent_bytes(self.socket)
        if not self._owes_since or taken_bytes - self._taken_bytes >= _LEAST_BYTES:
            self._owes_since = now
            self._taken_bytes = taken_bytes
        elif now - self._owes_since > _TAKING_SECONDS:
            self.close()

    def refuse(self, status: int, error: str) -> None:
        """Say why, and close it."""
        if not self.closed():
            self.lingers = True
            self.write(refusal(status, error))
            self.close()

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read what has come."""
        size_bytes = super().read_from_fd(buf)
        if size_bytes and not self._head_since:
            self._head_since = time.monotonic()
        return size_bytes

    def write_to_fd(self, data: memoryview) -> int:
        """Send what the socket takes."""
        size_bytes = super().write_to_fd(data)
        self._sent_bytes += size_bytes
        return size_bytes

    def close(self, exc_info: Any = False) -> None:  # noqa: FBT002 - Tornado's
        """Close it, and let the other side read what it was told."""
        if self.lingers and not self.closed():
            # The connection lives on while one descriptor of it is open.
            with contextlib.suppress(OSError):
                linger(self.socket.dup())
        super().close(exc_info)


def _unsent_bytes(connection: socket.socket) -> int:
    """What the kernel has of ours that the other side has not taken."""
    try:
        return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0
