"""Numbers that are kept are those that a count finds, whatever changes, in whichever process."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.storage import tallies as module
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.store import Store
from tests.conftest import DRIVER, Api

DATASETS = ('d1', 'd2')


@pytest.fixture
async def other(api: Api, mongodb_url: str) -> AsyncIterator[Store]:
    """The store of another process."""
    store = Store(mongodb_url, api.database.name, DRIVER)
    store.tallies.fresh_seconds = 0
    yield store
    await store.close()


def task(**fields: Any) -> dict[str, Any]:
    given = {
        'dataset_id': 'd1', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'gen', 'depends': [],
        'requirements': {}, 'status': 'queued', **fields,
    }  # fmt: skip
    return new_task(given, new_id(), utc_now(), managed=False)


async def assert_exact(store: Store) -> None:
    """Whatever is kept is what a count finds."""
    counts, kept = store.counts, store.tallies
    for dataset_id in (None, *DATASETS):
        assert await kept.by_status(dataset_id) == await counts.count_by_status(dataset_id)
    for dataset_id in DATASETS:
        found = await kept.by_name_and_status(dataset_id)
        counted = await counts.count_by_name_and_status(dataset_id)
        assert found == counted
        assert list(found or {}) == list(counted)


async def change(api: Api, rng: random.Random) -> None:
    """Something that changes numbers, by any of the ways in which tasks change."""
    tasks = [each async for each in api.database.tasks.find({})]
    some = [each['task_id'] for each in rng.sample(tasks, min(len(tasks), 4))]
    dataset_id, status = rng.choice(DATASETS), rng.choice(STATUSES)
    if not some or rng.random() < 0.2:
        fields = {'name': rng.choice(['gen', 'a b', 'x']), 'status': status, 'task_index': rng.randrange(3)}
        await api.add_task(dataset_id=dataset_id, **fields)
        return
    held = [each for each in tasks if each['status'] == 'processing']
    reports = [{'task_id': each['task_id'], 'action': rng.choice(['complete', 'reset', 'failed']),
                'claim_id': each['claim_id'] or 'a' * 32} for each in held]  # fmt: skip
    action = rng.choice(['suspend', 'resume', 'reset', 'rerun', 'hard_reset', 'cancel'])
    requests: list[tuple[str, str, Any]] = [
        ('POST', '/task_actions/process', {'claim_id': new_id()}),
        ('POST', '/task_actions/process', {'claim_id': new_id(), 'num_tasks': 3}),
        ('POST', '/task_actions/report', {'reports': reports}),
        ('PUT', f'/tasks/{some[0]}/status', {'status': status}),
        ('POST', f'/task_actions/bulk_status/{status}', {'tasks': some}),
        ('POST', f'/datasets/{dataset_id}/task_actions/{action}', {'tasks': some}),
        ('POST', '/task_actions/queue', {'num_tasks': 2}),
        ('PATCH', f'/tasks/{some[0]}', {'status': status, 'priority': 3}),
        ('PATCH', f'/tasks/{some[0]}', {'name': rng.choice(['gen', 'renamed'])}),
    ]
    await api(*rng.choice(requests))


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10**6))
async def test_numbers_are_exact_after_each_of_many_changes(shared_api: Api, mongodb_url: str, seed: int) -> None:
    rng = random.Random(seed)
    other = Store(mongodb_url, shared_api.database.name, DRIVER)
    other.tallies.fresh_seconds = 0
    await shared_api.database.tasks.delete_many({})
    for _ in range(25):
        await change(shared_api, rng)
        if rng.random() < 0.3:
            await assert_exact(rng.choice([shared_api.service.store, other]))
    await assert_exact(other)
    await other.close()


async def test_numbers_are_exact_when_they_are_counted_while_tasks_change(api: Api, other: Store) -> None:
    rng, end = random.Random(7), asyncio.Event()

    async def go_on() -> None:
        while not end.is_set():
            await change(api, rng)

    async def ask_anew() -> None:
        for _ in range(40):
            other.tallies.forget()
            for dataset_id in (None, *DATASETS):
                assert await other.tallies.by_status(dataset_id) is not None
            await other.tallies.by_name_and_status('d1')
        end.set()

    await asyncio.gather(go_on(), go_on(), ask_anew())

    await assert_exact(other)
    await assert_exact(api.service.store)


async def test_a_tally_is_counted_once_and_kept_by_what_changes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    as_of = module.as_of

    async def counting(*arguments: Any) -> Any:
        counted.append(arguments)
        return await as_of(*arguments)

    monkeypatch.setattr(module, 'as_of', counting)
    api.service.store.tallies.forget()
    for number in range(5):
        await api.add_task()
        assert (await api('GET', '/datasets/d1/task_counts/status')).body == {'queued': number + 1}

    assert len(counted) == 1


async def test_who_asks_again_at_once_waits_for_nothing(api: Api, other: Store) -> None:
    await api.add_task()
    other.tallies.fresh_seconds = 60
    await other.tallies.by_status('d1')
    await other.tallies.by_status('d1')
    marks = await api.database.marks.find_one({'_id': other.tallies._name})

    for _ in range(3):
        await other.tallies.by_status('d1')
    assert await api.database.marks.find_one({'_id': other.tallies._name}) == marks
    await other.tasks.add(task())

    assert await other.tallies.by_status('d1') == {'queued': 2}


async def test_tasks_that_are_removed_are_not_counted_any_more(api: Api, other: Store) -> None:
    for _ in range(3):
        await api.add_task()
    assert await other.tallies.by_status('d1') == {'queued': 3}

    await api.database.tasks.delete_one({})

    await assert_exact(other)


async def test_tasks_of_the_release_before_are_counted_by_their_first_change(api: Api, other: Store) -> None:
    old = {key: value for key, value in task().items() if key != 'was'}
    await api.database.tasks.insert_one(old)
    await assert_exact(other)

    # As that release does it.
    await api.database.tasks.update_one({}, [{'$set': {'status': 'waiting'}}])

    await assert_exact(other)


async def test_a_lost_cursor_is_followed_by_a_new_count(api: Api, other: Store) -> None:
    await api.add_task()
    await assert_exact(other)
    async for cursor in _cursors(api):
        await api.database.command({'killCursors': '$cmd.aggregate', 'cursors': [cursor]})
    await asyncio.sleep(0.1)
    await api.add_task()

    assert await other.counts.by_status('d1') == {'queued': 2}


async def test_whoever_waits_when_the_record_breaks_off_counts_and_the_next_one_follows_again(
    api: Api, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever would wait for as long as anybody does is told apart also on a machine that is busy.
    monkeypatch.setattr('iceprod_tasks.storage.tallies._LONGEST_WAIT_SECONDS', 60.0)
    await api.add_task()
    await assert_exact(other)
    broken = asyncio.Event()

    async def gone(_: Any) -> Any:
        await broken.wait()
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(other.tallies, '_next', gone)
        await api.add_task()
        # The last thing that is heard; from now on nothing is.
        waiting = asyncio.create_task(other.counts.by_status('d1'))
        await _until(lambda: other.tallies._number > other.tallies._reached)
        broken.set()
        assert await asyncio.wait_for(waiting, 30) == {'queued': 2}

    other.tallies._no_sooner = 0
    for number in range(3, 6):
        await other.tasks.add(task())
        assert await asyncio.wait_for(other.tallies.by_status('d1'), 30) == {'queued': number}


async def test_what_is_heard_late_is_not_counted_twice(api: Api, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await other.tallies.by_status('d2')
    counted = asyncio.Event()
    next_ = other.tallies._next

    async def late(stream: Any) -> Any:
        heard = await next_(stream)
        await counted.wait()
        return heard

    monkeypatch.setattr(other.tallies, '_next', late)
    await other.tasks.add(task())
    await api('POST', '/task_actions/process', {'claim_id': 'a' * 32})
    assert await other.tallies.by_status('d1') == {'processing': 1}
    counted.set()

    await assert_exact(other)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_change_is_told_to_the_tallies_of_its_dataset_alone(api: Api, other: Store) -> None:
    # However many datasets are watched, a change costs the same.
    for number in range(3):
        await api.add_task(dataset_id=f'd{number}')
        await other.tallies.by_status(f'd{number}')
    told: list[str] = []

    class Listening(module.OrderedDict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            told.append(key)
            return super().get(key, default)

        def items(self) -> Any:
            raise AssertionError('all of them are looked at')

    other.tallies._tallies = Listening(other.tallies._tallies)
    await api.add_task(dataset_id='d1')

    assert await other.tallies.by_status('d1') == {'queued': 2}
    assert ('dataset', 'd0') not in told


async def test_a_task_without_a_name_is_counted_like_any_other(api: Api, other: Store) -> None:
    await api.database.tasks.insert_one({**task(), 'name': None})
    await assert_exact(other)

    assert (await api('POST', '/task_actions/process', {'claim_id': 'a' * 32})).status == 200

    assert await other.counts.by_status('d1') == {'processing': 1}
    assert other.tallies._following is not None
    assert not other.tallies._following.done()


async def _cursors(api: Api) -> AsyncIterator[int]:
    stages = [{'$currentOp': {'allUsers': True, 'idleCursors': True}}, {'$match': {'ns': {'$regex': 'aggregate'}}}]
    async with await api.database.client.admin.aggregate(stages) as found:
        async for each in found:
            if (cursor := each.get('cursor')) is not None:
                yield cursor['cursorId']


async def test_where_changes_cannot_be_followed_everything_is_counted(
    api: Api, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.add_task()

    def refused(*_: Any) -> Any:
        raise Unavailable

    monkeypatch.setattr(module, 'changes', refused)

    assert await other.tallies.by_status('d1') is None
    assert await other.counts.by_status('d1') == {'queued': 1}
    assert await other.counts.by_name_and_status('d1') == {'gen': {'queued': 1}}


async def test_nothing_is_followed_any_more_when_nobody_asks(
    api: Api, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.add_task()
    assert await other.tallies.by_status('d1') == {'queued': 1}
    monkeypatch.setattr(module, '_IDLE_SECONDS', 0.0)

    for number in range(50):
        await api.add_task(dataset_id='d2', task_index=number)
        if other.tallies._following is None or other.tallies._following.done():
            break
        await asyncio.sleep(0.05)

    assert other.tallies._following is not None
    assert other.tallies._following.done()
    monkeypatch.undo()
    await assert_exact(other)


async def test_there_are_no_more_tallies_than_are_in_use(
    api: Api, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, '_KEPT_AT_MOST', 2)
    for number in range(4):
        await api.add_task(dataset_id=f'd{number}')

    for number in (0, 1, 2, 3, 0):
        assert await other.tallies.by_status(f'd{number}') == {'queued': 1}

    assert len(other.tallies._tallies) == 2


async def test_nobody_is_shown_what_a_task_was(api: Api) -> None:
    await api.add_task(status='waiting')
    await api('POST', '/task_actions/queue', {})
    claimed = (await api('POST', '/task_actions/process', {'claim_id': 'a' * 32})).body

    shown = (await api.as_('admin')('GET', f'/tasks/{claimed["task_id"]}')).body
    (listed,) = (await api('GET', '/tasks')).body['tasks']

    assert (await api.database.tasks.find_one({}))['was'] == 'queued d1 gen'
    assert [each.get('was') for each in (claimed, shown, listed)] == [None] * 3
