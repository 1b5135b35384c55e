"""Who sends or reads too slowly, or opens too many connections, holds up nobody else."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

import pytest
from tornado.web import Application, RequestHandler

from iceprod_tasks.rest.wire import connections, descriptors, draining_server, stream
from iceprod_tasks.rest.wire.draining_server import DrainingServer
from tests.rest.wire import Client, Server

REQUEST = 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n'
MUCH = 64 * 1024 * 1024


class Slow(RequestHandler):
    """Answers when it is let."""

    go_on = asyncio.Event()

    async def get(self) -> None:
        await Slow.go_on.wait()
        await self.finish('done')


class Much(RequestHandler):
    """Answers with more than a socket holds, and knows how that ended."""

    ends: ClassVar[list[str]] = []

    async def get(self) -> None:
        try:
            for _ in range(MUCH // 2**20):
                self.write(b'x' * 2**20)
                await self.flush()
            Much.ends.append('sent')
        except Exception as error:
            Much.ends.append(type(error).__name__)


class Whole(RequestHandler):
    """Answers with as much at once."""

    async def get(self) -> None:
        await self.finish(b'x' * MUCH)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A server for three connections that looks at them often."""
    monkeypatch.setattr(draining_server, '_SWEEP_SECONDS', 0.05)
    Slow.go_on = asyncio.Event()
    Slow.go_on.set()
    Much.ends = []
    async with Server(
        DrainingServer(Application([('/slow', Slow), ('/much', Much), ('/whole', Whole)]), max_connections=3)
    ) as up:
        yield up


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize('sent', ['G', 'GET /slow HTTP/1.1\r\nHost: x', 'GET /slow HTTP/1.1\r\nHost: x\r\n', '\r\n'])
async def test_a_head_that_does_not_come_to_its_end_is_408(
    server: Server, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setattr(stream, '_HEAD_SECONDS', 0.2)
    client = await server.connect(sent)

    assert (await client.answer()).error == (408, 408)
    assert await client.is_closed()


async def test_a_head_that_comes_byte_by_byte_wins_no_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, '_HEAD_SECONDS', 0.3)
    client = await server.connect()

    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            for byte in REQUEST.replace('Host: x', 'Host: ' + 'x' * 10_000):
                await client.send(byte)
                await asyncio.sleep(0.02)


async def test_half_a_head_that_came_with_the_request_before_it_is_408(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, '_HEAD_SECONDS', 0.2)
    client = await server.connect(REQUEST + REQUEST[:-2])

    assert (await client.answer()).body == b'done'
    assert (await client.answer()).error == (408, 408)


async def test_a_connection_may_rest_before_and_between_requests(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, '_HEAD_SECONDS', 0.1)
    client = await server.connect()

    for _ in range(2):
        await asyncio.sleep(0.4)
        await client.send(REQUEST)
        assert (await client.answer()).body == b'done'


async def test_no_answer_waits_for_more_to_send(server: Server) -> None:
    with socket.create_connection(('127.0.0.1', server.port)) as connection:
        ours = stream.Stream(connection)
        ours.set_nodelay(False)

        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        ours.close()


async def test_a_connection_that_rests_for_too_long_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, '_IDLE_SECONDS', 0.3)
    client = await server.connect(REQUEST)
    assert (await client.answer()).body == b'done'

    assert await client.is_closed()


async def test_an_answer_that_takes_long_is_no_slow_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, '_HEAD_SECONDS', 0.1)
    monkeypatch.setattr(stream, '_TAKING_SECONDS', 0.1)
    Slow.go_on.clear()
    client = await server.connect(REQUEST)

    await asyncio.sleep(0.4)
    Slow.go_on.set()

    assert (await client.answer()).body == b'done'


async def connect_with_little_room(server: Server, path: str) -> socket.socket:
    """A connection that takes little before it is read."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.setblocking(False)
    await asyncio.get_running_loop().sock_connect(reader, ('127.0.0.1', server.port))
    reader.send(f'GET {path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
    return reader


async def test_an_answer_that_nobody_takes_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, '_TAKING_SECONDS', 0.3)

    with await connect_with_little_room(server, '/much'):
        await until(lambda: Much.ends == ['StreamClosedError'])
        await until(lambda: len(server.server._open) == 0)  # type: ignore[attr-defined]


async def test_an_answer_that_is_taken_bit_by_bit_does_not(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, '_TAKING_SECONDS', 0.6)
    loop = asyncio.get_running_loop()

    with await connect_with_little_room(server, '/whole') as reader:
        end = loop.time() + 2
        while loop.time() < end:
            await asyncio.sleep(0.005)
            await loop.sock_recv(reader, 2**18)

        assert len(server.server._open) == 1  # type: ignore[attr-defined]


async def at_work(server: Server, how_many: int) -> list[Client]:
    """Connections on which a request is worked on."""
    Slow.go_on.clear()
    clients = [await server.connect(REQUEST) for _ in range(how_many)]
    await until(lambda: server.server._open.at_work == how_many)  # type: ignore[attr-defined]
    return clients


async def test_the_longest_idle_connection_makes_room_for_one_more(server: Server) -> None:
    first, second, third = [await server.connect() for _ in range(3)]
    await first.send(REQUEST)
    await first.answer()

    fourth = await server.connect(REQUEST)

    assert (await fourth.answer()).body == b'done'
    assert await second.is_closed()
    for client in (first, third):
        await client.send(REQUEST)
        assert (await client.answer()).body == b'done'


async def test_one_at_work_makes_no_room(server: Server) -> None:
    busy = await at_work(server, 2)
    idle = await server.connect()

    late = await server.connect(REQUEST)

    assert await idle.is_closed()
    Slow.go_on.set()
    for client in (*busy, late):
        assert (await client.answer()).body == b'done'


async def test_when_all_are_at_work_one_more_is_503_with_a_time_to_retry(server: Server) -> None:
    busy = await at_work(server, 3)

    late = await server.connect(REQUEST)

    answer = await late.answer()
    assert answer.error == (503, 503)
    assert int(answer.headers['Retry-After']) > 0
    assert answer.headers['X-Content-Type-Options'] == 'nosniff'
    assert await late.is_closed()
    Slow.go_on.set()
    for client in busy:
        assert (await client.answer()).body == b'done'


async def test_a_body_that_is_slow_to_come_makes_room(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = await at_work(server, 2)
    slow = await server.connect('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx')
    await until(lambda: server.server._open.at_work == 3)  # type: ignore[attr-defined]

    too_soon = await server.ask(REQUEST)
    monkeypatch.setattr(connections, '_RECEIVING_SECONDS', 0)
    late = await server.connect(REQUEST)

    assert too_soon.status == 503
    assert (await slow.answer()).error == (408, 408)
    Slow.go_on.set()
    for client in (*busy, late):
        assert (await client.answer()).body == b'done'


async def test_what_a_connection_has_asked_for_that_is_gone_is_not_done(server: Server) -> None:
    reader = await connect_with_little_room(server, '/much')
    reader.send(b'GET /much HTTP/1.1\r\nHost: x\r\n\r\n' * 20)
    await asyncio.sleep(0.2)

    reader.close()
    await until(lambda: len(server.server._open) == 0)  # type: ignore[attr-defined]
    await asyncio.sleep(0.2)

    assert Much.ends == ['StreamClosedError']


async def test_many_connections_at_once_never_become_too_many(server: Server) -> None:
    clients = await asyncio.gather(*(server.connect() for _ in range(200)))
    await asyncio.sleep(0.2)

    open_ = server.server._open  # type: ignore[attr-defined]
    assert len(open_) == 3
    assert [await client.is_closed(0.05) for client in clients].count(False) == 3
    assert (await server.ask(REQUEST)).body == b'done'


@pytest.mark.parametrize(
    ('limits', 'wanted', 'possible', 'set_to'),
    [((1024, 20000), 4096, 4096, 4696), ((1024, 4096), 4096, 3496, 4096), ((1024, 1024), 4096, 424, 1024),
     ((8192, 8192), 4096, 4096, None), ((256, 256), 4096, 1, 256), ((1024, -1), 4096, 4096, 4696),
     ((-1, -1), 4096, 4096, None)],
)  # fmt: skip
def test_the_limit_on_open_files_is_raised_as_far_as_needed(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int, possible: int, set_to: int | None
) -> None:
    changed: list[int] = []
    monkeypatch.setattr(resource, 'getrlimit', lambda which: limits)
    monkeypatch.setattr(resource, 'setrlimit', lambda which, pair: changed.append(pair[0]))

    assert descriptors.allow_connections(wanted) == possible
    assert changed == ([] if set_to is None else [set_to])
