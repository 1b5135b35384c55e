"""Which task a claim is given: the best that fits, whatever else goes on, and in however many processes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.domain.requirements import fits
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.storage import openings as module
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.closings import Held
from iceprod_tasks.storage.given import LEFT
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


async def queue(api: Api, needs: Callable[[int], Mapping[str, Any]] = lambda _: {}) -> None:
    """Tasks of the priorities from 0 to 39, of which this process knows; nobody has taken any from it lately."""
    await api.database.tasks.insert_many([task(each, requirements=needs(each)) for each in range(40)])
    api.service.store.kinds.forget()
    api.service.store.openings._contended_until = 0.0


async def priorities(store: Store, *numbers: int, **offer: Any) -> list[set[float]]:
    """Those of the tasks that are given to claims, so many at a time."""
    return [{each['priority'] for each in await opened(store, number, **offer)} for number in numbers]


@pytest.fixture
def searches(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks were looked for, each time that the queue is searched for more than one."""
    looked: list[int] = []
    best = api.service.store.openings._best

    async def watched(where: Any, names: Any, number: int, wanted: Any) -> Any:
        looked.append(number)
        return await best(where, names, number, wanted)

    monkeypatch.setattr(api.service.store.openings, '_best', watched)
    return looked


async def test_what_one_search_has_seen_is_given_without_another(api: Api, searches: list[int]) -> None:
    await queue(api)

    given = await priorities(api.service.store, 2, 3, 1, 4)

    assert given == [{39, 38}, {37, 36, 35}, {34}, {33, 32, 31, 30}]
    # There are not so many: the second part of the queue is behind the best priority.
    assert len(searches) in (1, 2)


async def test_of_many_signatures_single_claims_take_what_one_search_has_seen(api: Api, searches: list[int]) -> None:
    await queue(api, lambda priority: {'memory': priority})

    assert await priorities(api.service.store, 1, 1, 1, 1, memory=64) == [{39}, {38}, {37}, {36}]
    assert len(searches) in (1, 2)


async def test_what_another_process_has_taken_is_looked_for_again(api: Api, other: Store) -> None:
    await queue(api)

    assert await priorities(api.service.store, 2) == [{39, 38}]
    assert await priorities(other, 3) == [{37, 36, 35}]
    assert 34 in (await priorities(api.service.store, 2))[0]


async def test_a_single_claim_looks_again_as_well(api: Api, other: Store) -> None:
    await queue(api)

    assert await priorities(api.service.store, 2) == [{39, 38}]
    assert await priorities(other, 3) == [{37, 36, 35}]
    assert await priorities(api.service.store, 1) == [{34}]


async def test_a_task_that_was_handed_back_goes_before_those_that_were_seen_behind_it(api: Api) -> None:
    await queue(api)
    best = max(await opened(api.service.store, 2), key=lambda each: float(each['priority']))
    path = f'/tasks/{best["task_id"]}/task_actions/hand_back'
    assert (await api('POST', path, {'claim_id': best['claim_id']})).status == 200

    assert await priorities(api.service.store, 2) == [{39, 37}]


@pytest.mark.parametrize(('verb', 'number'), [('find_one_and_update', 1), ('update_many', 2)])
async def test_what_could_not_be_given_is_still_the_best(
    api: Api, verb: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue(api)
    assert await priorities(api.service.store, 2) == [{39, 38}]

    async def fails(*_: Any, **__: Any) -> Any:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(api.service.store.openings._tasks, verb, fails)
        with pytest.raises(Unavailable):
            await opened(api.service.store, number)
    api.service.store.openings._contended_until = 0.0

    assert await priorities(api.service.store, 2) == [{37, 36}]


async def test_pilots_with_different_offers_take_nothing_from_each_other(api: Api, searches: list[int]) -> None:
    await queue(api, lambda _: {'memory': 1})
    await opened(api.service.store, 2, memory=2)
    await opened(api.service.store, 2, memory=2, disk=1)
    looked = len(searches)

    given = [await priorities(api.service.store, 2, memory=2, **more) for more in ({}, {'disk': 1}, {}, {'disk': 1})]

    assert given == [[{35, 34}], [{33, 32}], [{31, 30}], [{29, 28}]]
    assert len(searches) == looked


@pytest.mark.parametrize('here', [True, False])
async def test_the_scheduler_is_told_the_same_of_claims_of_this_process_and_of_others(
    api: Api, other: Store, *, here: bool
) -> None:
    await api.database.tasks.insert_many([task(job_id=f'j{number}') for number in range(3)])
    given = await opened(api.service.store if here else other, 3)
    held = [Held(each['task_id'], each['claim_id']) for each in given]

    closings = api.service.store.closings
    told = await asyncio.gather(*(closings.close(TRANSITIONS['complete'], Note(), each) for each in held))

    fields = {'_id': False, **dict.fromkeys(LEFT, True)}
    stored = [await api.database.tasks.find_one({'task_id': each.task_id}, fields) for each in held]
    assert told == stored
    assert {each['status'] for each in stored} == {'complete'}


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
