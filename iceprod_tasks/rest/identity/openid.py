"""Tokens of an OpenID provider: signed with RS256 or ES256, for us, by the one issuer that we trust."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jwt

from iceprod_tasks.domain.callers import ROLES, Caller, Proof, is_name, shared_groups
from iceprod_tasks.domain.claim_rules import given, read_rules, texts_at
from iceprod_tasks.domain.errors import NotAuthenticated
from iceprod_tasks.rest.identity.openid_keys import ALGORITHMS, ProviderKeys
from iceprod_tasks.rest.identity.tokens import REQUIRED, UNREADABLE, proof_of
from iceprod_tasks.settings import Settings

_NAME_CLAIMS = ('preferred_username', 'sub')
# Clocks of providers differ from ours.
_LEEWAY_SECONDS = 10


class OpenId:
    """Checks tokens of a provider.

    Args:
        settings: where the provider is, and what its claims mean to us.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = ProviderKeys(settings.openid_url)
        self._audience = settings.openid_audience
        self._names = (settings.openid_name_claim,) if settings.openid_name_claim else _NAME_CLAIMS
        self._roles = read_rules(settings.openid_roles, ROLES)
        self._groups = read_rules(settings.openid_groups)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """A block during which the provider's keys are followed."""
        async with self._keys.kept():
            yield

    def knows(self, header: Mapping[str, Any]) -> bool:
        """Whether a token may be the provider's, by the header of it."""
        return header.get('alg') in ALGORITHMS

    async def proof(self, token: str, header: Mapping[str, Any]) -> Proof:
        """Who shows a token.

        Args:
            token: as it was shown.
            header: of the token; what it says of keys is their id, and nothing else is heard.

        Raises:
            NotAuthenticated: it is not valid (any more).
            Unavailable: the provider has never answered.
        """
        algorithm = header['alg']
        key = await self._keys.key(algorithm, header.get('kid'))
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._keys.issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={'require': list(REQUIRED)},
            )
            return proof_of(token, claims, self._caller(claims))
        except UNREADABLE as error:
            raise NotAuthenticated from error

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        roles = frozenset(given(self._roles, claims))
        return Caller(self._name(claims), roles, (*given(self._groups, claims), *shared_groups(roles)))

    def _name(self, claims: Mapping[str, Any]) -> str:
        """The first name that is said.

        Raises:
            NotAuthenticated: there is none, or it is none that we can write down.
        """
        names = [name for claim in self._names for name in texts_at(claims, claim)]
        if not names or not is_name(names[0]):
            raise NotAuthenticated
        return names[0]
