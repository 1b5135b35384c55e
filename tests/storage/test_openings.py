"""Which task a claim is given: the best that fits, whatever else goes on, and in however many processes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.requirements import fits
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.storage import openings as module
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.openings import Wanted
from iceprod_tasks.storage.store import Store
from iceprod_tasks.storage.transitions import Claim, Note
from tests.conftest import DRIVER, Api

GIVEN = {'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'gen', 'depends': []}


@pytest.fixture
async def other(api: Api, mongodb_url: str) -> AsyncIterator[Store]:
    """The store of another process."""
    store = Store(mongodb_url, api.database.name, DRIVER)
    yield store
    await store.close()


def task(priority: float = 1.0, **more: Any) -> dict[str, Any]:
    given = {**GIVEN, 'status': 'queued', 'requirements': {}, 'priority': priority, **more}
    return new_task(given, new_id(), utc_now(), managed=False)


async def opened(store: Store, number: int = 1, **offer: Any) -> list[dict[str, Any]]:
    claims = [Claim(new_id(), 60.0, 'p', '', 'p') for _ in range(number)]
    return await store.openings.open(Wanted(offer), claims, Note())


async def test_two_processes_share_a_queue_and_give_each_task_once(api: Api, other: Store) -> None:
    await api.database.tasks.insert_many([task(number % 5, requirements={'cpu': number % 3}) for number in range(240)])
    stores = [api.service.store, other]
    given: list[str] = []

    async def pilot(number: int) -> None:
        while tasks := await opened(stores[number % 2], 1 + number % 3, cpu=4):
            given.extend(each['task_id'] for each in tasks)

    await asyncio.gather(*(pilot(number) for number in range(24)))

    assert len(given) == len(set(given)) == 240


async def test_nobody_is_told_that_there_is_nothing_while_something_fits(api: Api, other: Store) -> None:
    """As many pilots as tasks: who goes away empty-handed has been lied to."""
    for _ in range(5):
        await api.database.tasks.delete_many({})
        await api.database.tasks.insert_many([task() for _ in range(40)])

        given = await asyncio.gather(*(opened(store) for store in (api.service.store, other) * 20))

        assert [len(tasks) for tasks in given] == [1] * 40


async def test_a_new_kind_of_another_process_is_seen_before_anybody_is_sent_away(api: Api, other: Store) -> None:
    await api.database.tasks.insert_one(task(requirements={'memory': 100}))
    assert await opened(api.service.store, memory=8) == []

    await other.tasks.add(task(requirements={'memory': 4}))

    assert len(await opened(api.service.store, memory=8)) == 1


async def test_a_better_task_of_another_process_is_next_within_a_second(api: Api, other: Store) -> None:
    await api.database.tasks.insert_many([task() for _ in range(4)])
    await opened(api.service.store)
    best = task(9)
    await other.tasks.add(best)

    await asyncio.sleep(1)

    assert (await opened(api.service.store))[0]['task_id'] == best['task_id']


async def test_a_better_task_that_is_queued_from_waiting_is_next(api: Api) -> None:
    for _ in range(4):
        await api.add_task(priority=1)
    best = await api.add_task(priority=9, status='waiting')
    await opened(api.service.store, 2)

    await api('POST', '/task_actions/queue', {})

    assert (await opened(api.service.store))[0]['task_id'] == best


async def test_a_claim_id_used_in_one_round_by_another_process_opens_nothing_else(api: Api, other: Store) -> None:
    await api.database.tasks.insert_many([task() for _ in range(30)])
    used = Claim(new_id(), 60.0, 'p', '', 'p')
    await other.openings.open(Wanted(), [used], Note())
    claims = [*(Claim(new_id(), 60.0, 'p', '', 'p') for _ in range(9)), used]

    asked = [api.service.store.openings.open(Wanted(), [claim], Note()) for claim in claims]
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(answer).__name__ for answer in answers] == ['list'] * 9 + ['Duplicate']
    assert await api.database.tasks.count_documents({'claims': used.claim_id}) == 1
    assert await api.database.tasks.count_documents({'status': 'processing'}) == 10


async def test_a_claim_id_whose_task_is_queued_again_does_not_get_it_in_a_round_of_many(api: Api) -> None:
    await api.database.tasks.insert_many([task() for _ in range(3)])
    used = Claim(new_id(), 60.0, 'p', '', 'p')
    (first,) = await api.service.store.openings.open(Wanted(), [used], Note())
    path = f'/tasks/{first["task_id"]}/task_actions/hand_back'
    assert (await api('POST', path, {'claim_id': used.claim_id})).status == 200
    claims = [used, *(Claim(new_id(), 60.0, 'p', '', 'p') for _ in range(3))]

    asked = [api.service.store.openings.open(Wanted(), [claim], Note()) for claim in claims]
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [type(answer).__name__ for answer in answers] == ['Duplicate', 'list', 'list', 'list']
    assert [len(answer) for answer in answers[1:] if isinstance(answer, list)] == [1, 1, 1]


async def test_where_processes_meet_the_best_task_is_given_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task(number) for number in range(40)]
    await api.database.tasks.insert_many(tasks[:-1])
    await api.service.store.tasks.add(tasks[-1])
    monkeypatch.setattr(api.service.store.openings, '_contended_until', float('inf'))

    monkeypatch.setattr(module.random, 'sample', lambda places, number: places[-number:])
    claims = [Claim(new_id(), 60.0, 'p', '', 'p') for _ in range(3)]
    updates: list[set[Any]] = []
    update_many = api.service.store.openings._tasks.update_many

    async def watched(where: Any, *arguments: Any, **options: Any) -> int:
        updates.append(set(where['_id']['$in']))
        return int(await update_many(where, *arguments, **options))

    monkeypatch.setattr(api.service.store.openings._tasks, 'update_many', watched)
    given = await api.service.store.openings.open(Wanted(), claims, Note())

    best = await api.database.tasks.find_one({'task_id': tasks[-1]['task_id']})
    assert [best['_id'] in update for update in updates] == [True]
    assert tasks[-1]['task_id'] in {each['task_id'] for each in given}
    assert min(each['priority'] for each in given) >= 40 - 3 * 4


NEEDS: tuple[Mapping[str, Any], ...] = ({}, {'memory': 1}, {'memory': 4}, {'gpu': 1})
OFFERS: tuple[Mapping[str, Any], ...] = ({'memory': 2}, {'memory': 8, 'gpu': 0}, {'gpu': 1}, {})
PRIORITIES = st.sampled_from([0.0, 1.0, 1.0, 2.0, 7.0])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just('claim'), st.sampled_from(OFFERS), st.integers(1, 3)),
        st.tuples(st.just('claim'), st.sampled_from(OFFERS), st.integers(1, 3)),
        st.tuples(st.just('add'), PRIORITIES, st.sampled_from(NEEDS)),
        st.tuples(st.just('add waiting'), PRIORITIES, st.sampled_from(NEEDS)),
        st.tuples(st.just('queue'), st.none(), st.none()),
        st.tuples(st.sampled_from(['hand back', 'set queued']), st.integers(0, 9), st.none()),
        st.tuples(st.just('set priority'), PRIORITIES, st.integers(0, 9)),
        st.tuples(st.just('set requirements'), st.sampled_from([1, 4, 16]), st.none()),
    ),
    min_size=5,
    max_size=25,
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
async def test_each_claim_is_given_the_best_that_fits_whatever_happened_before(
    shared_api: Api, steps: list[tuple[str, Any, Any]]
) -> None:
    api, tasks = shared_api, shared_api.database.tasks
    api.service.store.openings._contended_until = 0.0
    await tasks.delete_many({})
    for number in range(4):
        await api.service.store.tasks.add(task(number % 2))

    for verb, what, more in steps:
        if verb == 'claim':
            queue = [each async for each in tasks.find({'status': 'queued'}) if fits(each['requirements'], what)]
            best = sorted(queue, key=lambda each: (-each['priority'], each['_id']))[:more]
            got = await opened(api.service.store, more, **what)
            assert sorted(each['task_id'] for each in got) == sorted(each['task_id'] for each in best)
        else:
            await happen(api, verb, what, more)


async def happen(api: Api, verb: str, what: Any, more: Any) -> None:
    """Something that may change which task is the best."""
    tasks = api.database.tasks
    if verb == 'add':
        assert await api.add_task(priority=what, requirements=more)
    elif verb == 'add waiting':
        await api.add_task(priority=what, requirements=more, status='waiting')
    elif verb == 'queue':
        assert (await api('POST', '/task_actions/queue', {})).status == 200
    elif verb == 'hand back' and (one := await tasks.find_one({'status': 'processing'}, skip=what)):
        path = f'/tasks/{one["task_id"]}/task_actions/hand_back'
        assert (await api('POST', path, {'claim_id': one['claim_id']})).status == 200
    elif verb == 'set queued' and (one := await tasks.find_one({'status': 'processing'}, skip=what)):
        assert (await api('PUT', f'/tasks/{one["task_id"]}/status', {'status': 'queued'})).status == 200
    elif verb == 'set priority' and (one := await tasks.find_one({'status': 'queued'}, skip=more)):
        assert (await api('PATCH', f'/tasks/{one["task_id"]}', {'priority': what})).status == 200
    elif verb == 'set requirements':
        path = '/datasets/d1/task_actions/bulk_requirements/gen'
        assert (await api('PATCH', path, {'memory': what})).status in (200, 404)
