"""Who sees which tasks, and what operators can open."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from iceprod_tasks.domain.callers import ROLES
from iceprod_tasks.rest.lanes import Lanes
from tests.conftest import Api
from tests.dialects.vappio.conftest import FORM, PATH, failure, get, post, serving, tasks_in, without_token

ALL = {'cluster': 'local'}
OF_ADA, OF_BOB, OF_NOBODY = 'ada_s', 'bob_s', 'of_nobody'


async def fill(api: Api) -> dict[str, str]:
    """A task of ada's, one of bob's, and one whose dataset has no record: the ids by name."""
    ids = {OF_NOBODY: await api.add_task(name=OF_NOBODY)}
    for name, owner in ((OF_ADA, 'ada'), (OF_BOB, 'bob')):
        dataset_id = await api.as_('user', owner).add_dataset([{'name': name, 'command': 'true'}], group='simprod')
        reads = {'read_users': [owner], 'read_groups': ['simprod'] if owner == 'ada' else []}
        await api.database.auths.update_one({'dataset_id': dataset_id}, {'$set': reads})
        ids[name] = await api.add_task(name=name, dataset_id=dataset_id)
    return ids


async def names(api: Api) -> list[str]:
    return [task['tType'] for task in tasks_in(await post(api, ALL))]


async def test_operators_see_all_tasks_and_users_those_that_they_may_read(api: Api) -> None:
    await fill(api)

    assert await names(api.as_('admin')) == await names(api.as_('system')) == [OF_NOBODY, OF_ADA, OF_BOB]
    assert await names(api.as_('user', 'ada')) == [OF_ADA]
    assert await names(api.as_('user', 'bob')) == [OF_BOB]
    assert await names(api.as_('user', 'eve', ('simprod',))) == [OF_ADA]
    assert await names(api.as_('user', 'eve')) == []


async def test_the_task_of_others_is_unknown(api: Api) -> None:
    ids = await fill(api)
    shown = {task['tType']: task['name'] for task in tasks_in(await post(api, ALL))}
    bob = api.as_('user', 'bob')

    for name in (ids[OF_ADA], shown[OF_ADA], ids[OF_NOBODY], 'nosuch'):
        answer = await post(bob, {**ALL, 'task_name': name})
        assert (answer.status, failure(answer)) == (200, f'Task not found: {name}')
    for name in (ids[OF_BOB], shown[OF_BOB]):
        assert [task['name'] for task in tasks_in(await post(bob, {**ALL, 'task_name': name}))] == [shown[OF_BOB]]


async def test_the_dataset_of_others_is_unknown(api: Api) -> None:
    ids = await fill(api)
    dataset_id = (await api.task(ids[OF_ADA]))['dataset_id']
    ada, bob = api.as_('user', 'ada'), api.as_('user', 'bob')

    told = [failure(await post(bob, {**ALL, 'dataset_id': each})) for each in (dataset_id, 'nosuch')]

    assert told == [f'Dataset not found: {dataset_id}', 'Dataset not found: nosuch']
    assert [task['tType'] for task in tasks_in(await post(ada, {**ALL, 'dataset_id': dataset_id}))] == [OF_ADA]


async def test_a_name_with_a_dataset_finds_a_task_of_that_dataset_only(api: Api) -> None:
    task_id = await api.add_task(dataset_id='d1')

    found = await post(api, {**ALL, 'task_name': task_id, 'dataset_id': 'd1'})
    elsewhere = await post(api, {**ALL, 'task_name': task_id, 'dataset_id': 'd2'})

    assert len(tasks_in(found)) == 1
    assert failure(elsewhere) == f'Task not found: {task_id}'


@pytest.mark.parametrize('ask', [post, get])
async def test_without_a_token_nobody_sees_anything(api: Api, nobody: Api, ask: Any) -> None:
    await fill(api)

    answer = await ask(nobody, ALL)

    assert (answer.status, failure(answer)) == (401, 'authentication failed')


async def test_pilots_see_nothing(api: Api) -> None:
    answer = await post(api.as_('pilot'), ALL)

    assert (answer.status, failure(answer)) == (403, 'authorization failed')


@pytest.fixture
async def opened(mongodb_url: str, database_name: str) -> AsyncIterator[Api]:
    async with serving(mongodb_url, database_name, open_describe=True) as api:
        yield api


async def test_an_open_view_shows_all_tasks_to_anybody(opened: Api) -> None:
    ids = await fill(opened)
    nobody = without_token(opened)

    assert await names(nobody) == [OF_NOBODY, OF_ADA, OF_BOB]
    assert len(tasks_in(await get(nobody, {**ALL, 'task_name': ids[OF_BOB]}))) == 1
    for role in ROLES:
        assert len(tasks_in(await post(opened.as_(role), ALL))) == 3


async def test_an_open_view_opens_nothing_else(opened: Api) -> None:
    task_id = await opened.add_task()
    nobody = without_token(opened)

    for path in ('/tasks', f'/tasks/{task_id}', '/datasets', '/task_counts/status', f'/tasks/{task_id}/messages'):
        assert (await nobody('GET', path)).status == 401
    for method in ('PUT', 'PATCH', 'DELETE'):
        assert (await nobody(method, PATH)).status == 405


async def test_nobody_sends_a_long_form_to_an_open_view(opened: Api) -> None:
    answer = await without_token(opened)('POST', PATH, content='request=' + 'x' * 70_000, headers=FORM)

    assert answer.status == 413
    assert 'at most 65536 bytes' in failure(answer)


async def test_an_open_view_works_within_a_lane(opened: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []
    enter = Lanes.enter

    async def noted(self: Lanes, name: str) -> None:
        entered.append(name)
        await enter(self, name)  # type: ignore[arg-type]

    monkeypatch.setattr(Lanes, 'enter', noted)
    await post(without_token(opened), ALL)
    await post(without_token(opened), {**ALL, 'task_name': 'x'})

    assert entered == ['read', 'list', 'read']
