"""Weighing: bases follow their inputs, tasks follow the bases; bounded, in any number of processes, after any crash."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iceprod_tasks.actions import materialize as materializing
from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.actions.weigh import weigh
from iceprod_tasks.domain.priorities import AGE_A_DAY, offset, place, priority
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.scheduler import scheduler as scheduling
from iceprod_tasks.scheduler import walks as walking
from iceprod_tasks.scheduler.chores import queue_waiting
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.scheduler.walks import Walks
from tests.conftest import Api
from tests.scheduler.test_chores import with_limits

Chores = Callable[[], Awaitable[None]]

ONE = [{'name': 'gen', 'command': 'true'}]
TWO = [*ONE, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]


class Crash(Exception):
    """The process dies here."""


async def dataset(api: Api, dataset_id: str) -> dict[str, Any]:
    found = await api.database.datasets.find_one({'dataset_id': dataset_id})
    assert found is not None
    return dict(found)


async def tasks(api: Api, dataset_id: str) -> list[dict[str, Any]]:
    return [task async for task in api.database.tasks.find({'dataset_id': dataset_id}, sort=[('_id', 1)])]


async def misfits(api: Api) -> list[tuple[str, float]]:
    """Weighed unfinished tasks whose priority is not what their dataset's base and their offset make."""
    bases = {each['dataset_id']: each['base_priority'] async for each in api.database.datasets.find()}
    where = {'weighed': True, 'status': {'$nin': ['complete', 'failed']}}
    return [
        (task['name'], task['priority'])
        async for task in api.database.tasks.find(where)
        if task['priority'] != priority(bases[task['dataset_id']], task['priority_offset'])
    ]


async def lift(api: Api, dataset_id: str, by: float = 0.5) -> float:
    """Give a dataset another base, as a change of an input does."""
    before = await dataset(api, dataset_id)
    base = round(before['base_priority'] + by, 3)
    assert await api.service.store.weights.set_base(before, base, before['base_factors'])
    return base


async def walk_to_the_end(walks: Walks) -> int:
    """How many turns it took until nothing was left to rewrite."""
    for turn in range(200):
        if not [each async for each in walks._service.store.weights.behind()]:
            return turn
        await walks.go_on()
    raise AssertionError('the walks do not end')


# Tasks as they come into being.


async def test_new_tasks_have_base_and_offset_at_once_in_all_statuses(api: Api) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=120)

    await materialize_all(api.service)

    record = await dataset(api, dataset_id)
    made = await tasks(api, dataset_id)
    assert record['base_priority'] == sum(record['base_factors'].values()) > 0
    assert (record['base_version'], record['base_version_applied']) == (0, 0)
    assert {task['status'] for task in made} == {'idle', 'waiting'}
    for task in made:
        own = offset(place(task['task_index'], 2, task['job_index']), 0)
        assert (task['weighed'], task['priority_offset']) == (True, own)
        assert task['priority'] == priority(record['base_priority'], own)


async def test_jobs_added_to_an_old_dataset_are_as_old_as_themselves(api: Api) -> None:
    dataset_id = await api.add_dataset(ONE, jobs=300)
    old = datetime.now(UTC) - timedelta(days=200.5)
    await api.database.datasets.update_one({}, {'$set': {'start_date': old}})

    await materialize_all(api.service)

    record = await dataset(api, dataset_id)
    assert record['base_factors']['age'] == 200 * AGE_A_DAY
    assert (await tasks(api, dataset_id))[-1]['priority'] == priority(record['base_priority'], -200 * AGE_A_DAY)


async def test_a_task_posted_without_a_priority_gets_one_and_with_one_keeps_it(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(ONE)
    given = {'dataset_id': dataset_id, 'name': 'own', 'job_index': 50}
    first = await api.add_task(**given)
    own = await api.add_task(**given, priority=7)
    stranger = await api.add_task(dataset_id='unknown')

    await chores()
    base = await lift(api, dataset_id)
    await chores()

    task = await api.task(first)
    assert (task['weighed'], task['priority']) == (True, priority(base, offset(place(0, 1, 50), 0)))
    task = await api.task(own)
    assert (task['weighed'], task['priority']) == (False, 7)
    task = await api.task(stranger)
    assert (task['weighed'], task['priority']) == (False, 1.0)


async def test_a_task_keeps_a_priority_that_an_operator_gave_it(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(ONE, jobs=2)
    await chores()
    first, second = [task['task_id'] for task in await tasks(api, dataset_id)]

    patched = await api('PATCH', f'/tasks/{first}', {'priority': 3})
    await api('PATCH', f'/tasks/{second}', {'colour': 'blue'})
    await lift(api, dataset_id)
    await chores()

    assert (patched.body['priority'], patched.body['weighed']) == (3, False)
    assert (await api.task(first))['priority'] == 3
    assert (await api.task(second))['weighed'] is True
    assert await misfits(api) == []


@pytest.mark.parametrize('field', ['weighed', 'priority_offset'])
async def test_what_makes_a_priority_is_the_service_s(api: Api, field: str) -> None:
    task_id = await api.add_task(**{field: 5})

    answer = await api('PATCH', f'/tasks/{task_id}', {field: 5})

    assert (answer.status, answer.body['error']) == (400, f'key {field} cannot be changed')
    assert (await api.task(task_id))[field] != 5


# Bases.


async def test_bases_follow_wishes_people_and_loads(api: Api, chores: Chores) -> None:
    high = await api.add_dataset(ONE, jobs=10, priority=0.8)
    low = await api.add_dataset(ONE, jobs=10, priority=0.2)
    theirs = await api.as_('user', 'ada')('POST', '/datasets', {
        'description': '', 'jobs_submitted': 20, 'tasks_submitted': 20, 'tasks_per_job': 1, 'group': 'users',
    })  # fmt: skip
    await chores()

    before = {each: (await dataset(api, each))['base_factors'] for each in (high, low)}
    await api.database.users.replace_one({'username': 'ada'}, {'username': 'ada', 'priority': 0.25}, upsert=True)
    await api.database.groups.insert_one({'name': 'simprod', 'priority': 0.9})
    await api.database.datasets.update_one({'dataset_id': low}, {'$set': {'priority': 0.4}})
    await api.database.jobs.update_many({'dataset_id': high}, {'$set': {'status': 'complete'}})
    await weigh(api.service)

    assert (before[high]['wish'], before[low]['wish'], before[low]['competition']) == (1.0, 0.25, -0.188)
    assert (before[high]['group'], before[high]['fair_share']) == (-0.5, 0.5)
    after = {each: (await dataset(api, each))['base_factors'] for each in (high, low)}
    assert (after[low]['wish'], after[low]['competition']) == (1.0, 0.0)
    assert (after[low]['group'], after[low]['fair_share']) == (-0.1, 0.7)
    ada = (await dataset(api, theirs.body['result'].rpartition('/')[2]))['base_factors']
    assert (ada['user'], ada['group'], ada['fair_share']) == (-0.5, -0.1, 0.35)


@pytest.mark.parametrize(
    ('status', 'depends_on', 'changed'),
    [('processing', [], True), ('truncated', [], True), ('suspended', [], True), ('errors', ['d'], True),
     ('errors', [], False), ('complete', ['d'], False)],
)  # fmt: skip
async def test_datasets_with_work_left_are_weighed(
    api: Api, chores: Chores, status: str, depends_on: list[str], changed: bool
) -> None:
    dataset_id = await api.add_dataset(ONE)
    await chores()
    changes = {'status': status, 'depends_on': depends_on, 'start_date': datetime.now(UTC) - timedelta(days=10)}
    await api.database.datasets.update_one({}, {'$set': changes})

    assert await weigh(api.service) == changed
    await walk_to_the_end(Walks(api.service))

    assert (await dataset(api, dataset_id))['base_factors']['age'] == (10 * AGE_A_DAY if changed else 0)
    assert await misfits(api) == []


async def test_weighing_again_changes_nothing(api: Api) -> None:
    for _ in range(3):
        await api.add_dataset(ONE, jobs=10)

    assert await weigh(api.service) == 3
    assert await asyncio.gather(weigh(api.service), weigh(api.service)) == [0, 0]


async def test_bases_are_weighed_at_times_and_at_once_when_somebody_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await api.add_dataset(ONE)
    scheduler = Scheduler(api.service)

    async def factors_after(wish: float) -> dict[str, float]:
        await api.database.datasets.update_one({}, {'$set': {'priority': wish}})
        await scheduler.sweep()
        return dict((await dataset(api, dataset_id))['base_factors'])

    first = await factors_after(0.5)
    unseen = await factors_after(0.0)
    api.service.news.reweigh()
    said = await factors_after(0.0)
    monkeypatch.setattr(scheduling, '_WEIGH_SECONDS', 0.0)
    later = await factors_after(0.5)

    assert (first['wish'], unseen['wish'], said['wish'], later['wish']) == (1.0, 1.0, 0.0, 1.0)


async def test_a_change_said_of_wakes_the_scheduler(api: Api) -> None:
    api.service.news.take()
    waiting = asyncio.create_task(api.service.news.wait(60))
    await asyncio.sleep(0)

    api.service.news.reweigh()

    await asyncio.wait_for(waiting, 5)
    assert (api.service.news.take_reweigh(), api.service.news.take_reweigh()) == (True, False)


# Tasks follow.


async def test_unfinished_tasks_in_every_status_follow_the_base(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(ONE, jobs=len(STATUSES))
    await chores()
    for job_index, status in enumerate(STATUSES):
        await api.database.tasks.update_one({'job_index': job_index}, {'$set': {'status': status}})
    before = {task['status']: task['priority'] for task in await tasks(api, dataset_id)}

    await lift(api, dataset_id, by=0.25)
    await walk_to_the_end(Walks(api.service))

    after = {task['status']: task['priority'] for task in await tasks(api, dataset_id)}
    raised = {status for status in STATUSES if after[status] == pytest.approx(before[status] + 0.25)}
    assert raised == set(STATUSES) - {'complete', 'failed'}
    assert all(after[status] == before[status] for status in ('complete', 'failed'))


async def test_tasks_that_ended_and_go_on_follow_the_base_again(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(ONE, jobs=2)
    await chores()
    task_id = (await api('POST', '/task_actions/process')).body['task_id']
    await api('POST', f'/tasks/{task_id}/task_actions/failed')
    await chores()
    await lift(api, dataset_id)
    await walk_to_the_end(Walks(api.service))

    await api('PUT', f'/tasks/{task_id}/status', {'status': 'waiting'})
    wrong = await misfits(api)
    await walk_to_the_end(Walks(api.service))

    assert len(wrong) == 1
    assert await misfits(api) == []


async def test_a_task_that_has_become_better_gets_into_a_full_queue(api: Api) -> None:
    service = with_limits(api, queue_depth=2)
    worse = await api.add_dataset(ONE, jobs=5)
    await materialize_all(service)
    await queue_waiting(service)
    better = await api.add_dataset(ONE, jobs=1, priority=0.01)
    await materialize_all(service)
    await lift(api, better, by=-3.0)
    await walk_to_the_end(Walks(service))
    await queue_waiting(service)
    kept_out = [task['status'] for task in await tasks(api, better)]

    await lift(api, better, by=6.0)
    await walk_to_the_end(Walks(service))
    await queue_waiting(service)

    assert kept_out == ['waiting']
    assert (await api('POST', '/task_actions/process')).body['dataset_id'] == better
    assert [task['status'] for task in await tasks(api, worse)].count('queued') == 2


async def crowd(api: Api, number: int) -> str:
    """A dataset with many tasks, made without going the long way."""
    dataset_id = await api.add_dataset(ONE, jobs=1)
    await materialize_all(api.service)
    base = (await dataset(api, dataset_id))['base_priority']
    given = {'dataset_id': dataset_id, 'job_id': 'j', 'task_index': 0, 'name': 'crowd', 'requirements': {}}
    now = datetime.now(UTC)
    many = []
    for job_index in range(number):
        own = offset(place(job_index % 7, 7, job_index % 150), 0)
        each = {**given, 'job_index': job_index, 'depends': [], 'priority': priority(base, own)}
        status = STATUSES[job_index % 6]
        many.append(new_task({**each, 'status': status}, new_id(), now, managed=True, priority_offset=own))
    await api.database.tasks.insert_many(many)
    return dataset_id


@pytest.mark.parametrize('sizes', [(500, 15), (15, 500)])
async def test_a_turn_is_bounded_and_small_datasets_do_not_wait_for_large_ones(
    api: Api, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int]
) -> None:
    monkeypatch.setattr(walking, '_TASKS_AT_ONCE', 10)
    monkeypatch.setattr(walking, '_TASKS_A_TURN', 50)
    ids = {size: await crowd(api, size) for size in sizes}
    for dataset_id in ids.values():
        await lift(api, dataset_id)
    walks = Walks(api.service)

    changed = await walks.go_on()

    assert 0 < changed <= 50
    assert [each['dataset_id'] async for each in api.service.store.weights.behind()] == [ids[500]]
    assert await walk_to_the_end(walks) < 500 / 50 + 3
    assert await misfits(api) == []


async def test_the_database_and_we_agree_on_every_priority(api: Api) -> None:
    dataset_id = await crowd(api, 1000)
    for by in (0.001, 0.7, -1.333, 100.025):
        await lift(api, dataset_id, by=by)

        await walk_to_the_end(Walks(api.service))

        assert await misfits(api) == []


async def test_tasks_that_have_their_priority_are_not_written_again(api: Api) -> None:
    dataset_id = await crowd(api, 100)
    await api.service.store.weights.rewrite_again(dataset_id)

    # The end of the walk is all that changes.
    assert await Walks(api.service).go_on() == 1


# Several at once, and crashes.


async def test_a_base_that_changes_during_a_walk_reaches_all_tasks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, '_TASKS_AT_ONCE', 10)
    monkeypatch.setattr(walking, '_TASKS_A_TURN', 30)
    dataset_id = await crowd(api, 200)
    walks = Walks(api.service)

    for _ in range(4):
        await lift(api, dataset_id, by=0.1)
        await walks.go_on()
    await walk_to_the_end(walks)

    assert await misfits(api) == []


async def test_the_last_tasks_have_their_turn_though_the_base_changes_at_every_turn(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, '_TASKS_AT_ONCE', 10)
    monkeypatch.setattr(walking, '_TASKS_A_TURN', 20)
    dataset_id = await crowd(api, 100)
    first = (await tasks(api, dataset_id))[-1]['priority']
    walks = Walks(api.service)

    for _ in range(7):
        await lift(api, dataset_id, by=0.1)
        await walks.go_on()

    assert (await tasks(api, dataset_id))[-1]['priority'] > first + 0.4


async def test_a_walk_that_is_late_does_not_leave_an_old_base_behind(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await crowd(api, 20)
    await lift(api, dataset_id, by=0.1)
    weights, late, quick = api.service.store.weights, Walks(api.service), Walks(api.service)
    rewrite = weights.rewrite

    async def overtaken(ids: Any, base: float) -> int:
        monkeypatch.undo()
        await lift(api, dataset_id, by=0.1)
        await walk_to_the_end(quick)
        return await rewrite(ids, base)

    monkeypatch.setattr(weights, 'rewrite', overtaken)
    await late.go_on()
    wrong = await misfits(api)
    await walk_to_the_end(late)

    assert wrong
    assert await misfits(api) == []


async def test_a_walk_that_is_late_does_not_take_back_that_another_is_through(api: Api) -> None:
    dataset_id = await crowd(api, 5)
    await lift(api, dataset_id)
    await walk_to_the_end(Walks(api.service))

    assert await api.service.store.weights.applied(dataset_id, 0) == 0
    assert [each async for each in api.service.store.weights.behind()] == []


async def test_a_priority_given_while_a_walk_is_under_way_is_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await crowd(api, 5)
    await lift(api, dataset_id)
    weights, task_id = api.service.store.weights, (await tasks(api, dataset_id))[2]['task_id']
    rewrite = weights.rewrite

    async def overtaken(ids: Any, base: float) -> int:
        await api('PATCH', f'/tasks/{task_id}', {'priority': 7})
        return await rewrite(ids, base)

    monkeypatch.setattr(weights, 'rewrite', overtaken)
    await walk_to_the_end(Walks(api.service))

    assert (await api.task(task_id))['priority'] == 7


async def test_tasks_made_with_an_older_base_do_not_stay_behind(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await api.add_dataset(ONE, jobs=5)
    await weigh(api.service)
    store, walks = api.service.store, Walks(api.service)
    add_absent = store.tasks.add_absent

    async def overtaken(some: Any) -> int:
        await lift(api, dataset_id)
        await walk_to_the_end(walks)
        return await add_absent(some)

    monkeypatch.setattr(store.tasks, 'add_absent', overtaken)
    await materialize_all(api.service)
    wrong = await misfits(api)
    await walk_to_the_end(walks)

    assert len(wrong) == 5
    assert await misfits(api) == []


async def test_a_walk_under_way_does_not_hide_tasks_made_meanwhile(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await crowd(api, 5)
    await lift(api, dataset_id)
    weights, walks = api.service.store.weights, Walks(api.service)
    portion = weights.tasks

    async def then_another(*args: Any) -> Any:
        found = await portion(*args)
        monkeypatch.undo()
        await api.database.tasks.update_one({'name': 'gen'}, {'$set': {'priority': -1.0}})
        await weights.written_with(dataset_id, -1.0)
        return found

    monkeypatch.setattr(weights, 'tasks', then_another)
    await walks.go_on()
    assert [each['dataset_id'] async for each in weights.behind()] == [dataset_id]
    await walk_to_the_end(walks)

    assert await misfits(api) == []


async def test_a_crash_of_materialization_leaves_no_old_base_behind(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materializing, '_TASKS_AT_ONCE', 2)
    dataset_id = await api.add_dataset(ONE, jobs=6)
    store = api.service.store
    await weigh(api.service)

    async def crash(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(store.weights, 'written_with', crash)
        with pytest.raises(Crash):
            await materialize_all(api.service)
    await lift(api, dataset_id)
    await walk_to_the_end(Walks(api.service))
    # As when that walk had been through before the tasks were stored.
    await api.database.tasks.update_many({}, [{'$set': {'priority': {'$subtract': ['$priority', 0.5]}}}])
    await materialize_all(api.service)
    await walk_to_the_end(Walks(api.service))

    assert len(await tasks(api, dataset_id)) == 6
    assert await misfits(api) == []


async def test_a_crash_between_any_two_writes_of_a_walk_is_mended_by_the_next(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, '_TASKS_AT_ONCE', 10)
    dataset_id = await crowd(api, 40)
    weights = api.service.store.weights
    crashes = 0

    for name in ('rewrite', 'written_with', 'applied'):
        for survived in range(2):
            await lift(api, dataset_id, by=0.1)
            calls = 0
            original = getattr(type(weights), name)

            async def crash(*args: Any, _survived: int = survived, _original: Any = original) -> Any:
                nonlocal calls
                calls += 1
                if calls > _survived:
                    raise Crash
                return await _original(weights, *args)

            with monkeypatch.context() as patch:
                patch.setattr(weights, name, crash)
                try:
                    await Walks(api.service).go_on()
                except Crash:
                    crashes += 1
            await walk_to_the_end(Walks(api.service))
            assert await misfits(api) == []
    assert crashes >= 5


async def pilots_at_work(api: Api) -> None:
    """Some claims; two of three tasks are brought to their end."""
    for number in range(90):
        answer = await api('POST', '/task_actions/process')
        if answer.status == 200 and number % 3:
            await api('POST', f'/tasks/{answer.body["task_id"]}/task_actions/complete')


async def owners_that_change_their_minds(api: Api, dataset_ids: list[str]) -> None:
    for number in range(30):
        where = {'dataset_id': dataset_ids[number % 3]}
        await api.database.datasets.update_one(where, {'$set': {'priority': number % 7 / 7}})
        await asyncio.sleep(0.01)


async def sweeps(scheduler: Scheduler) -> None:
    for _ in range(12):
        await scheduler.sweep()


async def test_two_processes_end_as_one_while_pilots_claim(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, '_TASKS_AT_ONCE', 20)
    monkeypatch.setattr(walking, '_TASKS_A_TURN', 60)
    monkeypatch.setattr(scheduling, '_WEIGH_SECONDS', 0.0)
    ids = [await api.add_dataset(TWO, jobs=60, priority=wish) for wish in (0.2, 0.5, 0.9)]
    schedulers = [Scheduler(api.service) for _ in range(2)]

    await asyncio.gather(pilots_at_work(api), owners_that_change_their_minds(api, ids), *map(sweeps, schedulers))
    while sum(await asyncio.gather(*(scheduler.sweep() for scheduler in schedulers))):
        pass

    # One process alone finds nothing to do.
    assert await weigh(api.service) == 0
    assert await walk_to_the_end(Walks(api.service)) == 0
    assert await misfits(api) == []
