"""Changes of many tasks go in portions: pilots come in between, and whoever dies in the middle can be repeated."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from iceprod_tasks.actions import move, portions, queue, require
from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.domain.signatures import signature
from iceprod_tasks.storage import tasks as storage_tasks
from tests.conftest import Api
from tests.rest.answers import DONE, seen
from tests.rest.test_idempotency import Crash, ask, lease_is_over

PORTION = 3
NUMBER = 8
BULK = '/task_actions/bulk_status/failed'
QUEUE = '/task_actions/queue'
NEEDS = '/datasets/d1/task_actions/bulk_requirements/gen'
CLAIM = '/task_actions/process'


class Watched:
    """The portions: how many tasks each names, and what is done before it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.before: Callable[[int], Awaitable[Any]] | None = None


@pytest.fixture
def watched(api: Api, monkeypatch: pytest.MonkeyPatch) -> Watched:
    for module, name in ((move, '_MOVED_AT_ONCE'), (queue, 'PORTION'), (storage_tasks, 'PORTION')):
        monkeypatch.setattr(module, name, PORTION)
    # One after the other, so that a test knows which comes when.
    monkeypatch.setattr(portions, 'WORKERS', 1)
    watched = Watched()
    tasks = api.service.store.tasks._tasks
    update_many = tasks.update_many

    async def watching(where: Mapping[str, Any], *arguments: Any, **options: Any) -> int:
        ids = ids_in(where)
        if ids is not None:
            if watched.before is not None:
                await watched.before(len(watched.sizes))
            watched.sizes.append(len(ids))
        return await update_many(where, *arguments, **options)

    monkeypatch.setattr(tasks, 'update_many', watching)
    return watched


def ids_in(where: Mapping[str, Any]) -> list[Any] | None:
    """The tasks that a filter names, unless it is a claim's."""
    if where.get('status') == 'queued':
        return None
    for part in (where, *where.get('$and', ())):
        for name in ('_id', 'task_id'):
            if isinstance(part.get(name), dict):
                return list(part[name]['$in'])
    return None


async def tasks_of(api: Api, status: str, **fields: Any) -> list[str]:
    return [await api.add_task(status=status, job_index=place, **fields) for place in range(NUMBER)]


async def statuses(api: Api) -> list[str]:
    return [task['status'] async for task in api.database.tasks.find(sort=[('_id', 1)])]


Change = tuple[str, str, Callable[[list[str]], Any], str]
"""Method, path, body for some tasks, and the status that they have before."""

CHANGES: dict[str, Change] = {
    'bulk status': ('POST', BULK, lambda tasks: {'tasks': tasks}, 'queued'),
    'bulk status of a dataset': ('POST', '/datasets/d1' + BULK, lambda tasks: {'tasks': tasks}, 'queued'),
    'queue': ('POST', QUEUE, lambda tasks: {'num_tasks': len(tasks)}, 'waiting'),
    'requirements': ('PATCH', NEEDS, lambda _: {'cpu': 2}, 'queued'),
}


def is_changed(task: Mapping[str, Any], before: str) -> bool:
    return bool(task['status'] != before or task['requirements'] == {'cpu': 2})


@pytest.mark.parametrize('change', CHANGES.values(), ids=list(CHANGES))
async def test_many_tasks_are_changed_in_portions(api: Api, watched: Watched, change: Change) -> None:
    method, path, body, status = change
    tasks = await tasks_of(api, status)

    answer = await api(method, path, body(tasks))

    assert answer.status == 200
    assert watched.sizes == [PORTION, PORTION, NUMBER - 2 * PORTION]
    assert all(is_changed(task, status) for task in [task async for task in api.database.tasks.find()])


@pytest.mark.parametrize('change', CHANGES.values(), ids=list(CHANGES))
async def test_pilots_have_room_after_each_portion(
    api: Api, watched: Watched, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    method, path, body, status = change
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    async def slow(_: int) -> None:
        moment['now'] += 1.0

    moment = {'now': time.monotonic()}
    monkeypatch.setattr(portions, 'asyncio', SimpleNamespace(sleep=sleep, gather=asyncio.gather))
    for module in (portions, require):
        monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: moment['now']))
    tasks = await tasks_of(api, status)
    watched.before = slow

    await api(method, path, body(tasks))

    assert rests == [pytest.approx(1.0, abs=0.1)] * 3


@pytest.mark.parametrize('portion', [0, 1, 2])
@pytest.mark.parametrize('change', CHANGES.values(), ids=list(CHANGES))
async def test_after_a_failure_in_the_middle_a_repeat_does_the_rest(
    api: Api, watched: Watched, change: Change, portion: int
) -> None:
    method, path, body, status = change
    tasks = await tasks_of(api, status)

    async def fail(number: int) -> None:
        if number == portion:
            raise Unavailable

    watched.before = fail
    with Crash(api):
        first = await ask(api, path, body(tasks), method=method)
    await lease_is_over(api)
    half = [is_changed(task, status) async for task in api.database.tasks.find()]
    watched.before = None
    again = await ask(api, path, body(tasks), method=method)

    assert (first.status, again.status) == (503, 200)
    assert sum(half) == portion * PORTION
    found = [task async for task in api.database.tasks.find()]
    assert all(is_changed(task, status) for task in found)
    assert {len(task['log']) for task in found} == {0 if method == 'PATCH' else 1}


async def test_what_others_move_between_two_portions_is_moved_from_where_it_is(api: Api, watched: Watched) -> None:
    tasks = await tasks_of(api, 'idle')
    claimed = tasks[-1]

    async def claim(number: int) -> None:
        if number == 1:
            await api.database.tasks.update_one({'task_id': claimed}, {'$set': {'status': 'queued'}})
            assert (await api('POST', CLAIM, {'claim_id': 'c' * 32})).body['task_id'] == claimed

    watched.before = claim
    answer = await api('POST', BULK, {'tasks': tasks})

    assert seen(answer) == DONE
    assert await statuses(api) == ['failed'] * NUMBER
    assert [(entry['from'], entry['to']) for entry in (await api.task(claimed))['log']] == [
        ('queued', 'processing'), ('processing', 'failed'),
    ]  # fmt: skip
    report = await api('POST', f'/tasks/{claimed}/task_actions/complete', {'claim_id': 'c' * 32})
    assert report.status == 409


async def test_what_is_complete_by_its_turn_is_no_user_s_to_move(api: Api, watched: Watched) -> None:
    ada = api.as_('user', 'ada', ('simprod',))
    dataset_id = await ada.add_dataset([{'name': 'gen', 'command': 'true'}])
    tasks = await tasks_of(api, 'queued', dataset_id=dataset_id)

    async def complete(number: int) -> None:
        if number == 1:
            await api.database.tasks.update_one({'task_id': tasks[-1]}, {'$set': {'status': 'complete'}})

    watched.before = complete
    answer = await ada('POST', f'/datasets/{dataset_id}{BULK}', {'tasks': tasks})

    assert seen(answer) == DONE
    assert await statuses(api) == ['failed'] * (NUMBER - 1) + ['complete']


async def test_the_best_are_queued_first_and_no_more_than_asked_for(api: Api, watched: Watched) -> None:
    for priority in (0.1, 0.9, 0.5, 0.8, 0.2, 0.7):
        await api.add_task(status='waiting', priority=priority)
    queued: list[list[float]] = []

    async def look(_: int) -> None:
        queued.append(sorted([task['priority'] async for task in api.database.tasks.find({'status': 'queued'})]))

    watched.before = look
    answer = await api('POST', QUEUE, {'num_tasks': 5})

    assert seen(answer) == (200, {'queued': 5})
    assert queued == [[], [0.7, 0.8, 0.9]]
    assert watched.sizes == [3, 2]


# Requirements


async def test_a_task_that_is_claimed_before_its_turn_gets_the_new_requirements_too(api: Api, watched: Watched) -> None:
    await tasks_of(api, 'queued', requirements={'cpu': 1})
    claims = []

    async def claim(number: int) -> None:
        if number == 1:
            claims.extend([await api('POST', CLAIM, {}) for _ in range(NUMBER)])

    watched.before = claim
    assert seen(await api('PATCH', NEEDS, {'cpu': 2})) == DONE

    assert sorted(claim.body['requirements']['cpu'] for claim in claims) == [1] * (NUMBER - PORTION) + [2] * PORTION
    found = [task async for task in api.database.tasks.find()]
    assert {(task['status'], task['requirements']['cpu']) for task in found} == {('processing', 2)}


SMALL, LARGE = {'cpu': 1, 'memory': 1.0}, {'cpu': 2, 'memory': 2.0}


def pair(task: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*sorted(task['requirements'].items()), task['signature'])


async def until(done: asyncio.Event, one: Callable[[int], Awaitable[Any]]) -> None:
    number = 0
    while not done.is_set():
        number += 1
        await one(number)
        await asyncio.sleep(0)


async def test_a_claim_sees_a_task_before_or_after_a_change_of_requirements(api: Api, watched: Watched) -> None:
    for place in range(40):
        await api.add_task(job_index=place, requirements=SMALL)
    found: set[tuple[Any, ...]] = set()
    claimed: list[tuple[int, Any]] = []
    done = asyncio.Event()

    async def flip(number: int) -> None:
        assert seen(await api('PATCH', NEEDS, (SMALL, LARGE)[number % 2])) == DONE

    async def look(_: int) -> None:
        found.update([pair(task) async for task in api.database.tasks.find()])

    async def claim(number: int) -> None:
        offer = (SMALL, LARGE)[number % 2]
        answer = await api('POST', CLAIM, {'requirements': offer})
        if answer.status == 200:
            claimed.append((offer['cpu'], answer.body['requirements']))
        if len(claimed) == 40:
            done.set()

    async with asyncio.timeout(60):
        await asyncio.gather(until(done, flip), until(done, look), until(done, claim))

    assert found == {(*sorted(each.items()), signature(each)) for each in (SMALL, LARGE)}
    assert all(needs in (SMALL, LARGE) for _, needs in claimed)
    assert all(needs == SMALL for cpu, needs in claimed if cpu == 1)
