"""The largest body: a request that announces a longer one is answered 413 before it has sent it.

Tornado would break the connection, with a bare 400.
"""

import asyncio
from collections.abc import Awaitable

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError

from iceprod_tasks.domain.errors import TooLarge
from iceprod_tasks.rest import bodies

_LINGER_SECONDS = 2.0
_READ_BYTES = 64 * 1024


class BodyLimit(HTTPServerConnectionDelegate):
    """Stands before an application and lets through what is not too long.

    Args:
        application: what answers all other requests.
        limit_bytes: the largest body.
    """

    def __init__(self, application: HTTPServerConnectionDelegate, limit_bytes: int) -> None:
        self._application = application
        self._limit_bytes = limit_bytes

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Begin a request."""
        return _Gate(self._application.start_request(server_conn, request_conn), request_conn, self._limit_bytes)

    def on_close(self, server_conn: object) -> None:
        """A connection is closed."""
        self._application.on_close(server_conn)


class _Gate(HTTPMessageDelegate):
    """Passes a request on, unless its headers announce too long a body."""

    def __init__(self, request: HTTPMessageDelegate, connection: HTTPConnection, limit_bytes: int) -> None:
        self._request = request
        self._connection = connection
        self._limit_bytes = limit_bytes

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        length = headers.get('Content-Length', '')
        if length.isdecimal() and int(length) > self._limit_bytes:
            # A detached connection gets no more of Tornado's attention.
            return _refuse(self._connection.detach(), self._limit_bytes)  # type: ignore[attr-defined]
        return self._request.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._request.data_received(chunk)

    def finish(self) -> None:
        self._request.finish()

    def on_connection_close(self) -> None:
        self._request.on_connection_close()


async def _refuse(stream: IOStream, limit_bytes: int) -> None:
    """Answer 413, and close once the client has had a chance to read it."""
    text = f'{TooLarge()}: a body has at most {limit_bytes} bytes'
    answer = bodies.render({'code': 413, 'error': text})
    head = (
        'HTTP/1.1 413 Request Entity Too Large\r\n'
        'Content-Type: application/json; charset=utf-8\r\n'
        'Server: iceprod_tasks\r\n'
        'Cache-Control: no-store\r\n'
        'Connection: close\r\n'
        f'Content-Length: {len(answer)}\r\n\r\n'
    )
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            await stream.write(head.encode() + answer)
            # Closed with unread data in it, the connection would be reset, and the answer might be lost.
            while True:
                await stream.read_bytes(_READ_BYTES, partial=True)
    except (StreamClosedError, TimeoutError):
        pass
    finally:
        stream.close()
