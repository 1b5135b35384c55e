"""GET /task_order: which tasks come next, and the parts that their priorities consist of."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iceprod_tasks.scheduler.chores import queue_waiting
from tests.conftest import Api
from tests.rest.answers import refusal, seen

Chores = Callable[[], Awaitable[None]]

ONE = [{'name': 'gen', 'command': 'true'}]
PARTS = [
    'wish', 'competition', 'user', 'group', 'size', 'fair_share', 'age', 'finish', 'first_jobs', 'pending',
]  # fmt: skip


async def order(api: Api, **query: Any) -> list[dict[str, Any]]:
    answer = await api('GET', '/task_order', params=query)
    assert answer.status == 200, answer.text
    return list(answer.body['tasks'])


async def test_the_order_is_the_one_in_which_tasks_are_handed_out(api: Api, chores: Chores) -> None:
    await api.add_dataset([*ONE, {'name': 'gpu', 'command': 'true', 'requirements': {'gpu': 0}}], jobs=3)
    await api.add_dataset(ONE, jobs=3, priority=0.25)
    await chores()
    await api.add_task(priority=1.55)

    foreseen = [task['task_id'] for task in await order(api, limit=100)]
    claimed = [(await api('POST', '/task_actions/process')).body['task_id'] for _ in foreseen]

    assert len(foreseen) == 10
    assert foreseen == claimed


async def test_queued_tasks_come_before_waiting_ones(api: Api) -> None:
    low = await api.add_task(status='queued', priority=1)
    high = await api.add_task(status='waiting', priority=9)
    await api.add_task(status='waiting', priority=10, depends=[low])
    middle = await api.add_task(status='waiting', priority=8, requirements={'cpu': 3})

    found = await order(api)

    assert [(task['task_id'], task['status']) for task in found] == [
        (low, 'queued'), (high, 'waiting'), (middle, 'waiting'),
    ]  # fmt: skip
    assert [task['task_id'] for task in await order(api, limit=2)] == [low, high]


async def test_a_task_is_shown_with_parts_that_add_up_to_its_priority(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset([*ONE, {'name': 'sim', 'command': 'true'}], jobs=2)
    await chores()

    (task, *_) = await order(api, limit=1)

    assert list(task) == [
        'task_id', 'dataset_id', 'name', 'job_index', 'task_index', 'status', 'priority', 'factors',
    ]  # fmt: skip
    assert (task['dataset_id'], task['name'], task['job_index'], task['status']) == (dataset_id, 'sim', 0, 'queued')
    assert list(task['factors']) == PARTS
    assert sum(task['factors'].values()) == pytest.approx(task['priority'], abs=1e-5)
    assert task['factors'] | {'finish': 0.025, 'first_jobs': 0.2, 'wish': 1.0, 'pending': 0.0} == task['factors']
    assert task['priority'] == (await api.task(task['task_id']))['priority']


async def test_what_is_not_yet_rewritten_is_shown_as_pending(api: Api, chores: Chores) -> None:
    await api.add_dataset(ONE)
    await chores()
    await api.database.tasks.update_many({}, {'$inc': {'priority': -0.3}})

    (task,) = await order(api)

    assert task['factors']['pending'] == -0.3
    assert sum(task['factors'].values()) == pytest.approx(task['priority'], abs=1e-5)


async def test_a_priority_of_its_own_has_no_parts(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(ONE)
    await chores()
    await api.add_task(dataset_id=dataset_id, priority=7)
    await api.add_task(dataset_id='unknown', priority=6)

    found = await order(api)

    assert [(task['priority'], task['factors'] is None) for task in found[:2]] == [(7, True), (6, True)]
    assert found[2]['factors'] is not None


async def test_an_order_is_held_to_a_dataset(api: Api, chores: Chores) -> None:
    ids = [await api.add_dataset(ONE, jobs=3) for _ in range(2)]
    await chores()
    await api.database.tasks.update_many({'job_index': 2}, {'$set': {'status': 'waiting'}})

    found = await order(api, dataset_id=ids[1])

    assert [(task['dataset_id'], task['status']) for task in found] == [
        (ids[1], 'queued'), (ids[1], 'queued'), (ids[1], 'waiting'),
    ]  # fmt: skip
    assert await order(api, dataset_id='unknown') == []


async def test_a_user_sees_tasks_of_datasets_that_they_may_read(api: Api, chores: Chores) -> None:
    mine, theirs = [await api.add_dataset(ONE) for _ in range(2)]
    for dataset_id, name in ((mine, 'ada'), (theirs, 'bob')):
        access = {'read_users': [name], 'read_groups': ['admin']}
        await api.database.auths.update_one({'dataset_id': dataset_id}, {'$set': access})
    await chores()
    await api.add_task(dataset_id='unknown')
    ada = api.as_('user', 'ada')

    assert await order(api.as_('user', 'nobody')) == []
    assert {task['dataset_id'] for task in await order(ada)} == {mine}
    assert {task['dataset_id'] for task in await order(ada, dataset_id=mine)} == {mine}
    assert seen(await ada('GET', f'/task_order?dataset_id={theirs}')) == refusal(403, 'authorization failed')
    assert seen(await ada('GET', '/task_order?dataset_id=unknown')) == refusal(403, 'authorization failed')
    assert len(await order(api.as_('system'))) == 3


@pytest.mark.parametrize('limit', ['0', '-1', '101'])
async def test_a_limit_out_of_bounds_is_400(api: Api, limit: str) -> None:
    answer = await api('GET', f'/task_order?limit={limit}')

    assert seen(answer) == refusal(400, 'limit must be between 1 and 100')


async def test_a_limit_that_is_no_number_is_400(api: Api) -> None:
    answer = await api('GET', '/task_order?limit=x')

    assert seen(answer) == refusal(400, 'Bad argument "limit": must be integer')


async def test_the_order_goes_over_more_kinds_than_a_query_can_merge(api: Api) -> None:
    for number in range(230):
        await api.add_task(requirements={'memory': 10 + number}, priority=number)
        await api.add_task(requirements={'memory': 10 + number}, priority=number, status='waiting')

    found = await order(api, limit=100)
    await queue_waiting(api.service)

    assert [task['priority'] for task in found] == list(range(229, 129, -1))
    assert {task['status'] for task in found} == {'queued'}
