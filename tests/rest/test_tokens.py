"""POST /tokens: tokens that end soon, for a name and a password or a longer token."""

import asyncio
import base64
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from iceprod_tasks.actions import log_in
from iceprod_tasks.domain.accounts import new_account
from iceprod_tasks.domain.passwords import fits, hashed
from tests.conftest import SECRET, Answer, Api
from tests.rest.answers import refusal, seen

PASSWORD = 'correct horse: battery'
KEPT = hashed(PASSWORD)


@pytest.fixture
async def ada(api: Api) -> str:
    """The name of an account."""
    name = f'ada{time.time_ns()}'
    await api.service.store.accounts.add(new_account(name, ['user', 'pilot'], ['simprod'], KEPT, datetime.now(UTC)))
    return name


def basic(name: str, password: str = PASSWORD) -> str:
    return 'Basic ' + base64.b64encode(f'{name}:{password}'.encode()).decode()


async def asked(api: Api, authorization: str, body: Any = None, path: str = '/tokens') -> Answer:
    return await api('POST', path, body, headers={'Authorization': authorization})


def claims_of(answer: Answer) -> Mapping[str, Any]:
    assert answer.status == 201, answer.text
    claims: Mapping[str, Any] = jwt.decode(answer.body['token'], SECRET, algorithms=['HS256'], audience='iceprod-tasks')
    return claims


async def test_a_name_and_its_password_make_a_token_for_an_hour(api: Api, ada: str) -> None:
    answer = await asked(api, basic(ada))

    claims = claims_of(answer)
    assert (claims['sub'], claims['roles'], 'simprod' in claims['groups']) == (ada, ['pilot', 'user'], True)
    assert 3590 < claims['exp'] - time.time() <= 3600
    assert answer.body['roles'] == ['pilot', 'user']
    assert answer.body['expires'] == datetime.fromtimestamp(claims['exp'], UTC).strftime('%Y-%m-%dT%H:%M:%S.000000')


async def test_the_token_is_good_for_what_its_roles_may(api: Api, ada: str) -> None:
    token = (await asked(api, basic(ada), {'roles': ['user'], 'lifetime_seconds': 60})).body['token']

    assert (await asked(api, f'Bearer {token}', {}, '/task_actions/process')).status == 403
    assert (await api('GET', '/datasets', headers={'Authorization': f'Bearer {token}'})).status == 200


async def test_a_role_that_the_account_does_not_have_is_403(api: Api, ada: str) -> None:
    answer = await asked(api, basic(ada), {'roles': ['user', 'admin']})

    assert seen(answer) == refusal(403, 'authorization failed')


@pytest.mark.parametrize(
    'body', [{'lifetime_seconds': 0}, {'lifetime_seconds': 86401}, {'roles': []}, {'roles': ['root']}, {'more': 1}]
)
async def test_a_body_that_asks_for_too_much_is_400(api: Api, ada: str, body: dict[str, Any]) -> None:
    assert (await asked(api, basic(ada), body)).status == 400


async def test_a_wrong_password_and_a_name_that_nobody_has_are_refused_alike(api: Api, ada: str) -> None:
    wrong = await asked(api, basic(ada, 'wrong'))
    unknown = await asked(api, basic('nobody'))

    assert seen(wrong) == seen(unknown) == refusal(401, 'authentication failed')
    assert wrong.headers['WWW-Authenticate'] == 'Basic realm="iceprod-tasks", charset="UTF-8"'


@pytest.mark.parametrize(
    'header', ['Basic', 'Basic !', 'Basic YWRh', 'Basic /w==', 'Basic ' + 'A' * 9000, 'basic:', 'Digest a']
)
async def test_a_header_that_says_no_name_and_password_is_401(api: Api, header: str) -> None:
    assert (await asked(api, header)).status == 401


async def test_no_other_route_takes_a_password(api: Api, ada: str) -> None:
    answer = await api('GET', '/datasets', headers={'Authorization': basic(ada)})

    assert seen(answer) == refusal(401, 'authentication failed')
    assert answer.headers['WWW-Authenticate'] == 'Bearer'


async def test_unknown_names_cost_the_same_work_as_known_ones(
    api: Api, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def watched(password: str, kept: Mapping[str, Any]) -> bool:
        tried.append({name: kept[name] for name in 'nrp'})
        return fits(password, kept)

    monkeypatch.setattr(log_in, 'fits', watched)
    await asked(api, basic('nobody'))
    await asked(api, basic(ada, 'wrong password'))

    assert len(tried) == 2
    assert tried[0] == tried[1]


async def test_a_right_password_is_checked_once_for_all_who_ask_at_once_or_soon(
    api: Api, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(log_in, 'fits', lambda *given: tried.append(given) or fits(*given))

    answers = await asyncio.gather(*(asked(api, basic(ada)) for _ in range(20)))
    answers.append(await asked(api, basic(ada)))

    assert {answer.status for answer in answers} == {201}
    assert len(tried) == 1


async def test_a_removed_account_is_out_when_it_is_not_remembered_any_more(
    api: Api, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_in, '_KNOWN_SECONDS', 0.0)
    assert (await asked(api, basic(ada))).status == 201

    await api.service.store.accounts.remove(ada)

    assert (await asked(api, basic(ada))).status == 401


async def test_the_loop_goes_on_while_passwords_are_checked_and_too_many_are_503(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_in, 'fits', lambda *_: bool(time.sleep(0.1)))
    guesses = [asyncio.create_task(asked(api, basic('nobody', f'guess {number}'))) for number in range(60)]
    await asyncio.sleep(0.1)

    began = time.monotonic()
    assert (await api('GET', '/healthz')).status == 200
    assert time.monotonic() - began < 1.0

    answers = await asyncio.gather(*guesses)
    refused = [answer for answer in answers if answer.status == 503]
    assert refused
    assert all('Retry-After' in answer.headers for answer in refused)
    assert {answer.status for answer in answers} == {401, 503}


async def test_a_token_makes_one_that_can_do_less_and_does_not_outlive_it(api: Api) -> None:
    long = jwt.decode(api.token('user'), options={'verify_signature': False})
    short = jwt.encode({**long, 'exp': int(time.time()) + 50, 'roles': ['user', 'pilot']}, SECRET)

    claims = claims_of(await asked(api, f'Bearer {short}', {'lifetime_seconds': 86400, 'roles': ['pilot']}))

    assert claims['roles'] == ['pilot']
    assert claims['exp'] <= time.time() + 50
    assert claims['jti'] == long['jti']
