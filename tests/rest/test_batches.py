"""A batch of claims in one request, and reports on several tasks in one: claims.md 3."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from iceprod_tasks.domain.tasks import new_id, new_task
from tests.conftest import Api
from tests.rest.answers import refusal, seen

CLAIM = '/task_actions/process'
REPORT = '/task_actions/report'
BATCH = 'b' * 32


async def batch(api: Api, number: int, claim_id: str = BATCH, **more: Any) -> list[dict[str, Any]]:
    """The tasks of a batch; none when there is no work."""
    answer = await api('POST', CLAIM, {'claim_id': claim_id, 'num_tasks': number, **more})
    assert answer.status in (200, 404), answer.text
    return list(answer.body['tasks']) if answer.status == 200 else []


def ending(task: dict[str, Any], action: str = 'complete', **more: Any) -> dict[str, Any]:
    return {'task_id': task['task_id'], 'action': action, 'claim_id': task['claim_id'], **more}


async def test_a_batch_is_the_best_tasks_that_fit_each_with_a_claim_of_its_own(api: Api) -> None:
    ids = [await api.add_task(priority=priority, requirements={'memory': 1}) for priority in (1, 5, 3, 4, 2)]
    await api.add_task(priority=9, requirements={'memory': 64})

    tasks = await batch(api, 3, requirements={'memory': 8}, pilot='p', site='north', lease_seconds=60)

    assert {task['task_id'] for task in tasks} == {ids[1], ids[3], ids[2]}
    assert [task['claim_id'] for task in tasks] == [f'{BATCH}.{place}' for place in range(3)]
    for task in tasks:
        assert task.items() >= {'status': 'processing', 'epoch': 1, 'pilot': 'p', 'site': 'north'}.items()
        assert (task['lease_seconds'], task['claims']) == (60.0, [task['claim_id']])
        assert task == await api.task(task['task_id'])


@pytest.mark.parametrize('number', [1, 7, 1000])
async def test_a_batch_is_as_many_as_fit(api: Api, number: int) -> None:
    for _ in range(5):
        await api.add_task()

    assert len(await batch(api, number)) == min(number, 5)


async def test_no_work_is_404_for_a_batch_as_well(api: Api) -> None:
    await api.add_task(status='waiting')

    answer = await api('POST', CLAIM, {'claim_id': BATCH, 'num_tasks': 5})

    assert seen(answer) == refusal(404, 'Task not found', left=1)


async def test_a_repeated_batch_gets_its_tasks_again_and_no_more(api: Api) -> None:
    for _ in range(3):
        await api.add_task()
    first = await batch(api, 10)
    for _ in range(9):
        await api.add_task()

    again = await asyncio.gather(*(batch(api, 10) for _ in range(4)))

    assert [[task['task_id'] for task in each] for each in again] == [[task['task_id'] for task in first]] * 4
    assert await api.database.tasks.count_documents({'status': 'processing'}) == 3
    assert (await api.task(first[0]['task_id']))['lease_until'] >= first[0]['lease_until']


async def test_a_repeated_batch_has_only_what_its_pilot_still_holds(api: Api) -> None:
    for _ in range(3):
        await api.add_task()
    first = await batch(api, 3)
    await api('POST', f'/tasks/{first[1]["task_id"]}/task_actions/complete', {'claim_id': first[1]['claim_id']})

    assert [task['claim_id'] for task in await batch(api, 3)] == [f'{BATCH}.0', f'{BATCH}.2']


async def test_a_batch_that_is_over_is_410(api: Api) -> None:
    await api.add_task()
    (task,) = await batch(api, 2)
    await api('POST', REPORT, {'reports': [ending(task)]})
    await api.add_task()

    answer = await api('POST', CLAIM, {'claim_id': BATCH, 'num_tasks': 2})

    assert seen(answer) == refusal(410, 'This claim is over')
    assert await api.database.tasks.count_documents({'status': 'queued'}) == 1


async def test_a_batch_of_another_pilot_is_410(api: Api) -> None:
    await api.add_task()
    await batch(api.as_('pilot', 'p'), 2)

    assert (await api.as_('pilot', 'q')('POST', CLAIM, {'claim_id': BATCH, 'num_tasks': 2})).status == 410


async def test_a_batch_without_an_id_gets_ids_and_no_leases(api: Api) -> None:
    for _ in range(2):
        await api.add_task()

    answer = await api('POST', CLAIM, {'num_tasks': 2})

    assert [task['lease_until'] for task in answer.body['tasks']] == [None, None]
    assert len({task['claim_id'] for task in answer.body['tasks']}) == 2


@pytest.mark.parametrize('number', [0, -1, 1001, 2.5, '2', None, True])
async def test_a_number_that_is_none_is_400_and_takes_nothing(api: Api, number: Any) -> None:
    await api.add_task()

    assert (await api('POST', CLAIM, {'claim_id': BATCH, 'num_tasks': number})).status == 400
    assert await api.database.tasks.count_documents({'status': 'queued'}) == 1


async def test_single_claims_and_batches_at_once_never_share_a_task(api: Api) -> None:
    await api.database.tasks.insert_many([_queued() for _ in range(300)])
    bodies = [{'claim_id': uuid.uuid4().hex, **({'num_tasks': 7} if n % 3 else {})} for n in range(75)]

    answers = await asyncio.gather(*(api('POST', CLAIM, body) for body in bodies))

    given = [task for answer in answers if answer.status == 200 for task in answer.body.get('tasks', [answer.body])]
    assert len({task['task_id'] for task in given}) == len(given) == 300
    assert {answer.status for answer in answers} == {200, 404}


def _queued() -> dict[str, Any]:
    given = {'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'n', 'depends': [],
             'requirements': {}, 'status': 'queued'}  # fmt: skip
    return new_task(given, new_id(), datetime.now(UTC), managed=False)


# Reports


async def test_reports_of_all_kinds_end_their_claims_each_in_its_own_way(api: Api) -> None:
    for _ in range(4):
        await api.add_task(requirements={'memory': 1})
    tasks = await batch(api, 4)
    reports = [
        ending(tasks[0], time_used=3600, site='south'),
        ending(tasks[1], 'reset', reason='disk full', resources={'memory': 2}, exit_code=1),
        ending(tasks[2], 'failed', stderr='no such file', time_used=60),
        ending(tasks[3], 'hand_back', reason='the node is drained'),
    ]

    answer = await api('POST', REPORT, {'reports': reports})

    assert seen(answer) == (200, {'results': [{'task_id': task['task_id'], 'code': 200} for task in tasks]})
    done, reset, failed, back = [await api.task(task['task_id']) for task in tasks]
    assert [task['status'] for task in (done, reset, failed, back)] == ['complete', 'reset', 'failed', 'queued']
    assert (done['walltime'], done['site']) == (1.0, 'south')
    assert (reset['requirements'], reset['failures']) == ({'memory': 3.0}, 1)
    assert (failed['walltime_err'], failed['outcome']['result']) == (pytest.approx(1 / 60), 'failed')
    assert (back['evictions'], back['log'][-1]['why']) == (1, 'the node is drained')
    assert [entry['who'] for entry in (done['log'][-1], back['log'][-1])] == ['root', 'root']


async def test_many_completions_at_once_keep_what_each_of_them_says(api: Api) -> None:
    await api.database.tasks.insert_many([_queued() for _ in range(150)])
    tasks = await batch(api, 150)
    reports = [ending(task, time_used=place * 3600, reason=f'$why{place}') for place, task in enumerate(tasks)]

    answer = await api('POST', REPORT, {'reports': reports})

    assert {result['code'] for result in answer.body['results']} == {200}
    async for task in api.database.tasks.find():
        place = int(task['log'][-1]['claim'].rpartition('.')[2])
        assert (task['status'], task['walltime'], task['log'][-1]['why']) == ('complete', place, f'$why{place}')
    assert {message['reason'] async for message in api.database.messages.find()} == {f'$why{n}' for n in range(150)}


async def test_a_report_that_is_refused_keeps_no_other_from_being_taken(api: Api) -> None:
    for _ in range(4):
        await api.add_task()
    tasks = await batch(api, 4)
    gone = {'task_id': 'nosuch', 'action': 'complete', 'claim_id': BATCH + '.0'}
    wrong = [
        ending(tasks[0], claim_id='c' * 32), ending(tasks[1], claim_id=tasks[2]['claim_id']),
        ending(tasks[3], epoch=7), gone,
    ]  # fmt: skip

    answer = await api('POST', REPORT, {'reports': [*wrong, ending(tasks[2])]})

    assert [result['code'] for result in answer.body['results']] == [409, 409, 409, 400, 200]
    assert answer.body['results'][0]['error'] == "The claim is not the task's current claim"
    assert answer.body['results'][3]['error'] == 'Task not found or not processing'
    assert [(await api.task(task['task_id']))['status'] for task in tasks] == [
        'processing', 'processing', 'complete', 'processing',
    ]  # fmt: skip


async def test_a_report_with_the_claim_of_another_task_is_refused_although_both_are_held(api: Api) -> None:
    for _ in range(4):
        await api.add_task()
    one, two, three, four = await batch(api, 4)
    crossed = [
        {**ending(one), 'claim_id': two['claim_id']},
        {**ending(two), 'claim_id': one['claim_id']},
        ending(three),
        ending(four),
    ]

    answer = await api('POST', REPORT, {'reports': crossed})

    assert [result['code'] for result in answer.body['results']] == [409, 409, 200, 200]
    assert [(await api.task(each['task_id']))['status'] for each in (one, two)] == ['processing'] * 2


async def test_a_report_of_another_epoch_is_refused_among_others_that_are_taken(api: Api) -> None:
    for _ in range(4):
        await api.add_task()
    one, two, three, four = await batch(api, 4)
    reports = [{**ending(one), 'epoch': 1}, {**ending(two), 'epoch': 2}, ending(three), {**ending(four), 'epoch': 1}]

    answer = await api('POST', REPORT, {'reports': reports})

    assert [result['code'] for result in answer.body['results']] == [200, 409, 200, 200]


async def test_the_same_reports_again_get_the_same_answer(api: Api) -> None:
    for _ in range(3):
        await api.add_task()
    tasks = await batch(api, 3)
    body = {'reports': [ending(task, reason='done') for task in tasks] * 2}

    first = await api('POST', REPORT, body)
    again = await api('POST', REPORT, body)

    assert {result['code'] for result in first.body['results']} == {200}
    assert seen(again) == seen(first)
    for task in tasks:
        assert [entry['to'] for entry in (await api.task(task['task_id']))['log']] == ['processing', 'complete']
    assert await api.database.messages.count_documents({}) == 3


async def test_some_reports_that_came_before_among_new_ones_are_all_taken(api: Api) -> None:
    for _ in range(4):
        await api.add_task()
    tasks = await batch(api, 4)
    await api('POST', REPORT, {'reports': [ending(tasks[0]), ending(tasks[2])]})

    answer = await api('POST', REPORT, {'reports': [ending(task) for task in tasks]})

    assert [result['code'] for result in answer.body['results']] == [200] * 4
    assert {task['epoch'] async for task in api.database.tasks.find({'status': 'complete'})} == {1}
    assert await api.database.tasks.count_documents({'status': 'complete', 'log.2': {'$exists': True}}) == 0


async def test_a_pilot_ends_its_own_claims_only(api: Api) -> None:
    for _ in range(4):
        await api.add_task()
    (ours, second), theirs = await batch(api.as_('pilot', 'p'), 2), await batch(api.as_('pilot', 'q'), 2, 'c' * 32)
    reports = [ending(ours), *map(ending, theirs), ending(second)]

    answer = await api.as_('pilot', 'p')('POST', REPORT, {'reports': reports})

    assert [result['code'] for result in answer.body['results']] == [200, 403, 403, 200]
    assert answer.body['results'][1] == {
        'task_id': theirs[0]['task_id'], 'code': 403, 'error': 'authorization failed',
    }  # fmt: skip
    assert [(await api.task(task['task_id']))['status'] for task in theirs] == ['processing'] * 2


async def test_reports_without_claim_ids_are_those_of_old_pilots(api: Api) -> None:
    held, free = await api.add_task(), await api.add_task(status='waiting')
    await api('POST', CLAIM, {})
    reports = [{'task_id': held, 'action': 'complete'}, {'task_id': free, 'action': 'complete'},
               {'task_id': free, 'action': 'failed'}]  # fmt: skip

    answer = await api('POST', REPORT, {'reports': reports})

    assert [result['code'] for result in answer.body['results']] == [200, 400, 200]


@pytest.mark.parametrize(
    'body',
    [
        {}, {'reports': []}, {'reports': {}}, {'reports': [5]}, {'reports': [{'task_id': 'a'}]},
        {'reports': [{'action': 'complete'}]}, {'reports': [{'task_id': 'a', 'action': 'cancel'}]},
        {'reports': [{'task_id': 'a', 'action': 'hand_back'}]}, {'reports': [{'task_id': 'a b', 'action': 'reset'}]},
        {'reports': [{'task_id': 'a', 'action': 'reset', 'claim_id': 'a' * 32 + '.'}]},
        {'reports': [{'task_id': 'a', 'action': 'reset', 'claim_id': 'a' * 32 + '.1000'}]},
        {'reports': [{'task_id': 'a', 'action': 'reset', 'resources': {'cpu': 'x'}}]},
        {'reports': [{'task_id': 'a', 'action': 'complete'}] * 1001},
    ],
)  # fmt: skip
async def test_a_body_of_reports_that_is_not_valid_changes_nothing(api: Api, body: dict[str, Any]) -> None:
    await api.database.tasks.insert_one({**_queued(), 'task_id': 'a', 'status': 'processing'})

    answer = await api('POST', REPORT, body)

    assert answer.status == answer.body['code'] == 400
    assert (await api.task('a'))['status'] == 'processing'


async def test_one_claim_of_a_batch_has_heartbeats_and_reports_like_any_other(api: Api) -> None:
    for _ in range(2):
        await api.add_task()
    tasks = await batch(api, 2)
    path, claim = f'/tasks/{tasks[1]["task_id"]}/task_actions', {'claim_id': tasks[1]['claim_id']}

    answers = [await api('POST', f'{path}/{verb}', claim) for verb in ('heartbeat', 'complete', 'complete', 'reset')]

    assert [answer.status for answer in answers] == [200, 200, 200, 409]
    assert (await api.task(tasks[0]['task_id']))['status'] == 'processing'
