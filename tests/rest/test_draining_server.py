"""The connections of a server that is stopped: none is reset that has brought, or will bring, a request."""

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from iceprod_tasks.rest.wire import draining_server
from iceprod_tasks.rest.wire.draining_server import DrainingServer


class Slow(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0.5)
        await self.finish('done')


class Endless(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(60)


class Server:
    """A server with a slow and an endless page."""

    def __init__(self) -> None:
        self.server = DrainingServer(Application([('/slow', Slow), ('/endless', Endless)]))
        sockets = bind_sockets(0, '127.0.0.1')
        self.port = sockets[0].getsockname()[1]
        self.server.add_sockets(sockets)

    @property
    def at_work(self) -> list[bool]:
        open_ = self.server._open
        return [False] * (len(open_) - open_.at_work) + [True] * open_.at_work

    async def connect(self, sent: bytes = b'') -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection('127.0.0.1', self.port)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    async def until(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not reached():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)


def request(path: str) -> bytes:
    return f'GET {path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode()


async def test_a_connection_that_the_kernel_has_taken_is_served_although_nobody_has_accepted_it_yet() -> None:
    up = Server()
    client = socket.create_connection(('127.0.0.1', up.port))

    up.server.stop_listening()

    client.sendall(request('/slow'))
    reader, writer = await asyncio.open_connection(sock=client)
    assert await up.server.finish(10) == 0
    assert (await reader.read()).endswith(b'done')
    writer.close()


async def test_after_the_stop_connections_are_refused() -> None:
    up = Server()

    up.server.stop_listening()

    try:
        await up.connect()
    except ConnectionRefusedError:
        return
    raise AssertionError('it still listens')


async def test_a_request_under_way_is_answered_and_then_its_connection_is_closed() -> None:
    up = Server()
    reader, writer = await up.connect(request('/slow'))
    await up.until(lambda: up.at_work == [True])

    up.server.stop_listening()
    broken_off = await up.server.finish(10)

    assert broken_off == 0
    assert (await reader.read()).endswith(b'done')
    writer.close()


async def test_an_idle_connection_is_closed_long_before_the_time_is_over() -> None:
    up = Server()
    reader, writer = await up.connect()
    await up.until(lambda: up.at_work == [False])

    up.server.stop_listening()
    async with asyncio.timeout(10):
        await up.server.finish(60)

    assert await reader.read() == b''
    writer.close()


async def test_a_request_that_has_come_but_is_not_read_yet_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining_server, '_SETTLE_SECONDS', 0)
    up = Server()
    client = socket.create_connection(('127.0.0.1', up.port))
    await up.until(lambda: up.at_work == [False])

    # No turn for the server between the two.
    client.sendall(request('/slow'))
    assert await up.server.finish(10) == 0

    reader, writer = await asyncio.open_connection(sock=client)
    assert (await reader.read()).endswith(b'done')
    writer.close()
    up.server.stop()


async def test_requests_that_take_too_long_are_counted() -> None:
    up = Server()
    _, writer = await up.connect(request('/endless'))
    await up.until(lambda: up.at_work == [True])

    up.server.stop_listening()

    assert await up.server.finish(0.3) == 1
    writer.close()
