"""Who asks: forged, worn-out and misplaced tokens."""

from tests.attacks.case import LEFT_OUT, Case
from tests.attacks.people import FORGERIES

_ASKED = '/task_counts/status'
_NO_ADMINS = tuple(name for name in FORGERIES if name.startswith('roles '))


def _with(name: str, *headers: tuple[str, str], expect: tuple[int, ...] = (401,), path: str = _ASKED) -> Case:
    return Case(f'auth: {name}', expect, path=path, sender='nobody', headers=headers)


CASES = (
    *(
        Case(f'token: {name}', (401,), path=_ASKED, sender=f'forger: {name}', says=('authentication failed',))
        for name in FORGERIES
        if name not in _NO_ADMINS
    ),
    *(
        Case(f'token: {name}', (401, 403), path=_ASKED, sender=f'forger: {name}', says=(' failed',))
        for name in _NO_ADMINS
    ),
    _with('no token'),
    _with('empty header', ('Authorization', '')),
    _with('scheme only', ('Authorization', 'Bearer')),
    _with('scheme and blanks', ('Authorization', 'Bearer      ')),
    _with('token without scheme', ('Authorization', '@token_root@')),
    _with('other scheme', ('Authorization', 'Token @token_root@')),
    _with('negotiate', ('Authorization', 'Negotiate YII=')),
    _with('digest', ('Authorization', 'Digest username="root"')),
    _with('basic', ('Authorization', 'Basic cm9vdDpyb290')),
    _with('basic with a token as password', ('Authorization', 'Basic cm9vdDpAdG9rZW5fcm9vdEA=')),
    _with('basic without colon', ('Authorization', 'Basic cm9vdA==')),
    _with('basic no base64', ('Authorization', 'Basic !!!!')),
    _with('basic huge', ('Authorization', 'Basic ' + 'QUFB' * 10_000)),
    _with('two tokens in one header', ('Authorization', 'Bearer @token_mallory@, Bearer @token_root@')),
    _with(
        'two headers, the first a user', ('Authorization', 'Bearer @token_mallory@'),
        ('Authorization', 'Bearer @token_root@'), expect=(400, 401, 403),
    ),
    _with(
        'two headers, the first an admin', ('Authorization', 'Bearer @token_root@'),
        ('Authorization', 'Bearer @token_mallory@'), expect=(400, 401, 403),
    ),
    _with('token with a tail', ('Authorization', 'Bearer @token_root@x')),
    _with('token with a dot', ('Authorization', 'Bearer @token_root@.')),
    _with('token with a blank in it', ('Authorization', 'Bearer @token_root@ x')),
    _with('token in quotes', ('Authorization', 'Bearer "@token_root@"')),
    _with('token of other letters', ('Authorization', 'Bearer \xe9\xe8\xff')),
    _with('token in the query', path=f'{_ASKED}?access_token=@token_root@&token=@token_root@'),
    _with('token in a cookie', ('Cookie', 'token=@token_root@; Authorization=Bearer @token_root@')),
    _with('token in another header', ('X-Authorization', 'Bearer @token_root@'), ('Proxy-Authorization', 'Bearer @token_root@')),
    _with('name from a proxy', ('X-Forwarded-User', 'root'), ('X-Remote-User', 'root'), ('Remote-User', 'root')),
    _with('roles from a proxy', ('X-Roles', 'admin'), ('X-Forwarded-Groups', 'admin')),
    _with('address of the machine itself', ('X-Forwarded-For', '127.0.0.1'), ('X-Real-IP', '127.0.0.1')),
    _with('client certificate from a proxy', ('X-SSL-Client-Verify', 'SUCCESS'), ('X-SSL-Client-S-DN', 'CN=root')),
    _with('other path from a proxy', ('X-Original-URL', '/healthz'), ('X-Rewrite-URL', '/healthz')),
    Case('auth: token in the body', (401,), 'POST', '/tasks', 'nobody', {'access_token': '@token_root@'}),
    Case('auth: header that a proxy drops', (200,), path=_ASKED, headers=(('Connection', 'close, Authorization'),)),
    Case('auth: large body of nobody', (401, 413), 'POST', '/logs', 'nobody', {'data': 'x' * 3_000_000}),
    Case(
        'auth: large body announced by nobody', (401, 413), 'POST', '/logs', 'nobody',
        headers=(('Content-Type', 'application/json'), ('Content-Length', '7000000')), patience_seconds=3,
    ),
    Case('auth: large body of a forger', (401, 413), 'POST', '/logs', 'forger: wrong key', {'data': 'x' * 3_000_000}),
    Case('auth: nobody mints a token', (401, 404), 'POST', '/tokens', 'nobody', {'roles': ['admin']}),
    Case('auth: basic of an unknown account', (401, 404), 'POST', '/tokens', 'nobody',
         headers=(('Authorization', 'Basic bm9ib2R5Om5vYm9keQ=='),)),
    Case('auth: basic with NUL', (401, 404), 'POST', '/tokens', 'nobody',
         headers=(('Authorization', 'Basic cm9vdAA6AA=='),)),
    Case('auth: basic with an operator', (401, 404), 'POST', '/tokens', 'nobody',
         headers=(('Authorization', 'Basic eyIkbmUiOiIifTp7IiRuZSI6IiJ9'),)),
    Case('auth: a user mints an admin', (400, 401, 403, 404), 'POST', '/tokens', 'mallory', {'roles': ['admin']}),
    Case('auth: a user revokes', (403, 404), 'POST', '/revocations', 'mallory', {'subject': 'root'}),
    Case('auth: a user reads revocations', (403, 404), path='/revocations', sender='mallory'),
    Case('auth: a pilot revokes', (403, 404), 'POST', '/revocations', 'rival', {'subject': 'root'}),
    Case('auth: health without a header', (200,), headers=(('Authorization', LEFT_OUT),)),
    Case('auth: health with a bad token', (200,), sender='forger: wrong key'),
)  # fmt: skip
