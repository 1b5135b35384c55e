"""A server asked over a bare socket, byte by byte, without a database."""

import asyncio
from dataclasses import dataclass
from typing import Any, Self

import orjson
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.netutil import bind_sockets

LONGEST_SECONDS = 20


@dataclass(frozen=True)
class Raw:
    """An answer as it came; status 0 when the connection was closed without one."""

    status: int
    headers: HTTPHeaders
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> tuple[int, int]:
        """The status, and the code in the body; they must be the same."""
        assert set(self.json) == {'code', 'error'}, self.body
        return self.status, self.json['code']


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: str | bytes) -> None:
        self.writer.write(data.encode('latin1') if isinstance(data, str) else data)
        await self.writer.drain()

    async def answer(self, *, has_body: bool = True) -> Raw:
        """The next answer."""
        async with asyncio.timeout(LONGEST_SECONDS):
            try:
                head = (await self.reader.readuntil(b'\r\n\r\n')).decode('latin1')
            except asyncio.IncompleteReadError as error:
                assert error.partial == b''
                return Raw(0, HTTPHeaders(), b'')
            line, _, rest = head.partition('\r\n')
            headers = HTTPHeaders.parse(rest)
            length = int(headers.get('Content-Length', 0)) if has_body else 0
            return Raw(int(line.split(' ')[1]), headers, await self.reader.readexactly(length))

    async def is_closed(self, within_seconds: float = LONGEST_SECONDS) -> bool:
        """Whether the other side says nothing more and ends the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), within_seconds) == b''
        except TimeoutError:
            return False

    def close(self) -> None:
        # What was not sent is not waited for.
        self.writer.transport.abort()


class Server:
    """A server on a free port of 127.0.0.1, until the end of the block."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.port = 0
        self._clients: list[Client] = []

    async def __aenter__(self) -> Self:
        sockets = bind_sockets(0, '127.0.0.1')
        self.port = sockets[0].getsockname()[1]
        self.server.add_sockets(sockets)
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self.server.stop()
        await self.server.close_all_connections()

    async def connect(self, sent: str | bytes = b'') -> Client:
        """A new connection, on which something may be sent at once."""
        client = Client(*await asyncio.open_connection('127.0.0.1', self.port))
        self._clients.append(client)
        await client.send(sent)
        return client

    async def ask(self, request: str | bytes) -> Raw:
        """The answer to a request on a connection of its own."""
        client = await self.connect(request)
        return await client.answer(has_body=request[:4] not in ('HEAD', b'HEAD'))
