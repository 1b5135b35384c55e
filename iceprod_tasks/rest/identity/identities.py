"""Identities: who asks, by the service's own tokens, those of an OpenID provider, or the password of an account."""

import asyncio
import base64
import contextlib
import math
import time
from collections.abc import AsyncIterator

from iceprod_tasks.actions import revoke
from iceprod_tasks.actions.log_in import Passwords
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller, Proof
from iceprod_tasks.domain.errors import NotAuthenticated
from iceprod_tasks.rest.identity.openid import OpenId
from iceprod_tasks.rest.identity.tokens import Tokens, bearer, header_of
from iceprod_tasks.storage.cancelling import end

_KNOWN_AT_MOST = 10_000
_KNOWN_SECONDS = 300.0
_BASIC = 'basic '


class Identities:
    """Finds out who sends a request.

    Args:
        tokens: the service's own.
        service: what has the accounts, and knows which tokens are revoked.
        openid: checks the tokens of a provider; None where there is none.
    """

    def __init__(self, tokens: Tokens, service: Service, openid: OpenId | None = None) -> None:
        self.tokens = tokens
        self._service = service
        self._openid = openid
        self._passwords = Passwords(service)
        # A pilot shows the same token again and again; its signature need not be checked each time.
        self._known: dict[str, tuple[Proof, float]] = {}

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """A block during which revocations of other processes, and keys of the provider, are heard of.

        Raises:
            Unavailable: the database does not answer.
        """
        await revoke.catch_up(self._service)
        async with contextlib.AsyncExitStack() as ends:
            ends.callback(self._passwords.close)
            if self._openid is not None:
                await ends.enter_async_context(self._openid.kept())
            follower = asyncio.create_task(revoke.follow(self._service))
            ends.push_async_callback(end, follower)
            yield

    async def caller(self, authorization: str | None, *, basic: bool = False) -> Caller:
        """Who the `Authorization` header of a request speaks for; see `proof`."""
        return (await self.proof(authorization, basic=basic)).caller

    async def proof(self, authorization: str | None, *, basic: bool = False) -> Proof:
        """How the sender of a request is known.

        Args:
            authorization: the `Authorization` header.
            basic: whether the name and the password of an account do in place of a token.

        Raises:
            NotAuthenticated: there is none, or what it says is not valid (any more).
            Unavailable: it cannot be checked now.
        """
        if basic and (authorization or '').lower().startswith(_BASIC):
            caller = await self._passwords.caller(*_name_and_password(authorization or ''))
            return Proof(caller, '', time.time(), math.inf)
        proof = await self.token(bearer(authorization))
        if self._service.revoked.holds(proof):
            raise NotAuthenticated
        return proof

    async def token(self, token: str) -> Proof:
        """Who shows a token, revoked or not.

        Raises:
            NotAuthenticated: it is not valid (any more).
        """
        proof, until = self._known.get(token, (None, 0.0))
        if proof is not None and time.time() < until:
            return proof
        self._known.pop(token, None)
        proof = await self._checked(token)
        if len(self._known) >= _KNOWN_AT_MOST:
            self._known.pop(next(iter(self._known)))
        self._known[token] = proof, min(proof.expires, time.time() + _KNOWN_SECONDS)
        return proof

    async def _checked(self, token: str) -> Proof:
        header = header_of(token)
        if self._openid is not None and self._openid.knows(header):
            return await self._openid.proof(token, header)
        return self.tokens.proof(token)


def _name_and_password(authorization: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(authorization[len(_BASIC) :].strip(), validate=True).decode()
    except ValueError:
        raise NotAuthenticated from None
    name, colon, password = text.partition(':')
    if not colon:
        raise NotAuthenticated
    return name, password
