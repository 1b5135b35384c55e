"""Queue, and the reports that end a claim. Seed 004, contract 2.1, 2.3, 2.4, claims.md 1.4, traps 1, 5, 10 to 13."""

import asyncio
from typing import Any

import pytest

from iceprod_tasks.domain.statuses import STATUSES
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

QUEUE = '/task_actions/queue'
CLAIM = '/task_actions/process'
MINE, OTHER = 'a' * 32, 'b' * 32
REPORTS = ('complete', 'reset', 'error', 'failed')
STALE = refusal(409, "The claim is not the task's current claim")
LATE = {'complete': 'Task not found or not processing', 'reset': 'Task not found', 'failed': 'Task not found'}


async def claimed(api: Api, claim_id: str | None = MINE, by: Api | None = None, **fields: Any) -> str:
    """A task in the hands of a claim; of a pilot without ids when there is none."""
    task_id = await api.add_task(**fields)
    answer = await (by or api)('POST', CLAIM, {'claim_id': claim_id} if claim_id else {})
    assert answer.body['task_id'] == task_id
    return task_id


def at(task_id: str, action: str) -> str:
    return f'/tasks/{task_id}/task_actions/{action}'


# Queue


async def test_waiting_tasks_are_queued_best_first(api: Api) -> None:
    tasks = [await api.add_task(status='waiting', priority=number % 4) for number in range(8)]

    assert seen(await api('POST', QUEUE, {'num_tasks': 3})) == (200, {'queued': 3})

    queued = {task['task_id'] async for task in api.database.tasks.find({'status': 'queued'})}
    assert queued == {tasks[3], tasks[7], tasks[2]}
    task = await api.task(tasks[3])
    assert task['status_changed'] > task['create_date']
    assert task['log'][-1].items() >= {'from': 'waiting', 'to': 'queued', 'who': 'root'}.items()


async def test_queue_takes_a_hundred_unless_told(api: Api) -> None:
    for number in range(103):
        await api.add_task(status='waiting', requirements={'memory': number})

    assert seen(await api('POST', QUEUE, {})) == (200, {'queued': 100})
    assert seen(await api('POST', QUEUE, {'num_tasks': 2**62})) == (200, {'queued': 3})


@pytest.mark.parametrize(('number', 'queued'), [(0, 0), (-5, 0), (1, 1), (9, 2)])
async def test_queue_takes_no_more_than_asked_and_there(api: Api, number: int, queued: int) -> None:
    for _ in range(2):
        await api.add_task(status='waiting')

    assert seen(await api('POST', QUEUE, {'num_tasks': number})) == (200, {'queued': queued})


@pytest.mark.parametrize('number', ['5', 1.0, True, None, [1], {'$gt': 0}])
async def test_a_number_that_is_none_queues_nothing(api: Api, number: Any) -> None:
    await api.add_task(status='waiting')

    answer = await api('POST', QUEUE, {'num_tasks': number})

    assert seen(answer) == refusal(400, "key num_tasks should be of type <class 'int'>")
    assert await api.database.tasks.count_documents({'status': 'queued'}) == 0


@pytest.mark.parametrize('status', STATUSES)
async def test_queue_passes_over_a_task_that_waits_for_an_unfinished_one(api: Api, status: str) -> None:
    first = await api.add_task(status=status, priority=0)
    second = await api.add_task(status='waiting', depends=[first], priority=9)

    await api('POST', QUEUE, {'num_tasks': 1})

    expected = 'queued' if status == 'complete' else 'waiting'
    assert (await api.task(second))['status'] == expected
    assert (await api.task(first))['status'] == ('queued' if status == 'waiting' else status)


async def test_an_unknown_dependency_holds_nothing(api: Api) -> None:
    task_id = await api.add_task(status='waiting', depends=['nobody', 'elsewhere'])

    await api('POST', QUEUE, {})

    assert (await api.task(task_id))['status'] == 'queued'


async def test_blocked_tasks_at_the_head_do_not_hide_free_ones(api: Api) -> None:
    first = await api.add_task(status='processing')
    for _ in range(20):
        await api.add_task(status='waiting', depends=[first], priority=9)
    free = await api.add_task(status='waiting', priority=0)

    assert seen(await api('POST', QUEUE, {'num_tasks': 5})) == (200, {'queued': 1})
    assert (await api.task(free))['status'] == 'queued'


async def test_two_at_once_queue_no_task_twice(api: Api) -> None:
    for _ in range(40):
        await api.add_task(status='waiting')

    answers = await asyncio.gather(*(api('POST', QUEUE, {'num_tasks': 15}) for _ in range(4)))

    assert sum(answer.body['queued'] for answer in answers) == 40
    assert {len(task['log']) async for task in api.database.tasks.find()} == {1}


# Reports


@pytest.mark.parametrize('claim_id', [MINE, None])
@pytest.mark.parametrize(
    ('action', 'status', 'changed'),
    [
        ('complete', 'complete', {'walltime': 2.0, 'failures': 0, 'walltime_err': 0.0, 'walltime_err_n': 0}),
        ('reset', 'reset', {'walltime': 0.0, 'failures': 1, 'walltime_err': 2.0, 'walltime_err_n': 1}),
        ('error', 'reset', {'walltime': 0.0, 'failures': 1, 'walltime_err': 2.0, 'walltime_err_n': 1}),
        ('failed', 'failed', {'walltime': 0.0, 'failures': 1, 'walltime_err': 2.0, 'walltime_err_n': 1}),
    ],
)
async def test_a_report_ends_the_claim(
    api: Api, action: str, status: str, changed: dict[str, Any], claim_id: str | None
) -> None:
    pilot = api.as_('pilot', 'p1')
    task_id = await claimed(api, claim_id, by=pilot)
    before = await api.task(task_id)
    report = {'time_used': 7200, 'site': '$$ROOT', 'reason': '$name', **({'claim_id': claim_id} if claim_id else {})}

    answer = await pilot('POST', at(task_id, action), report)

    assert seen(answer) == DONE
    task = await api.task(task_id)
    assert task.items() >= {**changed, 'status': status, 'site': '$$ROOT', 'claim_id': '', 'lease_until': None}.items()
    assert task['status_changed'] > before['status_changed']
    entry = {'from': 'processing', 'to': status, 'who': 'p1', 'why': '$name', 'claim': before['claim_id'], 'epoch': 1}
    assert task['log'][-1].items() >= entry.items()
    results = {'complete': 'successful', 'failed': 'failed'}
    assert (task['outcome'] or {}).get('result') == results.get(status)


@pytest.mark.parametrize('content', [b'', b'{}'])
@pytest.mark.parametrize('action', REPORTS)
async def test_a_report_that_says_nothing_changes_only_the_status(api: Api, action: str, content: bytes) -> None:
    task_id = await claimed(api, None, requirements={'cpu': 1})
    before = await api.task(task_id)

    assert seen(await api('POST', at(task_id, action), content=content)) == DONE

    after = await api.task(task_id)
    changed = {name for name in after if after[name] != before[name]}
    always = {'status', 'status_changed', 'updated', 'log', 'claim_id', 'instance_id'}
    assert changed - {'outcome'} == always | ({'steps'} if action == 'complete' else {'failures'})
    told = [message['text'] for message in (await api('GET', f'/tasks/{task_id}/messages')).body['messages']]
    assert told == ([] if action == 'complete' else ['fail' if action == 'failed' else 'reset'])


@pytest.mark.parametrize('status', STATUSES)
@pytest.mark.parametrize('action', ['complete', 'reset', 'failed'])
async def test_without_a_claim_the_status_decides(api: Api, action: str, status: str) -> None:
    task_id = await api.add_task(status=status)
    allowed = status == 'processing' if action == 'complete' else status != 'complete'

    answer = await api('POST', at(task_id, action), {})

    assert seen(answer) == (DONE if allowed else refusal(400, LATE[action]))
    assert (await api.task(task_id))['status'] == (action if allowed else status)


@pytest.mark.parametrize('action', ['complete', 'reset', 'failed'])
async def test_once_a_pilot_s_claim_is_over_the_status_decides_again(api: Api, action: str) -> None:
    task_id = await claimed(api)
    await api('POST', at(task_id, 'hand_back'), {'claim_id': MINE})

    answer = await api('POST', at(task_id, action), {})

    assert seen(answer) == (refusal(400, LATE[action]) if action == 'complete' else DONE)
    assert (await api.task(task_id))['status'] == ('queued' if action == 'complete' else action)


@pytest.mark.parametrize('body', [{}, {'claim_id': MINE}, {'resources': {'cpu': 5}}])
@pytest.mark.parametrize('action', ['complete', 'reset', 'failed'])
async def test_a_report_on_an_unknown_task_is_400(api: Api, action: str, body: dict[str, Any]) -> None:
    assert seen(await api('POST', at('nobody', action), body)) == refusal(400, LATE[action])


async def test_handing_back_an_unknown_task_is_400(api: Api) -> None:
    assert seen(await api('POST', at('nobody', 'hand_back'), {'claim_id': MINE})) == refusal(400, 'Task not found')


@pytest.mark.parametrize('body', [{}, {'reason': 'x'}, {'claim_id': OTHER}, {'claim_id': MINE, 'epoch': 2}])
@pytest.mark.parametrize('action', [*REPORTS, 'hand_back'])
async def test_only_the_claim_s_own_report_ends_a_pilot_s_claim(api: Api, action: str, body: dict[str, Any]) -> None:
    task_id = await claimed(api)
    before = await api.task(task_id)

    answer = await api('POST', at(task_id, action), body)

    needs_id = action == 'hand_back' and 'claim_id' not in body
    assert seen(answer) == (refusal(400, 'missing key: claim_id') if needs_id else STALE)
    assert await api.task(task_id) == before


@pytest.mark.parametrize('action', [*REPORTS, 'hand_back'])
@pytest.mark.parametrize('grows', [False, True])
async def test_a_late_report_of_an_old_claim_is_409(api: Api, action: str, grows: bool) -> None:
    task_id = await claimed(api)
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})
    await api('POST', CLAIM, {'claim_id': OTHER})
    before = await api.task(task_id)

    answer = await api('POST', at(task_id, action), {'claim_id': MINE, **({'resources': {'cpu': 5}} if grows else {})})

    assert seen(answer) == STALE
    assert await api.task(task_id) == before


@pytest.mark.parametrize('status', ['suspended', 'reset', 'complete', 'failed', 'waiting'])
async def test_a_pilot_s_error_does_not_undo_what_a_user_decided(api: Api, status: str) -> None:
    task_id = await claimed(api)
    await api('PUT', f'/tasks/{task_id}/status', {'status': status})

    assert seen(await api('POST', at(task_id, 'reset'), {'claim_id': MINE})) == STALE
    assert (await api.task(task_id))['status'] == status


@pytest.mark.parametrize('action', [*REPORTS, 'hand_back'])
async def test_a_repeated_report_is_answered_alike_and_counts_once(api: Api, action: str) -> None:
    task_id = await claimed(api)
    report = {'claim_id': MINE, 'epoch': 1, 'time_used': 3600, 'reason': 'why', 'resources': {'cpu': 5}}

    answers = [*(await asyncio.gather(*(api('POST', at(task_id, action), report) for _ in range(5))))]
    answers.append(await api('POST', at(task_id, action), report))

    assert {seen(answer)[0] for answer in answers} == {200}
    task = await api.task(task_id)
    assert (task['failures'], task['evictions']) == (int(action not in ('complete', 'hand_back')),
                                                     int(action == 'hand_back'))  # fmt: skip
    assert task['walltime'] + task['walltime_err'] == (0.0 if action == 'hand_back' else 1.0)
    assert len((await api('GET', f'/tasks/{task_id}/messages')).body['messages']) == 1
    assert len(task['log']) == 2


@pytest.mark.parametrize(('first', 'second'), [('complete', 'reset'), ('failed', 'complete'), ('hand_back', 'complete'),
                                               ('reset', 'failed'), ('reset', 'hand_back')])  # fmt: skip
async def test_a_claim_cannot_end_twice_in_different_ways(api: Api, first: str, second: str) -> None:
    task_id = await claimed(api)
    await api('POST', at(task_id, first), {'claim_id': MINE})
    before = await api.task(task_id)

    assert seen(await api('POST', at(task_id, second), {'claim_id': MINE})) == STALE
    assert await api.task(task_id) == before


async def test_of_two_different_reports_at_once_one_counts(api: Api) -> None:
    task_id = await claimed(api)

    answers = await asyncio.gather(*(api('POST', at(task_id, a), {'claim_id': MINE}) for a in ('complete', 'failed')))

    assert sorted(answer.status for answer in answers) == [200, 409]
    assert len((await api.task(task_id))['log']) == 2


async def test_a_task_handed_back_is_queued_again_and_not_failed(api: Api) -> None:
    task_id = await claimed(api)

    answer = await api('POST', at(task_id, 'hand_back'), {'claim_id': MINE, 'epoch': 1, 'site': 'x', 'reason': 'term'})

    assert seen(answer) == DONE
    task = await api.task(task_id)
    wanted = {'status': 'queued', 'evictions': 1, 'failures': 0, 'claim_id': '', 'site': 'x', 'lease_until': None}
    assert task.items() >= wanted.items()
    assert (await api('POST', CLAIM, {'claim_id': OTHER})).body['task_id'] == task_id


@pytest.mark.parametrize(
    'wrong',
    [
        {'time_used': 'x'}, {'time_used': -1}, {'time_used': True}, {'time_used': None}, {'time_used': 1e12},
        {'reason': 5}, {'site': 5}, {'site': ['$$ROOT']}, {'resources': []}, {'resources': {'cpu': 'many'}},
        {'resources': {'cpu': True}}, {'resources': {'memory': -1}}, {'resources': {'os': 'linux'}},
        {'resources': {'disk': {'$gt': 0}}}, {'resources': {'a.b': 1}}, {'resources': {'$inc': 1}},
        {'claim_id': 'x'}, {'claim_id': {'$ne': ''}}, {'claim_id': MINE + '\n'}, {'epoch': -1}, {'epoch': '1'},
        {'epoch': True}, {'exit_code': '0'}, {'exit_code': True}, {'stdout': ['x']}, {'stderr': 'x' * 65537},
    ],
)  # fmt: skip
@pytest.mark.parametrize('action', [*REPORTS, 'hand_back'])
async def test_a_report_that_is_not_valid_changes_nothing(api: Api, action: str, wrong: dict[str, Any]) -> None:
    task_id = await claimed(api)
    before = await api.task(task_id)

    answer = await api('POST', at(task_id, action), {'claim_id': MINE, **wrong})

    assert answer.status == answer.body['code'] == 400
    assert await api.task(task_id) == before


@pytest.mark.parametrize('content', [b'{"time_used": NaN}', b'{"time_used": 1e999}', b'{"resources": {"cpu": -1e999}}'])
async def test_a_report_with_a_number_that_is_not_finite_is_400(api: Api, content: bytes) -> None:
    assert (await api('POST', at(await claimed(api, None), 'reset'), content=content)).status == 400


@pytest.mark.parametrize(
    ('old', 'used', 'new'),
    [
        # the probed examples of contract 2.3
        ({'memory': 7}, {'memory': 4}, {'memory': 7}), ({'disk': 12}, {'disk': 12}, {'disk': 18}),
        ({}, {'cpu': 1.4}, {'cpu': 2}), ({'cpu': 2}, {'cpu': 2.1}, {'cpu': 2}), ({}, {'disk': 2}, {'disk': 3}),
        # over the ceiling of the settings nothing grows, gpu never does
        ({'memory': 500}, {'memory': 500}, {'memory': 512}), ({'gpu': 1}, {'gpu': 4}, {'gpu': 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize('action', ['reset', 'failed'])
async def test_requirements_grow_after_a_failure(
    api: Api, action: str, old: dict[str, Any], used: dict[str, Any], new: dict[str, Any]
) -> None:
    task_id = await claimed(api, requirements=old)

    await api('POST', at(task_id, action), {'claim_id': MINE, 'resources': used})

    assert (await api.task(task_id))['requirements'] == new


async def test_grown_requirements_decide_who_may_claim_next(api: Api) -> None:
    task_id = await claimed(api, requirements={'memory': 1})
    await api('POST', at(task_id, 'reset'), {'claim_id': MINE, 'resources': {'memory': 2}})
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})

    assert (await api('POST', CLAIM, {'requirements': {'memory': 2}})).status == 404
    assert (await api('POST', CLAIM, {'requirements': {'memory': 3}})).body['task_id'] == task_id


async def test_a_success_grows_nothing(api: Api) -> None:
    task_id = await claimed(api, requirements={'memory': 1})

    await api('POST', at(task_id, 'complete'), {'claim_id': MINE, 'resources': {'memory': 9}})

    assert (await api.task(task_id))['requirements'] == {'memory': 1}


async def test_errors_at_once_lose_no_step_and_no_count(api: Api) -> None:
    task_id = await api.add_task(status='processing', requirements={'memory': 1})
    report = {'time_used': 3600, 'resources': {'cpu': 19.9, 'memory': 2}}

    answers = await asyncio.gather(*(api('POST', at(task_id, 'reset'), report) for _ in range(8)))

    assert {answer.status for answer in answers} == {200}
    task = await api.task(task_id)
    assert task['requirements'] == {'memory': 3.0, 'cpu': 9}
    assert (task['failures'], task['walltime_err'], task['walltime_err_n'], len(task['log'])) == (8, 8.0, 8, 8)


@pytest.mark.parametrize(
    ('report', 'hours', 'times'),
    [({'resources': {'time': 3}}, 3.0, 1), ({'resources': {'time': 3}, 'time_used': 3600}, 1.0, 1),
     ({'resources': {'cpu': 1}}, 0.0, 0), ({'time_used': 0}, 0.0, 1)],
)  # fmt: skip
async def test_wasted_hours_come_from_the_time_used_else_from_the_resources(
    api: Api, report: dict[str, Any], hours: float, times: int
) -> None:
    task_id = await api.add_task(status='processing')

    await api('POST', at(task_id, 'reset'), report)

    task = await api.task(task_id)
    assert (task['walltime_err'], task['walltime_err_n']) == (hours, times)


@pytest.mark.parametrize(
    ('action', 'kind'),
    [('complete', 'result'), ('reset', 'error'), ('failed', 'error'), ('hand_back', 'notification')],
)
async def test_what_a_report_says_is_kept_as_a_message(api: Api, action: str, kind: str) -> None:
    task_id = await claimed(api)
    report = {'reason': '$$NOW', 'exit_code': 3, 'stdout': '{"$literal": 1}', 'stderr': '$name', 'site': 's',
              'resources': {'cpu': 1.5}, 'time_used': 60}  # fmt: skip
    await api('POST', at(task_id, action), {'claim_id': MINE, **report})

    messages = (await api('GET', f'/tasks/{task_id}/messages')).body['messages']

    assert len(messages) == 1
    assert messages[0].items() >= {**report, 'mtype': kind, 'task_id': task_id, 'epoch': 1}.items()


async def test_messages_are_read_by_users_of_the_dataset_only(api: Api) -> None:
    dataset_id = await api.as_('user', 'ada', ('simprod',)).add_dataset([{'name': 'gen', 'command': 'true'}])
    path = f'/tasks/{await api.add_task(dataset_id=dataset_id)}/messages'
    await api.database.auths.update_one({'dataset_id': dataset_id}, {'$set': {'read_groups': ['simprod']}})

    assert (await api.as_('user', 'ada')('GET', path)).status == 200
    assert seen(await api.as_('user', 'eve')('GET', path)) == refusal(403, 'authorization failed')
    assert seen(await api.as_('user', 'eve')('GET', '/tasks/x/messages')) == refusal(403, 'authorization failed')
