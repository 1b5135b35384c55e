"""Every hot query runs on an index and reads about as many keys as it has results, whatever stands in the collection.

The real queries are watched by MongoDB's profiler while the service is used over HTTP, so none is missing here that
the service has come to ask.
"""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from iceprod_tasks.actions.weigh import weigh
from iceprod_tasks.domain.jobs import new_job
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.scheduler import chores
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.scheduler.walks import Walks
from tests.conftest import Api

CROWD = 2500
"""Tasks of each status that no query below is after."""

FEW_KEYS = 60
"""What a query for one task may read: a few keys for each signature in the queue."""

PILOT = {'cpu': 1, 'gpu': 0, 'memory': 4}


@pytest.fixture
async def crowded(api: Api) -> Api:
    """The service with crowds of tasks that need a gpu at the head of everything."""
    now = datetime.now(UTC)
    for dataset_id, managed in (('old', False), ('ours', True)):
        for status in ('idle', 'waiting', 'queued', 'processing', 'reset', 'complete', 'failed'):
            given = {
                'dataset_id': dataset_id, 'job_id': f'{dataset_id}{status}', 'job_index': 0, 'task_index': 0,
                'name': 'crowd', 'depends': ['nothing'] if status == 'idle' else [], 'priority': 9.0,
                'requirements': {'gpu': 1}, 'status': status,
            }  # fmt: skip
            crowd = [new_task({**given, 'job_index': place}, new_id(), now, managed=managed) for place in range(CROWD)]
            await api.database.tasks.insert_many(crowd)
        await api.database.jobs.insert_many([new_job('ours', 7, 1, now) | {'job_id': new_id()} for _ in range(10)])
    # As large clusters have it: many kinds of requirements that do not fit either.
    given |= {'status': 'queued', 'name': 'kinds'}
    kinds = [{**given, 'requirements': {'memory': 100 + kind}} for kind in range(20)]
    await api.database.tasks.insert_many([new_task(each, new_id(), now, managed=True) for each in kinds])
    return api


@contextlib.asynccontextmanager
async def watched(api: Api) -> AsyncIterator[list[dict[str, Any]]]:
    """All that the database did meanwhile, as its profiler saw it."""
    seen: list[dict[str, Any]] = []
    await api.database.command('profile', 0)
    await api.database['system.profile'].drop()
    await api.database.command('profile', 2)
    try:
        yield seen
    finally:
        await api.database.command('profile', 0)
        where = {'ns': {'$regex': r'\.(?!system)'}, 'op': {'$in': ['query', 'command', 'update', 'remove', 'getmore']}}
        seen += [
            each async for each in api.database['system.profile'].find(where) if each.get('planSummary') is not None
        ]


def assert_lean(seen: list[dict[str, Any]], keys: int) -> None:
    assert seen, 'the profiler saw nothing'
    for each in seen:
        if each['ns'].endswith(('.users', '.groups')) and each['command'].get('filter') == {}:
            # All of them are wanted.
            continue
        what = f'{each["planSummary"]} read {each.get("keysExamined")} keys: {each["command"]}'
        assert 'COLLSCAN' not in each['planSummary'], what
        assert 'hasSortStage' not in each, what
        assert each.get('keysExamined', 0) <= keys, what
        assert each.get('docsExamined', 0) <= keys, what


async def test_a_claim_reads_a_few_keys_behind_a_crowd_that_does_not_fit(crowded: Api) -> None:
    await crowded.add_task(priority=0.1, requirements={'cpu': 1})

    async with watched(crowded) as seen:
        answer = await crowded('POST', '/task_actions/process', {'requirements': PILOT, 'claim_id': 'c' * 32})

    assert answer.status == 200
    assert_lean(seen, FEW_KEYS)


async def test_an_empty_poll_reads_a_few_keys(crowded: Api) -> None:
    async with watched(crowded) as seen:
        answer = await crowded('POST', '/task_actions/process', {'requirements': PILOT, 'claim_id': 'c' * 32})

    assert (answer.status, answer.body['left']) == (404, 0)
    assert_lean(seen, 3 * FEW_KEYS)


async def test_the_retry_of_a_claim_and_its_reports_read_a_few_keys(crowded: Api) -> None:
    task_id = await crowded.add_task(requirements={'cpu': 1})
    claim = {'requirements': PILOT, 'claim_id': 'd' * 32}
    await crowded('POST', '/task_actions/process', claim)
    report = {'claim_id': 'd' * 32, 'resources': {'memory': 3}, 'reason': 'why', 'time_used': 1}

    async with watched(crowded) as seen:
        retried = await crowded('POST', '/task_actions/process', claim)
        first = await crowded('POST', f'/tasks/{task_id}/task_actions/reset', report)
        again = await crowded('POST', f'/tasks/{task_id}/task_actions/reset', report)

    assert [retried.status, first.status, again.status] == [200, 200, 200]
    assert_lean(seen, 3 * FEW_KEYS)


@pytest.mark.parametrize(
    'path',
    [
        '/tasks?limit=10',
        '/tasks?limit=10&status=queued|complete',
        '/tasks?limit=10&status=queued&keys=task_id|status',
        '/datasets/ours/tasks?limit=10',
        '/datasets/ours/tasks?limit=10&status=failed',
        '/datasets/ours/files/0',
    ],
)
async def test_a_page_of_a_listing_reads_what_it_shows(crowded: Api, path: str) -> None:
    async with watched(crowded) as seen:
        answer = await crowded('GET', path)

    assert answer.status == 200
    # One key more than a page, for each status that is merged.
    assert_lean(seen, 11 + 8)


async def test_the_next_page_starts_where_the_first_one_ended(crowded: Api) -> None:
    page = await crowded('GET', '/datasets/ours/tasks?limit=2000')
    following = page.headers['Link'].partition('>')[0].strip('<')

    async with watched(crowded) as seen:
        answer = await crowded('GET', following.replace('limit=2000', 'limit=10'))

    assert answer.status == 200
    assert_lean(seen, 11 + 16)


async def test_queueing_reads_what_it_queues(crowded: Api) -> None:
    async with watched(crowded) as seen:
        answer = await crowded('POST', '/task_actions/queue', {'num_tasks': 50})

    assert answer.body == {'queued': 50}
    assert_lean(seen, 50 + 10)


async def test_following_news_reads_a_few_keys(crowded: Api) -> None:
    dataset_id = await crowded.add_dataset(
        [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]
    )
    scheduler = Scheduler(crowded.service)
    await scheduler.sweep()
    task = await crowded('POST', '/task_actions/process', {'requirements': PILOT})
    await crowded('POST', f'/tasks/{task.body["task_id"]}/task_actions/complete')

    async with watched(crowded) as seen:
        await scheduler.follow()

    assert (await crowded('GET', f'/datasets/{dataset_id}/task_counts/status')).body == {'queued': 1, 'complete': 1}
    # Counting the queue of a kind stops at its depth, and passes over what old clients have queued of the same kind.
    assert_lean(seen, CROWD + crowded.service.limits.queue_depth)


async def test_sweeps_leave_the_tasks_of_old_clients_unread(crowded: Api) -> None:
    await crowded.database.tasks.delete_many({'managed': True})
    await crowded.add_dataset([{'name': 'gen', 'command': 'true'}])

    async with watched(crowded) as seen:
        await Scheduler(crowded.service).sweep()

    assert_lean([each for each in seen if 'claims' not in str(each['command'])], FEW_KEYS)


async def test_a_sweep_is_bounded_however_many_datasets_there_are(api: Api) -> None:
    now = datetime.now(UTC)
    names = [f'd{number}' for number in range(450)]
    given = {
        'status': 'processing', 'jobs_submitted': 1, 'jobs_materialized': 1, 'start_date': now, 'tasks_per_job': 30,
        'username': 'ada', 'group': 'users', 'priority': 0.5,
    }  # fmt: skip
    await api.database.datasets.insert_many([{'dataset_id': name, **given} for name in names])
    task = {'job_id': 'j', 'task_index': 0, 'name': 'n', 'depends': ['no'], 'requirements': {}, 'status': 'idle'}
    for name in names:
        crowd = [{**task, 'dataset_id': name, 'job_index': place} for place in range(30)]
        await api.database.tasks.insert_many([new_task(each, new_id(), now, managed=True) for each in crowd])
        await api.database.jobs.insert_many([new_job(name, place, 1, now) for place in range(3)])

    async with watched(api) as seen:
        await Scheduler(api.service).sweep()

    assert_lean([each for each in seen if each['ns'].endswith(('tasks', 'jobs'))], 2 * chores.AT_ONCE)


async def test_a_sweep_is_bounded_however_many_tasks_are_idle(crowded: Api) -> None:
    async with watched(crowded) as seen:
        await Scheduler(crowded.service).sweep()

    assert_lean(seen, 3 * chores.AT_ONCE)


async def test_the_order_of_tasks_is_read_from_its_head(crowded: Api) -> None:
    kind = {'dataset_id': 'old', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'kinds', 'depends': []}
    kinds = [{**kind, 'status': 'queued', 'requirements': {'disk': 1000 + number}} for number in range(210)]
    now = datetime.now(UTC)
    await crowded.database.tasks.insert_many([new_task(each, new_id(), now, managed=False) for each in kinds])

    async with watched(crowded) as seen:
        queued = await crowded('GET', '/task_order?limit=10')

    assert len(queued.body['tasks']) == 10
    # A few keys for each kind; more kinds than MongoDB merges at once.
    assert_lean(seen, 2 * 231 + FEW_KEYS)


async def test_the_waiting_ones_are_read_from_their_head_as_well(crowded: Api) -> None:
    await crowded.database.tasks.delete_many({'status': 'queued'})

    async with watched(crowded) as seen:
        waiting = await crowded('GET', '/task_order?limit=10')

    assert {task['status'] for task in waiting.body['tasks']} == {'waiting'}
    # The order of both owners' waiting tasks is read, and then the best of them by their ids.
    assert_lean(seen, FEW_KEYS)


async def test_a_turn_of_rewriting_priorities_is_bounded_however_many_tasks_there_are(crowded: Api) -> None:
    dataset_id = await crowded.add_dataset([{'name': 'gen', 'command': 'true'}])
    await crowded.database.tasks.update_many({'dataset_id': 'ours'}, {'$set': {'dataset_id': dataset_id}})
    await weigh(crowded.service)
    await crowded.service.store.weights.rewrite_again(dataset_id)

    async with watched(crowded) as seen:
        await Walks(crowded.service).go_on()

    # A key more for each status that is merged.
    assert_lean(seen, 500 + 2 * 6)


async def test_weighing_reads_keys_of_jobs_under_way_and_no_tasks(crowded: Api) -> None:
    await crowded.add_dataset([{'name': 'gen', 'command': 'true'}])
    now = datetime.now(UTC)
    await crowded.database.jobs.insert_many([new_job('ours', 7, 1, now) | {'job_id': new_id()} for _ in range(500)])

    async with watched(crowded) as seen:
        await weigh(crowded.service)

    assert not [each for each in seen if each['ns'].endswith('.tasks')]
    assert_lean(seen, FEW_KEYS)
