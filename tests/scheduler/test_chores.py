"""The chores: materialize, release, queue, retry, end; on tasks of datasets with a record only."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from iceprod_tasks.actions import materialize as materializing
from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.scheduler import chores as chore
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.storage import depths, queueing
from tests.conftest import Api

Chores = Callable[[], Awaitable[None]]

TWO = [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]


class Crash(Exception):
    """The process dies here."""


async def statuses(api: Api, dataset_id: str) -> dict[str, Counter[str]]:
    answer = await api('GET', f'/datasets/{dataset_id}/task_counts/name_status')
    return {name: Counter(counts) for name, counts in answer.body.items()}


async def claim(api: Api, **offer: Any) -> dict[str, Any]:
    answer = await api('POST', '/task_actions/process', {'requirements': offer})
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def test_a_dataset_becomes_jobs_and_tasks_and_those_without_dependencies_are_queued(
    api: Api, chores: Chores
) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=3)

    await chores()

    assert await statuses(api, dataset_id) == {'gen': Counter(queued=3), 'sim': Counter(idle=3)}
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'processing': 3}


async def test_materializing_again_makes_no_twin_and_fills_holes(api: Api, chores: Chores) -> None:
    await api.add_dataset(TWO, jobs=30)
    await chores()
    before = {task['task_id'] async for task in api.database.tasks.find()}
    # As a crash may leave it: some tasks stored, others not, and nothing noted.
    await api.database.tasks.delete_many({'job_index': {'$in': [3, 29]}, 'name': 'sim'})
    await api.database.jobs.delete_many({'job_index': 5})
    await api.database.datasets.update_many({}, {'$set': {'jobs_materialized': 0}})

    made = await asyncio.gather(materialize_all(api.service), materialize_all(api.service))

    assert made == [30, 30]
    assert await materialize_all(api.service) == 0
    assert {task['task_id'] async for task in api.database.tasks.find()} == before
    assert await api.database.tasks.count_documents({}) == 60
    assert await api.database.jobs.count_documents({}) == 30


async def test_a_crash_between_any_two_writes_of_materialization_is_mended_by_the_next_run(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materializing, '_TASKS_AT_ONCE', 4)
    dataset_id = await api.add_dataset([{**TWO[0], 'files': [{'filename': 'f', 'movement': 'input'}]}, TWO[1]], jobs=7)
    store = api.service.store
    writes = [
        (store.jobs, 'add_absent'),
        (store.files, 'add_absent'),
        (store.tasks, 'add_absent'),
        (store.datasets, 'advance'),
    ]

    crashes = 0
    for owner, name in writes:
        for survived in range(3):
            calls = 0
            original = getattr(type(owner), name)

            async def crash(
                *args: Any, _survived: int = survived, _original: Any = original, _owner: Any = owner
            ) -> Any:
                nonlocal calls
                calls += 1
                if calls > _survived:
                    raise Crash
                return await _original(_owner, *args)

            with monkeypatch.context() as patch:
                patch.setattr(owner, name, crash)
                try:
                    await materialize_all(api.service)
                except Crash:
                    crashes += 1
    await chores()

    assert crashes
    assert await api.database.tasks.count_documents({'dataset_id': dataset_id}) == 14
    assert await api.database.jobs.count_documents({'dataset_id': dataset_id}) == 7
    assert await api.database.files.count_documents({'dataset_id': dataset_id}) == 7
    assert len(await api.database.tasks.distinct('task_id')) == 14


async def test_a_task_is_released_when_all_it_depends_on_is_complete(api: Api, chores: Chores) -> None:
    three = [*TWO, {'name': 'end', 'command': 'true', 'depends': ['gen', 'sim']}]
    dataset_id = await api.add_dataset(three)
    await chores()

    await api('POST', f'/tasks/{(await claim(api))["task_id"]}/task_actions/complete')
    await chores()

    assert await statuses(api, dataset_id) == {
        'gen': Counter(complete=1), 'sim': Counter(queued=1), 'end': Counter(idle=1),
    }  # fmt: skip


async def test_a_sweep_releases_what_no_news_told_of(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO)
    await chores()
    await api('POST', f'/tasks/{(await claim(api))["task_id"]}/task_actions/complete')
    api.service.news.take()

    await Scheduler(api.service).sweep()

    assert (await statuses(api, dataset_id))['sim'] == Counter(queued=1)


@pytest.mark.parametrize(('deep', 'many'), [(200, 40), (0, 40), (200, 1), (0, 1)])
async def test_the_depth_is_kept_for_each_kind_of_requirements_and_a_better_task_passes_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, deep: int, many: int
) -> None:
    """However it is counted, and however the tasks are read."""
    monkeypatch.setattr(depths, '_DEEP', deep)
    monkeypatch.setattr(queueing, '_MANY', many)
    kinds = [
        {'name': 'cpu', 'command': 'true', 'requirements': {'cpu': 1}},
        {'name': 'gpu', 'command': 'true', 'requirements': {'gpu': 1}},
    ]
    service = with_limits(api, queue_depth=2)
    dataset_id = await api.add_dataset(kinds, jobs=5)
    await materialize_all(service)

    await chore.queue_waiting(service)
    full = await statuses(api, dataset_id)
    await api.database.tasks.update_one({'name': 'cpu', 'job_index': 4}, {'$set': {'priority': 7.0}})
    await chore.queue_waiting(service)

    assert full == {'cpu': Counter(waiting=3, queued=2), 'gpu': Counter(waiting=3, queued=2)}
    assert (await claim(api, cpu=1, gpu=0))['job_index'] == 4
    assert (await statuses(api, dataset_id))['gpu'] == full['gpu']


async def test_kinds_are_queued_together_or_each_by_itself_but_none_that_is_held_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, '_MANY', 2)
    monkeypatch.setattr(queueing, '_READ_AT_ONCE', 14)
    tasks = [{'name': f'n{cpu}', 'command': 'true', 'requirements': {'cpu': cpu}} for cpu in range(3)]
    dataset_id = await api.add_dataset(tasks, jobs=4)
    service = with_limits(api, queue_depth=3)
    await materialize_all(service)
    await api.database.tasks.update_many({'job_index': 0}, {'$set': {'depends': ['unknown'], 'priority': 9.0}})

    first = [await chore.queue_waiting(service) for _ in range(2)]
    monkeypatch.setattr(queueing, '_READ_AT_ONCE', 3)
    await api.database.tasks.update_many({'status': 'queued', 'job_index': 1}, {'$set': {'status': 'complete'}})
    await api.database.tasks.update_many({'job_index': 0}, {'$set': {'depends': []}})

    assert first == [9, 0]
    assert await chore.queue_waiting(service) == 3
    assert await statuses(api, dataset_id) == {f'n{cpu}': Counter(queued=3, complete=1) for cpu in range(3)}


async def test_a_run_that_has_queued_much_leaves_the_rest_to_the_next(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, '_READ_AT_ONCE', 2)
    monkeypatch.setattr(chore, 'QUEUED_AT_ONCE', 4)
    tasks = [{'name': f'n{cpu}', 'command': 'true', 'requirements': {'cpu': cpu}} for cpu in range(5)]
    dataset_id = await api.add_dataset(tasks, jobs=2)
    await materialize_all(api.service)
    await api.database.tasks.update_many({'name': 'n3'}, {'$set': {'priority': 9.0}})

    first = await chore.queue_waiting(api.service)

    assert (first, (await statuses(api, dataset_id))['n3']) == (4, Counter(queued=2))
    assert await chore.queue_waiting(api.service) + await chore.queue_waiting(api.service) == 6


async def test_one_bad_task_in_a_full_queue_does_not_let_in_all_that_is_better(api: Api) -> None:
    service = with_limits(api, queue_depth=2)
    await api.add_dataset(TWO[:1], jobs=8)
    await materialize_all(service)
    await api.database.tasks.update_many({'job_index': {'$lt': 2}}, {'$set': {'priority': 0.1, 'weighed': False}})
    await api.database.tasks.update_many({'job_index': {'$gte': 2}}, {'$set': {'status': 'suspended'}})
    await chore.queue_waiting(service)
    await api.database.tasks.update_many({'status': 'suspended'}, {'$set': {'status': 'waiting', 'priority': 5.0}})

    turns = [await chore.queue_waiting(service) for _ in range(3)]

    assert turns == [2, 0, 0]


async def test_tasks_of_old_clients_neither_count_for_the_depth_nor_are_touched(api: Api, chores: Chores) -> None:
    states = ('idle', 'waiting', 'queued', 'reset')
    theirs = {status: await api.add_task(status=status, depends=['unknown']) for status in states}
    service = with_limits(api, queue_depth=2)
    dataset_id = await api.add_dataset(TWO[:1], jobs=3)
    await materialize_all(service)

    await chore.queue_waiting(service)

    assert (await statuses(api, dataset_id))['gen'] == Counter(queued=2, waiting=1)
    await chores()
    assert {status: (await api.task(task_id))['status'] for status, task_id in theirs.items()} == {s: s for s in states}


async def test_a_reset_task_is_tried_again_and_given_up_after_too_many_failures(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO)
    await chores()

    for _ in range(api.service.limits.max_failures + 1):
        task_id = (await claim(api))['task_id']
        await api('POST', f'/tasks/{task_id}/task_actions/reset', {'reason': 'always'})
        await chores()

    assert await statuses(api, dataset_id) == {'gen': Counter(failed=1), 'sim': Counter(idle=1)}
    assert (await api.task(task_id))['log'][-1]['transition'] == 'give up'
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'errors': 1}
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'errors'


async def test_a_task_that_is_given_up_keeps_the_exit_code_of_its_last_try(api: Api, chores: Chores) -> None:
    await api.add_dataset(TWO[:1])
    await chores()
    seen = []

    for exit_code in range(api.service.limits.max_failures + 1):
        task_id = (await claim(api))['task_id']
        await api('POST', f'/tasks/{task_id}/task_actions/reset', {'reason': '$name', 'exit_code': exit_code})
        seen.append((await api.task(task_id))['outcome'])
        await chores()

    assert seen == [{'exit_code': code, 'message': '$name'} for code in range(api.service.limits.max_failures + 1)]
    assert (await api.task(task_id))['outcome'] == {**seen[-1], 'result': 'failed'}


async def test_a_reset_task_rests_before_its_next_try(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO)
    await chores()
    task_id = (await claim(api))['task_id']
    await api('POST', f'/tasks/{task_id}/task_actions/reset')
    patient = with_limits(api, retry_delay_seconds=3600.0)

    moved = await chore.retry(patient, [dataset_id])
    await api.database.tasks.update_one(
        {'task_id': task_id}, [{'$set': {'status_changed': {'$subtract': ['$$NOW', 3_600_001]}}}]
    )
    moved_later = await chore.retry(patient, [dataset_id])

    assert (moved, moved_later) == (0, 1)
    assert (await api.task(task_id))['status'] == 'waiting'


async def test_jobs_and_the_dataset_end_with_their_last_task(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)
    for _ in range(4):
        await chores()
        assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'processing'
        await api('POST', f'/tasks/{(await claim(api))["task_id"]}/task_actions/complete')
    await chores()

    dataset = (await api('GET', f'/datasets/{dataset_id}')).body
    assert dataset['status'] == 'complete'
    assert dataset['end_date'] is not None
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'complete': 2}


async def test_a_dataset_does_not_end_before_all_its_jobs_are_made(api: Api) -> None:
    dataset_id = await api.add_dataset(TWO[:1], jobs=3)
    await api.database.datasets.update_one({}, {'$set': {'jobs_submitted': 1}})
    await Scheduler(api.service).sweep()
    await api('POST', f'/tasks/{(await claim(api))["task_id"]}/task_actions/complete')
    # As when the job ends between two portions of materialization.
    await api.database.datasets.update_one({}, {'$set': {'jobs_submitted': 3}})
    await Scheduler(api.service).follow()

    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'complete': 1}
    assert await chore.end_datasets(api.service, [dataset_id]) == 0
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'processing'


async def test_a_failed_task_set_waiting_by_hand_reopens_its_job_and_dataset(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO[:1])
    await chores()
    task_id = (await claim(api))['task_id']
    await api('POST', f'/tasks/{task_id}/task_actions/failed')
    await chores()
    ended = (await api('GET', f'/datasets/{dataset_id}')).body['status']

    await api('PUT', f'/tasks/{task_id}/status', {'status': 'waiting'})
    await chores()
    await api('POST', f'/tasks/{(await claim(api))["task_id"]}/task_actions/complete')
    await chores()

    assert ended == 'errors'
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'complete'


async def test_two_processes_doing_chores_at_once_end_as_one_would(api: Api, chores: Chores) -> None:
    ids = [await api.add_dataset(TWO, jobs=100) for _ in range(3)]
    schedulers = [Scheduler(api.service) for _ in range(2)]

    for _ in range(12):
        await asyncio.gather(*(scheduler.sweep() for scheduler in schedulers))
        for _ in range(100):
            answer = await api('POST', '/task_actions/process')
            if answer.status == 404:
                break
            await api('POST', f'/tasks/{answer.body["task_id"]}/task_actions/complete')
    await chores()

    for dataset_id in ids:
        assert await statuses(api, dataset_id) == {'gen': Counter(complete=100), 'sim': Counter(complete=100)}
        assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'complete'
    longest = max([len(task['log']) async for task in api.database.tasks.find({'name': 'gen'})])
    assert longest == 3


async def test_a_chore_that_fails_does_not_stop_the_others(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await api.add_dataset(TWO)

    async def broken(*_: object) -> int:
        raise RuntimeError('broken on purpose')

    monkeypatch.setattr(chore, 'retry', broken)
    await Scheduler(api.service).sweep()

    assert (await statuses(api, dataset_id))['gen'] == Counter(queued=1)


async def test_left_counts_tasks_that_are_not_made_yet(api: Api) -> None:
    await api.add_dataset([*TWO, {'name': 'big', 'command': 'true', 'requirements': {'memory': 9}}], jobs=5)

    answer = await api('POST', '/task_actions/process', {'requirements': {'memory': 1}})

    assert (answer.status, answer.body['left']) == (404, 10)


async def test_what_is_stuck_in_a_dataset_that_has_ended_is_not_left(api: Api, chores: Chores) -> None:
    await api.add_dataset(TWO)
    await api.add_task(status='idle', depends=['x'], requirements={'memory': 5})
    await chores()
    going_on = (await claim(api))['task_id']
    held = (await api('POST', '/task_actions/process')).body['left']
    await api('POST', f'/tasks/{going_on}/task_actions/failed')
    await chores()

    answer = await api('POST', '/task_actions/process')

    # The one that is idle for a client of its own may go on at any time.
    assert (held, answer.status, answer.body['left']) == (3, 404, 1)


def with_limits(api: Api, **limits: Any) -> Any:
    return replace(api.service, limits=replace(api.service.limits, **limits))
