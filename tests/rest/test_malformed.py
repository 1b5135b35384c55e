"""What is no proper request is answered like every error, and nothing after it is taken for a request."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from iceprod_tasks.rest.answer_headers import ALL, REQUEST_ID
from iceprod_tasks.rest.application import make_application
from iceprod_tasks.rest.wire.draining_server import DrainingServer
from iceprod_tasks.rest.wire.heads import LONGEST_BYTES
from tests.rest.wire import Server

NOTHING: Any = None
HOST = 'Host: x\r\n'
PROPER = f'GET /healthz HTTP/1.1\r\n{HOST}\r\n'
CHUNKS = f'POST /nope HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n'

REFUSED = {
    'two lengths': (400, f'POST /nope HTTP/1.1\r\n{HOST}Content-Length: 0\r\nContent-Length: 5\r\n\r\n'),
    'length and chunks': (400, f'POST /nope HTTP/1.1\r\n{HOST}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n'),
    'another coding': (400, f'POST /nope HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n'),
    'lines without CR': (400, 'GET /healthz HTTP/1.1\nHost: x\n\n'),
    'a folded header': (400, f'GET /healthz HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n'),
    'a space before the colon': (400, 'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n'),
    'NUL in a header': (400, f'GET /healthz HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n'),
    'no host': (400, 'GET /healthz HTTP/1.1\r\n\r\n'),
    'a URL for a path': (400, f'GET http://evil/healthz HTTP/1.1\r\n{HOST}\r\n'),
    'HTTP/0.9': (400, 'GET /healthz\r\n\r\n'),
    'the preface of HTTP/2': (505, 'PRI * HTTP/2.0\r\n\r\n'),
    'a path that is too long': (414, f'GET /{"x" * 17_000} HTTP/1.1\r\n{HOST}\r\n'),
    'too many headers': (431, f'GET /healthz HTTP/1.1\r\n{HOST}' + 'a: b\r\n' * 100 + '\r\n'),
    'a head that is too long': (431, f'GET /healthz HTTP/1.1\r\n{HOST}X: {"x" * LONGEST_BYTES}\r\n\r\n'),
    'a head without an end': (431, 'x' * 2 * LONGEST_BYTES),
    'too many arguments': (400, f'GET /healthz?{"a&" * 2000} HTTP/1.1\r\n{HOST}\r\n'),
    'a chunk of no size': (400, CHUNKS + 'zz\r\n'),
    'a chunk with an extension': (400, CHUNKS + '1;a=b\r\nx\r\n0\r\n\r\n'),
    'a chunk that goes on': (400, CHUNKS + '1\r\nxyz'),
    'a size without an end': (400, CHUNKS + '0' * 200),
    'a trailer': (400, CHUNKS + '0\r\nX: y\r\n\r\n'),
    'lines of chunks without CR': (400, CHUNKS + '1\nx\n0\n\n' + ' ' * 100),
}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The application without a database."""
    async with Server(DrainingServer(make_application(NOTHING, NOTHING))) as up:
        yield up


@pytest.mark.parametrize('what', REFUSED)
async def test_it_is_refused_in_json_with_all_headers(server: Server, what: str) -> None:
    status, sent = REFUSED[what]

    answer = await server.ask(sent)

    assert answer.error == (status, status)
    assert {name: answer.headers[name] for name in ALL} == ALL
    assert answer.headers[REQUEST_ID]
    assert answer.headers['Connection'] == 'close'


@pytest.mark.parametrize('what', REFUSED)
async def test_a_request_that_hides_behind_it_is_not_answered(server: Server, what: str) -> None:
    client = await server.connect(REFUSED[what][1] + '\r\n\r\n' + PROPER)

    await client.answer()

    assert await client.is_closed()


async def test_who_sends_on_without_a_look_reads_the_refusal_all_the_same(server: Server) -> None:
    client = await server.connect(REFUSED['two lengths'][1])
    for _ in range(50):
        await client.send(b'x' * 10_000)
        await asyncio.sleep(0)

    assert (await client.answer()).status == 400


async def test_nothing_of_it_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await server.ask(f'GET /healthz HTTP/1.1\r\n{HOST}Authorization: Bearer secret\0\r\n\r\n')

    assert 'secret' not in caplog.text


@pytest.mark.parametrize(
    'path',
    ['/healthz/', '//healthz', '/healthz%2f', '/healthz%00', '/healthz;x', '/healthz#x', '/%68ealthz', '/x/../healthz',
     '/tasks/%2e%2e', '/tasks/%252e%252e', '/tasks/a%2fb', '/tasks/%c0%af', '/tasks/%00', '/../../etc/passwd'],
)  # fmt: skip
async def test_a_path_is_a_route_as_it_is_written_or_none(server: Server, path: str) -> None:
    answer = await server.ask(f'GET {path} HTTP/1.1\r\n{HOST}\r\n')

    assert answer.error == (404, 404)


@pytest.mark.parametrize(
    'header',
    ['Cookie: =;;; "\\', 'Cookie: ' + 'a=b;' * 3000, 'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings',
     'TE: trailers', 'Expect: nothing', 'Range: bytes=0-0', 'X-HTTP-Method-Override: DELETE', 'X-Forwarded-For: \xff',
     'Accept: text/html', 'Accept-Encoding: gzip, br', 'Connection: close, keep-alive'],
)  # fmt: skip
async def test_headers_that_we_do_not_read_change_nothing(server: Server, header: str) -> None:
    answer = await server.ask(f'GET /healthz HTTP/1.1\r\n{HOST}{header}\r\n\r\n')

    assert (answer.status, answer.body) == (200, b'{}')
    assert 'Set-Cookie' not in answer.headers
    assert 'Content-Encoding' not in answer.headers


async def test_requests_that_come_at_once_are_answered_one_after_the_other(server: Server) -> None:
    client = await server.connect(PROPER + '\r\n' + PROPER + PROPER)

    assert [(await client.answer()).status for _ in range(3)] == [200, 200, 200]
