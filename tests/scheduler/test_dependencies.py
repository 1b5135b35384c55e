"""Dependencies at work: what is released when, and how jobs and datasets end that wait for others."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from iceprod_tasks.actions import materialize as materializing
from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.actions.queue import queue
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.scheduler import chores as chore
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.storage import holding, sweeps
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Api

Chores = Callable[[], Awaitable[None]]

ROOT = Caller('root', frozenset({'admin'}))
ORIGIN = Origin('', utc_now())
GEN = {'name': 'gen', 'command': 'true'}
DIAMOND = {'gen': [], 'left': ['gen'], 'right': ['gen'], 'end': ['left', 'right']}


def described(waits_for: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    return [{'name': name, 'command': 'true', 'depends': depends} for name, depends in waits_for.items()]


async def statuses(api: Api, dataset_id: str) -> dict[str, str]:
    """The status of each task of a dataset with one job, or of all jobs with `/` between."""
    tasks = [task async for task in api.database.tasks.find({'dataset_id': dataset_id}).sort('job_index')]
    names = dict.fromkeys(task['name'] for task in tasks)
    return {name: '/'.join(task['status'] for task in tasks if task['name'] == name) for name in names}


async def task_id(api: Api, dataset_id: str, name: str, job_index: int = 0) -> str:
    found = await api.database.tasks.find_one({'dataset_id': dataset_id, 'name': name, 'job_index': job_index})
    assert found is not None
    return str(found['task_id'])


async def put(api: Api, dataset_id: str, name: str, status: str, job_index: int = 0) -> None:
    answer = await api('PUT', f'/tasks/{await task_id(api, dataset_id, name, job_index)}/status', {'status': status})
    assert answer.status == 200, answer.text


async def ends(api: Api, *dataset_ids: str) -> list[tuple[str, dict[str, int]]]:
    """Status of each dataset, and its jobs by status."""
    return [
        (
            (await api('GET', f'/datasets/{dataset_id}')).body['status'],
            (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body,
        )
        for dataset_id in dataset_ids
    ]


async def run_all(api: Api, chores: Chores) -> None:
    """Run everything that can be run."""
    await chores()
    while (answer := await api('POST', '/task_actions/process')).status == 200:
        await api('POST', f'/tasks/{answer.body["task_id"]}/task_actions/complete')
        await chores()


PROCESSING = ('processing', {'processing': 1})
ERRORS = ('errors', {'errors': 1})
SUSPENDED = ('suspended', {'suspended': 1})
COMPLETE = ('complete', {'complete': 1})


async def test_a_task_waits_for_the_task_of_its_own_job_index_in_another_dataset(api: Api, chores: Chores) -> None:
    there = await api.add_dataset([GEN], jobs=2)
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}), jobs=2)
    await chores()

    await put(api, there, 'gen', 'complete', job_index=1)
    await chores()

    assert await statuses(api, here) == {'sim': 'idle/queued'}
    await run_all(api, chores)
    assert await ends(api, there, here) == [('complete', {'complete': 2})] * 2


async def test_news_of_another_dataset_release_at_once(api: Api, chores: Chores) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    await chores()
    claimed = (await api('POST', '/task_actions/process')).body

    await api('POST', f'/tasks/{claimed["task_id"]}/task_actions/complete')
    await Scheduler(api.service).follow()

    assert await statuses(api, here) == {'sim': 'queued'}


async def test_tasks_made_before_those_they_depend_on_wait_for_them(api: Api) -> None:
    there = await api.add_dataset([GEN], status='suspended')
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    scheduler = Scheduler(api.service)
    for _ in range(3):
        await scheduler.sweep()
    before = (await statuses(api, here), await ends(api, here))

    await api.database.datasets.update_one({'dataset_id': there}, {'$set': {'status': 'processing'}})
    for _ in range(3):
        await scheduler.sweep()

    assert before == ({'sim': 'idle'}, [PROCESSING])
    assert (await statuses(api, there), await statuses(api, here)) == ({'gen': 'queued'}, {'sim': 'idle'})


async def test_a_task_id_is_waited_for_by_every_job(api: Api, chores: Chores) -> None:
    first = await api.add_task(dataset_id='old', status='idle')
    here = await api.add_dataset(described({'gen': [first], 'sim': ['gen']}), jobs=3)
    await chores()
    before = await statuses(api, here)

    await api('PUT', f'/tasks/{first}/status', {'status': 'complete'})
    await chores()

    assert before == {'gen': 'idle/idle/idle', 'sim': 'idle/idle/idle'}
    assert await statuses(api, here) == {'gen': 'queued/queued/queued', 'sim': 'idle/idle/idle'}


async def test_jobs_beyond_those_of_the_dataset_depended_on_wait(api: Api, chores: Chores) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    await api.database.datasets.update_one({'dataset_id': here}, {'$set': {'jobs_submitted': 3}})
    await run_all(api, chores)
    outgrown = (await statuses(api, here), await ends(api, here))

    await api.database.datasets.update_one(
        {'dataset_id': there}, {'$set': {'jobs_submitted': 3, 'status': 'processing'}}
    )
    await run_all(api, chores)

    assert outgrown == ({'sim': 'complete/idle/idle'}, [('processing', {'processing': 2, 'complete': 1})])
    assert await ends(api, here) == [('complete', {'complete': 3})]


async def test_a_name_that_a_config_has_no_more_is_a_missing_task(api: Api, chores: Chores) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    await api('PUT', f'/config/{there}', {'version': 1, 'description': '', 'tasks': [{**GEN, 'name': 'other'}]})

    await run_all(api, chores)

    assert await statuses(api, here) == {'sim': 'idle'}
    assert await ends(api, there, here) == [COMPLETE, ERRORS]


@pytest.mark.parametrize('managed', [True, False])
async def test_an_unknown_dependency_holds_the_tasks_of_datasets_and_no_others(
    api: Api, chores: Chores, managed: bool
) -> None:
    dataset_id = await api.add_dataset([GEN], status='suspended') if managed else 'old'
    held = {'dataset_id': dataset_id, 'depends': ['f' * 32], 'status': 'waiting', 'priority': 9.0}
    before = await api.add_task(**held)
    # Where the head has enough tasks to fill a batch, another query looks behind it.
    for _ in range(3):
        await api.add_task(**held)
    free = await api.add_task(dataset_id=dataset_id, status='waiting', priority=0.1)

    queued = [await queue(api.service, ROOT, number, ORIGIN) for number in (1, 100)]

    assert queued == ([1, 0] if managed else [1, 4])
    assert (await api.task(free))['status'] == 'queued'
    assert (await api.task(before))['status'] == ('waiting' if managed else 'queued')


async def test_a_dependency_named_twice_counts_once(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset([GEN], status='suspended')
    first = await api.add_task(dataset_id=dataset_id, status='complete')
    blocked = await api.add_task(dataset_id=dataset_id, depends=['f' * 32], status='waiting', priority=9.0)
    twice = await api.add_task(dataset_id=dataset_id, depends=[first, first], status='waiting')

    queued = await queue(api.service, ROOT, 1, ORIGIN)

    assert queued == 1
    assert [(await api.task(each))['status'] for each in (blocked, twice)] == ['waiting', 'queued']


async def test_a_job_does_not_end_while_another_task_of_it_can_go_on(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(described({'bad': [], 'good': [], 'a': ['bad'], 'b': ['good'], 'c': ['b']}))
    await chores()

    await put(api, dataset_id, 'bad', 'failed')
    await chores()
    await put(api, dataset_id, 'good', 'complete')
    # Only an idle task is left that is about to be released.
    ended = await Scheduler(api.service)._end_next()

    assert (ended, await ends(api, dataset_id)) == (0, [PROCESSING])
    await run_all(api, chores)
    assert await statuses(api, dataset_id) == {
        'bad': 'failed', 'good': 'complete', 'a': 'idle', 'b': 'complete', 'c': 'complete',
    }  # fmt: skip
    assert await ends(api, dataset_id) == [ERRORS]


@pytest.mark.parametrize('waits_for', [{'gen': [], 'a': ['gen'], 'b': ['a'], 'c': ['b'], 'end': ['c']}, DIAMOND])
@pytest.mark.parametrize(('status', 'ending'), [('failed', ERRORS), ('suspended', SUSPENDED)])
async def test_a_job_that_is_stuck_ends_and_goes_on_after_a_rerun(
    api: Api, chores: Chores, waits_for: dict[str, list[str]], status: str, ending: tuple[str, dict[str, int]]
) -> None:
    dataset_id = await api.add_dataset(described(waits_for))
    await chores()

    await put(api, dataset_id, 'gen', status)
    await chores()
    stuck = await ends(api, dataset_id)
    await api.database.datasets.update_one({'status': 'suspended'}, {'$set': {'status': 'processing'}})
    bulk = {'tasks': [await task_id(api, dataset_id, 'gen')]}
    await api('POST', f'/datasets/{dataset_id}/task_actions/bulk_status/waiting', bulk)
    reopened = await ends(api, dataset_id)
    await run_all(api, chores)

    assert (stuck, reopened) == ([ending], [PROCESSING])
    assert await ends(api, dataset_id) == [COMPLETE]


@pytest.mark.parametrize(('status', 'ending'), [('failed', ERRORS), ('suspended', SUSPENDED)])
async def test_what_is_stuck_spreads_through_datasets_and_so_does_a_rerun(
    api: Api, chores: Chores, status: str, ending: tuple[str, dict[str, int]]
) -> None:
    first = await api.add_dataset(described({'gen': [], 'sim': ['gen']}))
    second = await api.add_dataset(described({'left': [f'{first}:sim'], 'right': [f'{first}:gen']}))
    third = await api.add_dataset(described({'own': [], 'end': [f'{second}:left', f'{second}:right', 'own']}))
    await chores()

    await put(api, third, 'own', 'complete')
    await put(api, first, 'gen', status)
    await chores()
    stuck = await ends(api, first, second, third)
    await api.database.datasets.update_one({'dataset_id': first}, {'$set': {'status': 'processing'}})
    await put(api, first, 'gen', 'waiting')
    await run_all(api, chores)

    assert stuck == [ending] * 3
    assert await ends(api, first, second, third) == [COMPLETE] * 3


async def test_a_job_waits_for_what_runs_in_another_dataset(api: Api, chores: Chores) -> None:
    there = await api.add_dataset(described({'gen': [], 'sim': ['gen']}))
    here = await api.add_dataset(described({'bad': [], 'end': [f'{there}:sim']}))
    await chores()

    await put(api, here, 'bad', 'failed')
    await chores()
    waiting = await ends(api, here)
    await run_all(api, chores)

    assert waiting == [PROCESSING]
    assert await statuses(api, here) == {'bad': 'failed', 'end': 'complete'}
    assert await ends(api, here) == [ERRORS]


@pytest.mark.parametrize('forget', ['record', 'task'])
async def test_a_job_that_waits_for_deleted_tasks_ends_in_errors(api: Api, chores: Chores, forget: str) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    await chores()

    await api.database.tasks.delete_many({'dataset_id': there})
    if forget == 'record':
        await api.database.datasets.delete_many({'dataset_id': there})
    await chores()

    assert await ends(api, here) == [ERRORS]


@pytest.mark.parametrize(('status', 'ending'), [('truncated', ERRORS), ('suspended', PROCESSING)])
async def test_a_job_that_is_never_made_is_not_waited_for(
    api: Api, chores: Chores, status: str, ending: tuple[str, dict[str, int]]
) -> None:
    there = await api.add_dataset([GEN], status=status)
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))

    await chores()

    assert (await statuses(api, there), await ends(api, here)) == ({}, [ending])


async def test_a_truncated_dataset_ends_with_the_jobs_that_it_has(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(described({'gen': [], 'sim': ['gen']}), jobs=2)
    await chores()
    await api('PUT', f'/datasets/{dataset_id}/status', {'status': 'truncated'})
    await api.database.datasets.update_one({}, {'$set': {'jobs_submitted': 5}})

    await put(api, dataset_id, 'gen', 'failed', job_index=1)
    await run_all(api, chores)

    assert await ends(api, dataset_id) == [('errors', {'errors': 1, 'complete': 1})]


async def test_chores_care_for_suspended_datasets_and_those_in_errors_that_depend_on_others(api: Api) -> None:
    there = await api.add_dataset([GEN])
    kept = [await api.add_dataset([GEN], status=status) for status in ('processing', 'truncated', 'suspended')]
    left = [await api.add_dataset([GEN], status=status) for status in ('errors', 'complete')]
    depending = await api.add_dataset(described({'sim': [f'{there}:gen']}), status='errors')

    active = await chore.active_datasets(api.service)

    assert sorted(active) == sorted([there, *kept, depending])
    assert not set(left) & set(active)


@pytest.mark.parametrize(
    ('before', 'held_up', 'after', 'then'),
    [('suspended', SUSPENDED, 'failed', ERRORS), ('failed', ERRORS, 'suspended', SUSPENDED),
     ('failed', ERRORS, 'waiting', PROCESSING)],
)  # fmt: skip
async def test_a_job_held_up_by_another_dataset_ends_anew_when_that_changes(
    api: Api, chores: Chores, before: str, held_up: Any, after: str, then: Any
) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen'], 'end': ['sim']}))
    await chores()
    await put(api, there, 'gen', before)
    await chores()
    first = await ends(api, here)

    await put(api, there, 'gen', after)
    # As in the process that comes by next.
    scheduler = Scheduler(api.service)
    for _ in range(3):
        await scheduler.sweep()

    assert (first, await ends(api, here)) == ([held_up], [then])
    assert await chore.look_again(api.service, [job async for job in api.database.jobs.find({'status': 'errors'})]) == 0


async def test_the_status_that_somebody_gave_a_job_with_nothing_idle_stays(api: Api, chores: Chores) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    await run_all(api, chores)
    job = await api.database.jobs.find_one({'dataset_id': here})
    await api('PUT', f'/datasets/{here}/jobs/{job["job_id"]}/status', {'status': 'errors'})

    await Scheduler(api.service).sweep()

    assert (await api('GET', f'/jobs/{job["job_id"]}')).body['status'] == 'errors'


@pytest.mark.parametrize('elsewhere', [False, True])
async def test_a_task_let_go_on_while_a_job_is_being_ended_reopens_it(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    there = dataset_id = await api.add_dataset(described({'gen': [], 'sim': ['gen']}))
    if elsewhere:
        dataset_id = await api.add_dataset(described({'sim': [f'{there}:gen'], 'end': ['sim']}))
    await chores()
    await put(api, there, 'gen', 'failed')
    jobs = type(api.service.store.jobs)
    set_status = jobs.set_status

    async def late(self: Any, job_ids: Any, sources: Any, target: str) -> int:
        if target == 'errors':
            monkeypatch.setattr(jobs, 'set_status', set_status)
            await put(api, there, 'gen', 'waiting')
        return await set_status(self, job_ids, sources, target)

    monkeypatch.setattr(jobs, 'set_status', late)
    await Scheduler(api.service)._end_next()

    assert await ends(api, dataset_id) == [PROCESSING]


async def test_a_job_reopened_while_its_dataset_is_being_ended_reopens_it(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await api.add_dataset([GEN])
    await chores()
    await put(api, dataset_id, 'gen', 'failed')
    await Scheduler(api.service)._end_next()
    datasets = type(api.service.store.datasets)
    set_status = datasets.set_status

    async def late(self: Any, dataset_id: str, sources: Any, target: str, **seen: Any) -> int:
        if target == 'errors':
            monkeypatch.setattr(datasets, 'set_status', set_status)
            await put(api, dataset_id, 'gen', 'waiting')
        return await set_status(self, dataset_id, sources, target, **seen)

    monkeypatch.setattr(datasets, 'set_status', late)
    ended = await chore.end_datasets(api.service, [dataset_id])

    assert (ended, await ends(api, dataset_id)) == (0, [PROCESSING])


async def test_a_release_reopens_before_it_lets_go_on(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = await api.add_dataset([GEN])
    here = await api.add_dataset(described({'sim': [f'{there}:gen']}))
    await chores()
    await put(api, there, 'gen', 'failed')
    await chores()
    await put(api, there, 'gen', 'complete')

    async def crash(*_: object) -> int:
        raise RuntimeError('the process dies here')

    with monkeypatch.context() as patch:
        patch.setattr(api.service.store.tasks, 'move_many', crash)
        await Scheduler(api.service)._safely('release', Scheduler(api.service)._release_next)
    crashed = (await statuses(api, here), await ends(api, here))
    await run_all(api, chores)

    assert crashed == ({'sim': 'idle'}, [PROCESSING])
    assert await ends(api, here) == [COMPLETE]


async def test_idle_tasks_are_swept_in_portions_of_tasks_and_of_what_they_depend_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, '_DATASETS_AT_ONCE', 1)
    monkeypatch.setattr(holding, '_NAMES_AT_ONCE', 7)
    ids = [await api.add_dataset([GEN]) for _ in range(3)]
    names = ['f' * 32, 'e' * 32]
    for place in range(30):
        await api.add_task(dataset_id=ids[place % 3], depends=names[: 1 + place % 2], status='idle', job_index=place)

    places: list[int] = []
    portions: list[int] = []
    after = None
    while True:
        portion, after = await api.service.store.sweeps.idle(ids, after, 6)
        for task in portion:
            stored = await api.database.tasks.find_one({'task_id': task['task_id']})
            assert stored is not None
            places.append(stored['job_index'])
        portions.append(sum(len(task['depends']) for task in portion))
        if after is None:
            break

    assert places == list(range(30))
    assert max(portions) <= 8
    assert len(portions) > 5


async def test_a_failed_try_in_a_debug_dataset_is_suspended_for_somebody_to_look_at(api: Api, chores: Chores) -> None:
    debugged, other = await api.add_dataset([GEN], debug=True), await api.add_dataset([GEN])
    await chores()
    for dataset_id in (debugged, other):
        await api('POST', f'/tasks/{await task_id(api, dataset_id, "gen")}/task_actions/reset', {'reason': 'x'})

    await chores()

    assert (await statuses(api, debugged), await statuses(api, other)) == ({'gen': 'suspended'}, {'gen': 'queued'})
    entry = (await api.task(await task_id(api, debugged, 'gen')))['log'][-1]
    assert (entry['transition'], entry['who']) == ('suspend', 'scheduler')
    assert 'debug' in entry['why']


async def test_a_try_that_fails_while_others_are_looked_at_is_not_repeated_in_a_debug_dataset(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await api.add_dataset([GEN], debug=True)
    await chores()
    tasks = api.service.store.tasks
    move_all = tasks.move_all

    async def late(transition: Any, *rest: Any) -> int:
        moved = await move_all(transition, *rest)
        if transition.name == 'suspend':
            await api('POST', f'/tasks/{await task_id(api, dataset_id, "gen")}/task_actions/reset')
        return moved

    with monkeypatch.context() as patch:
        patch.setattr(tasks, 'move_all', late)
        await chore.retry(api.service, [dataset_id])

    assert await statuses(api, dataset_id) == {'gen': 'reset'}


async def test_a_reset_by_hand_is_tried_again_in_a_debug_dataset_too(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset([GEN], debug=True)
    await chores()

    await put(api, dataset_id, 'gen', 'reset')
    await chores()

    assert await statuses(api, dataset_id) == {'gen': 'queued'}


async def stop_while_making(api: Api, monkeypatch: pytest.MonkeyPatch, status: str, after: str | None = None) -> None:
    """Materialize while the dataset gets another status between its tasks and the note that they are made."""
    datasets = api.service.store.datasets
    advance = datasets.advance
    get = datasets.get
    looks = 0

    async def stopped(dataset_id: str, jobs: int) -> int:
        await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'status': status}})
        return await advance(dataset_id, jobs)

    async def seen(dataset_id: str) -> Any:
        nonlocal looks
        looks += 1
        if looks == 2 and after:
            await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'status': after}})
        return await get(dataset_id)

    with monkeypatch.context() as patch:
        patch.setattr(datasets, 'advance', stopped)
        patch.setattr(datasets, 'get', seen)
        await materialize_all(api.service)


async def test_tasks_made_while_their_dataset_is_suspended_are_suspended_with_it(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await api.add_dataset(described({'gen': [], 'sim': ['gen']}), jobs=3)

    await stop_while_making(api, monkeypatch, 'suspended')
    await chores()
    held = await statuses(api, dataset_id)
    await api.database.datasets.update_one({}, {'$set': {'status': 'processing'}})
    for name in ('gen', 'sim'):
        for job_index in range(3):
            await put(api, dataset_id, name, 'idle', job_index)
    await run_all(api, chores)

    assert held == {'gen': 'suspended/suspended/suspended', 'sim': 'suspended/suspended/suspended'}
    assert await api.database.tasks.count_documents({}) == 6
    assert await ends(api, dataset_id) == [('complete', {'complete': 3})]


async def test_tasks_made_while_their_dataset_is_suspended_and_resumed_go_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await api.add_dataset(described({'gen': [], 'sim': ['gen']}))

    await stop_while_making(api, monkeypatch, 'suspended', after='processing')

    assert await statuses(api, dataset_id) == {'gen': 'waiting', 'sim': 'idle'}


async def test_tasks_made_while_their_dataset_is_truncated_are_left_and_no_more_are_made(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materializing, '_TASKS_AT_ONCE', 1)
    dataset_id = await api.add_dataset([GEN], jobs=3)

    await stop_while_making(api, monkeypatch, 'truncated')
    await run_all(api, chores)

    assert await statuses(api, dataset_id) == {'gen': 'complete'}
    assert await ends(api, dataset_id) == [('complete', {'complete': 1})]
