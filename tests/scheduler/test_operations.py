"""The timer of operations: what has happened is noted, what takes too long is ended, what is old is forgotten."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from iceprod_tasks.actions.maintain import set_maintenance
from iceprod_tasks.actions.operate import history
from iceprod_tasks.domain.operations import OperationSpec
from iceprod_tasks.domain.work import checked
from iceprod_tasks.scheduler.operations import Operations, time_out
from iceprod_tasks.scheduler.rescue import rescue
from tests.actions.operated import ANN, NAME, WORK, another_leads, claimed, killed, let_pass, made, operations, report
from tests.conftest import Api

LONG = timedelta(days=100)
SECONDS = timedelta(seconds=60)


async def turn(api: Api) -> None:
    await Operations(api.service).turn()


async def test_a_creation_is_done_when_a_pilot_has_the_task(api: Api) -> None:
    await made(api)
    await turn(api)
    waiting = await operations(api)

    await claimed(api)
    await turn(api)

    assert (waiting, await operations(api)) == ([('create', True, '')], [('create', False, 'done')])


async def test_a_task_that_no_pilot_takes_in_time_ends(api: Api) -> None:
    task_id = await made(api)
    await let_pass(api, deadline=SECONDS)

    await turn(api)

    task = await api.task(task_id)
    assert (task['status'], task['outcome']['result'], task['outcome']['cause']) == (
        'failed', 'cancelled', 'not_started',
    )  # fmt: skip
    assert await operations(api) == [('create', False, 'timed out')]


async def test_a_task_that_was_taken_in_the_last_moment_goes_on(api: Api) -> None:
    task_id = await made(api)
    await claimed(api)
    await let_pass(api, deadline=SECONDS)

    await turn(api)

    assert (await api.task(task_id))['status'] == 'processing'
    assert await operations(api) == [('create', False, 'done')]


async def test_a_kill_is_done_when_the_task_has_ended(api: Api) -> None:
    await made(api)
    claim = await claimed(api)
    await killed(api)
    await turn(api)
    running = await operations(api)

    await report(api, claim, 'hand_back')
    await turn(api)

    assert running[-1] == ('kill', True, '')
    assert (await operations(api))[-1] == ('kill', False, 'done')


async def test_a_kill_whose_time_is_over_makes_way_for_another(api: Api) -> None:
    task_id = await made(api)
    await claimed(api)
    await killed(api)
    await let_pass(api, deadline=SECONDS)

    await turn(api)

    assert (await operations(api))[-1] == ('kill', False, 'timed out')
    assert (await api.task(task_id))['stop']['then'] == 'cancel'
    await killed(api)
    assert (await operations(api))[-1] == ('kill', True, '')


async def test_a_task_that_runs_again_has_an_operation_of_the_service(api: Api, monkeypatch: Any) -> None:
    task_id = await made(api, max_evictions=3)
    await report(api, await claimed(api), 'hand_back')
    await turn(api)

    await turn(api)

    found = [each async for each in api.database.operations.find({'active': True})]
    [operation] = found
    assert (operation['type'], operation['who'], operation['task_id']) == ('create', 'scheduler', task_id)
    assert operation['spec'] == {'timeout_seconds': 300.0, 'parallelism': 1, 'failure_strategy': 'STOP'}
    await let_pass(api, deadline=timedelta(seconds=300))
    await turn(api)
    assert (await api.task(task_id))['outcome']['cause'] == 'not_started'


async def test_a_task_whose_pilot_is_gone_is_lost_and_not_run_again(api: Api) -> None:
    task_id = await made(api, max_lease_seconds=1.0)
    await claimed(api)
    await api.database.tasks.update_one({'task_id': task_id}, [{'$set': {'lease_until': '$$NOW'}}])

    await rescue(api.service)

    task = await api.task(task_id)
    assert (task['status'], task['outcome']['result']) == ('failed', 'lost')


@pytest.mark.parametrize(
    ('keep_seconds', 'ended', 'left'),
    [
        (None, timedelta(hours=47), 1),
        (None, timedelta(hours=49), 0),
        (60.0, timedelta(seconds=50), 1),
        (60.0, timedelta(seconds=70), 0),
        (1e6, timedelta(hours=49), 1),
    ],
)
async def test_what_ended_long_ago_is_forgotten(
    api: Api, keep_seconds: float | None, ended: timedelta, left: int
) -> None:
    task_id = await made(api, keep_seconds=keep_seconds)
    await report(api, await claimed(api), 'complete', reason='well', stdout='hello')
    await let_pass(api, ended=ended)

    await turn(api)

    assert await api.database.tasks.count_documents({'task_id': task_id}) == left
    assert await api.database.messages.count_documents({'task_id': task_id}) == left
    traces = [each for each in await history(api.service, NAME) if each['type'] == 'remove']
    assert [each['left']['status'] for each in traces] == ['complete'] * (1 - left)


async def test_a_task_that_goes_on_is_not_forgotten_and_others_are_nobodys_business(api: Api) -> None:
    await made(api)
    await api.add_task(status='complete')
    await let_pass(api, ended=LONG)

    await turn(api)

    assert await api.database.tasks.count_documents({}) == 2


async def test_old_operations_are_forgotten_and_open_ones_are_not(api: Api) -> None:
    await made(api)
    await killed(api)
    await made(api, external=type(NAME)('drove', 'A', '2'))
    await api.database.operations.update_many({}, [{'$set': {'ended': {'$subtract': ['$ended', 40 * 86_400_000]}}}])

    await turn(api)

    assert await operations(api) == [('create', True, '')]


@pytest.mark.parametrize(
    ('pilots', 'waits'),
    [
        ([], True),
        ([{'work': True, 'container': False}], False),
        ([{'work': True, 'container': False}, {'work': True, 'container': True}], True),
        ([{'container': False}], True),
    ],
)
async def test_where_no_pilot_has_containers_some_pilot_says_so(
    api: Api, pilots: list[dict[str, Any]], waits: bool
) -> None:
    task_id = await made(api, work=checked({**WORK, 'image': 'alpine'}))
    for resources in pilots:
        entry = {'queue_host': 'h', 'queue_version': '1', 'resources': {'cpu': 1, **resources}}
        assert (await api.as_('pilot', 'p')('POST', '/pilots', entry)).status == 201
    await let_pass(api, ended=timedelta(seconds=20))

    await turn(api)

    needs = (await api.task(task_id))['requirements']
    assert needs.get('container', False) == waits
    assert needs['work']
    if not waits:
        assert (await claimed(api))['task_id'] == task_id


async def test_a_pilot_with_containers_is_waited_for_a_moment(api: Api) -> None:
    task_id = await made(api, work=checked({**WORK, 'image': 'alpine'}))
    entry = {'queue_host': 'h', 'queue_version': '1', 'resources': {'work': True, 'container': False}}
    await api.as_('pilot', 'p')('POST', '/pilots', entry)

    await turn(api)

    assert (await api.task(task_id))['requirements']['container']


async def test_nothing_is_done_by_who_does_not_lead(api: Api) -> None:
    await made(api, OperationSpec(60.0))
    await let_pass(api, deadline=SECONDS)

    async with another_leads(api):
        await turn(api)

        assert await operations(api) == [('create', True, '')]


async def test_two_at_once_do_it_once(api: Api) -> None:
    for number in range(10):
        await made(api, external=type(NAME)('drove', 'A', str(number)))
    await let_pass(api, deadline=SECONDS)

    await asyncio.gather(turn(api), turn(api))

    assert await operations(api) == [('create', False, 'timed out')] * 10
    logs = [len(each['log']) async for each in api.database.tasks.find({})]
    assert logs == [1] * 10


async def test_a_task_that_was_taken_and_given_back_is_not_ended_by_its_first_operation(api: Api) -> None:
    task_id = await made(api, max_evictions=3)
    await report(api, await claimed(api), 'hand_back')
    await let_pass(api, deadline=SECONDS)

    # It may be met here before it is settled.
    await time_out(api.service)

    assert (await api.task(task_id))['status'] == 'queued'
    assert (await operations(api))[0] == ('create', False, 'done')


async def said(api: Api, *, is_on: bool, ago: timedelta = timedelta()) -> None:
    await set_maintenance(api.service, ANN, is_on=is_on)
    gone = {'$set': {'when': {'$subtract': ['$when', round(ago.total_seconds() * 1000)]}}}
    await api.database.maintenance.update_many({}, [gone])


@pytest.mark.parametrize(
    ('is_on', 'ago', 'quiet'),
    [(True, LONG, True), (False, timedelta(seconds=10), True), (False, timedelta(seconds=50), False)],
)
async def test_in_maintenance_and_shortly_after_nothing_is_lost_or_forgotten(
    api: Api, is_on: bool, ago: timedelta, quiet: bool
) -> None:
    old = await made(api, external=type(NAME)('drove', 'A', 'old'))
    await report(api, await claimed(api), 'complete')
    await let_pass(api, ended=LONG)
    running = await made(api)
    await claimed(api)
    native = await api.add_task(requirements={'cpu': 1})
    await api('POST', '/task_actions/process', {'claim_id': 'e' * 32, 'requirements': {'cpu': 1}, 'lease_seconds': 60})
    held = {'status': 'processing', 'lease_until': {'$ne': None}}
    await api.database.tasks.update_many(held, [{'$set': {'lease_until': '$$NOW'}}])
    await said(api, is_on=is_on, ago=ago)

    await rescue(api.service)
    await turn(api)

    assert (await api.task(native))['status'] == 'queued'
    assert (await api.task(running))['status'] == ('processing' if quiet else 'failed')
    assert await api.database.tasks.count_documents({'task_id': old}) == int(quiet)
