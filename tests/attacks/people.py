"""Who sends hostile requests: people of the stage, and forgers of tokens."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.conftest import SECRET

ISSUER = 'iceprod-tasks'

PEOPLE: Mapping[str, tuple[str, list[str], list[str]]] = {
    'root': ('root', ['admin'], []),
    'system': ('system', ['system'], []),
    # Owns the dataset that most cases are after.
    'alice': ('alice', ['user'], ['simprod']),
    # May read it and no more.
    'bob': ('bob', ['user'], []),
    # Has a dataset too, and nothing to do with hers.
    'mallory': ('mallory', ['user'], []),
    # Works on a task of hers.
    'holder': ('holder', ['pilot'], []),
    'rival': ('rival', ['pilot'], []),
    'hybrid': ('hybrid', ['pilot', 'user'], []),
    'canary': ('canary', ['pilot'], []),
    'no role': ('norole', [], []),
}


def claims(**changes: Any) -> dict[str, Any]:
    """What an admin's token says; a change to None takes away."""
    now = int(time.time())
    said = {
        'iss': ISSUER, 'aud': ISSUER, 'sub': 'root', 'roles': ['admin'], 'groups': [], 'iat': now, 'exp': now + 3600,
        'jti': 'f' * 32, **changes,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}


def encoded(part: Any) -> str:
    """A part of a token."""
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip('=')


def signed(head: Any, said: Any, key: bytes = SECRET.encode(), digest: str = 'sha256') -> str:
    """A token with a good HMAC, whatever its head says."""
    text = f'{encoded(head)}.{encoded(said)}'
    return f'{text}.{encoded(hmac.new(key, text.encode(), getattr(hashlib, digest)).digest())}'


HEAD = {'alg': 'HS256', 'typ': 'JWT'}


def token_of(sender: str) -> str | None:
    """The token that a sender shows; None for nobody."""
    if sender == 'nobody':
        return None
    if sender.startswith('forger: '):
        return FORGERIES[sender.removeprefix('forger: ')]()
    name, roles, groups = PEOPLE[sender]
    return signed(HEAD, claims(sub=name, roles=roles, groups=groups, jti=hashlib.md5(sender.encode()).hexdigest()))


def _unsigned(algorithm: str, signature: str = '') -> str:
    return f'{encoded({"alg": algorithm})}.{encoded(claims())}.{signature}'


def _tampered() -> str:
    head, _, signature = signed(HEAD, claims(roles=['user'])).split('.')
    return f'{head}.{encoded(claims())}.{signature}'


def _cut_off() -> str:
    return signed(HEAD, claims())[:-4]


def _in_head(key: bytes = b'0' * 64, **more: Any) -> Callable[[], str]:
    return lambda: signed({**HEAD, **more}, claims(), key)


def _saying(**changes: Any) -> Callable[[], str]:
    return lambda: signed(HEAD, claims(**changes))


_JWK = {'kty': 'oct', 'k': encoded(b'0' * 64)}

FORGERIES: Mapping[str, Callable[[], str]] = {
    'alg none': lambda: _unsigned('none'),
    'alg None': lambda: _unsigned('None'),
    'alg nOnE': lambda: _unsigned('nOnE'),
    'alg empty': lambda: _unsigned(''),
    'alg none with a signature': lambda: _unsigned('none', encoded(b'0' * 32)),
    'no signature': lambda: _unsigned('HS256'),
    'alg HS384': lambda: signed({'alg': 'HS384'}, claims(), digest='sha384'),
    'alg HS512': lambda: signed({'alg': 'HS512'}, claims(), digest='sha512'),
    'alg RS256 by HMAC': lambda: signed({'alg': 'RS256'}, claims()),
    'alg ES256 by HMAC': lambda: signed({'alg': 'ES256'}, claims()),
    'alg PS256 by HMAC': lambda: signed({'alg': 'PS256'}, claims()),
    'alg EdDSA by HMAC': lambda: signed({'alg': 'EdDSA'}, claims()),
    'alg a list': lambda: signed({'alg': ['HS256']}, claims()),
    'alg an object': lambda: signed({'alg': {'$ne': None}}, claims()),
    'alg missing': lambda: signed({'typ': 'JWT'}, claims()),
    'alg a huge number': lambda: signed(b'{"alg":' + b'9' * 5000 + b'}', claims()),
    'wrong key': lambda: signed(HEAD, claims(), b'1' * 64),
    'empty key': lambda: signed(HEAD, claims(), b''),
    'tampered claims': _tampered,
    'cut off signature': _cut_off,
    'key in the head': _in_head(jwk=_JWK),
    'key from an address': _in_head(jku='http://127.0.0.1:1/jwks.json', kid='1'),
    'certificate from an address': _in_head(x5u='http://127.0.0.1:1/cert.pem'),
    'certificate in the head': _in_head(x5c=['MIIB']),
    'kid a path': _in_head(b'', kid='../../../../dev/null'),
    'kid a query': _in_head(kid={'$gt': ''}),
    'kid a statement': _in_head(kid="x' UNION SELECT '0'--"),
    'kid a number': _in_head(kid=5),
    'unknown kid': _in_head(kid='no-such-key'),
    'critical extension': _in_head(SECRET.encode(), crit=['exp2'], exp2=1),
    'unencoded payload': _in_head(SECRET.encode(), b64=False, crit=['b64']),
    'compressed': _in_head(zip='DEF'),
    'deep head': lambda: f'{encoded(b"[" * 20_000)}.{encoded(claims())}.{encoded(b"0" * 32)}',
    'deep claims': lambda: signed(HEAD, b'{"sub":' + b'[' * 10_000 + b']' * 10_000 + b'}'),
    'head a list': lambda: signed([HEAD], claims()),
    'head no JSON': lambda: signed(b'{alg', claims()),
    'head no UTF-8': lambda: signed(b'\xff\xfe', claims()),
    'claims a list': lambda: signed(HEAD, [claims()]),
    'claims no JSON': lambda: signed(HEAD, b'{sub'),
    'claims with NaN': lambda: signed(HEAD, claims(exp=float('nan'))),
    'claims with infinity': lambda: signed(HEAD, claims(exp=float('inf'))),
    'expired': _saying(exp=int(time.time()) - 1),
    'expired long ago': _saying(exp=1),
    'expiring at a text': _saying(exp='never'),
    'expiring at a negative time': _saying(exp=-(2**63)),
    'expiring at an object': _saying(exp={'$gt': 0}),
    'never expiring': _saying(exp=None),
    'not valid yet': _saying(nbf=2**33),
    'issued in the future': _saying(iat=2**33),
    'issued at a text': _saying(iat='now'),
    'not issued': _saying(iat=None),
    'other issuer': _saying(iss='https://evil.example'),
    'issuer a list': _saying(iss=[ISSUER]),
    'no issuer': _saying(iss=None),
    'other audience': _saying(aud='other'),
    'audience a prefix': _saying(aud='iceprod-task'),
    'no audience': _saying(aud=None),
    'audience an object': _saying(aud={'$ne': ''}),
    'no subject': _saying(sub=None),
    'empty subject': _saying(sub=''),
    'subject a number': _saying(sub=5),
    'subject an object': _saying(sub={'$ne': None}),
    'subject a list': _saying(sub=['root']),
    'of five parts': lambda: '.'.join([encoded(HEAD)] * 5),
    'of two parts': lambda: '.'.join([encoded(HEAD)] * 2),
    'of dots': lambda: '...',
    'of 20 kB': lambda: signed(HEAD, claims(roles=['admin'] * 1500), b'1' * 64),
    'not base64': lambda: '!!!.???.~~~',
}
"""Tokens that nobody may get in with; all of them would be an admin's."""

ROLE_GAMES: Mapping[str, Any] = {
    'a text': 'admin', 'in capitals': ['Admin'], 'with a blank': ['admin '], 'with NUL': ['admin\0'],
    'an object': {'admin': True}, 'nested': [['admin']], 'unknown': ['root'], 'a wildcard': ['*'],
    'an operator': [{'$ne': None}], 'none': [], 'missing': None, 'true': True,
}  # fmt: skip
"""Values of the claim `roles` that make nobody an admin; the tokens themselves are good."""
FORGERIES = {**FORGERIES, **{f'roles {name}': _saying(roles=roles) for name, roles in ROLE_GAMES.items()}}
