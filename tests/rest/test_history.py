"""The history of a task: every way of changing its status is in it, with who, why, which claim, and when."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from iceprod_tasks.domain.tasks import LOG_LENGTH, new_id
from tests.conftest import Answer, Api
from tests.rest.answers import refusal, seen

CLAIM = '/task_actions/process'
Step = tuple[str, str, str, str]
"""transition, from, to, who"""


async def told(api: Api, task_id: str) -> dict[str, Any]:
    answer = await api('GET', f'/tasks/{task_id}/history')
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def steps(api: Api, task_id: str) -> list[Step]:
    """What happened to a task after its creation."""
    entries = (await told(api, task_id))['history'][1:]
    return [(entry['transition'], entry['from'], entry['to'], entry['who']) for entry in entries]


async def claimed(api: Api) -> str:
    claim_id = new_id()
    assert (await api.as_('pilot', 'worker')('POST', CLAIM, {'claim_id': claim_id})).status == 200
    return claim_id


async def report(api: Api, task_id: str, action: str, claim_id: str, **body: Any) -> Answer:
    path = f'/tasks/{task_id}/task_actions/{action}'
    answer = await api.as_('pilot', 'worker')('POST', path, {'claim_id': claim_id, **body})
    assert answer.status == 200, answer.text
    return answer


async def test_it_begins_with_the_creation(api: Api) -> None:
    task_id = await api.add_task(status='suspended')

    history = await told(api, task_id)

    task = await api.task(task_id)
    assert history == {
        'task_id': task_id, 'status': 'suspended', 'epoch': 0, 'failures': 0, 'evictions': 0, 'truncated': False,
        'phases': [],
        'history': [
            {'when': task['create_date'], 'from': None, 'to': 'suspended', 'transition': 'create', 'why': '',
             'who': '', 'epoch': 0},
        ],
    }  # fmt: skip


async def test_it_knows_of_the_first_status_after_changes(api: Api) -> None:
    task_id = await api.add_task(status='idle')
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'waiting'})

    history = await told(api, task_id)

    assert [entry['to'] for entry in history['history']] == ['idle', 'waiting']


@pytest.mark.parametrize(
    ('action', 'transition', 'target'),
    [
        ('complete', 'complete', 'complete'), ('reset', 'reset', 'reset'), ('error', 'reset', 'reset'),
        ('failed', 'fail', 'failed'), ('hand_back', 'hand back', 'queued'),
    ],
)  # fmt: skip
async def test_claims_and_reports_are_in_it_with_their_epoch(
    api: Api, action: str, transition: str, target: str
) -> None:
    task_id = await api.add_task()
    first = await claimed(api)
    await report(api, task_id, 'hand_back', first)
    second = await claimed(api)

    await report(api, task_id, action, second, **({} if action == 'complete' else {'reason': 'out of luck'}))

    history = (await told(api, task_id))['history']
    assert [(entry['transition'], entry['epoch']) for entry in history[1:]] == [
        ('claim', 1), ('hand back', 1), ('claim', 2), (transition, 2),
    ]  # fmt: skip
    last = history[-1]
    assert (last['from'], last['to'], last['who']) == ('processing', target, 'worker')
    assert last['why'] == ('' if action == 'complete' else 'out of luck')


async def test_failures_and_evictions_are_counted_apart(api: Api) -> None:
    task_id = await api.add_task()
    for _ in range(3):
        await report(api, task_id, 'hand_back', await claimed(api))
    for _ in range(2):
        await report(api, task_id, 'reset', await claimed(api))
        await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'status': 'queued'}})

    history = await told(api, task_id)

    assert (history['evictions'], history['failures'], history['epoch']) == (3, 2, 5)


BY_HAND: dict[str, tuple[str, str, Any]] = {
    'put': ('PUT', '/tasks/{task}/status', {'status': 'suspended'}),
    'put in the dataset': ('PUT', '/datasets/d1/tasks/{task}/status', {'status': 'suspended'}),
    'patch': ('PATCH', '/tasks/{task}', {'status': 'suspended', 'colour': 'blue'}),
    'bulk': ('POST', '/task_actions/bulk_status/suspended', {'tasks': ['{task}']}),
    'bulk in the dataset': ('POST', '/datasets/d1/task_actions/bulk_status/suspended', {'tasks': ['{task}']}),
}


@pytest.mark.parametrize('way', BY_HAND)
async def test_a_status_set_by_hand_is_in_it(api: Api, way: str) -> None:
    task_id = await api.add_task(status='waiting')
    method, path, body = BY_HAND[way]
    if 'tasks' in body:
        body = {'tasks': [task_id]}

    answer = await api(method, path.format(task=task_id), body)

    assert answer.status == 200, answer.text
    assert await steps(api, task_id) == [('override', 'waiting', 'suspended', 'root')]


async def test_what_is_not_a_change_of_status_is_not_in_it(api: Api) -> None:
    task_id = await api.add_task()

    await api('PATCH', f'/tasks/{task_id}', {'colour': 'blue'})

    assert await steps(api, task_id) == []


@pytest.mark.parametrize(
    ('action', 'began', 'transition', 'target'),
    [
        ('suspend', 'queued', 'suspend', 'suspended'), ('resume', 'suspended', 'resume', 'waiting'),
        ('reset', 'failed', 'reset', 'reset'), ('rerun', 'failed', 'rerun', 'waiting'),
        ('hard_reset', 'complete', 'hard reset', 'waiting'), ('cancel', 'waiting', 'cancel', 'failed'),
    ],
)  # fmt: skip
@pytest.mark.parametrize('level', ['task', 'dataset'])
async def test_actions_are_in_it_with_who_and_why(
    api: Api, action: str, began: str, transition: str, target: str, level: str
) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    task_id = await api.add_task(dataset_id=dataset_id, status=began)

    path = f'/datasets/{dataset_id}/{level}_actions/{action}'
    answer = await api.as_('admin', 'ada')('POST', path, {'reason': 'because'})

    assert answer.status == 200, answer.text
    last = (await told(api, task_id))['history'][-1]
    assert (last['transition'], last['from'], last['to']) == (transition, began, target)
    assert (last['who'], last['why']) == ('ada', 'because')


async def test_chores_are_in_it(api: Api, chores: Callable[[], Any]) -> None:
    tasks = [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]
    dataset_id = await api.add_dataset(tasks)
    await chores()
    found = (await api('GET', f'/datasets/{dataset_id}/tasks')).body
    ids = {task['name']: task_id for task_id, task in found.items()}
    await report(api, ids['gen'], 'reset', await claimed(api))
    await chores()
    await report(api, ids['gen'], 'complete', await claimed(api))
    await chores()

    assert await steps(api, ids['gen']) == [
        ('queue', 'waiting', 'queued', 'scheduler'), ('claim', 'queued', 'processing', 'worker'),
        ('reset', 'processing', 'reset', 'worker'), ('retry', 'reset', 'waiting', 'scheduler'),
        ('queue', 'waiting', 'queued', 'scheduler'), ('claim', 'queued', 'processing', 'worker'),
        ('complete', 'processing', 'complete', 'worker'),
    ]  # fmt: skip
    assert (await steps(api, ids['sim']))[0] == ('release', 'idle', 'waiting', 'scheduler')


async def test_queueing_by_hand_is_in_it(api: Api) -> None:
    task_id = await api.add_task(status='waiting')

    await api.as_('system', 'machine')('POST', '/task_actions/queue', {'num_tasks': 1})

    assert await steps(api, task_id) == [('queue', 'waiting', 'queued', 'machine')]


async def test_a_stop_that_is_asked_for_and_withdrawn_is_in_it(api: Api) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    task_id = await api.add_task(dataset_id=dataset_id)
    await claimed(api)

    await api('POST', f'/datasets/{dataset_id}/task_actions/suspend', {'reason': 'too early'})
    await api('POST', f'/datasets/{dataset_id}/task_actions/resume')

    history = (await told(api, task_id))['history']
    assert [(entry['transition'], entry['epoch']) for entry in history[2:]] == [
        ('stop asked', 1), ('stop withdrawn', 1),
    ]  # fmt: skip


async def test_a_thousand_resets_keep_it_bounded_and_in_order(api: Api) -> None:
    task_id = await api.add_task(status='waiting')
    tasks = api.service.store.tasks
    for number in range(1000):
        answer = await api('PUT', f'/tasks/{task_id}/status', {'status': ('reset', 'waiting')[number % 2]})
        assert answer.status == 200

    history = await told(api, task_id)

    entries = history['history']
    assert (len(entries), history['truncated']) == (LOG_LENGTH + 1, True)
    assert (entries[0]['transition'], entries[0]['to']) == ('create', None)
    assert all(before['when'] <= after['when'] for before, after in pairwise(entries))
    assert all(before['to'] == after['from'] for before, after in pairwise(entries[1:]))
    kept = await tasks.get(task_id)
    assert kept is not None
    assert (len(kept['log']), kept['log_dropped']) == (LOG_LENGTH, 1000 - LOG_LENGTH)


async def test_a_full_log_that_has_lost_nothing_is_not_truncated(api: Api) -> None:
    task_id = await api.add_task(status='waiting')
    for number in range(LOG_LENGTH):
        await api('PUT', f'/tasks/{task_id}/status', {'status': ('reset', 'waiting')[number % 2]})

    history = await told(api, task_id)

    assert (len(history['history']), history['truncated']) == (LOG_LENGTH + 1, False)
    assert history['history'][0]['to'] == 'waiting'


async def test_times_never_go_back_even_when_the_clock_does(api: Api) -> None:
    task_id = await api.add_task(status='waiting')
    later = datetime.now(UTC) + timedelta(hours=1)
    entry = {'when': later, 'from': 'idle', 'to': 'waiting', 'transition': 'release', 'why': '', 'who': ''}
    await api.database.tasks.update_one({'task_id': task_id}, {'$push': {'log': entry}})

    await api('PUT', f'/tasks/{task_id}/status', {'status': 'reset'})

    first, second = (await told(api, task_id))['history'][1:]
    assert first['when'] == second['when']


async def test_it_tells_nobody_the_ids_of_claims(api: Api) -> None:
    ada = api.as_('user', 'ada')
    dataset_id = await ada.add_dataset([{'name': 'gen', 'command': 'true'}], group='users')
    task_id = await api.add_task(dataset_id=dataset_id)
    claim_id = await claimed(api)
    paths = f'/tasks/{task_id}/history', f'/datasets/{dataset_id}/tasks/{task_id}/history'

    for path in paths:
        holder = [api.as_('pilot', 'worker')] if path == paths[0] else []
        for asker in (api, api.as_('system'), ada, *holder):
            answer = await asker('GET', path)
            assert answer.status == 200
            assert claim_id not in answer.text
            assert [entry['transition'] for entry in answer.body['history']] == ['create', 'claim']


async def test_users_that_may_not_read_the_dataset_may_not_read_it(api: Api) -> None:
    ada, eve = api.as_('user', 'ada', ('simprod',)), api.as_('user', 'eve')
    dataset_id = await ada.add_dataset([{'name': 'gen', 'command': 'true'}])
    await api.database.auths.update_one({'dataset_id': dataset_id}, {'$set': {'read_groups': ['simprod']}})
    task_id = await api.add_task(dataset_id=dataset_id)

    for path in (f'/tasks/{task_id}/history', f'/datasets/{dataset_id}/tasks/{task_id}/history'):
        assert seen(await eve('GET', path)) == refusal(403, 'authorization failed')
        assert (await ada('GET', path)).status == 200


async def test_an_unknown_task_has_none_and_to_users_it_looks_like_one_of_others(api: Api) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    elsewhere = await api.add_task(dataset_id='d1')

    assert seen(await api('GET', '/tasks/none/history')) == refusal(404, 'Task not found')
    assert seen(await api.as_('user')('GET', '/tasks/none/history')) == refusal(403, 'authorization failed')
    for task_id in ('none', elsewhere):
        answer = await api('GET', f'/datasets/{dataset_id}/tasks/{task_id}/history')
        assert seen(answer) == refusal(404, 'Task not found')
