"""Tokens: who sends a request, proven by a signed JWT."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import jwt

from iceprod_tasks.domain.callers import ROLES, Caller
from iceprod_tasks.domain.datasets import SHARED_GROUP
from iceprod_tasks.domain.errors import NotAuthenticated

ISSUER = 'iceprod-tasks'
_ALGORITHM = 'HS256'
_PREFIX = 'bearer '
_KNOWN_AT_MOST = 10_000


class Tokens:
    """Makes and checks bearer tokens.

    Args:
        secret: of HS256, at least 32 bytes.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        # A pilot shows the same token again and again; its signature need not be checked each time.
        self._known: dict[str, tuple[Caller, int]] = {}

    def mint(self, name: str, roles: Sequence[str], groups: Sequence[str], lifetime_seconds: float) -> str:
        """A new token.

        Args:
            name: of the user or program.
            roles: some of `ROLES`.
            groups: names of groups.
            lifetime_seconds: how long it is valid from now.
        """
        now = int(time.time())
        claims = {
            'iss': ISSUER,
            'aud': ISSUER,
            'sub': name,
            'roles': list(roles),
            'groups': list(groups),
            'iat': now,
            'exp': now + int(lifetime_seconds),
            'jti': uuid.uuid4().hex,
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def caller(self, authorization: str | None) -> Caller:
        """Who the `Authorization` header of a request speaks for.

        Raises:
            NotAuthenticated: there is none, it is not a bearer token, or the token is not valid (any more).
        """
        if authorization is None or not authorization.lower().startswith(_PREFIX):
            raise NotAuthenticated
        token = authorization[len(_PREFIX) :].strip()
        caller, expires = self._known.get(token, (None, 0))
        return caller if caller is not None and time.time() < expires else self._checked(token)

    def _checked(self, token: str) -> Caller:
        self._known.pop(token, None)
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=ISSUER,
                options={'require': ['exp', 'iat', 'sub', 'iss', 'aud']},
            )
        except (jwt.InvalidTokenError, ValueError, UnicodeError) as error:
            raise NotAuthenticated from error
        roles = frozenset(_strings(claims.get('roles'))) & frozenset(ROLES)
        shared = (SHARED_GROUP,) if 'user' in roles else ()
        caller = Caller(claims['sub'], roles, (*_strings(claims.get('groups')), *shared))
        if len(self._known) >= _KNOWN_AT_MOST:
            self._known.pop(next(iter(self._known)))
        self._known[token] = caller, int(claims['exp'])
        return caller


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
