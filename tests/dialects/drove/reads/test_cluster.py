"""The cluster as Drove's clients see it: ping, numbers, events, maintenance and placement."""

import asyncio
from typing import Any

import pytest

from iceprod_tasks.actions.lead import campaign
from iceprod_tasks.dialects.drove.names import external
from iceprod_tasks.domain.tasks import new_id
from tests.actions.operated import another_leads, claimed, killed, made, report
from tests.dialects.drove.bodies import create, docker, kill, spec
from tests.dialects.drove.reads.conftest import Drove, errors_in, failed, succeeded
from tests.dialects.drove.reads.pilots import enter

LEADER_ONLY = [
    ('GET', '/ping'), ('GET', '/cluster'), ('GET', '/cluster/events'), ('GET', '/cluster/events/latest'),
    ('GET', '/cluster/events/summary'), ('GET', '/cluster/executors'), ('GET', '/cluster/executors/x'),
    ('POST', '/cluster/executors/blacklist?id=x'), ('POST', '/cluster/executors/unblacklist?id=x'),
    ('POST', '/cluster/maintenance/set'), ('POST', '/cluster/maintenance/unset'),
    ('POST', '/cluster/placement/simulate'), ('GET', '/endpoints'), ('GET', '/logfiles/tasks/A/1/list'),
]  # fmt: skip
CHANGING = [
    '/cluster/maintenance/set', '/cluster/maintenance/unset', '/cluster/executors/blacklist?id=x',
    '/cluster/executors/unblacklist?id=x',
]  # fmt: skip


async def states(drove: Drove, **query: Any) -> list[str]:
    """The states that events tell of, the oldest first."""
    events = await drove.data('/cluster/events', **query)
    assert [each['time'] for each in events] == sorted((each['time'] for each in events), reverse=True)
    return [each['metadata']['CURRENT_STATE'] for each in reversed(events)]


async def test_the_leader_answers_a_ping(drove: Drove) -> None:
    for name in ('ann', 'sys', 'una'):
        assert await drove.as_(name).data('/ping') == 'pong'


@pytest.mark.parametrize(('method', 'path'), LEADER_ONLY)
async def test_who_does_not_lead_says_who_does(drove: Drove, method: str, path: str) -> None:
    async with another_leads(drove.api):
        await campaign(drove.api.service)
        message, data = failed(await drove(method, path))

    assert message == 'This node is not the leader controller'
    assert data == {'validationErrors': ['The leader is http://other:1']}


@pytest.mark.parametrize(('method', 'path'), LEADER_ONLY)
async def test_who_is_not_known_learns_nothing_even_where_nobody_leads(drove: Drove, method: str, path: str) -> None:
    async with another_leads(drove.api):
        await campaign(drove.api.service)
        nobody, pilot = await drove.as_('')(method, path), await drove.as_('pip')(method, path)

    assert (nobody.status, nobody.body) == (401, None)
    assert nobody.headers['WWW-Authenticate'].startswith('Basic realm=')
    assert nobody.headers['Content-Type'].startswith('text/plain')
    assert nobody.text
    failed(pilot, 403)


@pytest.mark.parametrize('path', CHANGING)
async def test_who_only_reads_changes_nothing(drove: Drove, path: str) -> None:
    failed(await drove.as_('una')('POST', path), 403)

    assert (await drove.data('/cluster'))['state'] == 'NORMAL'


async def test_an_empty_cluster_has_all_numbers(drove: Drove) -> None:
    assert await drove.data('/cluster') == {
        'leader': drove.api.service.leadership.name, 'state': 'NORMAL', 'numExecutors': 0, 'numApplications': 0,
        'numActiveApplications': 0, 'numActiveTasks': 0, 'numLocalServices': 0, 'numActiveLocalServices': 0,
        'freeCores': 0, 'usedCores': 0, 'totalCores': 0, 'freeMemory': 0, 'usedMemory': 0, 'totalMemory': 0,
    }  # fmt: skip


async def test_the_summary_counts_applications_tasks_and_what_pilots_have(drove: Drove) -> None:
    await enter(drove.api, 'one', cpu=4, memory=10.0, used_cpu=1, used_memory=2.5)
    await enter(drove.api, 'two', cpu=2, memory=5.0)
    await drove('POST', '/tasks/operations', create(spec(sourceAppName='A')))
    await drove('POST', '/tasks/operations', create(spec(sourceAppName='B', taskId='1')))
    await drove('POST', '/tasks/operations', create(spec(sourceAppName='B', taskId='2')))
    await drove('POST', '/tasks/operations', kill('A', 'T0012'))

    found = await drove.data('/cluster')

    assert {name: found[name] for name in ('numExecutors', 'numApplications', 'numActiveApplications')} == {
        'numExecutors': 2, 'numApplications': 2, 'numActiveApplications': 1,
    }  # fmt: skip
    assert found['numActiveTasks'] == 2
    assert (found['totalCores'], found['usedCores'], found['freeCores']) == (6, 1, 5)
    # Pilots say gigabytes (10^9 bytes), Drove's clients mebibytes.
    assert found['usedMemory'] == int(2.5e9 / 2**20)
    assert found['totalMemory'] == found['usedMemory'] + found['freeMemory']
    assert abs(found['totalMemory'] - 15e9 / 2**20) < 3


async def test_tasks_without_names_of_drove_are_none_of_its_matter(drove: Drove) -> None:
    task_id = await drove.api.add_task()
    await drove.api('PUT', f'/tasks/{task_id}/status', {'status': 'waiting'})

    assert (await drove.data('/cluster'))['numActiveTasks'] == 0
    assert await drove.data('/cluster/events') == []


async def test_there_are_no_endpoints(drove: Drove) -> None:
    assert await drove.data('/endpoints') == []


async def test_events_tell_each_state_of_a_task_and_its_result(drove: Drove) -> None:
    task_id = await made(drove.api)
    claim = await claimed(drove.api)
    await report(drove.api, claim, 'complete')

    assert await states(drove) == [
        'PENDING', 'PROVISIONING', 'STARTING', 'RUNNING', 'RUN_COMPLETED', 'DEPROVISIONING', 'STOPPED',
    ]  # fmt: skip
    last, *others = await drove.data('/cluster/events')
    assert last['type'] == 'TASK_STATE_CHANGE'
    assert last['metadata'].items() >= {
        'APP_NAME': 'A', 'TASK_ID': '1', 'CURRENT_STATE': 'STOPPED', 'RESULT_STATUS': 'SUCCESSFUL',
        'RESULT_EXIT_CODE': 0,
    }.items()  # fmt: skip
    assert last['metadata']['INSTANCE_ID'].replace('-', '') == f'TI{task_id}'
    assert isinstance(last['metadata']['CREATED'], int)
    assert all('RESULT_STATUS' not in each['metadata'] for each in others)
    assert len({each['id'] for each in (last, *others)}) == 7


async def test_a_task_that_is_killed_before_it_runs_was_pending_and_is_stopped(drove: Drove) -> None:
    await made(drove.api)
    await killed(drove.api)

    assert await states(drove) == ['PENDING', 'STOPPED']
    [last, _] = await drove.data('/cluster/events')
    assert (last['metadata']['RESULT_STATUS'], last['metadata']['RESULT_EXIT_CODE']) == ('CANCELLED', -1)


async def test_only_what_happened_since_is_told(drove: Drove) -> None:
    await made(drove.api)
    [first] = await drove.data('/cluster/events')
    await asyncio.sleep(0.01)
    await killed(drove.api)

    assert await states(drove, lastSyncTime=first['time']) == ['STOPPED']
    assert await states(drove, lastSyncTime=first['time'] - 1) == ['PENDING', 'STOPPED']
    assert await states(drove, lastSyncTime=2**52) == []


async def test_of_many_events_the_newest_are_told(drove: Drove) -> None:
    await made(drove.api)
    claim = await claimed(drove.api)
    await report(drove.api, claim, 'complete')

    assert await states(drove, size=2) == ['DEPROVISIONING', 'STOPPED']


async def test_of_many_tasks_the_newest_events_are_told(drove: Drove) -> None:
    await made(drove.api)
    await made(drove.api, external=external('A', '2'))
    await asyncio.sleep(0.01)
    await killed(drove.api)

    assert await states(drove, size=1) == ['STOPPED']


async def test_an_executor_has_to_do_with_a_task_only_once_it_has_it(drove: Drove) -> None:
    await made(drove.api)
    body = {'requirements': {'cpu': 1, 'work': True}, 'claim_id': new_id(), 'lease_seconds': 300}
    await drove.api.as_('pilot', 'p')('POST', '/task_actions/process', {**body, 'pilot': 'one/1/0', 'host': 'h'})

    has, waits = [each['metadata'] for each in await drove.data('/cluster/events')]

    assert (has['CURRENT_STATE'], has['EXECUTOR_ID'], has['EXECUTOR_HOST']) == ('PROVISIONING', 'one-1', 'h')
    assert waits['CURRENT_STATE'] == 'PENDING'
    assert not {'EXECUTOR_ID', 'EXECUTOR_HOST'} & set(waits)


async def test_what_is_older_than_an_hour_is_not_told(drove: Drove) -> None:
    await made(drove.api)
    hour_ms = 3600 * 1000
    older = {name: {'$subtract': [f'${name}', hour_ms + 1000]} for name in ('create_date', 'updated', 'status_changed')}
    await drove.api.database.tasks.update_many({}, [{'$set': older}])

    assert await drove.data('/cluster/events') == []


async def test_the_latest_events_say_how_to_go_on(drove: Drove) -> None:
    await made(drove.api)

    first = await drove.data('/cluster/events/latest')
    again = await drove.data('/cluster/events/latest', lastSyncTime=first['lastSyncTime'])

    assert [each['metadata']['CURRENT_STATE'] for each in first['events']] == ['PENDING']
    assert again == {'events': [], 'lastSyncTime': first['lastSyncTime']}


async def test_events_are_counted_by_type(drove: Drove) -> None:
    assert (await drove.data('/cluster/events/summary'))['eventsCount'] == {}
    await made(drove.api)
    await killed(drove.api)

    found = await drove.data('/cluster/events/summary')

    assert found['eventsCount'] == {'TASK_STATE_CHANGE': 2}
    assert found['lastSyncTime'] == (await drove.data('/cluster/events'))[0]['time']


@pytest.mark.parametrize(
    'query', [{'size': 0}, {'size': -1}, {'size': 1025}, {'size': 'x'}, {'lastSyncTime': 'x'}, {'lastSyncTime': '1e3'}]
)
@pytest.mark.parametrize('path', ['/cluster/events', '/cluster/events/latest', '/cluster/events/summary'])
async def test_a_question_for_events_that_is_none_is_refused(drove: Drove, path: str, query: dict[str, Any]) -> None:
    assert errors_in(await drove('GET', path, params=query))


@pytest.mark.parametrize('time', [-(2**63), -1, 2**62, 2**63 - 1])
async def test_no_time_is_too_far_away(drove: Drove, time: int) -> None:
    await made(drove.api)

    assert len(await drove.data('/cluster/events', lastSyncTime=time)) == (time < 0)


async def test_while_maintenance_goes_on_no_operation_is_accepted(drove: Drove) -> None:
    await made(drove.api)

    begun = succeeded(await drove('POST', '/cluster/maintenance/set', {}))

    assert begun['state'] == (await drove.data('/cluster'))['state'] == 'MAINTENANCE'
    assert isinstance(begun['updated'], int)
    for body in (create(), kill('A', '1')):
        assert errors_in(await drove('POST', '/tasks/operations', body)) == ['Cluster is in maintenance mode']
    assert await drove.data('/ping') == 'pong'
    assert len(await drove.data('/tasks')) == 1


async def test_after_maintenance_operations_are_accepted_again(drove: Drove) -> None:
    await drove('POST', '/cluster/maintenance/set')
    ended = succeeded(await drove('POST', '/cluster/maintenance/unset'))

    assert ended['state'] == (await drove.data('/cluster'))['state'] == 'NORMAL'
    assert succeeded(await drove('POST', '/tasks/operations', create())) == {'taskId': 'TEST_APP-T0012'}


async def test_beginning_and_ending_twice_changes_nothing(drove: Drove) -> None:
    for way, state in (('set', 'MAINTENANCE'), ('set', 'MAINTENANCE'), ('unset', 'NORMAL'), ('unset', 'NORMAL')):
        assert succeeded(await drove('POST', f'/cluster/maintenance/{way}'))['state'] == state


async def test_who_began_maintenance_is_kept(drove: Drove) -> None:
    await drove.as_('sys')('POST', '/cluster/maintenance/set')

    kept = await drove.api.database.maintenance.find_one({})
    assert kept is not None
    assert (kept['who'], kept['on']) == ('sys', True)


async def test_who_leads_no_more_without_knowing_it_begins_no_maintenance(drove: Drove) -> None:
    async with another_leads(drove.api):
        message, _ = failed(await drove('POST', '/cluster/maintenance/set'))

    assert message == 'This node is not the leader controller'
    assert await drove.api.database.maintenance.find_one({}) is None


async def simulated(drove: Drove, given: dict[str, Any], **query: str) -> dict[str, Any]:
    return dict(succeeded(await drove('POST', '/cluster/placement/simulate', given, params=query)))


async def test_a_simulation_places_what_fits_where_there_is_room(drove: Drove) -> None:
    await enter(drove.api, 'one', cpu=2, memory=4.0)
    await enter(drove.api, 'two', cpu=1, memory=2.0)

    found = await simulated(drove, {'spec': spec(), 'numInstances': 3}, detail='true')

    assert (found['requested'], found['placed'], found['errors']) == (3, 3, [])
    assert sorted(each['executorId'] for each in found['placements']) == ['one', 'one', 'two']
    assert {each['executorState'] for each in found['placements']} == {'ACTIVE'}
    assert await drove.data('/tasks') == []


async def test_a_slot_has_room_for_one_task_however_small(drove: Drove) -> None:
    slot = {'cpu': 2, 'memory': 4.0, 'work': True, 'container': False, 'tagged': []}
    await enter(drove.api, 'one', cpu=4, memory=8.0, resources=slot)

    assert (await simulated(drove, {'spec': spec(), 'numInstances': 3}))['placed'] == 2


async def test_what_finds_no_room_is_told(drove: Drove) -> None:
    await enter(drove.api, 'one', cpu=2, memory=4.0, used_cpu=1, used_memory=1.0)

    found = await simulated(drove, {'spec': spec(), 'numInstances': 3})

    assert (found['requested'], found['placed'], found['placements']) == (3, 1, [])
    assert len(found['errors']) == 1


@pytest.mark.parametrize(
    'given',
    [
        spec(resources=[{'type': 'CPU', 'count': 8}, {'type': 'MEMORY', 'sizeInMB': 10}]),
        spec(resources=[{'type': 'CPU', 'count': 1}, {'type': 'MEMORY', 'sizeInMB': 100_000}]),
        spec(placementPolicy={'type': 'MATCH_TAG', 'tag': 'big'}),
        docker(),
    ],
)
async def test_what_fits_no_pilot_is_placed_nowhere(drove: Drove, given: dict[str, Any]) -> None:
    await enter(drove.api, 'one', cpu=2, memory=4.0)

    assert (await simulated(drove, {'spec': given}))['placed'] == 0


async def test_a_pilot_that_takes_no_more_tasks_is_no_place(drove: Drove) -> None:
    await enter(drove.api, 'one', cpu=2, memory=4.0)
    await drove('POST', '/cluster/executors/blacklist?id=one')

    assert (await simulated(drove, {'spec': spec()}))['placed'] == 0


@pytest.mark.parametrize(
    ('body', 'error'),
    [
        ({}, 'spec'), ({'spec': 5}, 'spec'), ({'spec': {}}, 'sourceAppName'),
        ({'spec': spec(), 'numInstances': 0}, 'numInstances'), ({'spec': spec(), 'numInstances': True}, 'numInstances'),
        ({'spec': spec(), 'numInstances': 10_001}, 'numInstances'),
        ({'spec': spec(), 'placementPolicy': {'type': 'LOCAL'}}, 'placementPolicy.type'),
    ],
)  # fmt: skip
async def test_a_simulation_of_nothing_is_refused(drove: Drove, body: dict[str, Any], error: str) -> None:
    assert error in ' '.join(errors_in(await drove('POST', '/cluster/placement/simulate', body)))
