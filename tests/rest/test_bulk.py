"""Changes of many tasks at once, and what a dataset's users may do. Seed 004, contract 2, 2.6, traps 8, 14."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from iceprod_tasks.domain.statuses import STATUSES
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

GEN = [{'name': 'gen', 'command': 'true'}]


def bulk(status: str, dataset_id: str = '') -> str:
    return f'{f"/datasets/{dataset_id}" if dataset_id else ""}/task_actions/bulk_status/{status}'


@pytest.mark.parametrize('status', STATUSES)
@pytest.mark.parametrize('dataset_id', ['', 'd1'])
async def test_many_statuses_are_set_at_once(api: Api, dataset_id: str, status: str) -> None:
    tasks = [await api.add_task(status=source) for source in STATUSES]
    await api.database.tasks.update_many({}, {'$set': {'failures': 3, 'claim_id': 'a' * 32}})

    answer = await api('POST', bulk(status, dataset_id), {'tasks': [*tasks, *tasks, 'nobody']})

    assert seen(answer) == DONE
    for source, task_id in zip(STATUSES, tasks, strict=True):
        task = await api.task(task_id)
        assert (task['status'], task['claim_id']) == (status, '')
        assert task['failures'] == (0 if status in ('waiting', 'reset') else 3)
        assert [(entry['from'], entry['to']) for entry in task['log']] == [(source, status)]
        assert task['status_changed'] > task['create_date']


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        ({}, 'Missing tasks in body'), ({'tasks': []}, 'Missing tasks in body'),
        ({'tasks': ['x'] * 100_001}, 'Too many tasks specified (limit: 100k)'),
        ({'tasks': 5}, "key tasks should be of type <class 'list'>"),
        ({'tasks': {'$ne': 1}}, "key tasks should be of type <class 'list'>"),
    ],
    ids=['absent', 'empty', 'too many', 'number', 'operator'],
)  # fmt: skip
@pytest.mark.parametrize('status', ['reset', 'blah'])
@pytest.mark.parametrize('dataset_id', ['', 'd1'])
async def test_ids_that_are_none_are_refused_before_the_status(
    api: Api, body: dict[str, Any], reason: str, status: str, dataset_id: str
) -> None:
    assert seen(await api('POST', bulk(status, dataset_id), body)) == refusal(400, reason)


@pytest.mark.parametrize('wrong', [5, None, ['x'], {'$gt': ''}, True])
async def test_an_id_that_is_no_text_is_refused_and_none_is_moved(api: Api, wrong: Any) -> None:
    task_id = await api.add_task()

    answer = await api('POST', bulk('failed'), {'tasks': [task_id, wrong]})

    assert seen(answer)[0] == 400
    assert (await api.task(task_id))['status'] == 'queued'


@pytest.mark.parametrize('dataset_id', ['', 'd1'])
async def test_a_bad_status_and_unknown_tasks_are_told_apart(api: Api, dataset_id: str) -> None:
    task_id = await api.add_task()

    assert seen(await api('POST', bulk('blah', dataset_id), {'tasks': [task_id]})) == refusal(400, 'Bad status')
    answer = await api('POST', bulk('reset', dataset_id), {'tasks': ['nobody', 'none']})
    assert seen(answer) == refusal(404, 'Tasks not found')


async def test_tasks_of_another_dataset_are_passed_over(api: Api) -> None:
    mine, other = await api.add_task(dataset_id='d1'), await api.add_task(dataset_id='d2')

    assert seen(await api('POST', bulk('failed', 'd1'), {'tasks': [mine, other]})) == DONE
    assert ((await api.task(mine))['status'], (await api.task(other))['status']) == ('failed', 'queued')
    answer = await api('POST', bulk('failed', 'd1'), {'tasks': [other]})
    assert seen(answer) == refusal(404, 'Tasks not found')


async def test_jobs_of_tasks_that_are_passed_over_stay_ended(api: Api, chores: Callable[[], Any]) -> None:
    ada = api.as_('user', 'ada', ('users',))
    mine, other = await ada.add_dataset(GEN), await api.add_dataset(GEN)
    await chores()
    tasks = {task['dataset_id']: task['task_id'] async for task in api.database.tasks.find()}
    await api('POST', bulk('failed'), {'tasks': list(tasks.values())})
    await chores()

    await ada('POST', bulk('reset', mine), {'tasks': list(tasks.values())})

    jobs = {job['dataset_id']: job['status'] async for job in api.database.jobs.find()}
    assert jobs == {mine: 'processing', other: 'errors'}


async def test_a_hundred_thousand_ids_are_taken(api: Api) -> None:
    tasks = [await api.add_task() for _ in range(3)]
    unknown = [f'{number:032x}' for number in range(99_997)]

    answer = await api('POST', bulk('suspended'), {'tasks': [tasks[0], *unknown, *tasks[1:]]})

    assert seen(answer) == DONE
    assert await api.database.tasks.count_documents({'status': 'suspended'}) == 3


# Users


async def of_ada(api: Api, status: str = 'queued') -> tuple[Api, str, str]:
    """A user, her dataset, and a task in it."""
    ada = api.as_('user', 'ada', ('simprod',))
    dataset_id = await ada.add_dataset(GEN)
    return ada, dataset_id, await api.add_task(dataset_id=dataset_id, status=status)


@pytest.mark.parametrize('target', STATUSES)
@pytest.mark.parametrize('many', [False, True])
async def test_users_of_a_dataset_are_held_to_their_targets(api: Api, target: str, many: bool) -> None:
    ada, dataset_id, task_id = await of_ada(api)

    if many:
        answer = await ada('POST', bulk(target, dataset_id), {'tasks': [task_id]})
    else:
        answer = await ada('PUT', f'/datasets/{dataset_id}/tasks/{task_id}/status', {'status': target})

    allowed = target in ('waiting', 'reset', 'suspended', 'failed')
    assert seen(answer) == (DONE if allowed else refusal(409, f'users of a dataset may not make tasks {target}'))
    assert (await api.task(task_id))['status'] == (target if allowed else 'queued')


async def test_users_cannot_undo_what_is_complete(api: Api) -> None:
    ada, dataset_id, done = await of_ada(api, 'complete')
    open_ = await api.add_task(dataset_id=dataset_id)

    answer = await ada('PUT', f'/datasets/{dataset_id}/tasks/{done}/status', {'status': 'reset'})
    assert seen(answer) == refusal(409, 'the task is complete; you may not make it reset')
    answer = await ada('POST', bulk('reset', dataset_id), {'tasks': [done]})
    assert seen(answer) == refusal(409, 'the tasks are complete; you may not make them reset')
    assert seen(await ada('POST', bulk('reset', dataset_id), {'tasks': [done, open_]})) == DONE
    assert ((await api.task(done))['status'], (await api.task(open_))['status']) == ('complete', 'reset')


@pytest.mark.parametrize(
    ('name', 'groups', 'reads', 'writes'),
    [('ada', (), True, True), ('bob', ('simprod',), True, True), ('bob', ('users',), True, False),
     ('bob', ('admin',), True, True), ('bob', ('other',), True, False), ('bob', (), True, False)],
)  # fmt: skip
async def test_a_dataset_s_record_decides_who_reads_and_who_writes(
    api: Api, name: str, groups: tuple[str, ...], reads: bool, writes: bool
) -> None:
    _, dataset_id, task_id = await of_ada(api)
    user = api.as_('user', name, groups)
    path = f'/datasets/{dataset_id}/tasks/{task_id}'

    read, written = await user('GET', path), await user('PUT', f'{path}/status', {'status': 'failed'})

    assert read.status == (200 if reads else 403)
    assert seen(written) == (DONE if writes else refusal(403, 'authorization failed'))


# Requirements


async def kinds(api: Api, *, dataset_id: str = 'd1') -> list[dict[str, Any]]:
    found = api.database.tasks.find({'dataset_id': dataset_id, 'name': 'gen'}, sort=[('_id', 1)])
    return [task['requirements'] async for task in found]


def needs(name: str = 'gen') -> str:
    return f'/datasets/d1/task_actions/bulk_requirements/{name}'


async def test_requirements_are_set_raised_and_lowered(api: Api) -> None:
    for old in ({'cpu': 8, 'memory': 16, 'own': 'x'}, {'cpu': 1}, {}):
        await api.add_task(requirements=old)
    other = await api.add_task(name='sim', requirements={'cpu': 8})
    elsewhere = await api.add_task(dataset_id='d2', requirements={'cpu': 8})

    answer = await api('PATCH', needs(), {'cpu': 2, 'os': ['A'], 'site': '$$ROOT', 'memory': 1.5})

    assert seen(answer) == DONE
    new = {'cpu': 2, 'os': ['A'], 'site': '$$ROOT', 'memory': 1.5}
    assert await kinds(api) == [{**new, 'own': 'x'}, new, new]
    assert (await api.task(other))['requirements'] == (await api.task(elsewhere))['requirements'] == {'cpu': 8}


async def test_set_requirements_decide_who_may_claim(api: Api) -> None:
    task_id = await api.add_task(requirements={'cpu': 8})
    await api('POST', '/task_actions/process', {'requirements': {'cpu': 2}})

    await api('PATCH', needs(), {'cpu': 2})

    answer = await api('POST', '/task_actions/process', {'requirements': {'cpu': 2}})
    assert (answer.status, answer.body['task_id']) == (200, task_id)


async def test_tasks_with_crossing_changes_can_still_be_claimed(api: Api) -> None:
    for number in range(20):
        await api.add_task(requirements={'memory': number})

    await asyncio.gather(*(api('PATCH', needs(), {'cpu': n, 'disk': n}) for n in range(1, 6)))

    assert [needs['cpu'] for needs in await kinds(api)] == [needs['disk'] for needs in await kinds(api)]
    offer = {'requirements': {'cpu': 64, 'memory': 64, 'disk': 64}}
    answers = [await api('POST', '/task_actions/process', offer) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        ({}, 'Missing body'), ({'colour': 1}, 'Invalid resource types'), ({'$inc': 1}, 'Invalid resource types'),
        ({'cpu': 1, 'a.b': 1}, 'Invalid resource types'), ({'cpu': True}, 'Bad type for cpu, should be int'),
        ({'cpu': 1.0}, 'Bad type for cpu, should be int'), ({'gpu': '1'}, 'Bad type for gpu, should be int'),
        ({'gpu': -1}, 'Bad type for gpu, should be int'), ({'memory': '4'}, 'Bad type for memory, should be float'),
        ({'memory': True}, 'Bad type for memory, should be float'),
        ({'disk': -1}, 'Bad type for disk, should be float'),
        ({'time': None}, 'Bad type for time, should be float'), ({'os': 'A'}, 'Bad type for os, should be list'),
        ({'os': []}, 'Bad type for os, should be list'), ({'site': 5}, 'Bad type for site, should be str'),
        ({'cpu': 2**63}, 'an integer has more than 64 bits'),
    ],
)  # fmt: skip
async def test_requirements_that_are_not_valid_change_nothing(api: Api, body: dict[str, Any], reason: str) -> None:
    await api.add_task(requirements={'cpu': 4})

    assert seen(await api('PATCH', needs(), body)) == refusal(400, reason)
    assert await kinds(api) == [{'cpu': 4}]


@pytest.mark.parametrize('item', [5, '', None, {'$gt': ''}, 'a\n'])
async def test_an_os_that_is_no_name_is_refused(api: Api, item: Any) -> None:
    await api.add_task()

    assert (await api('PATCH', needs(), {'os': ['A', item]})).status == 400
    assert await kinds(api) == [{}]


async def test_a_name_nobody_has_is_404(api: Api) -> None:
    assert seen(await api('PATCH', needs('nobody'), {'cpu': 1})) == refusal(404, 'Tasks not found')


@pytest.mark.parametrize('name', ['a b', 'a/b', 'ä.$c', 'a%b', '#?'])
async def test_a_name_may_have_any_character(api: Api, name: str) -> None:
    task_id = await api.add_task(name=name)

    assert seen(await api('PATCH', needs(quote(name, safe='')), {'cpu': 3})) == DONE
    assert (await api.task(task_id))['requirements'] == {'cpu': 3}
