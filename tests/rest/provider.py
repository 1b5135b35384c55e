"""A little OpenID provider on loopback, which can be slow, away, or malicious."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from iceprod_tasks.settings import Settings
from tests.conftest import SECRET

AUDIENCE = 'tasks'
RULES = (
    'admin=groups:/tokens/IceProdAdmins', 'user=groups:/institutions/IceCube.*',
    'system=resource_access.iceprod.roles:iceprod-system',
)  # fmt: skip
GROUPS = ('simprod=groups:/posix/simprod-submit',)

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public(key: Any, key_id: str | None, **more: Any) -> dict[str, Any]:
    """A key as a provider publishes it."""
    of = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    described = dict(of.to_jwk(key.public_key(), as_dict=True))
    described.pop('key_ops', None)
    return described | ({} if key_id is None else {'kid': key_id}) | more


class Provider:
    """A provider with two keys, and what it does to those who ask."""

    def __init__(self) -> None:
        (socket,) = bind_sockets(0, '127.0.0.1')
        self.url = f'http://127.0.0.1:{socket.getsockname()[1]}/realms/icecube'
        self.keys: list[Any] = [public(RSA_KEY, 'one', use='sig', alg='RS256'), public(EC_KEY, 'two')]
        self.document: dict[str, Any] = {'issuer': self.url, 'jwks_uri': f'{self.url}/certs'}
        self.answer: Any = None
        """In place of the keys."""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay_seconds = 0.0
        self.asked = 0
        provider = self

        class Description(RequestHandler):
            async def get(self) -> None:
                provider.asked += 1
                await asyncio.sleep(provider.delay_seconds)
                self.set_status(provider.status)
                for name, value in provider.headers.items():
                    self.set_header(name, value)
                self.finish(provider.document)

        class Certs(RequestHandler):
            def get(self) -> None:
                self.finish({'keys': provider.keys} if provider.answer is None else provider.answer)

        base = r'/realms/icecube'
        self._server = HTTPServer(
            Application([(rf'{base}/\.well-known/openid-configuration', Description), (rf'{base}/certs', Certs)])
        )
        self._server.add_sockets([socket])

    async def close(self) -> None:
        """Go away for good."""
        self._server.stop()
        await self._server.close_all_connections()

    @property
    def settings(self) -> Settings:
        """Those of a service that trusts this provider."""
        return Settings(
            token_secret=SECRET, openid_url=self.url, openid_audience=AUDIENCE, openid_roles=RULES,
            openid_groups=GROUPS,
        )  # fmt: skip

    def token(
        self, key: Any = RSA_KEY, algorithm: str = 'RS256', header: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        """A token; a claim or a part of the header that is None is left out."""
        now = int(time.time())
        claims = {
            'iss': self.url, 'aud': ['account', AUDIENCE], 'sub': '7f1c', 'preferred_username': 'ada', 'iat': now,
            'exp': now + 600, 'groups': ['/institutions/IceCube/Uppsala', '/posix/simprod-submit'], **changes,
        }  # fmt: skip
        head = {'kid': 'one', **(header or {})}
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None}, key, algorithm,
            {name: value for name, value in head.items() if value is not None},
        )  # fmt: skip
