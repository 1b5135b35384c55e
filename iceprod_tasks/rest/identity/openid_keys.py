"""The keys of an OpenID provider: read beside the requests, kept while the provider is away.

No key comes from anywhere else: not from a token, whatever its header says.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import jwt
import orjson

from iceprod_tasks import __version__
from iceprod_tasks.addresses import keeps_secrets
from iceprod_tasks.domain.errors import NotAuthenticated, Unavailable

log = logging.getLogger('iceprod_tasks.openid')

_FRESH_SECONDS = 300.0
_AGAIN_SECONDS = 12.0
_SOONEST_SECONDS = 10.0
_PATIENCE_SECONDS = 5.0
_LARGEST_BYTES = 256 * 1024
_MOST_KEYS = 64
_RSA_BITS = range(2048, 8193)
_HEADERS = {'Accept': 'application/json', 'Accept-Encoding': 'identity', 'User-Agent': f'iceprod-tasks/{__version__}'}
_ALGORITHM = {'RSA': 'RS256', 'EC': 'ES256'}
_PUBLIC = {'RSA': ('kty', 'n', 'e'), 'EC': ('kty', 'crv', 'x', 'y')}
ALGORITHMS = frozenset(_ALGORITHM.values())
"""Those that tokens of a provider may be signed with."""

Keys = Mapping[tuple[str, str], Any]
"""Public keys by algorithm and id."""


class ProviderKeys:
    """The keys of one provider.

    Args:
        url: the provider's address, which is the issuer of its tokens.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip('/')
        # Made here: reading the certificates of this machine takes a moment.
        self._http = httpx2.AsyncClient(headers=_HEADERS, timeout=_PATIENCE_SECONDS, follow_redirects=False)
        self._keys: Keys = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._tried = float('-inf')
        self._failed = False
        self.issuer = ''
        """As tokens name it; empty until the provider has answered once."""

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """A block during which the keys are read again and again."""
        follower = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            follower.cancel()
            work = [follower] if self._refreshing is None else [follower, self._refreshing]
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._http.aclose()

    async def key(self, algorithm: str, key_id: str | None) -> Any:
        """A public key.

        For a key that is not known the provider is asked, once for all who wait for it, and ten seconds after the last
        time at the soonest.

        Args:
            algorithm: one of `ALGORITHMS`.
            key_id: as the token names it; None does where there is one key of the algorithm.

        Raises:
            NotAuthenticated: there is no such key.
            Unavailable: the provider has never answered.
        """
        found = self._find(algorithm, key_id)
        if found is None:
            await self._look_again()
            found = self._find(algorithm, key_id)
        if found is None:
            raise NotAuthenticated if self._keys else Unavailable('the OpenID provider does not answer')
        return found

    def _find(self, algorithm: str, key_id: str | None) -> Any:
        if key_id is not None:
            return self._keys.get((algorithm, key_id))
        fitting = [key for (of, _), key in self._keys.items() if of == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    async def _follow(self) -> None:
        while True:
            await self._look_again()
            rest_seconds = _AGAIN_SECONDS if self._failed else _FRESH_SECONDS
            await asyncio.sleep(rest_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def _look_again(self) -> None:
        if self._refreshing is None:
            if time.monotonic() - self._tried < _SOONEST_SECONDS:
                return
            self._tried = time.monotonic()
            self._refreshing = asyncio.create_task(self._refresh())
        # Who waits may go away, and leaves it to the others.
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                document = await self._read(f'{self._url}/.well-known/openid-configuration')
                keys = await self._read(_address_of_keys(document, self._url))
            self._keys = await asyncio.to_thread(keys_of, keys)
            self.issuer = document['issuer']
            self._failed = False
        except Exception as error:
            self._failed = True
            why = f'{type(error).__name__}: {error}'
            log.warning('no keys of the OpenID provider, the old ones stay: %s', why, extra={'action': 'openid'})
        finally:
            self._refreshing = None

    async def _read(self, url: str) -> Any:
        text = bytearray()
        async with self._http.stream('GET', url) as response:
            if response.status_code != 200 or response.headers.get('Content-Encoding', 'identity') != 'identity':
                raise ValueError(f'{url} is answered {response.status_code}, or compressed')
            async for piece in response.aiter_raw():
                text += piece
                if len(text) > _LARGEST_BYTES:
                    raise ValueError(f'{url} is longer than {_LARGEST_BYTES} bytes')
        return orjson.loads(text)


def _address_of_keys(document: Mapping[str, Any], url: str) -> str:
    """Where the keys are, by the provider's own description.

    Raises:
        ValueError: it describes another provider, or sends us where anybody could listen.
    """
    address = document['jwks_uri']
    if document['issuer'].rstrip('/') != url:
        raise ValueError(f'{url} says that it is {document["issuer"]}')
    if not keeps_secrets(address):
        raise ValueError(f'{address} is no https address')
    return str(address)


def keys_of(document: Mapping[str, Any]) -> Keys:
    """The keys of a JSON Web Key Set that we can use; others are left out.

    Raises:
        ValueError: there is none, or too many.
    """
    listed = document['keys']
    if len(listed) > _MOST_KEYS:
        raise ValueError(f'the provider has more than {_MOST_KEYS} keys')
    found = {}
    for each in listed:
        with contextlib.suppress(jwt.PyJWTError, LookupError, ValueError, TypeError):
            algorithm = _ALGORITHM[each['kty']]
            if each.get('use', 'sig') == 'sig' and each.get('alg', algorithm) == algorithm:
                found[algorithm, str(each.get('kid', ''))] = _public_key(each, algorithm)
    if not found:
        raise ValueError('the provider has no key that can be used')
    return found


def _public_key(described: Mapping[str, Any], algorithm: str) -> Any:
    key = jwt.PyJWK({name: described[name] for name in _PUBLIC[described['kty']]}, algorithm).key
    if algorithm == 'RS256' and key.key_size not in _RSA_BITS:
        raise ValueError(f'an RSA key of {key.key_size} bits')
    if algorithm == 'ES256' and described['crv'] != 'P-256':
        raise ValueError(f'a key on the curve {described["crv"]}')
    return key
