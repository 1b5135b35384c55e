"""An HTTP server that knows its connections: it breaks off nothing when it is stopped, and lets nobody hold it up."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Iterable
from typing import Any, cast

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream

from iceprod_tasks.rest.wire.connections import Connections
from iceprod_tasks.rest.wire.stream import Stream
from iceprod_tasks.rest.wire.strict_stream import StrictStream

DEFAULT_MAX_CONNECTIONS = 4096

_SETTLE_SECONDS = 0.2
"""What was sent before the listener was closed has arrived by then."""
_LOOK_SECONDS = 0.02
_SWEEP_SECONDS = 1.0


class DrainingServer(HTTPServer):
    """Tornado's server, with a stop in two steps: `stop_listening`, and `finish`.

    It has so many connections at most (`max_connections`), and puts up with none that is too slow.
    """

    def initialize(self, *args: Any, max_connections: int = DEFAULT_MAX_CONNECTIONS, **kwargs: Any) -> None:
        """Stand in for the constructor, as Tornado has it."""
        super().initialize(*args, **kwargs)
        # Idle connections are ended by a sweep over all: a time for each would be set and unset with every request.
        self.conn_params.header_timeout = None
        self._listeners: list[socket.socket] = []
        self._open = Connections(max_connections)
        self._sweep: asyncio.Task[None] | None = None

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Take connections from sockets that listen."""
        self._listeners += sockets
        super().add_sockets(self._listeners)
        self._sweep = asyncio.get_running_loop().create_task(self._end_slow_ones())

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection, on which the longest idle one is closed if there are too many; or refuse it."""
        ours = StrictStream(stream.socket)
        if not self._open.make_room():
            ours.refuse(503, 'too many connections; repeat the same request')
            return
        self._open.await_request(ours)
        super().handle_stream(ours, address)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Wait for a request: on a new connection, or after an answer."""
        stream = cast(Stream, cast(HTTP1ServerConnection, server_conn).stream)
        request = super().start_request(server_conn, request_conn)
        if not stream.closed():
            self._open.await_request(stream)
        return _Watch(request, stream, self._open)

    def on_close(self, server_conn: object) -> None:
        """A connection is closed."""
        self._open.forget(cast(Stream, cast(HTTP1ServerConnection, server_conn).stream))
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
        if len(self._open):
            await asyncio.sleep(min(_SETTLE_SECONDS, timeout_seconds))
        while len(self._open) and time.monotonic() < end:
            for stream in self._open.idle():
                stream.close()
            await asyncio.sleep(_LOOK_SECONDS)
        unanswered = self._open.at_work
        await self.close_all_connections()
        return unanswered

    async def close_all_connections(self) -> None:
        """Close what is open, whatever is under way."""
        await super().close_all_connections()
        if self._sweep is not None:
            self._sweep.cancel()

    async def _end_slow_ones(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for stream in self._open:
                stream.end_if_slow()


class _Watch(HTTPMessageDelegate):
    """Passes a request on, and says what of it is there."""

    def __init__(self, request: HTTPMessageDelegate, stream: Stream, connections: Connections) -> None:
        self._request = request
        self._stream = stream
        self._connections = connections

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        self._connections.receive(self._stream)
        return self._request.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._request.data_received(chunk)

    def finish(self) -> None:
        self._connections.begin_work(self._stream)
        self._request.finish()

    def on_connection_close(self) -> None:
        self._request.on_connection_close()
