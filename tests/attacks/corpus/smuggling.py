"""Requests that two readers could take for different ones, or that are no HTTP."""

from tests.attacks.case import ANSWERED_PLAINLY, Case

_AUTH = b'Authorization: Bearer @token_root@\r\n'
_JSON = b'Content-Type: application/json\r\n'
_HIDDEN = b'GET /tasks/@held@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n' + _AUTH + b'\r\n'
_POST = b'POST /tasks HTTP/1.1\r\nHost: x\r\n' + _AUTH + _JSON
_GET = b'GET /healthz HTTP/1.1\r\nHost: x\r\n'
_END = b'Connection: close\r\n\r\n'


def _plain(name: str, raw: bytes, expect: tuple[int, ...] = ANSWERED_PLAINLY, **more: float) -> Case:
    """One answer at most: what is hidden inside must not get a second one."""
    return Case(
        f'HTTP: {name}', expect, raw=raw, bare=True, silent=('@held_claim@',), sender='nobody',
        patience_seconds=more.get('patience', 2.0),
    )  # fmt: skip


def _body(head: bytes, body: bytes = b'') -> bytes:
    return _POST + head + b'\r\n' + body


def _header(line: bytes, start: bytes = _GET) -> bytes:
    return start + line + b'\r\n' + _END


_CHUNKED = b'Transfer-Encoding: chunked\r\n'
_ANY = (200, 400, 401, 403, 404, 405, 413, 414, 415, 431, 501, 505, 0)

CASES = (
    _plain('length and chunks', _body(b'Content-Length: 4\r\n' + _CHUNKED, b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks and length', _body(_CHUNKED + b'Content-Length: 4\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('two lengths', _body(b'Content-Length: 2\r\nContent-Length: 200\r\n', b'{}' + _HIDDEN)),
    _plain('two equal lengths', _body(b'Content-Length: 2\r\nContent-Length: 2\r\n' + _END[:-2], b'{}'), (400, 0)),
    _plain('length with another behind a comma', _body(b'Content-Length: 2, 200\r\n', b'{}' + _HIDDEN)),
    _plain('length with a plus', _body(b'Content-Length: +2\r\n', b'{}' + _HIDDEN)),
    _plain('length with a minus', _body(b'Content-Length: -2\r\n', b'{}' + _HIDDEN)),
    _plain('length in hexadecimal', _body(b'Content-Length: 0x2\r\n', b'{}' + _HIDDEN)),
    _plain('length with an underscore', _body(b'Content-Length: 0_2\r\n', b'{}' + _HIDDEN)),
    _plain('length of digits of other scripts', _body(b'Content-Length: \xb2\r\n', b'{}' + _HIDDEN)),
    _plain('length with a blank inside', _body(b'Content-Length: 2 0\r\n', b'{}' + _HIDDEN)),
    _plain('length behind a blank before the colon', _body(b'Content-Length : 2\r\n', b'{}' + _HIDDEN)),
    _plain('chunks behind a blank before the colon', _body(b'Transfer-Encoding : chunked\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks twice', _body(_CHUNKED + _CHUNKED, b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks and identity', _body(b'Transfer-Encoding: chunked, identity\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('identity and chunks', _body(b'Transfer-Encoding: identity, chunked\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('gzip and chunks', _body(b'Transfer-Encoding: gzip, chunked\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('unknown transfer', _body(b'Transfer-Encoding: x\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('transfer of nothing', _body(b'Transfer-Encoding: \r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks in quotes', _body(b'Transfer-Encoding: "chunked"\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks with a tab', _body(b'Transfer-Encoding:\x0bchunked\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks on a folded line', _body(b'Transfer-Encoding:\r\n chunked\r\n', b'0\r\n\r\n' + _HIDDEN)),
    _plain('chunks and HTTP/1.0', (_POST + _CHUNKED + b'\r\n0\r\n\r\n' + _HIDDEN).replace(b'1.1', b'1.0', 1)),
    _plain('chunk with a bad size', _body(_CHUNKED, b'zz\r\n{}\r\n0\r\n\r\n' + _HIDDEN)),
    _plain('chunk with a negative size', _body(_CHUNKED, b'-2\r\n{}\r\n0\r\n\r\n' + _HIDDEN)),
    _plain('chunk with 0x', _body(_CHUNKED, b'0x2\r\n{}\r\n0\r\n\r\n' + _HIDDEN)),
    _plain('chunk with an underscore', _body(_CHUNKED, b'0_2\r\n{}\r\n0\r\n\r\n' + _HIDDEN)),
    _plain('chunk with a plus', _body(_CHUNKED, b'+2\r\n{}\r\n0\r\n\r\n' + _HIDDEN)),
    _plain('chunk larger than any machine', _body(_CHUNKED, b'f' * 40 + b'\r\n{}\r\n0\r\n\r\n'), (400, 413, 0)),
    _plain('chunk of 2 GB', _body(_CHUNKED, b'80000000\r\n{}'), (400, 413, 0), patience=1),
    _plain('chunk that does not end', _body(_CHUNKED, b'2\r\n{}GARBAGE\r\n0\r\n\r\n' + _HIDDEN)),
    _plain('chunk that ends with a line feed', _body(_CHUNKED, b'2\n{}\n0\n\n' + _HIDDEN), (400, 0), patience=1),
    _plain('chunk with a long extension', _body(_CHUNKED, b'2;' + b'x' * 100_000 + b'\r\n{}\r\n0\r\n\r\n'), (400, 413, 431, 0)),
    _plain('trailer with a header', _body(_CHUNKED, b'0\r\nAuthorization: x\r\n\r\n' + _HIDDEN)),
    _plain('chunked body too long for the route', _body(_CHUNKED, b'10000\r\n' + b' ' * 65536 + b'\r\n' + b'10000\r\n' + b' ' * 65536 + b'\r\n'
           + b'f0000\r\n' + b' ' * 0xF0000 + b'\r\n' + b'f0000\r\n' + b' ' * 0xF0000 + b'\r\n0\r\n\r\n'), (413,)),
    _plain('a body for GET that is a request', _GET + b'Content-Length: %d\r\n' % len(_HIDDEN) + _END + _HIDDEN, (200, 400, 415, 0)),
    _plain('line feeds alone', b'GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n', _ANY),
    _plain('a line feed in the head', _header(b'X: 1\nTransfer-Encoding: chunked', _POST), patience=0.5),
    _plain('a carriage return in the head', _header(b'X: 1\rTransfer-Encoding: chunked')),
    _plain('a folded line', _header(b'X: 1\r\n folded')),
    _plain('a line that begins with a blank', b'GET /healthz HTTP/1.1\r\n X: 1\r\nHost: x\r\n' + _END),
    _plain('a header without colon', _header(b'NoColon')),
    _plain('a header without name', _header(b': x')),
    _plain('a blank in a name', _header(b'X Y: 1')),
    _plain('a name of other letters', _header(b'\xe9\xe8: 1')),
    _plain('a name in brackets', _header(b'X[]: 1')),
    _plain('NUL in a header', _header(b'X: a\x00b')),
    _plain('NUL in a name', _header(b'X\x00: a')),
    _plain('NUL in the path', b'GET /heal\x00thz HTTP/1.1\r\nHost: x\r\n' + _END, (400, 404, 0)),
    _plain('a tab in the path', b'GET /heal\tthz HTTP/1.1\r\nHost: x\r\n' + _END, (400, 404, 0)),
    _plain('a blank in the path', b'GET /heal thz HTTP/1.1\r\nHost: x\r\n' + _END),
    _plain('control characters in a header', _header(b'X: \x01\x1b[31m')),
    _plain('a huge header', _header(b'X: ' + b'x' * 100_000), (400, 431, 0)),
    _plain('a huge name', _header(b'X' * 100_000 + b': 1'), (400, 431, 0)),
    _plain('a huge path', b'GET /' + b'a' * 100_000 + b' HTTP/1.1\r\nHost: x\r\n' + _END, (400, 404, 414, 431, 0)),
    _plain('5000 headers', _header(b'\r\n'.join(b'X%d: 1' % n for n in range(5000))), (200, 400, 431, 0)),
    _plain('1000 headers of one name', _header(b'\r\n'.join([b'X: 1'] * 1000)), (200, 400, 431, 0)),
    _plain('no host', b'GET /healthz HTTP/1.1\r\n' + _END),
    _plain('two hosts', _header(b'Host: evil.example')),
    _plain('an empty host', b'GET /healthz HTTP/1.1\r\nHost:\r\n' + _END, (200, 400, 0)),
    _plain('a host with a path', b'GET /healthz HTTP/1.1\r\nHost: x/../y\r\n' + _END, (200, 400, 0)),
    _plain('a host with a user', b'GET /healthz HTTP/1.1\r\nHost: root@x\r\n' + _END, (200, 400, 0)),
    _plain('a host with markup', b'GET /healthz HTTP/1.1\r\nHost: <script>\r\n' + _END, (200, 400, 0)),
    _plain('two hosts in one', b'GET /healthz HTTP/1.1\r\nHost: a, b\r\n' + _END, (200, 400, 0)),
    _plain('HTTP/0.9', b'GET /healthz\r\n', patience=0.5),
    _plain('HTTP/1.0', b'GET /healthz HTTP/1.0\r\n\r\n', (200, 400)),
    _plain('HTTP/2 in words', b'GET /healthz HTTP/2.0\r\nHost: x\r\n' + _END, (400, 505, 0)),
    _plain('HTTP/1.2', b'GET /healthz HTTP/1.2\r\nHost: x\r\n' + _END, (200, 400, 505, 0)),
    _plain('HTTP/9.9', b'GET /healthz HTTP/9.9\r\nHost: x\r\n' + _END, (400, 505, 0)),
    _plain('HTTP/1.10', b'GET /healthz HTTP/1.10\r\nHost: x\r\n' + _END, (400, 505, 0)),
    _plain('http in small letters', b'GET /healthz http/1.1\r\nHost: x\r\n' + _END),
    _plain('the preface of HTTP/2', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', (400, 405, 505, 0), patience=1),
    _plain('a greeting of TLS', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 200, (400, 0), patience=0.5),
    _plain('a greeting of SSH', b'SSH-2.0-OpenSSH_9.0\r\n', (400, 0), patience=0.5),
    _plain('the header of a proxy', b'PROXY TCP4 10.0.0.1 10.0.0.2 1 80\r\n' + _GET + _END),
    _plain('a message of MongoDB', b'\x3a\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0' + b'\0' * 42, (400, 0), patience=0.5),
    _plain('Redis', b'*1\r\n$4\r\nINFO\r\n', (400, 0), patience=0.5),
    _plain('nothing but line breaks', b'\r\n' * 50, (400, 0), patience=0.3),
    _plain('noise', bytes(range(256)) * 40, (400, 0), patience=0.5),
    _plain('a lone word', b'GET\r\n\r\n'),
    _plain('four words', b'GET /healthz HTTP/1.1 x\r\nHost: x\r\n' + _END),
    _plain('two blanks', b'GET  /healthz  HTTP/1.1\r\nHost: x\r\n' + _END, (400, 404, 0)),
    _plain('a tab for a blank', b'GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n' + _END),
    _plain('half a head', b'GET /healthz HTTP/1.1\r\nHost:', (0,), patience=0.2),
    _plain('half a body', _body(b'Content-Length: 100\r\n', b'{"a":'), (0,), patience=0.2),
    _plain('half a chunk', _body(_CHUNKED, b'10\r\n{"a":'), (0,), patience=0.2),
    _plain('a body of which one byte is missing', _body(b'Content-Length: 3\r\n', b'{}'), (0,), patience=0.2),
    _plain('a body longer than announced', _body(b'Content-Length: 2\r\n', b'{}' + b'X' * 100), (400,), patience=1),
    Case('HTTP: two requests at once', (200,), raw=_GET + b'\r\n' + _GET + _END, answers=2, says=('{}',)),
    Case('HTTP: 100 requests at once', (200,), raw=(_GET + b'\r\n') * 99 + _GET + _END, answers=100),
    Case('HTTP: errors at once', (404,), raw=(b'GET /no HTTP/1.1\r\nHost: x\r\n\r\n') * 20, answers=20),
    Case('HTTP: waits for the word to go on', (400, 417), 'POST', '/tasks', body={}, headers=(('Expect', '100-continue'),)),
    Case('HTTP: waits for another word', (400, 417), 'POST', '/tasks', body={}, headers=(('Expect', 'evil'),)),
)  # fmt: skip
