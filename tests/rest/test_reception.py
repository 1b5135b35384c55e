"""Bodies as they arrive: what is too long, or long and from nobody, is answered before it is read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from iceprod_tasks.actions.service import Service
from iceprod_tasks.rest import body_room, reception
from iceprod_tasks.rest.body_room import BodyRoom
from iceprod_tasks.rest.handler import Handler, NotFoundHandler
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.rest.lanes import Lanes
from iceprod_tasks.rest.rates import Rates
from iceprod_tasks.rest.reception import Reception
from iceprod_tasks.rest.routing import ANYBODY, PILOTS, Route, specs
from iceprod_tasks.rest.wire.draining_server import DrainingServer
from tests.conftest import SECRET
from tests.rest.wire import Client, Server
from tests.routes import rules

TOKENS = Tokens(SECRET)
TOKEN = f'Authorization: Bearer {TOKENS.mint("p", ["pilot"], [], 3600)}\r\n'
KNOWN = f'{TOKEN}Content-Type: application/json\r\n'
FREE = body_room.FREE_BYTES
LIMIT, BULK_LIMIT = 2 * FREE, 4 * FREE


class Echo(Handler):
    """Says how long the body is, and how many such requests there are at once."""

    under_way = 0
    most = 0
    go_on = asyncio.Event()

    async def post(self) -> None:
        Echo.under_way += 1
        Echo.most = max(Echo.most, Echo.under_way)
        await Echo.go_on.wait()
        Echo.under_way -= 1
        self.answer({'bytes': len(self.request.body)})


@pytest.fixture
async def room() -> BodyRoom:
    return BodyRoom(6 * FREE)


@pytest.fixture
async def server(room: BodyRoom) -> AsyncIterator[Server]:
    """Routes that take a body, with and without a token, and no database."""
    nothing: Any = None
    service = Service(nothing, nothing)
    identities = Identities(TOKENS, service)
    cfg: dict[str, Any] = {'service': service, 'identities': identities, 'lanes': Lanes(), 'rates': Rates(0)}
    Echo.go_on = asyncio.Event()
    Echo.go_on.set()
    Echo.under_way = Echo.most = 0
    routes = specs(
        [Route('/plain', Echo, {'post': PILOTS}), Route('/bulk', Echo, {'post': PILOTS}, bulk=True),
         Route('/open', Echo, {'post': ANYBODY})],
        cfg,
    )  # fmt: skip
    application = Reception(
        routes, default_handler_class=NotFoundHandler, default_handler_args=cfg, log_function=lambda handler: None,
        body_limits_bytes=(LIMIT, BULK_LIMIT), body_room=room,
    )  # fmt: skip
    async with Server(DrainingServer(application)) as up:
        yield up


def announced(length: int | str, path: str = '/plain', headers: str = KNOWN, method: str = 'POST') -> str:
    return f'{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n'


def chunked(path: str = '/plain', headers: str = KNOWN) -> str:
    return f'POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n'


def chunk(length: int) -> str:
    return f'{length:x}\r\n{"x" * length}\r\n'


@pytest.mark.parametrize(('path', 'limit'), [('/plain', LIMIT), ('/bulk', BULK_LIMIT), ('/open', FREE)])
async def test_a_body_up_to_the_limit_of_its_route_is_taken(server: Server, path: str, limit: int) -> None:
    answer = await server.ask(announced(limit, path) + 'x' * limit)
    in_chunks = await server.ask(chunked(path) + chunk(limit - 5) + chunk(5) + '0\r\n\r\n')

    assert answer.json == in_chunks.json == {'bytes': limit}


@pytest.mark.parametrize(('path', 'limit'), [('/plain', LIMIT), ('/bulk', BULK_LIMIT), ('/open', FREE)])
async def test_a_longer_one_is_413_before_a_byte_of_it_is_sent(server: Server, path: str, limit: int) -> None:
    client = await server.connect(announced(limit + 1, path))

    answer = await client.answer()
    assert answer.error == (413, 413)
    assert str(limit) in answer.json['error']
    assert answer.headers['Connection'] == 'close'
    assert answer.headers['X-Content-Type-Options'] == 'nosniff'
    assert await client.is_closed()


@pytest.mark.parametrize('length', ['9' * 18, '9' * 19, '9' * 4000])
async def test_a_length_beyond_all_measure_is_413(server: Server, length: str) -> None:
    assert (await server.ask(announced(length))).error == (413, 413)


@pytest.mark.parametrize(('path', 'limit'), [('/plain', LIMIT), ('/bulk', BULK_LIMIT), ('/open', FREE)])
async def test_chunks_that_become_too_long_are_413(server: Server, path: str, limit: int) -> None:
    client = await server.connect(chunked(path) + chunk(limit) + chunk(1))

    assert (await client.answer()).error == (413, 413)
    assert await client.is_closed()


async def test_a_chunk_that_announces_too_much_is_413_once_so_much_has_come(server: Server) -> None:
    client = await server.connect(chunked() + f'{"f" * 15}\r\n' + 'x' * (LIMIT + FREE))

    assert (await client.answer()).error == (413, 413)


async def test_who_sends_on_without_a_look_at_the_answer_gets_it_all_the_same(server: Server) -> None:
    client = await server.connect(announced(100 * LIMIT))
    for _ in range(100):
        await client.send(b'x' * LIMIT)

    assert (await client.answer()).error == (413, 413)


@pytest.mark.parametrize('headers', ['', 'Authorization: Bearer x.y.z\r\n', 'Authorization: Basic eA==\r\n'])
async def test_a_long_body_without_a_valid_token_is_401_before_it_is_read(server: Server, headers: str) -> None:
    client = await server.connect(announced(FREE + 1, headers=headers))
    in_chunks = await server.connect(chunked(headers=headers) + chunk(FREE) + chunk(1))

    for each in (client, in_chunks):
        answer = await each.answer()
        assert answer.error == (401, 401)
        assert answer.headers['WWW-Authenticate'] == 'Bearer'
        assert await each.is_closed()


@pytest.mark.parametrize(
    ('method', 'path', 'status'),
    [('POST', '/nope', 404), ('BREW', '/nope', 404), ('PUT', '/plain', 405), ('BREW', '/bulk', 405),
     ('GET', '/open', 405)],
)  # fmt: skip
async def test_a_long_body_for_nothing_is_not_read(server: Server, method: str, path: str, status: int) -> None:
    client = await server.connect(announced(FREE + 1, path, method=method))

    answer = await client.answer()
    assert answer.error == (status, status)
    assert answer.headers['Connection'] == 'close'


async def test_nothing_is_asked_for_that_will_not_be_read(server: Server) -> None:
    refused = await server.connect(announced(LIMIT + 1, headers=KNOWN + 'Expect: 100-continue\r\n'))
    taken = await server.connect(announced(LIMIT, headers=KNOWN + 'Expect: 100-continue\r\n'))

    assert (await refused.answer()).status == 413
    assert (await taken.answer()).status == 100


async def sending(server: Server, how_many: int) -> list[Client]:
    """Connections that have sent all of a long body but its last byte."""
    return [await server.connect(announced(LIMIT) + 'x' * (LIMIT - 1)) for _ in range(how_many)]


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.01)


async def test_what_does_not_fit_beside_the_others_is_503_with_a_time_to_retry(server: Server, room: BodyRoom) -> None:
    clients = await sending(server, 3)
    await until(lambda: room._left_bytes == 3)

    late = await server.ask(announced(LIMIT) + 'x' * LIMIT)
    in_chunks = await server.ask(chunked() + chunk(FREE) + chunk(1))
    short = await server.ask(announced(5) + 'short')

    assert late.error == in_chunks.error == (503, 503)
    assert int(late.headers['Retry-After']) > 0
    assert short.json == {'bytes': 5}
    for client in clients:
        await client.send(b'x')
        assert (await client.answer()).json == {'bytes': LIMIT}


async def test_what_is_only_announced_takes_no_room(server: Server, room: BodyRoom) -> None:
    for _ in range(10):
        await server.connect(announced(LIMIT))

    answer = await server.ask(announced(LIMIT) + 'x' * LIMIT)

    assert answer.json == {'bytes': LIMIT}
    assert room._left_bytes == 6 * FREE


async def test_the_room_of_a_body_is_free_again_when_its_request_is_answered(server: Server, room: BodyRoom) -> None:
    Echo.go_on.clear()
    clients = await sending(server, 3)
    for client in clients:
        await client.send(b'x')
    await until(lambda: Echo.under_way == 3)
    assert room._left_bytes == 0

    Echo.go_on.set()
    for client in clients:
        await client.answer()

    assert room._left_bytes == 6 * FREE


async def test_so_it_is_when_its_sender_goes_away_or_is_refused(server: Server, room: BodyRoom) -> None:
    clients = await sending(server, 3)
    await until(lambda: room._left_bytes == 3)
    for client in clients:
        client.close()
    await until(lambda: room._left_bytes == 6 * FREE)

    await server.ask(chunked() + chunk(LIMIT) + chunk(1))

    await until(lambda: room._left_bytes == 6 * FREE)


async def test_a_body_that_comes_too_slowly_ends_its_connection(
    server: Server, room: BodyRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, '_SHORTEST_TIME_SECONDS', 0.1)
    monkeypatch.setattr(reception, '_SLOWEST_BYTES_A_SECOND', FREE * 100)

    for client in (await server.connect(announced(LIMIT) + 'x'), await server.connect(chunked() + '5\r\nab')):
        assert await client.is_closed()
    await until(lambda: room._left_bytes == 6 * FREE)


async def test_a_form_is_not_taken_apart(server: Server) -> None:
    form = 'Content-Type: application/x-www-form-urlencoded\r\n'
    answer = await server.ask(announced(LIMIT, headers=TOKEN + form) + 'a&' * (LIMIT // 2))

    assert answer.status == 415


def test_long_bodies_are_for_the_routes_that_bring_much() -> None:
    bulk = {rule.target.__name__ for rule in rules() if rule.target_kwargs['bulk']}

    assert bulk == {
        'MultiDatasetsHandler', 'ConfigHandler', 'MultiLogsHandler', 'DatasetMultiLogsHandler', 'MultiTaskStatsHandler',
        'TaskBulkStatusHandler', 'DatasetTaskBulkStatusHandler', 'DatasetJobBulkStatusHandler',
        'DatasetTaskActionsHandler', 'DatasetJobActionsHandler', 'TasksActionsReportHandler',
        'TasksActionsNodesHandler', 'OperationsHandler', 'ValidateHandler', 'SimulationHandler',
    }  # fmt: skip
