"""Executors: the pilots that are heard of, what they have left, and which are to take no more tasks."""

from typing import Any

import pytest

from iceprod_tasks.dialects.drove import executors
from iceprod_tasks.domain.tasks import new_id
from tests.actions.operated import made, report
from tests.conftest import Api
from tests.dialects.drove.reads.conftest import Drove, errors_in, failed, succeeded
from tests.dialects.drove.reads.pilots import enter, silence

NAME, ID = 'node7/42', 'node7-42'


async def listed(drove: Drove) -> dict[str, dict[str, Any]]:
    return {each['executorId']: each for each in await drove.data('/cluster/executors')}


async def states(drove: Drove) -> dict[str, str]:
    return {name: each['state'] for name, each in (await listed(drove)).items()}


async def change(drove: Drove, way: str, *names: str) -> dict[str, Any]:
    return dict(succeeded(await drove('POST', f'/cluster/executors/{way}', {}, params={'id': names})))


async def claimed_by(api: Api, pilot: str) -> dict[str, Any]:
    body = {'requirements': {'cpu': 1, 'work': True}, 'claim_id': new_id(), 'lease_seconds': 300, 'pilot': pilot}
    answer = await api.as_('pilot', 'p')('POST', '/task_actions/process', body)
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def test_without_pilots_there_are_no_executors(drove: Drove) -> None:
    assert await drove.data('/cluster/executors') == []


async def test_a_pilot_is_an_executor_with_what_it_has_left(drove: Drove) -> None:
    await enter(drove.api, NAME, cpu=4, memory=8.0, used_cpu=1, used_memory=2.0)

    assert await drove.data('/cluster/executors') == [{
        'executorId': ID, 'hostname': f'host-of-{NAME}', 'port': 0, 'transportType': 'HTTP',
        'freeCores': 3, 'usedCores': 1, 'freeMemory': int(8e9 / 2**20) - int(2e9 / 2**20),
        'usedMemory': int(2e9 / 2**20), 'tags': ['site-x', f'host-of-{NAME}'], 'state': 'ACTIVE',
    }]  # fmt: skip


async def test_an_executor_says_what_it_is_and_runs(drove: Drove) -> None:
    await made(drove.api)
    claim = await claimed_by(drove.api, f'{NAME}/0')
    await enter(drove.api, NAME, cpu=2, memory=4.0, used_cpu=1, used_memory=1.0, tasks=[claim['task_id']])

    found = await drove.data(f'/cluster/executors/{ID}')

    assert found['state'] == {
        'executorId': ID,
        'cpus': {'freeCores': {'0': [1]}, 'usedCores': {'0': [0]}},
        'memory': {'freeMemory': {'0': int(4e9 / 2**20) - int(1e9 / 2**20)}, 'usedMemory': {'0': int(1e9 / 2**20)}},
    }
    assert (found['executorState'], found['port'], found['transportType']) == ('ACTIVE', 0, 'HTTP')
    assert (found['instances'], found['serviceInstances']) == ([], [])
    assert isinstance(found['updated'], int)
    [task] = found['tasks']
    assert (task['sourceAppName'], task['taskId'], task['executorId']) == ('A', '1', ID)


async def test_tasks_without_names_of_drove_are_not_shown(drove: Drove) -> None:
    task_id = await drove.api.add_task()
    await claimed_by(drove.api, f'{NAME}/0')
    await enter(drove.api, NAME, cpu=1, memory=1.0, tasks=[task_id])

    assert (await drove.data(f'/cluster/executors/{ID}'))['tasks'] == []


async def test_what_another_pilot_runs_is_not_shown(drove: Drove) -> None:
    await made(drove.api)
    await claimed_by(drove.api, 'node8/42/0')
    await enter(drove.api, NAME, cpu=1, memory=1.0)

    assert (await drove.data(f'/cluster/executors/{ID}'))['tasks'] == []


async def test_values_of_environments_are_for_those_who_operate(drove: Drove) -> None:
    await made(drove.api)
    claim = await claimed_by(drove.api, f'{NAME}/0')
    await enter(drove.api, NAME, cpu=1, memory=1.0, tasks=[claim['task_id']])

    seen = {
        name: (await drove.as_(name).data(f'/cluster/executors/{ID}'))['tasks'][0]['env'] for name in ('sys', 'una')
    }

    assert seen == {'sys': {'KEY': 'secret'}, 'una': {'KEY': '*****'}}


@pytest.mark.parametrize('name', ['none', 'a.b-c_d', '0'])
async def test_an_executor_that_nobody_knows_is_no_error_of_the_request(drove: Drove, name: str) -> None:
    message, data = failed(await drove('GET', f'/cluster/executors/{name}'), 200)

    assert (message, data) == (f'No such executor {name}', None)


async def test_a_pilot_that_is_silent_is_no_executor(drove: Drove) -> None:
    pilot_id = await enter(drove.api, NAME, cpu=1, memory=1.0)
    await enter(drove.api, 'well', cpu=1, memory=1.0)
    await silence(drove.api, pilot_id, 91)

    assert await states(drove) == {'well': 'ACTIVE'}
    failed(await drove('GET', f'/cluster/executors/{ID}'), 200)
    assert (await change(drove, 'blacklist', ID))['failed'] == [ID]


async def test_a_pilot_that_has_begun_anew_is_one_executor(drove: Drove) -> None:
    await enter(drove.api, NAME, cpu=1, memory=1.0)
    await enter(drove.api, NAME, cpu=2, memory=2.0)

    assert [each['freeCores'] for each in await drove.data('/cluster/executors')] == [2]


@pytest.mark.parametrize(('tasks', 'state'), [(['t'], 'BLACKLIST_REQUESTED'), ([], 'BLACKLISTED')])
async def test_a_blacklisted_pilot_is_told_to_drain(drove: Drove, tasks: list[str], state: str) -> None:
    pilot_id = await enter(drove.api, NAME, cpu=1, memory=1.0, tasks=tasks)
    await enter(drove.api, 'other', cpu=1, memory=1.0)

    told = await change(drove, 'blacklist', ID)

    assert (told['successful'], told['failed']) == ([ID], [])
    assert await states(drove) == {ID: state, 'other': 'ACTIVE'}
    assert (await drove.data(f'/cluster/executors/{ID}'))['executorState'] == state
    assert (await drove.api('GET', f'/pilots/{pilot_id}')).body['drain']['who'] == 'ann'


async def test_a_pilot_that_is_off_the_blacklist_again_takes_tasks(drove: Drove) -> None:
    pilot_id = await enter(drove.api, NAME, cpu=1, memory=1.0)
    await change(drove, 'blacklist', ID)

    told = await change(drove, 'unblacklist', ID)

    assert told['successful'] == [ID]
    assert await states(drove) == {ID: 'ACTIVE'}
    assert (await drove.api('GET', f'/pilots/{pilot_id}')).body['drain'] is None


async def test_of_several_executors_those_that_nobody_knows_have_failed(drove: Drove) -> None:
    await enter(drove.api, 'one', cpu=1, memory=1.0)
    await enter(drove.api, 'two', cpu=1, memory=1.0)

    told = await change(drove, 'blacklist', 'two', 'none', 'one', 'two')

    assert (told['successful'], told['failed']) == (['two', 'one'], ['none'])
    assert set((await states(drove)).values()) == {'BLACKLISTED'}


@pytest.mark.parametrize('way', ['blacklist', 'unblacklist'])
async def test_whoever_names_no_executor_is_told_so(drove: Drove, way: str) -> None:
    [error] = errors_in(await drove('POST', f'/cluster/executors/{way}'))

    assert error.startswith('id ')


@pytest.mark.parametrize(
    'odd',
    [
        {'resources_available': {}, 'resources_claimed': {}},
        {'resources_available': {'cpu': 'many', 'memory': None}, 'resources_claimed': {'cpu': True}},
        {'resources_available': {'cpu': 1e308, 'memory': 1e308}},
        {'resources_available': {'cpu': 2**62, 'memory': 2**62}}, {'resources': {'tagged': 'x'}}, {'name': ''},
        {'resources_available': {'cpu': -5, 'memory': -1}, 'resources_claimed': {'cpu': -3}}, {'name': 'a' * 200},
    ],
)  # fmt: skip
async def test_whatever_a_pilot_says_of_itself_the_others_can_be_read(drove: Drove, odd: dict[str, Any]) -> None:
    await enter(drove.api, 'well', cpu=1, memory=1.0)
    await enter(drove.api, NAME, cpu=1, memory=1.0, **{'name': NAME, **odd})

    found = await listed(drove)

    assert len(found) == 2
    assert all(each[name] >= 0 for each in found.values() for name in ('freeCores', 'usedCores', 'freeMemory'))
    assert all(each['freeCores'] < 100_000 for each in found.values())
    assert (await drove('GET', '/cluster')).status == 200
    for name in found:
        assert succeeded(await drove('GET', f'/cluster/executors/{name}'))


async def test_a_pilot_that_leaves_by_itself_takes_no_more_tasks(drove: Drove) -> None:
    await enter(drove.api, NAME, cpu=1, memory=1.0, state='draining', tasks=['t'])

    assert await states(drove) == {ID: 'BLACKLIST_REQUESTED'}


async def test_who_runs_more_than_there_is_has_nothing_left(drove: Drove) -> None:
    await enter(drove.api, NAME, cpu=2, memory=4.0, used_cpu=3, used_memory=5.0)

    found = (await listed(drove))[ID]

    assert (found['freeCores'], found['usedCores'], found['freeMemory']) == (0, 3, 0)


async def test_what_is_over_runs_on_no_executor(drove: Drove) -> None:
    await made(drove.api)
    claim = await claimed_by(drove.api, f'{NAME}/0')
    await enter(drove.api, NAME, cpu=1, memory=1.0)
    before = (await drove.data(f'/cluster/executors/{ID}'))['tasks']
    await report(drove.api, claim, 'complete')

    assert len(before) == 1
    assert (await drove.data(f'/cluster/executors/{ID}'))['tasks'] == []


async def test_an_executor_that_leaves_just_then_has_failed(drove: Drove, monkeypatch: pytest.MonkeyPatch) -> None:
    async def was_there(*_: Any) -> dict[str, Any]:
        return {ID: {'pilot_id': 'gone'}}

    monkeypatch.setattr(executors, 'executors', was_there)

    assert (await change(drove, 'blacklist', ID))['failed'] == [ID]


async def test_as_many_executors_are_changed_at_once_as_a_query_has_room_for(drove: Drove) -> None:
    names = [str(number) for number in range(65)]

    assert (await change(drove, 'blacklist', *names[1:]))['failed'] == names[1:]
    assert '64' in ' '.join(errors_in(await drove('POST', '/cluster/executors/blacklist', params={'id': names})))
