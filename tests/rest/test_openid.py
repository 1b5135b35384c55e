"""Tokens of an OpenID provider: which are good, what they say, and what a provider that is away costs."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import IceprodTasksError, NotAuthenticated, Unavailable
from iceprod_tasks.rest.identity import openid_keys
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.identity.openid import OpenId
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from tests.conftest import SECRET, Api
from tests.rest.provider import EC_KEY, OTHER_RSA_KEY, RSA_KEY, Provider, public

PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    yield provider
    await provider.close()


@pytest.fixture
async def identities(api: Api, provider: Provider) -> AsyncIterator[Identities]:
    """Of a process that trusts the provider, and has its keys."""
    identities = Identities(Tokens(SECRET), api.service, OpenId(provider.settings))
    async with identities.kept():
        await who(identities, provider.token())
        yield identities


async def who(identities: Identities, token: str) -> Caller:
    return await identities.caller(f'Bearer {token}')


async def refused(identities: Identities, token: str) -> IceprodTasksError:
    with pytest.raises((NotAuthenticated, Unavailable)) as caught:
        await who(identities, token)
    return caught.value


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b'x') -> str:
    """A token of parts that no library would put together."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return '.'.join(base64.urlsafe_b64encode(part).decode().rstrip('=') for part in parts)


async def test_a_token_of_the_provider_says_name_roles_and_groups(identities: Identities, provider: Provider) -> None:
    caller = await who(identities, provider.token())

    assert caller == Caller('ada', frozenset({'user'}), ('simprod', 'users'))


@pytest.mark.parametrize(
    ('changes', 'name', 'roles'),
    [
        ({'groups': ['/tokens/IceProdAdmins']}, 'ada', {'admin'}),
        ({'groups': '/tokens/IceProdAdmins'}, 'ada', {'admin'}),
        ({'groups': ['x/tokens/IceProdAdmins', '/tokens/IceProdAdminsX', '/tokens/IceProdAdmins\n']}, 'ada', set()),
        ({'groups': None, 'resource_access': {'iceprod': {'roles': ['iceprod-system']}}}, 'ada', {'system'}),
        ({'groups': None, 'resource_access': 'iceprod'}, 'ada', set()),
        ({'groups': {'/tokens/IceProdAdmins': True}}, 'ada', set()),
        ({'groups': [None, 5, ['/tokens/IceProdAdmins']]}, 'ada', set()),
        ({'groups': None, 'roles': ['admin']}, 'ada', set()),
        ({'preferred_username': None}, '7f1c', {'user'}),
    ],
)
async def test_claims_mean_what_the_rules_say(
    identities: Identities, provider: Provider, changes: dict[str, Any], name: str, roles: set[str]
) -> None:
    caller = await who(identities, provider.token(**changes))

    assert (caller.name, set(caller.roles)) == (name, roles)


async def test_a_key_on_a_curve_is_good_as_well(identities: Identities, provider: Provider) -> None:
    assert (await who(identities, provider.token(EC_KEY, 'ES256', {'kid': 'two'}))).name == 'ada'


async def test_a_token_that_names_no_key_is_checked_by_the_only_one(identities: Identities, provider: Provider) -> None:
    assert (await who(identities, provider.token(header={'kid': None}))).name == 'ada'


async def test_the_services_own_tokens_stay_good(identities: Identities) -> None:
    assert (await who(identities, Tokens(SECRET).mint('eve', ['pilot'], [], 60))).name == 'eve'


FORGED: dict[str, Callable[[Provider], str]] = {
    'signed by another key': lambda of: of.token(OTHER_RSA_KEY),
    'another key and algorithm under a known id': lambda of: of.token(EC_KEY, 'ES256'),
    'over': lambda of: of.token(exp=int(time.time()) - 60),
    'not yet': lambda of: of.token(nbf=int(time.time()) + 600),
    'made in the future': lambda of: of.token(iat=int(time.time()) + 600),
    'without an end': lambda of: of.token(exp=None),
    'without a beginning': lambda of: of.token(iat=None),
    'of another issuer': lambda of: of.token(iss='https://other.example'),
    'of no issuer': lambda of: of.token(iss=None),
    'of our own issuer': lambda of: of.token(iss='iceprod-tasks', aud='iceprod-tasks'),
    'for somebody else': lambda of: of.token(aud='account'),
    'for nobody': lambda of: of.token(aud=None),
    'without a name': lambda of: of.token(preferred_username=None, sub=None),
    'with a name of two lines': lambda of: of.token(preferred_username='ada\nroot'),
    'with an endless name': lambda of: of.token(preferred_username='a' * 300),
    'with an end that is no number': lambda of: of.token(exp=float('inf')),
    'signed with the public key as a secret': lambda of: by_hand({'alg': 'HS256', 'kid': 'one'}, {}),
    'not signed': lambda of: by_hand({'alg': 'none', 'kid': 'one'}, {}, b''),
    'not signed, in capitals': lambda of: by_hand({'alg': 'NONE', 'kid': 'one'}, {}),
    'another size of the algorithm': lambda of: of.token(algorithm='RS512'),
    'another padding': lambda of: of.token(algorithm='PS256'),
    'an algorithm that is no word': lambda of: by_hand({'alg': ['RS256'], 'kid': 'one'}, {}),
    'a key id that is no text': lambda of: by_hand({'alg': 'RS256', 'kid': {'$gt': ''}}, {}),
    'what must be understood': lambda of: of.token(header={'crit': ['exp'], 'exp': 1}),
    'deeply nested': lambda of: by_hand({'alg': 'RS256', 'kid': 'one'}, {}).replace(
        'eyJ', base64.urlsafe_b64encode(b'[' * 9000).decode(), 1
    ),
    'too long': lambda of: of.token(more='x' * 20000),
}


@pytest.mark.parametrize('how', FORGED)
async def test_a_token_that_is_not_good_is_refused(identities: Identities, provider: Provider, how: str) -> None:
    assert isinstance(await refused(identities, FORGED[how](provider)), NotAuthenticated)


async def test_the_public_key_is_no_secret(identities: Identities, provider: Provider) -> None:
    head = {'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'}
    claims = jwt.decode(provider.token(), options={'verify_signature': False})
    signed = by_hand(head, claims).rpartition('.')[0]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), PEM)

    token = f'{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip("=")}'

    assert isinstance(await refused(identities, token), NotAuthenticated)


@pytest.mark.parametrize('where', ['jku', 'x5u', 'jwk'])
async def test_no_key_is_taken_from_a_token(identities: Identities, provider: Provider, where: str) -> None:
    evil = Provider()
    evil.keys = [public(OTHER_RSA_KEY, 'one')]
    material: Any = public(OTHER_RSA_KEY, 'one') if where == 'jwk' else f'{evil.url}/certs'

    await refused(identities, provider.token(OTHER_RSA_KEY, header={where: material}))

    assert evil.asked == 0
    await evil.close()


async def test_a_name_is_taken_from_the_claim_that_is_set_and_from_no_other(api: Api, provider: Provider) -> None:
    settings = provider.settings.override(openid_name_claim='person.email')
    identities = Identities(Tokens(SECRET), api.service, OpenId(settings))
    async with identities.kept():
        assert (await who(identities, provider.token(person={'email': 'a@b'}))).name == 'a@b'
        await refused(identities, provider.token())


async def test_a_new_key_is_known_to_the_first_who_shows_it(
    identities: Identities, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid_keys, '_SOONEST_SECONDS', 0.0)
    provider.keys.append(public(OTHER_RSA_KEY, 'three'))

    assert (await who(identities, provider.token(OTHER_RSA_KEY, header={'kid': 'three'}))).name == 'ada'


async def test_many_unknown_keys_ask_the_provider_once_and_then_are_401_at_once(
    identities: Identities, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: Any = identities._openid._keys  # type: ignore[union-attr]
    keys._tried = time.monotonic() - 60
    provider.delay_seconds, provider.asked = 0.3, 0

    await asyncio.gather(*(refused(identities, provider.token(header={'kid': f'no{each}'})) for each in range(50)))
    assert provider.asked == 1

    began = time.monotonic()
    for each in range(20):
        await refused(identities, provider.token(header={'kid': f'none{each}'}))
    assert provider.asked == 1
    assert time.monotonic() - began < 2


async def test_others_do_not_wait_for_somebody_elses_unknown_key(identities: Identities, provider: Provider) -> None:
    keys: Any = identities._openid._keys  # type: ignore[union-attr]
    keys._tried = time.monotonic() - 60
    provider.delay_seconds = 1.0
    stranger = asyncio.create_task(refused(identities, provider.token(header={'kid': 'no'})))
    await asyncio.sleep(0.05)

    assert (await who(identities, provider.token(jti='fresh'))).name == 'ada'
    assert not stranger.done()
    await stranger


BROKEN: dict[str, dict[str, Any]] = {
    'an error': {'status': 500},
    'a redirect': {'status': 302, 'headers': {'Location': 'https://other.example'}},
    'compressed': {'headers': {'Content-Encoding': 'gzip'}},
    'another issuer': {'document': {'issuer': 'https://other.example', 'jwks_uri': 'https://other.example/certs'}},
    'keys that anybody could send': {'document': {'issuer': None, 'jwks_uri': 'http://other.example/certs'}},
    'no description': {'document': {}},
    'no keys': {'answer': {}},
    'an empty set': {'answer': {'keys': []}},
    'too many keys': {'answer': {'keys': [{}] * 100}},
    'too long': {'answer': {'keys': [], 'more': 'x' * 300_000}},
    'no JSON': {'answer': '<html>'},
    'a secret as a key': {'answer': {'keys': [{'kty': 'oct', 'k': 'c2VjcmV0', 'kid': 'one'}]}},
    'a weak key': {'answer': {'keys': [public(rsa.generate_private_key(65537, 1024), 'one')]}},
    'another curve': {'answer': {'keys': [public(ec.generate_private_key(ec.SECP384R1()), 'two')]}},
    'keys for something else': {'answer': {'keys': [public(OTHER_RSA_KEY, 'one', use='enc')]}},
    'keys that are none': {'answer': {'keys': ['x', None, {'kty': 'RSA'}, {'kty': ['RSA'], 'n': 1}]}},
}


WHY = {
    'an error': 'is answered 500', 'a redirect': 'is answered 302', 'compressed': 'or compressed',
    'another issuer': 'says that it is https://other.example',
    'keys that anybody could send': 'http://other.example/certs is no https address',
    'too many keys': 'more than 64 keys', 'too long': 'is longer than 262144 bytes',
}  # fmt: skip
"""What the log says of it; of all others that no key can be used, or that it cannot be read."""


@pytest.mark.parametrize('how', BROKEN)
async def test_the_old_keys_stay_when_a_provider_talks_nonsense(
    identities: Identities, provider: Provider, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    changes = dict(BROKEN[how])
    if changes.get('document', {}).get('issuer', '') is None:
        changes['document'] = {**changes['document'], 'issuer': provider.url}
    provider.__dict__ |= changes
    keys: Any = identities._openid._keys  # type: ignore[union-attr]
    keys._tried = time.monotonic() - 60

    await refused(identities, provider.token(header={'kid': 'no'}))

    assert (await who(identities, provider.token(jti='fresh'))).name == 'ada'
    assert 'the old ones stay' in caplog.text
    assert WHY.get(how, '') in caplog.text


async def test_a_provider_that_is_slow_is_not_waited_for_without_end(
    identities: Identities, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid_keys, '_PATIENCE_SECONDS', 0.2)
    keys: Any = identities._openid._keys  # type: ignore[union-attr]
    keys._tried = time.monotonic() - 60
    provider.delay_seconds = 3

    began = time.monotonic()
    await refused(identities, provider.token(header={'kid': 'no'}))

    assert time.monotonic() - began < 2
    assert (await who(identities, provider.token(jti='fresh'))).name == 'ada'


async def test_a_key_that_the_provider_has_withdrawn_is_not_believed(
    identities: Identities, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid_keys, '_SOONEST_SECONDS', 0.0)
    provider.keys = [public(EC_KEY, 'two')]
    await refused(identities, provider.token(header={'kid': 'no'}))

    await refused(identities, provider.token(jti='fresh'))


async def test_keys_are_read_again_without_anybody_asking(
    api: Api, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ('_FRESH_SECONDS', '_SOONEST_SECONDS'):
        monkeypatch.setattr(openid_keys, name, 0.01)
    async with Identities(Tokens(SECRET), api.service, OpenId(provider.settings)).kept():
        while provider.asked < 3:
            await asyncio.sleep(0.01)


async def test_without_any_keys_the_answer_is_to_come_again(
    api: Api, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    provider.status = 500
    identities = Identities(Tokens(SECRET), api.service, OpenId(provider.settings))
    async with identities.kept():
        assert isinstance(await refused(identities, provider.token()), Unavailable)


async def test_a_revoked_token_of_the_provider_is_refused(api: Api, identities: Identities, provider: Provider) -> None:
    token = provider.token(preferred_username=f'eve{time.time_ns()}', iat=int(time.time()) - 5)
    name = (await who(identities, token)).name

    await api('POST', '/revocations', {'user': name})

    await refused(identities, token)


async def test_a_service_takes_tokens_of_its_provider(api: Api, provider: Provider, mongodb_url: str) -> None:
    settings = provider.settings.override(port=0, scheduler=False, mongodb_database=api.database.name)
    async with running(settings, mongodb_url, Tokens(SECRET)) as up:
        other = Api(up, Tokens(SECRET), api.database)
        headers = {'Authorization': f'Bearer {provider.token()}'}

        assert (await other('GET', '/datasets', headers=headers)).status == 200
        assert (await other('GET', '/users', headers=headers)).status == 403
        made = await other('POST', '/tokens', {'lifetime_seconds': 3600}, headers=headers)
        assert made.status == 201
        claims = jwt.decode(made.body['token'], SECRET, algorithms=['HS256'], audience='iceprod-tasks')
        assert (claims['sub'], claims['roles']) == ('ada', ['user'])
        await other.close()


def test_settings_are_read_from_the_environment() -> None:
    settings = Settings.from_environment(
        {
            'OPENID_URL': 'https://keys.example/realms/a', 'OPENID_AUDIENCE': 'tasks', 'OPENID_NAME_CLAIM': 'email',
            'OPENID_ROLES': 'admin=a:b;user=a:c', 'OPENID_GROUPS': 'simprod=a.b:c',
        }
    )  # fmt: skip

    assert settings.openid_roles == ('admin=a:b', 'user=a:c')
    assert (settings.openid_groups, settings.openid_name_claim) == (('simprod=a.b:c',), 'email')
