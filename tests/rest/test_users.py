"""Users, groups, roles, and asking for somebody's permission. Contract 4."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from iceprod_tasks.domain.people import DEFAULT_GROUP_PRIORITIES
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

GEN = [{'name': 'gen', 'command': 'true'}]
BAD_PRIORITY = refusal(400, 'bad priority: should be between 0 and 1')


async def users_of(api: Api) -> list[dict[str, Any]]:
    answer = await api.as_('system')('GET', '/users')
    assert (answer.status, set(answer.body)) == (200, {'results'})
    return list(answer.body['results'])


async def test_roles_are_listed(api: Api) -> None:
    assert seen(await api('GET', '/roles')) == (200, {'results': ['admin', 'system', 'user', 'pilot']})


ASKED = {'name': 'dataset_id', 'value': 'nobody', 'role': 'read', 'username': 'ada', 'groups': []}


@pytest.mark.parametrize(
    ('method', 'path', 'body', 'system'),
    [
        ('GET', '/roles', None, False), ('GET', '/groups', None, True), ('GET', '/users', None, True),
        ('GET', '/users/ada', None, True), ('PUT', '/users/bob', None, False), ('DELETE', '/users/ada', None, False),
        ('PUT', '/users/ada/priority', {'priority': 1}, False), ('POST', '/auths', ASKED, True),
        ('PUT', '/groups/simprod/priority', {'priority': 1}, False),
    ],
)  # fmt: skip
async def test_admins_change_people_and_the_machinery_reads(
    api: Api, method: str, path: str, body: Any, system: bool
) -> None:
    await api('PUT', '/users/ada')
    refused = refusal(403, 'authorization failed')

    for role in ('user', 'pilot', 'system'):
        allowed = role == 'system' and system
        assert (seen(await api.as_(role)(method, path, body)) != refused) == allowed
    assert seen(await api(method, path, body)) != refused


async def test_users_come_are_listed_by_name_and_go(api: Api) -> None:
    assert await users_of(api) == []

    for name in ('bob', 'ada'):
        assert seen(await api('PUT', f'/users/{name}')) == DONE

    ada, bob = {'username': 'ada', 'priority': 0.5}, {'username': 'bob', 'priority': 0.5}
    assert await users_of(api) == [ada, bob]
    assert seen(await api.as_('system')('GET', '/users/bob')) == (200, bob)
    assert seen(await api('DELETE', '/users/bob')) == DONE
    assert seen(await api('DELETE', '/users/bob')) == DONE
    assert seen(await api('GET', '/users/bob')) == refusal(404, 'User not found')
    assert await users_of(api) == [ada]


async def test_a_user_may_be_added_with_a_priority(api: Api) -> None:
    assert seen(await api('PUT', '/users/ada', {'priority': 1, 'own': 'ignored'})) == DONE
    assert await users_of(api) == [{'username': 'ada', 'priority': 1.0}]


async def test_a_name_is_taken_once(api: Api) -> None:
    await api('PUT', '/users/ada', {'priority': 0.25})

    assert seen(await api('PUT', '/users/ada', {'priority': 0.75})) == refusal(409, 'duplicate username')
    assert await users_of(api) == [{'username': 'ada', 'priority': 0.25}]


@pytest.mark.parametrize('name', ['a b', 'a/b', 'ä.$c', 'a%b', '#?', '$where', 'x@y.z'])
async def test_a_name_may_have_any_character(api: Api, name: str) -> None:
    path = f'/users/{quote(name, safe="")}'

    assert seen(await api('PUT', path)) == DONE
    assert seen(await api('PUT', f'{path}/priority', {'priority': 0})) == DONE
    assert seen(await api('GET', path)) == (200, {'username': name, 'priority': 0.0})
    assert seen(await api('DELETE', path)) == DONE


async def test_the_first_dataset_registers_its_user_and_later_ones_change_nothing(api: Api) -> None:
    ada = api.as_('user', 'ada')
    await asyncio.gather(*(ada.add_dataset(GEN) for _ in range(8)))
    first = await users_of(api)

    await api('PUT', '/users/ada/priority', {'priority': 0.75})
    await ada.add_dataset(GEN)

    assert first == [{'username': 'ada', 'priority': 0.5}]
    assert await users_of(api) == [{'username': 'ada', 'priority': 0.75}]


async def test_a_dataset_that_is_refused_registers_nobody(api: Api) -> None:
    await api.as_('user', 'ada')('POST', '/datasets', {'description': ''})

    assert await users_of(api) == []


@pytest.mark.parametrize('path', ['/users/ada', '/groups/simprod'])
@pytest.mark.parametrize('priority', [0, 1, 0.3])
async def test_priorities_are_set(api: Api, path: str, priority: float) -> None:
    await api('PUT', '/users/ada')

    assert seen(await api('PUT', f'{path}/priority', {'priority': priority})) == DONE

    people = api.service.store.people
    found = await people.user_priorities() if 'users' in path else await people.group_priorities()
    assert found[path.rpartition('/')[2]] == priority


@pytest.mark.parametrize('path', ['/users/ada/priority', '/groups/simprod/priority', '/users/eve'])
@pytest.mark.parametrize('priority', [-0.1, 1.1, 10, '0.5', True, None, [0.5]])
async def test_a_priority_that_is_not_from_0_to_1_is_400(api: Api, path: str, priority: Any) -> None:
    await api('PUT', '/users/ada')

    assert seen(await api('PUT', path, {'priority': priority})) == BAD_PRIORITY
    assert await users_of(api) == [{'username': 'ada', 'priority': 0.5}]
    assert await api.service.store.people.group_priorities() == DEFAULT_GROUP_PRIORITIES


@pytest.mark.parametrize('path', ['/users/ada/priority', '/groups/simprod/priority'])
async def test_a_missing_priority_is_400(api: Api, path: str) -> None:
    assert seen(await api('PUT', path, {'prio': 1})) == refusal(400, 'missing priority in body')


async def test_the_priority_of_an_unknown_user_is_404(api: Api) -> None:
    assert seen(await api('PUT', '/users/ada/priority', {'priority': 1})) == refusal(404, 'User not found')
    assert await users_of(api) == []


async def test_groups_have_defaults_until_they_are_given_others(api: Api) -> None:
    default = [{'name': name, 'priority': priority} for name, priority in DEFAULT_GROUP_PRIORITIES.items()]
    assert seen(await api.as_('system')('GET', '/groups')) == (200, {'results': default})

    for name, priority in (('filtering', 0.1), ('zoo', 0.2), ('birds', 0.3), ('zoo', 0.4)):
        assert seen(await api('PUT', f'/groups/{name}/priority', {'priority': priority})) == DONE

    found = (await api('GET', '/groups')).body['results']
    assert [group['name'] for group in found] == [*DEFAULT_GROUP_PRIORITIES, 'birds', 'zoo']
    assert {group['name']: group['priority'] for group in found}.items() >= {'filtering': 0.1, 'zoo': 0.4}.items()


# Permissions of others


async def may(api: Api, dataset_id: str, role: str, username: str, *groups: str, name: str = 'dataset_id') -> Any:
    asked = {'name': name, 'value': dataset_id, 'role': role, 'username': username, 'groups': list(groups)}
    return seen(await api.as_('system')('POST', '/auths', asked))


async def test_a_program_asks_for_somebody_s_permission(api: Api) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset(GEN)
    refused = refusal(403, 'authorization failed')

    assert await may(api, dataset_id, 'read', 'ada') == await may(api, dataset_id, 'write', 'ada') == DONE
    assert await may(api, dataset_id, 'write', 'bob', 'other', 'simprod') == DONE
    assert await may(api, dataset_id, 'read', 'eve', 'users') == DONE
    assert await may(api, dataset_id, 'write', 'eve', 'users') == refused
    assert await may(api, dataset_id, 'read', 'eve') == await may(api, dataset_id, 'read', 'eve', 'other') == refused


async def test_what_nobody_was_given_is_refused_with_its_reason(api: Api) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset(GEN)

    assert await may(api, 'nobody', 'read', 'ada') == refusal(403, 'attr not found')
    assert await may(api, dataset_id, 'read', 'ada', name='_id') == refusal(403, 'attr not found')
    assert await may(api, dataset_id, 'own', 'ada') == refusal(403, 'role not found')


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        *(({key: None}, f'missing key: {key}') for key in ('name', 'value', 'role', 'username', 'groups')),
        *(({key: 5}, f"key {key} should be of type <class 'str'>") for key in ('name', 'value', 'role', 'username')),
        ({'groups': 'users'}, "key groups should be of type <class 'list'>"),
        ({'groups': [{'$gt': ''}]}, "key groups[0] should be of type <class 'str'>"),
        ({'value': {'$gt': ''}}, "key value should be of type <class 'str'>"),
    ],
)  # fmt: skip
async def test_a_question_that_is_not_valid_is_400(api: Api, changes: dict[str, Any], reason: str) -> None:
    asked = {'name': 'dataset_id', 'value': 'd', 'role': 'read', 'username': 'ada', 'groups': [], **changes}

    answer = await api('POST', '/auths', {key: value for key, value in asked.items() if value is not None})

    assert seen(answer) == refusal(400, reason)
