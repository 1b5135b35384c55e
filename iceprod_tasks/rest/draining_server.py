"""An HTTP server that breaks off nothing when it is stopped: it knows on which connections a request is worked on."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream

from iceprod_tasks.rest.stream import Stream

_SETTLE_SECONDS = 0.2
"""What was sent before the listener was closed has arrived by then."""
_LOOK_SECONDS = 0.02


class DrainingServer(HTTPServer):
    """Tornado's server, with a stop in two steps: `stop_listening`, and `finish`."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Stand in for the constructor, as Tornado has it."""
        super().initialize(*args, **kwargs)
        self._listeners: list[socket.socket] = []
        self._at_work: dict[Any, bool] = {}

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Take connections from sockets that listen."""
        self._listeners += sockets
        super().add_sockets(self._listeners)

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection."""
        super().handle_stream(Stream(stream.socket), address)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Wait for a request: on a new connection, or after an answer."""
        self._at_work[server_conn] = False
        request = super().start_request(server_conn, request_conn)
        return _Watch(request, lambda: self._at_work.update({server_conn: True}))

    def on_close(self, server_conn: object) -> None:
        """A connection is closed."""
        self._at_work.pop(server_conn, None)
        super().on_close(server_conn)

    def stop_listening(self) -> None:
        """Take no more connections, but serve those that clients have open already.

        The kernel completes connections before they are accepted, and resets those that are not when the socket closes.
        """
        listeners = [listener.dup() for listener in self._listeners]
        self.stop()
        for listener in listeners:
            try:
                while True:
                    connection, address = listener.accept()
                    self.handle_stream(IOStream(connection), address)
            except BlockingIOError:
                listener.close()

    async def finish(self, timeout_seconds: float) -> int:
        """Close each connection once its request is answered, the idle ones at once.

        Args:
            timeout_seconds: how long the answers may take.

        Returns:
            How many requests were not answered in that time.
        """
        end = time.monotonic() + timeout_seconds
        if self._at_work:
            await asyncio.sleep(min(_SETTLE_SECONDS, timeout_seconds))
        while self._at_work and time.monotonic() < end:
            for connection, at_work in list(self._at_work.items()):
                if not at_work and not _has_sent(connection.stream):
                    connection.stream.close()
            await asyncio.sleep(_LOOK_SECONDS)
        unanswered = sum(self._at_work.values())
        await self.close_all_connections()
        return unanswered


class _Watch(HTTPMessageDelegate):
    """Passes a request on, and says when its headers are there."""

    def __init__(self, request: HTTPMessageDelegate, begun: Callable[[], None]) -> None:
        self._request = request
        self._begun = begun

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._begun()
        return self._request.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._request.data_received(chunk)

    def finish(self) -> None:
        self._request.finish()

    def on_connection_close(self) -> None:
        self._request.on_connection_close()


def _has_sent(stream: IOStream) -> bool:
    """Whether a client has sent something that is still to be read."""
    if stream.closed():
        return False
    try:
        return bool(stream.socket.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
