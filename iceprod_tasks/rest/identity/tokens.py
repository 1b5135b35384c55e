"""Tokens: who sends a request, proven by a signed JWT."""

import hashlib
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from iceprod_tasks.domain.callers import ROLES, Caller, Proof, is_name, shared_groups
from iceprod_tasks.domain.errors import NotAuthenticated

ISSUER = 'iceprod-tasks'
REQUIRED = ('exp', 'iat', 'iss', 'aud')
"""Claims that every token has, whoever has made it."""

UNREADABLE = (jwt.InvalidTokenError, ValueError, ArithmeticError, RecursionError)
"""What reading a token may end with."""

_ALGORITHM = 'HS256'
_LONGEST = 16 * 1024
_LONGEST_ID = 255
# Base64 without padding; what a lenient decoder would skip would make many tokens of one.
_FORM = re.compile(r'[\w-]+\.[\w-]+\.[\w-]+', re.ASCII)


class Tokens:
    """Makes and checks the service's own bearer tokens.

    Args:
        secret: of HS256, at least 32 bytes.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def mint(
        self, name: str, roles: Sequence[str], groups: Sequence[str], lifetime_seconds: float, *, token_id: str = ''
    ) -> str:
        """A new token.

        Args:
            name: of the user or program.
            roles: some of `ROLES`.
            groups: names of groups.
            lifetime_seconds: how long it is valid from now.
            token_id: by which it can be revoked; a new one when empty.
        """
        now = time.time()
        claims = {
            'iss': ISSUER,
            'aud': ISSUER,
            'sub': name,
            'roles': list(roles),
            'groups': list(groups),
            # As exact as revocations: a token that is made right after one is good.
            'iat': int(now * 1000) / 1000,
            'exp': int(now) + int(lifetime_seconds),
            'jti': token_id or uuid.uuid4().hex,
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def proof(self, token: str) -> Proof:
        """Who shows a token.

        Raises:
            NotAuthenticated: it is not one of ours, or not valid (any more).
        """
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=ISSUER,
                options={'require': [*REQUIRED, 'sub']},
            )
            if not is_name(claims['sub']):
                raise NotAuthenticated
            roles = frozenset(_strings(claims.get('roles'))) & frozenset(ROLES)
            caller = Caller(claims['sub'], roles, (*_strings(claims.get('groups')), *shared_groups(roles)))
            return proof_of(token, claims, caller)
        except UNREADABLE as error:
            raise NotAuthenticated from error


def bearer(authorization: str | None) -> str:
    """The token in the `Authorization` header of a request.

    Raises:
        NotAuthenticated: there is none, or it cannot be one.
    """
    scheme, _, token = (authorization or '').partition(' ')
    token = token.strip()
    if scheme.lower() != 'bearer' or len(token) > _LONGEST or not _FORM.fullmatch(token):
        raise NotAuthenticated
    return token


def header_of(token: str) -> Mapping[str, Any]:
    """What a token says of how it is signed; nothing is checked.

    Raises:
        NotAuthenticated: it cannot be read, or wants what we do not know.
    """
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except UNREADABLE as error:
        raise NotAuthenticated from error
    if not isinstance(header.get('alg'), str) or 'crit' in header or 'b64' in header:
        raise NotAuthenticated
    return header


def proof_of(token: str, claims: Mapping[str, Any], caller: Caller) -> Proof:
    """What a token proves whose signature is good.

    A token without an id is known by the digest of what is signed; a signature can be written in more ways than one.

    Args:
        token: as it was shown.
        claims: what it says.
        caller: for whom.

    Raises:
        ValueError: a time in it is none.
    """
    token_id = claims.get('jti')
    if not isinstance(token_id, str) or not 0 < len(token_id) <= _LONGEST_ID:
        token_id = hashlib.sha256(token.rpartition('.')[0].encode()).hexdigest()
    return Proof(caller, token_id, float(claims['iat']), float(claims['exp']))


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
