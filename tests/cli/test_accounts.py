"""`iceprod-tasks account`, `revoke` and `token --minutes`: who is let in, and who is not any more."""

import asyncio
import base64
import time
from typing import Any

import jwt
import pytest
from click.testing import CliRunner

from iceprod_tasks.cli.main import main
from tests.cli.typed import Said, typed
from tests.conftest import SECRET, Api

PASSWORD = 'correct horse'


class Keeper:
    """The commands on the database of the service under test."""

    def __init__(self, api: Api, mongodb_url: str) -> None:
        self._environment = {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': api.database.name}

    async def __call__(self, *words: str, stdin: str = '', code: int = 0) -> Said:
        run = CliRunner().invoke
        result = await asyncio.to_thread(run, main, ['account', *words], env=self._environment, input=stdin)
        assert result.exit_code == code, f'{words} ended with {result.exit_code}: {result.output}{result.exception!r}'
        return Said(result.stdout, result.stderr)


@pytest.fixture
def account(api: Api, mongodb_url: str) -> Keeper:
    return Keeper(api, mongodb_url)


async def add(account: Keeper, name: str = 'ada') -> None:
    await account('add', name, '--role', 'user', '--group', 'g1', '--password-stdin', stdin=f'{PASSWORD}\n')


async def status(api: Api, name: str, password: str = PASSWORD) -> int:
    said = base64.b64encode(f'{name}:{password}'.encode()).decode()
    return (await api('POST', '/tokens', headers={'Authorization': f'Basic {said}'})).status


async def test_an_account_is_good_for_tokens_and_its_password_is_kept_nowhere(api: Api, account: Keeper) -> None:
    said = await account('add', 'ada', '--role', 'user', '--password-stdin', stdin=f'{PASSWORD}\n')

    assert (said.out, said.err) == ('', 'account ada: added\n')
    assert await status(api, 'ada') == 201
    assert PASSWORD not in repr(await api.database.accounts.find().to_list())


async def test_a_password_is_asked_for_twice_and_never_shown(api: Api, account: Keeper) -> None:
    said = await account('add', 'bob', '--role', 'user', stdin=f'{PASSWORD}\n{PASSWORD}\n')

    assert PASSWORD not in said.out + said.err
    assert await status(api, 'bob') == 201


async def test_accounts_are_listed_without_hashes(account: Keeper) -> None:
    await add(account)

    (listed,) = (await account('list', '--json')).json
    table = (await account('list')).out

    assert set(listed) == {'name', 'roles', 'groups', 'created', 'changed'}
    assert (listed['name'], listed['roles'], listed['groups']) == ('ada', ['user'], ['g1'])
    assert table.split()[:6] == ['name', 'roles', 'groups', 'changed', *table.split()[4:6]]
    assert 'ada' in table


async def test_a_name_that_is_taken_is_a_conflict(account: Keeper) -> None:
    await add(account)

    said = await account('add', 'ada', '--role', 'admin', '--password-stdin', stdin=f'{PASSWORD}\n', code=5)

    assert said.err == 'iceprod-tasks: there is an account ada already\n'
    assert (await account('list', '--json')).json[0]['roles'] == ['user']


async def test_a_removed_account_is_out_and_so_are_its_tokens(
    api: Api, account: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.actions.log_in._KNOWN_SECONDS', 0.0)
    name = f'eve{time.time_ns()}'
    await add(account, name)
    token = api.token('user', name)
    await asyncio.sleep(0.01)

    await account('remove', name)

    assert await status(api, name) == 401
    end = time.monotonic() + 10
    while (await api('GET', '/datasets', headers={'Authorization': f'Bearer {token}'})).status != 401:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def test_only_the_new_password_is_good(api: Api, account: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.actions.log_in._KNOWN_SECONDS', 0.0)
    # The service may remember the password of another test's account.
    name = f'eve{time.time_ns()}'
    await add(account, name)

    await account('password', name, '--password-stdin', stdin='battery staple\n')

    assert await status(api, name) == 401
    assert await status(api, name, 'battery staple') == 201


@pytest.mark.parametrize('words', [('remove',), ('password', '--password-stdin')])
async def test_an_account_that_is_not_there_is_not_found(account: Keeper, words: tuple[str, ...]) -> None:
    said = await account(*words, 'nobody', stdin=f'{PASSWORD}\n', code=3)

    assert said.err == 'iceprod-tasks: there is no account nobody\n'


async def test_a_short_password_is_refused(account: Keeper) -> None:
    said = await account('add', 'ada', '--role', 'user', '--password-stdin', stdin='short\n', code=1)

    assert 'at least 8 characters' in said.err


async def test_a_token_is_revoked_by_itself_or_by_its_user(api: Api) -> None:
    name = f'mallory{time.time_ns()}'
    first, second, third = (api.token('user', name) for _ in range(3))
    await asyncio.sleep(0.01)

    async def good(token: str) -> bool:
        return (await api('GET', '/datasets', headers={'Authorization': f'Bearer {token}'})).status == 200

    one = await typed(api, 'revoke', first, '--json')
    await typed(api, 'revoke', '-', stdin=f'{second}\n')
    assert [await good(token) for token in (first, second, third)] == [False, False, True]
    said = await typed(api, 'revoke', '--user', name)

    assert one.json['token_id'] == jwt.decode(first, options={'verify_signature': False})['jti']
    assert said.out == f'revoked: all tokens of {name} so far\n'
    assert not await good(third)


@pytest.mark.parametrize('words', [(), ('a.b.c', '--user', 'ada')])
async def test_what_is_revoked_is_named_once(api: Api, words: tuple[str, ...]) -> None:
    await typed(api, 'revoke', *words, code=2)


@pytest.mark.parametrize(
    ('words', 'seconds'), [((), 365 * 86400), (('--days', '2'), 172800), (('--minutes', '0.5'), 30)]
)
def test_a_token_lives_as_long_as_it_is_told(words: tuple[str, ...], seconds: int) -> None:
    command: list[Any] = ['token', '--role', 'user', '--user', 'ada', *words]

    made = CliRunner().invoke(main, command, env={'TOKEN_SECRET': SECRET}).stdout.strip()

    claims = jwt.decode(made, SECRET, algorithms=['HS256'], audience='iceprod-tasks')
    assert claims['exp'] - int(claims['iat']) == seconds


def test_a_lifetime_is_given_once() -> None:
    command = ['token', '--role', 'user', '--user', 'ada', '--days', '1', '--minutes', '1']

    assert CliRunner().invoke(main, command, env={'TOKEN_SECRET': SECRET}).exit_code == 2
