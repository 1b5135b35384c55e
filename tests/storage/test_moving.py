"""A portion of tasks moves as a whole, each task once, and it is known from where, whatever others do meanwhile."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from iceprod_tasks.domain.statuses import STATUSES, TRANSITIONS, set_status
from iceprod_tasks.storage.client import Collection
from iceprod_tasks.storage.moving import Move, move
from iceprod_tasks.storage.transitions import Note
from tests.conftest import Api

FREE = set_status('suspended', free=True)
assert FREE is not None
BY_HAND = FREE
USERS = set_status('waiting', free=False)


class Meddled:
    """The collection `tasks` in which somebody else is quicker at each update."""

    def __init__(self, tasks: Collection, meddle: Callable[[], Awaitable[Any]]) -> None:
        self.tasks = tasks
        self.updates: list[Mapping[str, Any]] = []
        self._meddle = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tasks, name)

    async def update_many(self, where: Mapping[str, Any], *arguments: Any, **options: Any) -> int:
        self.updates.append(where)
        await self._meddle()
        return await self.tasks.update_many(where, *arguments, **options)


def tasks_of(api: Api, meddle: Callable[[], Awaitable[Any]] | None = None) -> Any:
    async def nothing() -> None:
        return None

    return Meddled(api.service.store.collection('tasks'), meddle or nothing)


def put(api: Api, task_id: str, status: str) -> Callable[[], Awaitable[Any]]:
    """Somebody who gives a task a status, and another one the next time."""

    async def meddle() -> None:
        found = await api.database.tasks.find_one({'task_id': task_id})
        assert found is not None
        other = status if found['status'] != status else 'idle'
        await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'status': other}})

    return meddle


async def moves(api: Api, task_id: str) -> list[tuple[str, str]]:
    return [(entry['from'], entry['to']) for entry in (await api.task(task_id))['log']]


async def test_a_move_is_known_by_dataset_name_and_status(api: Api) -> None:
    names = [('d1', 'gen'), ('d1', 'sim'), ('d2', 'gen')]
    tasks = [await api.add_task(dataset_id=dataset_id, name=name, status=status)
             for dataset_id, name in names for status in ('queued', 'failed', 'queued')]  # fmt: skip

    moved = await move(tasks_of(api), BY_HAND, Note(), [*tasks, 'nobody'])

    assert moved.kinds == Counter({
        Move(dataset_id, name, source, 'suspended'): count
        for dataset_id, name in names for source, count in (('queued', 2), ('failed', 1))
    })  # fmt: skip
    assert sorted(task['task_id'] for task in moved.tasks) == sorted(tasks)


async def test_tasks_of_another_dataset_are_no_part_of_it(api: Api) -> None:
    mine, other = await api.add_task(dataset_id='d1'), await api.add_task(dataset_id='d2')

    moved = await move(tasks_of(api), BY_HAND, Note(), [mine, other], 'd1')

    assert moved.kinds == {Move('d1', 'gen', 'queued', 'suspended'): 1}
    assert (await api.task(other))['status'] == 'queued'


async def test_one_update_moves_the_tasks_of_a_status(api: Api) -> None:
    tasks = [await api.add_task(status=status) for status in (*STATUSES, *STATUSES)]
    collection = tasks_of(api)

    await move(collection, BY_HAND, Note(), tasks)

    assert sorted(where['status'] for where in collection.updates) == sorted(STATUSES)


async def test_what_somebody_else_moves_meanwhile_is_moved_from_where_it_is_then(api: Api) -> None:
    tasks = [await api.add_task() for _ in range(3)]
    calls = []

    async def meddle() -> None:
        if not calls:
            await put(api, tasks[1], 'processing')()
        calls.append(1)

    moved = await move(tasks_of(api, meddle), BY_HAND, Note(), tasks)

    assert moved.kinds == {
        Move('d1', 'gen', 'queued', 'suspended'): 2,
        Move('d1', 'gen', 'processing', 'suspended'): 1,
    }
    assert [await moves(api, task_id) for task_id in tasks] == [
        [('queued', 'suspended')], [('processing', 'suspended')], [('queued', 'suspended')],
    ]  # fmt: skip


async def test_what_we_moved_is_not_moved_again_because_it_went_on_at_once(api: Api) -> None:
    tasks = [await api.add_task() for _ in range(2)]
    collection = tasks_of(api)
    plain = collection.update_many

    async def update_many(*arguments: Any, **options: Any) -> int:
        if len(collection.updates) == 0:
            await put(api, tasks[0], 'failed')()
        count: int = await plain(*arguments, **options)
        if len(collection.updates) == 1:
            await put(api, tasks[1], 'waiting')()
        return count

    collection.update_many = update_many
    moved = await move(collection, BY_HAND, Note(), tasks)

    assert moved.kinds == {Move('d1', 'gen', 'queued', 'suspended'): 1, Move('d1', 'gen', 'failed', 'suspended'): 1}
    assert (await api.task(tasks[1]))['status'] == 'waiting'
    assert await moves(api, tasks[1]) == [('queued', 'suspended')]


async def test_a_task_that_never_rests_is_moved_all_the_same(api: Api) -> None:
    restless, still = await api.add_task(status='idle'), await api.add_task()

    moved = await move(tasks_of(api, put(api, restless, 'waiting')), BY_HAND, Note(), [restless, still])

    ((source, target),) = await moves(api, restless)
    assert (target, (await api.task(restless))['status']) == ('suspended', 'suspended')
    assert moved.kinds == {Move('d1', 'gen', 'queued', 'suspended'): 1, Move('d1', 'gen', source, 'suspended'): 1}
    assert len(moved.tasks) == 2


async def test_what_may_not_move_any_more_is_left(api: Api) -> None:
    task_id = await api.add_task(status='failed')
    calls = []

    async def meddle() -> None:
        if not calls:
            await put(api, task_id, 'complete')()
        calls.append(1)

    assert USERS is not None
    moved = await move(tasks_of(api, meddle), USERS, Note(), [task_id])

    assert (moved.tasks, moved.kinds) == ([], {})
    assert (await api.task(task_id))['status'] == 'complete'


async def test_tasks_that_depend_on_others_end_elsewhere(api: Api) -> None:
    tasks = [await api.add_task(status='suspended', depends=depends) for depends in ([], ['a' * 32, 'b' * 32])]

    moved = await move(tasks_of(api), TRANSITIONS['resume'], Note(), tasks)

    assert moved.kinds == {Move('d1', 'gen', 'suspended', 'waiting'): 1, Move('d1', 'gen', 'suspended', 'idle'): 1}
    assert [(await api.task(task_id))['status'] for task_id in tasks] == ['waiting', 'idle']


@pytest.mark.parametrize('request_name', ['', 'r'])
async def test_only_a_request_with_a_name_is_kept_from_moving_twice(api: Api, request_name: str) -> None:
    task_id = await api.add_task()
    note = Note(request=request_name)
    await move(tasks_of(api), BY_HAND, note, [task_id])
    await put(api, task_id, 'failed')()

    again = await move(tasks_of(api), BY_HAND, note, [task_id])

    assert len(again.tasks) == (0 if request_name else 1)
