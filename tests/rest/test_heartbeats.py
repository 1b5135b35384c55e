"""POST /tasks/ID/task_actions/heartbeat: a claim holds as long as its pilot is heard of, and not longer."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Answer, Api
from tests.rest.answers import seen

CLAIM = '/task_actions/process'
MINE, OTHER = 'a' * 32, 'b' * 32
LEASE_SECONDS = 60
GO_ON = {'action': 'continue', 'why': '', 'again_in': 10.0, 'orders': [], 'lease_seconds': 60.0}
PHASES = ('provisioning', 'starting', 'running', 'run_completed', 'deprovisioning')


async def claimed(
    api: Api, claim_id: str | None = MINE, lease_seconds: float = LEASE_SECONDS, by: Api | None = None
) -> str:
    """A task in the hands of a claim."""
    task_id = await api.add_task()
    body = {'claim_id': claim_id, 'lease_seconds': lease_seconds} if claim_id else {}
    assert (await (by or api)('POST', CLAIM, body)).body['task_id'] == task_id
    return task_id


async def beat(api: Api, task_id: str, **says: Any) -> Answer:
    return await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': MINE, **says})


async def set_lease(api: Api, task_id: str, seconds: float) -> None:
    """Let the lease be over after a time, from now on."""
    over = {'$add': ['$$NOW', seconds * 1000]}
    await api.database.tasks.update_one({'task_id': task_id}, [{'$set': {'lease_until': over}}])


async def ask_to_stop(api: Api, action: str = 'suspend', reason: str = 'a pause') -> None:
    answer = await api.as_('admin', 'ada')('POST', f'/datasets/d1/task_actions/{action}', {'reason': reason})
    assert answer.body['stopping'] == 1, answer.text


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def refused(why: str, code: int = 409, error: str = "The claim is not the task's current claim") -> Any:
    return code, {'code': code, 'error': error, 'action': 'stop', 'why': why, 'again_in': 0, 'orders': []}


@pytest.mark.parametrize('role', ['admin', 'system', 'pilot'])
@pytest.mark.parametrize('says', [{}, {'epoch': 1}])
async def test_a_heartbeat_lets_the_lease_begin_anew(api: Api, role: str, says: dict[str, Any]) -> None:
    task_id = await claimed(api, by=api.as_(role))
    await set_lease(api, task_id, 5)
    before = await api.task(task_id)

    answer = await beat(api.as_(role), task_id, **says)

    assert seen(answer) == (200, GO_ON)
    task = await api.task(task_id)
    assert at(task['lease_until']) - at(task['heartbeat_at']) == timedelta(seconds=LEASE_SECONDS)
    assert at(task['heartbeat_at']) >= at(before['updated'])
    assert {name for name in task if task[name] != before[name]} == {'lease_until', 'heartbeat_at', 'updated'}


async def test_a_heartbeat_is_no_entry_of_the_log(api: Api) -> None:
    task_id = await claimed(api)

    for _ in range(3):
        await beat(api, task_id)

    assert [entry['transition'] for entry in (await api.task(task_id))['log']] == ['claim']


@pytest.mark.parametrize('phase', PHASES)
async def test_a_heartbeat_says_how_far_the_work_is(api: Api, phase: str) -> None:
    task_id = await claimed(api)
    used = {'cpu': 1.5, 'gpu': 0, 'memory': 3.25, 'disk': 7, 'time': 0.5}

    await beat(api, task_id, progress={'completed': 3, 'total': 9}, phase=phase, resources=used)
    await beat(api, task_id)

    task = await api.task(task_id)
    said = {'steps': {'completed': 3, 'total': 9}, 'phase': phase, 'resources_used': used}
    assert task.items() >= said.items()


async def test_a_new_claim_begins_with_nothing_said(api: Api) -> None:
    task_id = await claimed(api)
    await beat(api, task_id, progress={'completed': 3, 'total': 9}, phase='running', resources={'cpu': 1})
    await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': MINE})

    task = (await api('POST', CLAIM, {'claim_id': OTHER})).body

    unsaid = {'steps': {'completed': 0, 'total': 1}, 'phase': '', 'resources_used': {}, 'heartbeat_at': None}
    assert task.items() >= unsaid.items()


@pytest.mark.parametrize(('lease_seconds', 'again_in'), [(3, 1.0), (30, 10.0), (300, 10.0)])
async def test_a_short_lease_asks_for_more_heartbeats(api: Api, lease_seconds: float, again_in: float) -> None:
    task_id = await claimed(api, lease_seconds=lease_seconds)

    answer = await beat(api, task_id)

    assert (answer.body['again_in'], answer.body['lease_seconds']) == (again_in, lease_seconds)


async def test_a_lease_is_never_shortened(api: Api) -> None:
    # As after a change of primaries whose clocks differ.
    task_id = await claimed(api)
    await set_lease(api, task_id, 500)
    before = await api.task(task_id)

    answer = await beat(api, task_id)

    assert (await api.task(task_id))['lease_until'] == before['lease_until']
    # What the pilot is told is no more than what every clock grants.
    assert answer.body['lease_seconds'] == LEASE_SECONDS


async def test_a_lease_that_is_over_begins_anew_as_long_as_nobody_has_taken_the_task(api: Api) -> None:
    task_id = await claimed(api)
    await set_lease(api, task_id, -100)

    answer = await beat(api, task_id)

    assert seen(answer) == (200, GO_ON)
    task = await api.task(task_id)
    assert at(task['lease_until']) > at(task['updated'])


async def test_heartbeats_at_once_are_as_one(api: Api) -> None:
    task_id = await claimed(api)

    answers = await asyncio.gather(*(beat(api, task_id, phase='running') for _ in range(20)))

    assert {seen(answer)[0] for answer in answers} == {200}
    task = await api.task(task_id)
    assert (task['phase'], task['epoch'], len(task['log']), task['claim_id']) == ('running', 1, 1, MINE)


# Stopping


@pytest.mark.parametrize('action', ['suspend', 'cancel'])
async def test_a_pilot_is_told_to_stop_and_who_wants_it(api: Api, action: str) -> None:
    task_id = await claimed(api)
    await ask_to_stop(api, action)

    answer = await beat(api, task_id)

    told = answer.body
    assert (answer.status, told['action'], told['why']) == (200, 'stop', f'{action} by ada: a pause')
    assert (told['again_in'], told['orders']) == (10.0, [])


async def test_work_asked_to_stop_keeps_its_lease_until_the_deadline_and_no_longer(api: Api) -> None:
    task_id = await claimed(api)
    await ask_to_stop(api)
    await set_lease(api, task_id, 1)

    answer = await beat(api, task_id)

    task = await api.task(task_id)
    assert task['lease_until'] == task['stop']['deadline']
    left_seconds = (at(task['lease_until']) - at(task['heartbeat_at'])).total_seconds()
    assert 0 < answer.body['lease_seconds'] == left_seconds <= api.service.limits.stop_grace_seconds


async def test_a_request_to_stop_takes_nothing_of_the_lease_that_was_given(api: Api) -> None:
    task_id = await claimed(api)
    await ask_to_stop(api)
    before = await api.task(task_id)

    await beat(api, task_id)

    assert (await api.task(task_id))['lease_until'] == before['lease_until'] > before['stop']['deadline']


async def test_work_that_is_past_its_deadline_has_no_lease_left(api: Api) -> None:
    task_id = await claimed(api)
    await ask_to_stop(api)
    long_ago = {'$subtract': ['$$NOW', 5000]}
    await api.database.tasks.update_one({}, [{'$set': {'stop.deadline': long_ago, 'lease_until': long_ago}}])

    answer = await beat(api, task_id)

    assert (answer.status, answer.body['action'], answer.body['lease_seconds']) == (200, 'stop', 0.0)


async def test_a_stop_that_is_withdrawn_lets_the_pilot_go_on(api: Api) -> None:
    task_id = await claimed(api)
    await ask_to_stop(api)
    await api('POST', '/datasets/d1/task_actions/resume')

    assert seen(await beat(api, task_id)) == (200, GO_ON)


# Claims that are over


@pytest.mark.parametrize(
    ('end', 'body', 'why'),
    [
        ('complete', {'claim_id': MINE}, 'complete by p'),
        ('reset', {'claim_id': MINE, 'reason': '$why'}, 'reset by p: $why'),
        ('failed', {'claim_id': MINE}, 'fail by p'),
        ('hand_back', {'claim_id': MINE, 'reason': 'term'}, 'hand back by p: term'),
    ],
)
async def test_a_heartbeat_after_the_report_is_409_and_changes_nothing(
    api: Api, end: str, body: dict[str, Any], why: str
) -> None:
    pilot = api.as_('pilot', 'p')
    task_id = await claimed(api, by=pilot)
    await pilot('POST', f'/tasks/{task_id}/task_actions/{end}', body)
    before = await api.task(task_id)

    answer = await beat(pilot, task_id, phase='running')

    assert seen(answer) == refused(why)
    assert await api.task(task_id) == before


@pytest.mark.parametrize('status', ['idle', 'waiting', 'queued', 'processing', 'suspended', 'failed', 'complete'])
async def test_a_heartbeat_for_a_task_that_was_moved_by_hand_is_409(api: Api, status: str) -> None:
    task_id = await claimed(api)
    await api.as_('admin', 'ada')('PUT', f'/tasks/{task_id}/status', {'status': status})
    before = await api.task(task_id)

    answer = await beat(api, task_id)

    still = 'the claim does not hold the task, which is processing'
    assert seen(answer) == refused(still if status == 'processing' else 'override by ada: set by hand')
    assert await api.task(task_id) == before


@pytest.mark.parametrize('says', [{'claim_id': OTHER}, {'epoch': 2}, {'epoch': 0}])
async def test_a_heartbeat_of_another_claim_changes_nothing(api: Api, says: dict[str, Any]) -> None:
    task_id = await claimed(api)
    before = await api.task(task_id)

    answer = await beat(api, task_id, **says)

    assert seen(answer) == refused('the claim does not hold the task, which is processing')
    assert await api.task(task_id) == before


async def test_a_heartbeat_of_a_claim_before_the_present_one_says_how_it_ended(api: Api) -> None:
    pilot = api.as_('pilot', 'p')
    task_id = await claimed(api, by=pilot)
    await pilot('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': MINE})
    await api.as_('pilot', 'q')('POST', CLAIM, {'claim_id': OTHER})
    before = await api.task(task_id)

    assert seen(await beat(pilot, task_id)) == refused('hand back by p')
    assert await api.task(task_id) == before


async def test_a_heartbeat_for_an_unknown_task_is_404_with_the_order_to_stop(api: Api) -> None:
    assert seen(await beat(api, 'nobody')) == refused('the task is gone', 404, 'Task not found')


# Claims of old pilots


async def test_a_pilot_without_an_id_of_its_own_gets_a_lease_with_its_first_heartbeat(api: Api) -> None:
    task_id = await claimed(api, None)
    given = await api.task(task_id)

    answer = await beat(api, task_id, claim_id=given['claim_id'])

    own = api.service.limits.lease_seconds
    assert seen(answer) == (200, {**GO_ON, 'lease_seconds': own})
    task = await api.task(task_id)
    assert at(task['lease_until']) - at(task['heartbeat_at']) == timedelta(seconds=own)


@pytest.mark.parametrize(('action', 'status'), [('complete', 'complete'), ('reset', 'reset'), ('failed', 'failed')])
async def test_heartbeats_take_no_right_from_a_pilot_without_an_id_of_its_own(
    api: Api, action: str, status: str
) -> None:
    task_id = await claimed(api, None)
    await beat(api, task_id, claim_id=(await api.task(task_id))['claim_id'])

    answer = await api('POST', f'/tasks/{task_id}/task_actions/{action}', {})

    assert seen(answer) == (200, {})
    assert (await api.task(task_id))['status'] == status


async def test_a_pilot_without_an_id_of_its_own_that_is_heard_of_is_asked_to_stop(api: Api) -> None:
    task_id = await claimed(api, None)
    claim_id = (await api.task(task_id))['claim_id']
    await beat(api, task_id, claim_id=claim_id)
    await ask_to_stop(api)

    assert (await beat(api, task_id, claim_id=claim_id)).body['action'] == 'stop'


# The same claim again


async def test_a_repeated_claim_begins_its_lease_anew(api: Api) -> None:
    # The pilot counts its lease from the request that was answered.
    task_id = await claimed(api)
    await set_lease(api, task_id, -5)

    answer = await api('POST', CLAIM, {'claim_id': MINE})

    assert (answer.status, answer.body['task_id'], answer.body['epoch']) == (200, task_id, 1)
    stored = await api.database.tasks.find_one({}, {'left': {'$subtract': ['$lease_until', '$$NOW']}})
    assert LEASE_SECONDS - 50 < stored['left'] / 1000 <= LEASE_SECONDS


async def test_a_repeated_claim_that_is_over_gives_no_lease(api: Api) -> None:
    task_id = await claimed(api)
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})
    await api('POST', CLAIM, {'claim_id': OTHER, 'lease_seconds': 5})
    before = await api.task(task_id)

    assert (await api('POST', CLAIM, {'claim_id': MINE})).status == 410

    after = await api.task(task_id)
    assert after == {**before, 'replays': 1}


# What else may come


async def test_a_task_of_the_release_before_takes_heartbeats(api: Api) -> None:
    task_id = await claimed(api)
    absent = dict.fromkeys(('heartbeat_at', 'resources_used', 'max_evictions', 'phase', 'steps', 'stop'), '')
    await api.database.tasks.update_one({}, {'$unset': absent})

    answer = await beat(api, task_id, progress={'completed': 1, 'total': 2}, resources={'cpu': 1})

    assert seen(answer) == (200, GO_ON)
    task = await api.task(task_id)
    assert task.items() >= {'steps': {'completed': 1, 'total': 2}, 'resources_used': {'cpu': 1}}.items()


@pytest.mark.parametrize(
    'wrong',
    [
        {'claim_id': None}, {'claim_id': ''}, {'claim_id': 'A' * 32}, {'claim_id': {'$ne': ''}}, {'epoch': -1},
        {'epoch': '1'}, {'progress': {}}, {'progress': {'completed': 1}}, {'progress': [1, 2]},
        {'progress': {'completed': -1, 'total': 1}}, {'progress': {'completed': 1.5, 'total': 2}},
        {'progress': {'completed': 1, 'total': 2, 'more': 3}}, {'phase': ''}, {'phase': '$$ROOT'}, {'phase': 5},
        {'resources': []}, {'resources': {'cpu': 'many'}}, {'resources': {'cpu': -1}}, {'resources': {'a.b': 1}},
        {'resources': {'$inc': 1}}, {'resources': {'memory': True}},
    ],
)  # fmt: skip
async def test_a_heartbeat_that_is_not_valid_changes_nothing(api: Api, wrong: dict[str, Any]) -> None:
    task_id = await claimed(api)
    before = await api.task(task_id)

    answer = await beat(api, task_id, **wrong)

    assert answer.status == answer.body['code'] == 400
    assert await api.task(task_id) == before


async def test_a_heartbeat_without_a_claim_is_400(api: Api) -> None:
    task_id = await claimed(api)

    answer = await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {})

    assert seen(answer) == (400, {'code': 400, 'error': 'missing key: claim_id'})


async def test_users_send_no_heartbeats(api: Api) -> None:
    assert (await beat(api.as_('user'), await claimed(api))).status == 403


@pytest.mark.parametrize('name', ['heartbeat_at', 'resources_used', 'max_evictions', 'phase', 'steps'])
async def test_what_heartbeats_say_is_not_set_by_clients(api: Api, name: str) -> None:
    task_id = await api.add_task(**{name: 'mine'})

    answer = await api('PATCH', f'/tasks/{task_id}', {name: 'mine'})

    assert (answer.status, answer.body['error']) == (400, f'key {name} cannot be changed')
    assert (await api.task(task_id))[name] != 'mine'
