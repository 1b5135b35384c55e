"""The timer that takes tasks back: from pilots whose lease is over, who are silent, or who do not stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.scheduler.rescue import Rescue, end_stops, rescue
from iceprod_tasks.storage.leases import fates
from tests.conftest import Api
from tests.rest.answers import refusal, seen
from tests.scheduler.test_chores import with_limits

Chores = Callable[[], Awaitable[None]]

CLAIM = '/task_actions/process'
MINE, OTHER = 'a' * 32, 'b' * 32
STALE = refusal(409, "The claim is not the task's current claim")
OVER = {'lease_until': {'$subtract': ['$$NOW', 1]}}
HOUR = 3600.0


async def claimed(api: Api, claim_id: str | None = MINE, **fields: Any) -> str:
    """A task in the hands of a claim; of a pilot without ids when there is none."""
    task_id = await api.add_task(**fields)
    answer = await api('POST', CLAIM, {'claim_id': claim_id} if claim_id else {})
    assert answer.body['task_id'] == task_id
    return task_id


async def put(api: Api, task_id: str, **fields: Any) -> None:
    """Set fields of a task to values of expressions."""
    await api.database.tasks.update_one({'task_id': task_id}, [{'$set': fields}])


async def report(api: Api, task_id: str, action: str, claim_id: str = MINE) -> Any:
    body = {'claim_id': claim_id} if claim_id else {}
    return seen(await api('POST', f'/tasks/{task_id}/task_actions/{action}', body))


async def turn(service: Service) -> int:
    return await Rescue(service).turn()


# Rescue


async def test_a_task_whose_lease_is_over_is_queued_again_at_once(api: Api) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)

    taken = await turn(api.service)

    task = await api.task(task_id)
    assert taken == 1
    wanted = {'status': 'queued', 'evictions': 1, 'failures': 0, 'claim_id': '', 'instance_id': '', 'epoch': 1}
    assert task.items() >= {**wanted, 'lease_until': None, 'lease_seconds': None, 'outcome': None}.items()
    entry = {'from': 'processing', 'to': 'queued', 'transition': 'rescue', 'who': 'scheduler', 'claim': MINE}
    assert task['log'][-1].items() >= {**entry, 'epoch': 1, 'why': 'its lease is over'}.items()
    again = await api('POST', CLAIM, {'claim_id': OTHER})
    assert (again.body['task_id'], again.body['epoch']) == (task_id, 2)


async def test_a_lease_that_goes_on_is_left_alone(api: Api) -> None:
    task_id = await claimed(api)
    before = await api.task(task_id)

    assert await turn(api.service) == 0
    assert await api.task(task_id) == before


async def test_a_heartbeat_keeps_a_task_from_being_rescued(api: Api) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': MINE})

    assert await turn(api.service) == 0
    assert (await api.task(task_id))['claim_id'] == MINE


async def test_a_rescued_task_of_high_priority_is_claimed_next(api: Api) -> None:
    best = await claimed(api, priority=9, requirements={'memory': 1})
    await api.add_task()
    # What stands in the queue is read, and remembered for a moment, while the best one is not in it.
    await api('POST', CLAIM, {'requirements': {'cpu': 0}, 'query_params': {'name': 'none'}})
    await put(api, best, **OVER)
    await turn(api.service)

    assert (await api('POST', CLAIM, {'claim_id': OTHER})).body['task_id'] == best


@pytest.mark.parametrize('status', ['idle', 'waiting', 'queued', 'reset', 'suspended', 'failed', 'complete'])
async def test_only_what_is_processing_is_rescued(api: Api, status: str) -> None:
    task_id = await api.add_task(status=status)
    await put(api, task_id, **OVER, status_changed=datetime(2000, 1, 1, tzinfo=UTC))
    before = await api.task(task_id)

    assert await turn(api.service) == 0
    assert await api.task(task_id) == before


@pytest.mark.parametrize('action', ['complete', 'reset', 'error', 'failed', 'hand_back', 'heartbeat'])
@pytest.mark.parametrize('claimed_again', [False, True])
async def test_whatever_a_rescued_claim_reports_is_409_and_changes_nothing(
    api: Api, action: str, claimed_again: bool
) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    await turn(api.service)
    if claimed_again:
        await api('POST', CLAIM, {'claim_id': OTHER})
    before = await api.task(task_id)

    code, body = await report(api, task_id, action)

    assert (code, body['error']) == (409, STALE[1]['error'])
    if action == 'heartbeat':
        assert body['why'] == 'rescue by scheduler: its lease is over'
    assert await api.task(task_id) == before


@pytest.mark.parametrize('others', [0, 3])
@pytest.mark.parametrize('claimed_again', [False, True])
async def test_the_id_of_a_rescued_claim_gets_410_and_never_another_task(
    api: Api, others: int, claimed_again: bool
) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    await turn(api.service)
    if claimed_again:
        await api('POST', CLAIM, {'claim_id': OTHER})
    for _ in range(others):
        await api.add_task()
    before = await api.task(task_id)

    answers = [await api('POST', CLAIM, {'claim_id': MINE}) for _ in range(3)]

    assert {answer.status for answer in answers} == {410}
    assert await api.database.tasks.count_documents({'claims': MINE}) == 1
    after = await api.task(task_id)
    assert {**after, 'replays': None} == {**before, 'replays': None}


async def test_the_last_ten_claims_are_remembered_through_rescues(api: Api) -> None:
    ids = [new_id() for _ in range(10)]
    task_id = await claimed(api, ids[0])
    for claim_id in ids[1:]:
        await put(api, task_id, **OVER)
        await turn(api.service)
        await api('POST', CLAIM, {'claim_id': claim_id})

    answers = [await api('POST', CLAIM, {'claim_id': claim_id}) for claim_id in ids]

    assert [answer.status for answer in answers] == [410] * 9 + [200]
    assert (await api.task(task_id))['evictions'] == 9


@pytest.mark.parametrize('action', ['complete', 'reset', 'failed', 'hand_back'])
async def test_a_report_that_came_first_leaves_nothing_to_rescue(api: Api, action: str) -> None:
    # The lease is over, but nobody has taken the task yet.
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    assert await report(api, task_id, action) == (200, {})
    before = await api.task(task_id)

    taken = await turn(api.service)

    assert taken == 0
    assert await api.task(task_id) == before
    assert await report(api, task_id, action) == (200, {})


@pytest.mark.parametrize('action', ['complete', 'reset', 'failed', 'hand_back', 'heartbeat'])
async def test_a_word_that_comes_between_the_look_and_the_taking_wins(api: Api, action: str) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    over = api.service.store.leases.over

    class Late:
        """Finds what is over, and lets the pilot be heard before anything is taken."""

        take = api.service.store.leases.take

        async def over(self, **options: Any) -> Any:
            found = await over(**options)
            if found:
                assert (await report(api, task_id, action))[0] == 200
            return found

    assert await rescue(with_leases(api, Late())) == 0
    assert [entry['transition'] for entry in (await api.task(task_id))['log']][1:] == {
        'complete': ['complete'], 'reset': ['reset'], 'failed': ['fail'], 'hand_back': ['hand back'], 'heartbeat': [],
    }[action]  # fmt: skip


async def test_a_claim_that_comes_between_the_look_and_the_taking_keeps_the_task(api: Api) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    over = api.service.store.leases.over

    class Slow:
        """Finds what is over, and takes it when another process has done so long ago."""

        take = api.service.store.leases.take

        async def over(self, **options: Any) -> Any:
            found = await over(**options)
            if found:
                assert await rescue(api.service) == 1
                await api('POST', CLAIM, {'claim_id': OTHER})
            return found

    assert await rescue(with_leases(api, Slow())) == 0
    task = await api.task(task_id)
    assert (task['claim_id'], task['epoch'], task['evictions']) == (OTHER, 2, 1)


def with_leases(api: Api, leases: Any) -> Service:
    """The service with another way to find what is over."""

    class Store:
        def __getattr__(self, name: str) -> Any:
            return leases if name == 'leases' else getattr(api.service.store, name)

    return replace(api.service, store=Store())  # type: ignore[arg-type]


async def test_two_processes_rescue_each_task_once(api: Api) -> None:
    now = datetime.now(UTC)
    given = {'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'n', 'requirements': {},
             'depends': [], 'status': 'processing'}  # fmt: skip
    lost = [
        {
            **new_task(given, new_id(), now, managed=False),
            'lease_until': now,
            'lease_seconds': 1.0,
            'claim_id': new_id(),
        }
        for _ in range(1500)
    ]
    await api.database.tasks.insert_many(lost)

    taken = await asyncio.gather(*(turn(api.service) for _ in range(2)))

    assert sum(taken) == 1500
    left = {(task['status'], task['evictions'], len(task['log'])) async for task in api.database.tasks.find()}
    assert left == {('queued', 1, 1)}


async def test_tasks_of_datasets_with_and_without_a_record_are_rescued(api: Api, chores: Chores) -> None:
    await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    await chores()
    await api.add_task()
    for claim_id in (MINE, OTHER):
        await api('POST', CLAIM, {'claim_id': claim_id})
    await api.database.tasks.update_many({}, [{'$set': OVER}])

    assert await turn(api.service) == 2
    assert {task['managed'] async for task in api.database.tasks.find({'status': 'queued'})} == {True, False}


async def test_a_task_of_the_release_before_is_rescued(api: Api) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    absent = dict.fromkeys(('heartbeat_at', 'resources_used', 'max_evictions', 'stop', 'phase', 'evictions'), '')
    await api.database.tasks.update_one({}, {'$unset': absent})

    assert await turn(api.service) == 1
    task = await api.task(task_id)
    assert (task['status'], task['evictions']) == ('queued', 1)


# Evictions at the limit


@pytest.mark.parametrize(
    ('evictions', 'limit', 'own', 'lost'),
    [(9, 10, None, False), (10, 10, None, True), (11, 10, None, True), (0, 0, None, True), (9, 10, 5, True),
     (4, 10, 5, False), (20, 10, 30, False), (0, 10, 0, True)],
)  # fmt: skip
async def test_a_task_with_too_many_evictions_is_lost(
    api: Api, evictions: int, limit: int, own: int | None, lost: bool
) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER, evictions=evictions, max_evictions=own)

    assert await turn(with_limits(api, max_evictions=limit)) == 1

    task = await api.task(task_id)
    if lost:
        assert (task['status'], task['evictions'], task['failures']) == ('failed', evictions, 0)
        assert task['outcome'] == {'result': 'lost', 'exit_code': None, 'message': 'its lease is over'}
        assert task['log'][-1]['transition'] == 'lose'
    else:
        assert (task['status'], task['evictions'], task['outcome']) == ('queued', evictions + 1, None)
    assert task['claim_id'] == ''


async def test_a_config_says_with_how_many_evictions_its_task_is_lost(api: Api, chores: Chores) -> None:
    await api.add_dataset([{'name': 'once', 'command': 'true', 'max_evictions': 0}, {'name': 'any', 'command': 'true'}])
    await chores()
    task_ids = {task['name']: task['task_id'] for task in [(await api('POST', CLAIM, {})).body for _ in range(2)]}
    for task_id in task_ids.values():
        await put(api, task_id, **OVER)

    assert await turn(api.service) == 2

    statuses = {name: (await api.task(task_id))['status'] for name, task_id in task_ids.items()}
    assert statuses == {'once': 'failed', 'any': 'queued'}


async def test_a_lost_task_is_news_and_ends_its_job(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    await chores()
    task = (await api('POST', CLAIM, {'claim_id': MINE})).body
    await put(api, task['task_id'], **OVER)
    api.service.news.take()

    await turn(with_limits(api, max_evictions=0))
    told = [each.task_id for each in api.service.news.take()]
    await chores()

    assert told == [task['task_id']]
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'errors': 1}


async def test_a_rescue_stirs_the_scheduler(api: Api) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    api.service.news.take()

    await turn(api.service)

    # It would come after an hour.
    await asyncio.wait_for(api.service.news.wait(HOUR), 10)
    assert api.service.news.take() == []


# Stops


@pytest.mark.parametrize(
    ('action', 'status', 'result'), [('suspend', 'suspended', None), ('cancel', 'failed', 'cancelled')]
)
async def test_when_the_lease_of_work_asked_to_stop_is_over_the_stop_is_carried_out(
    api: Api, action: str, status: str, result: str | None
) -> None:
    task_id = await claimed(api)
    await api('POST', f'/datasets/d1/task_actions/{action}')
    await put(api, task_id, **OVER, evictions=10)

    assert await turn(api.service) == 1

    task = await api.task(task_id)
    assert (task['status'], task['claim_id'], task['stop'], task['evictions']) == (status, '', None, 10)
    assert (task['outcome'] or {}).get('result') == result
    assert task['log'][-1].items() >= {'transition': action, 'why': 'its lease is over', 'who': 'scheduler'}.items()


@pytest.mark.parametrize('action', ['suspend', 'cancel'])
async def test_heartbeats_do_not_put_off_the_deadline_of_a_stop(api: Api, action: str) -> None:
    task_id = await claimed(api)
    await api('POST', f'/datasets/d1/task_actions/{action}')
    await put(api, task_id, **{'stop.deadline': {'$subtract': ['$$NOW', 1]}})
    beat = await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': MINE})

    assert (beat.status, await turn(api.service)) == (200, 1)
    assert (await report(api, task_id, 'heartbeat'))[1]['why'] == f'{action} by scheduler: did not stop in time'


async def test_a_stop_that_is_withdrawn_in_between_takes_nothing(api: Api) -> None:
    task_id = await claimed(api)
    await api('POST', '/datasets/d1/task_actions/suspend')
    await put(api, task_id, **{'stop.deadline': {'$subtract': ['$$NOW', 1]}})
    overdue = api.service.store.leases.overdue

    class Late:
        take = api.service.store.leases.take

        async def overdue(self) -> Any:
            found = await overdue()
            await api('POST', '/datasets/d1/task_actions/resume')
            return found

    assert await end_stops(with_leases(api, Late())) == 0
    assert (await api.task(task_id))['status'] == 'processing'


@pytest.mark.parametrize('stop', [None, 'suspend', 'cancel'])
@pytest.mark.parametrize('evictions', [9, 10, 11])
async def test_a_task_has_one_fate_in_whatever_order_they_are_tried(api: Api, stop: str | None, evictions: int) -> None:
    # Somebody may ask for a stop between two of them.
    task_id = await claimed(api)
    await put(api, task_id, evictions=evictions, stop={'then': stop} if stop else None)
    where = {'task_id': task_id, 'status': 'processing'}

    fitting = [row.name for row, of in fates(10) if await api.database.tasks.count_documents({**where, **of})]

    assert fitting == [stop or ('rescue' if evictions < 10 else 'lose')]


# Without a lease


def hours_ago(hours: float) -> dict[str, Any]:
    return {'status_changed': {'$subtract': ['$$NOW', round(hours * 3_600_000)]}}


@pytest.mark.parametrize(
    ('requirements', 'hours', 'taken'),
    [({}, 1.9, 0), ({}, 2.1, 1), ({'time': 3}, 3.9, 0), ({'time': 3}, 4.1, 1), ({'time': 0}, 0.9, 0),
     ({'time': 0}, 1.1, 1), ({'time': 0.5}, 1.4, 0), ({'time': 0.5}, 1.6, 1), ({'time': 1e15}, 9e4, 0)],
)  # fmt: skip
@pytest.mark.parametrize('by_hand', [False, True])
async def test_a_task_without_a_lease_has_the_time_it_needs_and_a_grace(
    api: Api, requirements: dict[str, Any], hours: float, taken: int, by_hand: bool
) -> None:
    if by_hand:
        task_id = await api.add_task(requirements=requirements, status='processing')
    else:
        task_id = await claimed(api, None, requirements=requirements)
    await put(api, task_id, **hours_ago(hours))

    assert await turn(api.service) == taken

    task = await api.task(task_id)
    assert (task['status'], task['evictions']) == (('queued', 1) if taken else ('processing', 0))
    if taken:
        assert task['log'][-1].items() >= {'transition': 'rescue', 'why': 'no word of its pilot for too long'}.items()


async def test_a_task_without_a_lease_is_lost_as_others_are(api: Api) -> None:
    task_id = await claimed(api, None)
    await put(api, task_id, **hours_ago(3), evictions=10)

    await turn(api.service)

    assert (await api.task(task_id))['outcome']['result'] == 'lost'


async def test_the_grace_is_the_service_s(api: Api) -> None:
    task_id = await claimed(api, None, requirements={'time': 0})

    assert await turn(api.service) == 0
    assert await turn(with_limits(api, unleased_grace_seconds=0.0)) == 1
    assert (await api.task(task_id))['status'] == 'queued'


async def test_a_pilot_that_gets_a_lease_by_its_heartbeats_is_measured_by_it(api: Api) -> None:
    task_id = await claimed(api, None)
    await put(api, task_id, **hours_ago(100))
    claim_id = (await api.task(task_id))['claim_id']
    beat = await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': claim_id})

    kept = await turn(api.service)
    await put(api, task_id, **OVER)
    taken = await turn(api.service)

    assert (beat.status, kept, taken) == (200, 0, 1)


async def test_an_old_pilot_that_reports_after_its_task_was_rescued_is_heard_by_the_status(api: Api) -> None:
    # It knows of no claims, so nothing tells it from the next one of its kind.
    task_id = await claimed(api, None)
    await put(api, task_id, **hours_ago(3))
    await turn(api.service)

    late = await report(api, task_id, 'complete', '')
    assert late == refusal(400, 'Task not found or not processing')
    assert (await api.task(task_id))['status'] == 'queued'
    await api('POST', CLAIM, {'claim_id': MINE})
    assert await report(api, task_id, 'complete', '') == STALE
    assert await report(api, task_id, 'failed', '') == STALE


async def test_more_tasks_without_a_lease_than_one_look_takes_are_all_found(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.leases._UNLEASED_AT_ONCE', 3)
    for _ in range(10):
        await api.add_task(status='processing')
    tasks = [task['task_id'] async for task in api.database.tasks.find(sort=[('_id', 1)])]
    for task_id in (tasks[1], tasks[8]):
        await put(api, task_id, **hours_ago(3))
    rescuer = Rescue(api.service)

    taken = [await rescuer.turn() for _ in range(5)]
    # And from the beginning again.
    await put(api, tasks[0], **hours_ago(3))
    taken += [await rescuer.turn() for _ in range(4)]

    assert (sum(taken[:5]), sum(taken)) == (2, 3)


@settings(deadline=None, max_examples=40)
@given(
    time=st.none()
    | st.floats(0, 1e300)
    | st.integers(-5, 2**62)
    | st.text(max_size=3)
    | st.lists(st.integers(0, 9), max_size=3),
    changed=st.sampled_from([datetime(2000, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), 'long ago', None]),
)
@example(time=float('nan'), changed=datetime(2000, 1, 1, tzinfo=UTC))
@example(time=1e-300, changed=datetime(9999, 1, 1, tzinfo=UTC))
async def test_no_odd_task_holds_up_the_rescue_of_others(shared_api: Api, time: Any, changed: Any) -> None:
    await shared_api.database.tasks.delete_many({})
    odd = await shared_api.add_task(status='processing')
    task_id = await shared_api.add_task(status='processing')
    await put(shared_api, task_id, **hours_ago(3))
    given = {'requirements': {'time': time}, 'status_changed': changed}
    await shared_api.database.tasks.update_one({'task_id': odd}, {'$set': given})

    assert await turn(shared_api.service) >= 1
    assert (await shared_api.task(task_id))['status'] == 'queued'


# The timer


async def test_the_timer_goes_on_after_a_turn_that_failed(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    task_id = await claimed(api)
    await put(api, task_id, **OVER)
    over, looks = api.service.store.leases.over, 0

    class Broken:
        take, silent, overdue = (getattr(api.service.store.leases, name) for name in ('take', 'silent', 'overdue'))

        async def over(self, **options: Any) -> Any:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise RuntimeError('broken')
            return await over()

    timer = asyncio.create_task(Rescue(with_leases(api, Broken()), interval_seconds=0.01).run())
    try:
        async with asyncio.timeout(30):
            while (await api.task(task_id))['status'] != 'queued':
                await asyncio.sleep(0.01)
    finally:
        timer.cancel()

    assert 'rescue failed' in caplog.text
