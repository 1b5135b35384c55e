"""A task is left to other machines than the one it failed on, while others ask; and not for ever."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from iceprod_tasks.actions.service import Askers
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Answer, Api


@pytest.fixture(autouse=True)
def nobody_has_asked(api: Api) -> None:
    object.__setattr__(api.service, 'askers', Askers())
    api.service.store.avoided._fresh_until = 0.0


TOO_SMALL = {'memory': 0.5}
"""The offer of somebody who asks, and gets nothing."""


async def add(api: Api, **fields: Any) -> str:
    return await api.add_task(requirements={'memory': 1}, **fields)


async def ask(api: Api, host: str, **more: Any) -> Answer:
    return await api('POST', '/task_actions/process', {'claim_id': new_id(), 'host': host, **more})


async def fail(api: Api, task: dict[str, Any], action: str = 'reset') -> None:
    answer = await api('POST', f'/tasks/{task["task_id"]}/task_actions/{action}', {'claim_id': task['claim_id']})
    assert answer.status == 200
    await api.database.tasks.update_one({'task_id': task['task_id']}, {'$set': {'status': 'queued'}})
    api.service.store.kinds.forget()
    api.service.store.avoided._fresh_until = 0.0


async def test_another_machine_gets_what_has_failed_on_one(api: Api) -> None:
    first, second = await add(api, priority=2), await add(api, priority=1)
    failed = (await ask(api, 'bad')).body
    await fail(api, failed)
    await ask(api, 'good', requirements=TOO_SMALL)

    assert failed['task_id'] == first
    assert (await ask(api, 'bad')).body['task_id'] == second
    assert (await ask(api, 'bad')).status == 404
    assert (await ask(api, 'good')).body['task_id'] == first


async def test_it_is_so_for_batches_too(api: Api) -> None:
    for _ in range(3):
        await add(api)
    batch = (await ask(api, 'bad', num_tasks=3)).body['tasks']
    await fail(api, batch[1])
    await ask(api, 'good', num_tasks=1, requirements=TOO_SMALL)
    for task in (batch[0], batch[2]):
        await api('POST', f'/tasks/{task["task_id"]}/task_actions/hand_back', {'claim_id': task['claim_id']})

    again = (await ask(api, 'bad', num_tasks=3)).body['tasks']

    assert {task['task_id'] for task in again} == {batch[0]['task_id'], batch[2]['task_id']}


async def test_where_nobody_else_asks_the_same_machine_has_it_at_once(api: Api) -> None:
    task_id = await add(api)
    await fail(api, (await ask(api, 'only')).body)

    assert (await ask(api, 'only')).body['task_id'] == task_id


async def test_what_nobody_else_takes_for_long_the_same_machine_has(api: Api) -> None:
    task_id = await add(api)
    await fail(api, (await ask(api, 'bad')).body)
    await ask(api, 'good', requirements=TOO_SMALL)
    assert (await ask(api, 'bad')).status == 404

    long_ago = utc_now() - timedelta(seconds=61)
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'status_changed': long_ago}})

    assert (await ask(api, 'bad')).body['task_id'] == task_id


async def test_what_was_handed_back_is_not_left_to_others(api: Api) -> None:
    task_id = await add(api)
    await fail(api, (await ask(api, 'one')).body, 'hand_back')
    await ask(api, 'other', requirements=TOO_SMALL)

    assert (await ask(api, 'one')).body['task_id'] == task_id


async def test_a_pilot_that_does_not_say_where_it_is_gets_everything(api: Api) -> None:
    task_id = await add(api)
    await fail(api, (await ask(api, 'bad')).body)

    assert (await api('POST', '/task_actions/process', {})).body['task_id'] == task_id


async def test_the_machine_of_a_claim_is_known_and_cannot_be_set_by_clients(
    api: Api, chores: Callable[[], Any]
) -> None:
    task_id = await add(api, host='evil', failed_on='evil')
    before = await api.task(task_id)
    task = (await ask(api, 'node7')).body

    assert (before['host'], 'failed_on' in before, task['host']) == ('', False, 'node7')
    for field in ('host', 'failed_on', 'phases'):
        assert (await api('PATCH', f'/tasks/{task_id}', {field: 'evil'})).status == 400
