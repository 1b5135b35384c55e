"""Heads of requests: what could be read in two ways is refused, and what clients send is not."""

import time

import pytest

from iceprod_tasks.rest.wire.heads import LONGEST_BYTES, flaw


def head(*fields: str, line: str = 'POST /tasks HTTP/1.1', host: str = 'Host: x') -> bytes:
    return '\r\n'.join([line, host, *fields, '', '']).encode('latin1')


@pytest.mark.parametrize(
    'fields',
    [
        (), ('Content-Length: 0',), ('content-length:12',), ('Content-Length: \t12 ',), ('Transfer-Encoding: chunked',),
        ('transfer-encoding:\tChunked',), ('X: ä', 'X: b', 'Empty:', 'Space: '), ('Cookie: a="b"; c=\'d\'',),
        ('Content-Length: ' + '9' * 4000,), tuple(f'X-{i}: y' for i in range(99)),
    ],
)  # fmt: skip
def test_what_clients_send_is_taken(fields: tuple[str, ...]) -> None:
    assert flaw(head(*fields)) is None


@pytest.mark.parametrize('line', ['GET / HTTP/1.0', 'BREW /%2e%2e?a=b HTTP/1.1', 'GET //x/*?$ HTTP/1.1'])
def test_any_method_and_any_path_is_for_the_routes_to_judge(line: str) -> None:
    assert flaw(head(line=line)) is None


@pytest.mark.parametrize('host', ['x', '', '127.0.0.1:8080', '[::1]:80', 'a_b.example.org'])
def test_hosts_are_names_or_addresses(host: str) -> None:
    assert flaw(head(host=f'Host: {host}')) is None


def test_an_empty_line_before_a_request_is_passed_over() -> None:
    assert flaw(b'\r\n' + head()) is None


def test_an_old_client_needs_no_host() -> None:
    assert flaw(b'GET /tasks HTTP/1.0\r\nAccept: */*\r\n\r\n') is None


@pytest.mark.parametrize(
    'fields',
    [
        ('Content-Length: 1', 'Content-Length: 1'), ('Content-Length: 1', 'content-length: 2'),
        ('Content-Length: 1, 1',),
        ('Content-Length: +1',), ('Content-Length: -1',), ('Content-Length: 0x1',), ('Content-Length: 1_0',),
        ('Content-Length:',), ('Content-Length: \xb2',), ('Content-Length: 1 1',),
        ('Content-Length: 1', 'Transfer-Encoding: chunked'), ('Transfer-Encoding: gzip, chunked',),
        ('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), ('Transfer-Encoding: identity',),
        ('Transfer-Encoding:',), ('Transfer-Encoding: \x0bchunked',), ('Transfer-Encoding: chunked\x00',),
        ('Transfer-Encoding : chunked',), ('X: a', ' folded'), ('X: a', '\tfolded'), ('X',), (': x',), ('X: a\x00b',),
        ('X: a\rb',), ('X: a\nTransfer-Encoding: chunked',), ('X\x00: a',), ('X y: a',), ('ä: a',), ('X: a\x7f',),
        ('Host: y',), ('X' * 257 + ': a',),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_400(fields: tuple[str, ...]) -> None:
    found = flaw(head(*fields))

    assert found is not None
    assert found[0] == 400


@pytest.mark.parametrize('host', ['X: y', 'Host: a,b', 'Host: a b', 'Host: a/b', 'Host: a@b', 'Host: ä', 'Host: "a"'])
def test_a_request_without_one_proper_host_is_400(host: str) -> None:
    assert flaw(head(host=host)) in ((400, 'a request has a Host'), (400, 'Host is not proper'))


@pytest.mark.parametrize(
    'line',
    [
        'GET /', 'GET  / HTTP/1.1', 'GET /\tHTTP/1.1', ' GET / HTTP/1.1', 'GET / HTTP/1.1 ', 'GET / http/1.1',
        'GET / HTTP/1', 'GET / HTTP/11', 'GET /a b HTTP/1.1', 'GET /ä HTTP/1.1', 'GET /\x00 HTTP/1.1', '',
        'G(T / HTTP/1.1', 'X' * 33 + ' / HTTP/1.1', 'GET http://evil/tasks HTTP/1.1', 'CONNECT x:443 HTTP/1.1',
        'OPTIONS * HTTP/1.1', 'GET tasks HTTP/1.1', 'GET \\tasks HTTP/1.1', '\x16\x03\x01\x02',
    ],
)  # fmt: skip
def test_a_line_that_is_no_request_for_a_path_is_400(line: str) -> None:
    found = flaw(head(line=line))

    assert found is not None
    assert found[0] == 400


@pytest.mark.parametrize('version', ['0.9', '1.2', '2.0', '3.0'])
def test_other_versions_of_http_are_505(version: str) -> None:
    assert flaw(head(line=f'GET / HTTP/{version}')) == (505, 'the service speaks HTTP/1.1')


def test_chunks_of_an_old_client_are_400() -> None:
    found = flaw(head('Transfer-Encoding: chunked', line='POST /tasks HTTP/1.0'))

    assert found == (400, 'chunks are of HTTP/1.1')


@pytest.mark.parametrize(
    'sent',
    [
        b'GET / HTTP/1.1\nHost: x\n\n', b'GET / HTTP/1.1\r\nHost: x\n\r\n', b'GET / HTTP/1.1\r\nHost: x\r\n\n',
        b'GET / HTTP/1.1\nHost: x\r\n\r\n', b'\nGET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\r\n\r\n', b'\n\n',
    ],
)  # fmt: skip
def test_a_line_that_ends_without_cr_is_400(sent: bytes) -> None:
    found = flaw(sent)

    assert found is not None
    assert found[0] == 400


def test_too_long_a_path_is_414_and_too_many_headers_are_431() -> None:
    long, many = flaw(head(line=f'GET /{"x" * 16384} HTTP/1.1')), flaw(head(*(f'X-{i}: y' for i in range(100))))

    assert (long or (0,))[0] == 414
    assert (many or (0,))[0] == 431


def test_nothing_of_a_head_is_in_the_reason() -> None:
    found = flaw(head('Authorization: Bearer secret\x00'))

    assert found == (400, 'a header is not proper')


@pytest.mark.parametrize('filling', [b'a: b\r\n', b'a', b' ', b'\r', b':', b'a:'])
def test_a_head_of_any_shape_is_judged_at_once(filling: bytes) -> None:
    sent = b'GET / HTTP/1.1\r\n' + filling * (LONGEST_BYTES // len(filling)) + b'\r\n\r\n'
    began = time.process_time()

    flaw(sent)

    assert time.process_time() - began < 0.1
