"""What stands above every answer, whatever it says: how it may be used, and which request it answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from tornado.httpserver import HTTPServer

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.rest.application import make_application
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.settings import Settings
from tests.conftest import SECRET, Api
from tests.rest.wire import Server

SAFE = {
    'Content-Type': 'application/json; charset=utf-8', 'Server': 'iceprod_tasks', 'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
}  # fmt: skip
LISTED = 'https://monitor.example.org'
NOTHING: Any = None
NOBODY = Service(NOTHING, NOTHING)


@pytest.mark.parametrize(
    ('method', 'path', 'status'),
    [('GET', '/task_counts/status', 200), ('GET', '/nope', 404), ('POST', '/healthz', 405), ('BREW', '/healthz', 405),
     ('POST', '/tasks', 400), ('GET', '/tasks/nobody', 404)],
)  # fmt: skip
async def test_every_answer_is_json_that_nobody_may_take_for_anything_else(
    api: Api, method: str, path: str, status: int
) -> None:
    answer = await api(method, path)

    assert answer.status == status
    assert {name: answer.headers[name] for name in SAFE} == SAFE
    assert 'Access-Control-Allow-Origin' not in answer.headers


@pytest.mark.parametrize('given', ['a', 'A.b_c-9', 'x' * 64])
async def test_the_id_of_a_request_comes_back(api: Api, given: str) -> None:
    for path in ('/healthz', '/nope'):
        answer = await api('GET', path, headers={'X-Request-ID': given})

        assert answer.headers['X-Request-ID'] == given


@pytest.mark.parametrize('given', ['', 'x' * 65, 'a b', 'a/b', 'a,b', 'ä', '"'])
async def test_an_id_that_could_not_stand_in_a_log_is_replaced(api: Api, given: str) -> None:
    answer = await api('GET', '/healthz', headers={'X-Request-ID': given.encode()})

    assert len(answer.headers['X-Request-ID']) == 32
    assert answer.headers['X-Request-ID'].isalnum()


async def test_the_date_is_that_of_the_answer(api: Api) -> None:
    for _ in range(2):
        date = parsedate_to_datetime((await api('GET', '/healthz')).headers['Date'])
        assert abs((datetime.now(UTC) - date).total_seconds()) < 1.5
        await asyncio.sleep(2)


async def test_two_requests_without_an_id_get_two(api: Api) -> None:
    first, second = [(await api('GET', '/healthz')).headers['X-Request-ID'] for _ in range(2)]

    assert first != second


async def test_a_request_with_a_key_keeps_its_id(api: Api) -> None:
    answer = await api('POST', '/grids', {'host': 'a', 'queues': {}, 'version': '1'},
                       headers={'Idempotency-Key': 'k', 'X-Request-ID': 'mine'})  # fmt: skip

    assert answer.status < 300
    assert answer.headers['X-Request-ID'] == 'mine'


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """All routes, without a database, that pages of one origin may use."""
    application = make_application(NOBODY, Identities(Tokens(SECRET), NOBODY), cors_origins=(LISTED,))
    async with Server(HTTPServer(application)) as up:
        yield up


@pytest.fixture
async def plain() -> AsyncIterator[Server]:
    """All routes, without a database."""
    async with Server(HTTPServer(make_application(NOBODY, Identities(Tokens(SECRET), NOBODY)))) as up:
        yield up


@pytest.mark.parametrize(
    ('path', 'methods'),
    [('/healthz', 'GET'), ('/tasks', 'GET, POST'), ('/pilots/p', 'DELETE, GET, PATCH'), ('/auths', 'POST')],
)
@pytest.mark.parametrize('method', ['PUT', 'OPTIONS', 'TRACE', 'HEAD', 'BREW', 'get'])
async def test_a_method_that_is_not_there_is_told_which_are(
    plain: Server, method: str, path: str, methods: str
) -> None:
    answer = await plain.ask(f'{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n')

    assert answer.status == 405
    assert answer.headers['Allow'] == methods


@pytest.mark.parametrize('method', ['GET', 'OPTIONS', 'BREW', 'TRACE'])
async def test_a_path_that_is_not_there_is_404_whatever_the_method(plain: Server, method: str) -> None:
    answer = await plain.ask(f'{method} /nope HTTP/1.1\r\nHost: x\r\n\r\n')

    assert answer.json == {'code': 404, 'error': 'Not found'}
    assert 'Allow' not in answer.headers


def preflight(origin: str, path: str = '/tasks') -> str:
    asked = 'Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n'
    return f'OPTIONS {path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n{asked}\r\n'


async def test_a_page_of_a_listed_origin_may_read_the_answer(server: Server) -> None:
    for path, status in (('/healthz', 200), ('/tasks', 401), ('/nope', 404)):
        answer = await server.ask(f'GET {path} HTTP/1.1\r\nHost: x\r\nOrigin: {LISTED}\r\n\r\n')

        assert answer.status == status
        assert answer.headers['Access-Control-Allow-Origin'] == LISTED
        assert 'X-Request-ID' in answer.headers['Access-Control-Expose-Headers']
        assert 'Access-Control-Allow-Credentials' not in answer.headers


async def test_a_page_of_a_listed_origin_is_told_what_it_may_send(server: Server) -> None:
    answer = await server.ask(preflight(LISTED))

    assert (answer.status, answer.body) == (204, b'')
    assert answer.headers['Access-Control-Allow-Methods'] == 'GET, POST'
    assert 'Authorization' in answer.headers['Access-Control-Allow-Headers']
    assert answer.headers['Vary'] == 'Origin'


@pytest.mark.parametrize('origin', ['https://evil.example.org', 'null', f'{LISTED}.evil', LISTED.upper(), ''])
async def test_other_origins_get_nothing(server: Server, origin: str) -> None:
    answer = await server.ask(preflight(origin))

    assert answer.status == 405
    assert [name for name in answer.headers if name.startswith('Access-Control')] == []
    assert answer.headers['Vary'] == 'Origin'


@pytest.mark.parametrize('origin', ['*', 'null', 'monitor', 'https://a/', 'https://a b', 'ftp://a', 'https://a, b', ''])
def test_what_is_no_origin_is_not_listed(origin: str) -> None:
    with pytest.raises(CannotStart, match='an origin is like'):
        Settings().override(cors_origins=(origin,))


def test_origins_are_listed_as_browsers_write_them() -> None:
    for origin in (LISTED, 'http://localhost:8080', 'http://[::1]:80', 'http://127.0.0.1'):
        assert Settings().override(cors_origins=(origin,)).cors_origins == (origin,)
