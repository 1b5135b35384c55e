"""Every hot query runs on an index and reads about as many keys as it has results, whatever stands in the collection.

The real queries are watched by MongoDB's profiler while the service is used over HTTP, so none is missing here that
the service has come to ask.
"""

import contextlib
import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.actions.weigh import weigh
from iceprod_tasks.domain.datasets import access_record, new_dataset
from iceprod_tasks.domain.jobs import new_job
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.scheduler import chores
from iceprod_tasks.scheduler.rescue import Rescue, end_stops, rescue
from iceprod_tasks.scheduler.retention import Retention
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.scheduler.walks import Walks
from iceprod_tasks.storage.belongings import PARTS
from iceprod_tasks.storage.demand import COUNTED_AT_MOST
from tests.conftest import Api

CROWD = 1250
"""Tasks of each status that no query below is after."""

FEW_KEYS = 60
"""What a query for one task may read: a few keys for each signature in the queue."""

PILOT = {'cpu': 1, 'gpu': 0, 'memory': 4}


@functools.cache
def crowd() -> list[RawBSONDocument]:
    """Tasks that no query is after, made and written as BSON once."""
    now = datetime.now(UTC)
    found: list[dict[str, Any]] = []
    for dataset_id, managed in (('old', False), ('ours', True)):
        for status in ('idle', 'waiting', 'queued', 'processing', 'reset', 'complete', 'failed'):
            given = {
                'dataset_id': dataset_id, 'job_id': f'{dataset_id}{status}', 'job_index': 0, 'task_index': 0,
                'name': 'crowd', 'depends': ['nothing'] if status == 'idle' else [], 'priority': 9.0,
                'requirements': {'gpu': 1}, 'status': status,
            }  # fmt: skip
            found += [new_task({**given, 'job_index': place}, new_id(), now, managed=managed) for place in range(CROWD)]
    # As large clusters have it: many kinds of requirements that do not fit either.
    given |= {'status': 'queued', 'name': 'kinds'}
    kinds = [{**given, 'requirements': {'memory': 100 + kind}} for kind in range(20)]
    found += [new_task(each, new_id(), now, managed=True) for each in kinds]
    return [RawBSONDocument(bson.encode({'_id': ObjectId(), **task})) for task in found]


@pytest.fixture
async def crowded(api: Api) -> Api:
    """The service with crowds of tasks that need a gpu at the head of everything."""
    await api.database.tasks.insert_many(crowd())
    now = datetime.now(UTC)
    for dataset_id in ('old', 'ours'):
        await api.database.jobs.insert_many([new_job(dataset_id, place, 1, now) for place in range(10)])
    return api


OF_THE_LEADER = ('named_by_status', 'active', 'deadline')
"""What the timer of operations reads, whenever it likes."""


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
            each
            async for each in api.database['system.profile'].find(where)
            if each.get('planSummary') is not None and each['command'].get('hint') not in OF_THE_LEADER
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


async def test_a_heartbeat_reads_one_task(crowded: Api) -> None:
    task_id = await crowded.add_task(requirements={'cpu': 1})
    await crowded('POST', '/task_actions/process', {'requirements': PILOT, 'claim_id': 'd' * 32})
    says = {'claim_id': 'd' * 32, 'epoch': 1, 'phase': 'running', 'progress': {'completed': 1, 'total': 2}}

    async with watched(crowded) as seen:
        answers = [await crowded('POST', f'/tasks/{task_id}/task_actions/heartbeat', says) for _ in range(3)]

    assert {answer.status for answer in answers} == {200}
    assert_lean(seen, 1)


async def test_what_a_pilot_may_touch_is_known_from_a_few_keys(crowded: Api) -> None:
    pilot = crowded.as_('pilot', 'p')
    task_id = await crowded.add_task(dataset_id='ours', job_id='j', requirements=PILOT)
    claim = {'claim_id': 'a' * 32, 'requirements': PILOT}
    assert (await pilot('POST', '/task_actions/process', claim)).body['task_id'] == task_id
    files = [{'file_id': new_id(), 'dataset_id': name, 'task_id': 't', 'filename': 'x'} for name in ('old', 'new')]
    await crowded.database.files.insert_many([{**file, 'file_id': new_id()} for file in files for _ in range(200)])
    of_task = {'task_id': task_id, 'dataset_id': 'ours', 'data': 'x'}

    async with watched(crowded) as seen:
        answers = [
            await pilot('GET', '/datasets/ours/files'), await pilot('GET', f'/tasks/{task_id}'),
            await pilot('GET', '/pilots'), await pilot('POST', '/logs', of_task),
            await pilot('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': 'a' * 32}),
            await crowded.as_('pilot', 'q')('GET', '/datasets/ours/files'),
            await pilot('POST', f'/tasks/{task_id}/task_actions/complete'),
        ]  # fmt: skip

    assert [answer.status for answer in answers] == [200, 200, 200, 201, 200, 403, 409]
    assert_lean(seen, FEW_KEYS)


async def test_a_look_for_leases_that_are_over_reads_those_only(crowded: Api) -> None:
    # Old and new pilots are at work everywhere.
    ours = {'dataset_id': 'ours', 'status': 'processing'}
    await crowded.database.tasks.update_many(ours, {'$set': {'lease_until': datetime.now(UTC) + timedelta(hours=1)}})
    over = [task['_id'] async for task in crowded.database.tasks.find(ours, limit=10)]
    await crowded.database.tasks.update_many({'_id': {'$in': over}}, {'$set': {'lease_until': datetime.now(UTC)}})

    async with watched(crowded) as seen:
        taken = await rescue(crowded.service)
        nothing = await rescue(crowded.service)

    assert (taken, nothing) == (10, 0)
    # Named one by one, each document costs two keys.
    assert_lean(seen, 2 * 10 + 2)
    looks = [each for each in seen if each['op'] == 'query' and each['ns'].endswith('.tasks')]
    assert {each['planSummary'] for each in looks} == {'IXSCAN { lease_until: 1 }'}
    assert [each['keysExamined'] for each in looks] == [10, 0, 0]


async def test_a_turn_of_rescues_looks_at_a_portion_of_what_has_no_lease(crowded: Api) -> None:
    rescuer = Rescue(crowded.service)
    await rescuer.turn()

    async with watched(crowded) as seen:
        taken = [await rescuer.turn() for _ in range(3)]

    assert taken == [0, 0, 0]
    assert_lean(seen, 1000)
    # What is left behind the first thousand, and the first thousand again.
    assert sum(each['keysExamined'] for each in seen) == 1000 + (2 * CROWD - 2000) + 1000


async def test_a_look_for_stops_that_are_overdue_reads_those_only(crowded: Api) -> None:
    ours = {'dataset_id': 'ours', 'status': 'processing'}
    for ago, where in ((-1, {}), (1, {'job_index': 7})):
        stop = {'then': 'suspend', 'deadline': datetime.now(UTC) - timedelta(hours=ago)}
        await crowded.database.tasks.update_many({**ours, **where}, {'$set': {'stop': stop}})

    async with watched(crowded) as seen:
        ended = await end_stops(crowded.service)

    assert ended == 1
    assert_lean(seen, 3)


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


@pytest.fixture
async def many_datasets(api: Api) -> Api:
    """The service with thousands of datasets that everybody may read, and a few of one user."""
    now = datetime.now(UTC)
    given = {'description': '', 'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'group': 'simprod'}
    for owner, number, status in (('bob', CROWD, 'complete'), ('ada', 10, 'processing')):
        names = {f'{owner}{place}': place for place in range(number)}
        await api.database.auths.insert_many([access_record(name, owner, 'simprod') for name in names])
        await api.database.datasets.insert_many(
            new_dataset(given | {'status': status}, dataset_id=name, number=place, owner=owner, now=now)
            for name, place in names.items()
        )
    return api


@pytest.mark.parametrize('query', ['users=ada', 'status=processing', 'users=ada&status=processing&groups=simprod'])
@pytest.mark.parametrize('role', ['user', 'admin'])
async def test_a_list_of_datasets_reads_what_it_shows(many_datasets: Api, query: str, role: str) -> None:
    # As in years of use: who may read everything is not asked for all of it.
    async with watched(many_datasets) as seen:
        answer = await many_datasets.as_(role)('GET', f'/datasets?{query}')

    assert len(answer.body) == 10
    # Whether a user may read more datasets than are looked up at once.
    known = [each for each in seen if each['ns'].endswith('auths') and 'limit' in each['command']]
    assert len(known) == (role == 'user')
    assert_lean([each for each in seen if each not in known], 2 * 11)
    assert_lean(seen, 1100)


async def test_statuses_of_many_jobs_are_set_and_summarized_by_index(crowded: Api) -> None:
    jobs = list((await crowded('GET', '/datasets/ours/jobs')).body)
    await crowded('POST', '/jobs', {'dataset_id': 'ours', 'job_index': 10})

    async with watched(crowded) as seen:
        await crowded('POST', '/datasets/ours/job_actions/bulk_status/errors', {'jobs': jobs[:5]})
        summary = await crowded('GET', '/datasets/ours/job_summaries/status')

    assert {status: len(ids) for status, ids in summary.body.items()} == {'processing': 6, 'errors': 5}
    assert_lean(seen, 11)


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


@pytest.fixture
async def noted(api: Api) -> Api:
    """The service with crowds of logs, statistics, pilots and messages that no query below is after."""
    now = datetime.now(UTC)
    places = [(number, now - timedelta(days=20, seconds=number)) for number in range(CROWD)]
    given = {'task_id': 'crowd', 'dataset_id': 'crowd', 'name': 'stdlog', 'data': 'x' * 500}
    await api.database.logs.insert_many([
        {**given, 'log_id': f'l{number}', 'timestamp': time} for number, time in places
    ])  # fmt: skip
    await api.database.task_stats.insert_many([
        {'task_stat_id': f's{number}', 'task_id': f'c{number}', 'dataset_id': 'crowd', 'create_date': time,
         'stats': '{}'} for number, time in places
    ])  # fmt: skip
    await api.database.pilots.insert_many([
        {'pilot_id': f'p{number}', 'queue_host': 'crowd', 'host': 'crowd', 'tasks': [], 'last_update': now}
        for number in range(CROWD)
    ])  # fmt: skip
    for number in range(5):
        time = now - timedelta(days=10 + number)
        log = {'task_id': 't1', 'dataset_id': 'd1', 'name': f'n{number % 2}', 'data': 'x'}
        await api.database.logs.insert_one({**log, 'log_id': f'm{number}', 'timestamp': time})
        await api('POST', f'/tasks/t{number}/task_stats', {'dataset_id': 'd1'})
    return api


@pytest.mark.parametrize(
    'path',
    [
        '/logs?limit=10',
        f'/logs?limit=10&from={datetime(2020, 1, 1).isoformat()}&to={datetime(2100, 1, 1).isoformat()}',
        '/logs?limit=10&name=stdlog&to=2100-01-01',
        '/logs?name=n1',
        '/logs?dataset_id=d1',
        '/logs?dataset_id=d1&name=n1',
        '/logs?task_id=t1&name=n1',
        '/logs/m1',
        '/datasets/d1/logs/m1',
        '/datasets/d1/tasks/t1/logs',
        '/datasets/d1/tasks/t1/logs?num=2&order=asc',
        '/datasets/d1/tasks/t1/task_stats',
        '/datasets/d1/tasks/t1/task_stats?last=true',
        '/datasets/d1/bulk/task_stats',
        '/datasets/d1/bulk/task_stats?last=true&after=2020-01-01&buffer_size=2',
        '/pilots?queue_host=sub',
        '/pilots?host=n1',
        '/pilots/p7',
    ],
)
async def test_what_is_noted_is_found_by_index(noted: Api, path: str) -> None:
    async with watched(noted) as seen:
        answer = await noted('GET', path)

    assert answer.status == 200
    assert_lean(seen, 12)


async def test_the_newest_log_of_each_name_is_found_without_reading_the_others(noted: Api) -> None:
    async with watched(noted) as seen:
        answer = await noted('GET', '/datasets/d1/tasks/t1/logs?group=true')

    assert [log['log_id'] for log in answer.body['logs']] == ['m0', 'm1']
    assert max(each.get('docsExamined', 0) for each in seen) == 2
    assert all('COLLSCAN' not in each['planSummary'] for each in seen)


async def test_pruning_reads_what_it_removes(noted: Api) -> None:
    old = datetime.now(UTC) - timedelta(days=50)
    await noted.database.logs.insert_one({'log_id': 'old', 'name': 'stdlog', 'timestamp': old, 'data': 'x'})
    await noted.database.pilots.insert_one({'pilot_id': 'old', 'tasks': [], 'last_update': old})

    async with watched(noted) as seen:
        assert await chores.prune(noted.service) == 2

    assert_lean(seen, 3)


@pytest.mark.parametrize('name', ['logs', 'task_stats', 'messages'])
async def test_what_belongs_to_a_dataset_is_found_by_index(noted: Api, name: str) -> None:
    async with watched(noted) as seen:
        await noted.database[name].delete_many({'dataset_id': 'd1'})

    assert_lean(seen, 12)


async def add_ended(api: Api, number: int, **fields: Any) -> None:
    """Datasets that ended just now."""
    now = datetime.now(UTC)
    ended = {'status': 'complete', 'status_changed': now, 'retention_days': None, 'deleting': None, **fields}
    await api.database.datasets.insert_many([{'dataset_id': new_id(), **ended} for _ in range(number)])


async def test_a_look_for_what_is_over_reads_a_key_for_each_retention(api: Api) -> None:
    for days in (None, 1, 2.5, 30, 365):
        for status in ('complete', 'errors', 'processing', 'suspended'):
            await add_ended(api, 100, retention_days=days, status=status)

    async with watched(api) as seen:
        assert await Retention(api.service).turn() == 0

    assert_lean(seen, 20)


async def test_expiry_reads_what_is_over_and_not_what_is_to_come(api: Api) -> None:
    await add_ended(api, 500, retention_days=30)
    await add_ended(api, 500, retention_days=1)
    await add_ended(api, 3, retention_days=30, status_changed=datetime(2020, 1, 1, tzinfo=UTC))

    async with watched(api) as seen:
        assert await Retention(api.service).turn() == 3

    assert_lean(seen, 20)


async def test_a_deletion_reads_what_it_removes(crowded: Api) -> None:
    dataset_id = await crowded.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=20)
    await Scheduler(crowded.service).sweep()
    keys = {
        'files': 'file_id', 'messages': 'message_id', 'logs': 'log_id', 'task_stats': 'task_stat_id',
        'outputs': 'output_id', 'node_results': 'node_result_id',
    }  # fmt: skip
    for name, key in keys.items():
        for named, number in ((dataset_id, 20), ('ours', CROWD)):
            crowd = [{'dataset_id': named, 'task_id': new_id(), key: new_id()} for _ in range(number)]
            await crowded.database[name].insert_many(crowd)

    async with watched(crowded) as seen:
        answer = await crowded('DELETE', f'/datasets/{dataset_id}')

    assert answer.body['deleted'] == dict.fromkeys(PARTS, 20)
    # Named one by one, each document costs two keys.
    assert_lean(seen, 2 * 20 + 8)


async def test_an_archive_reads_what_it_has(crowded: Api) -> None:
    dataset_id = await crowded.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=20)
    await Scheduler(crowded.service).sweep()

    async with watched(crowded) as seen:
        answer = await crowded('GET', f'/datasets/{dataset_id}/archive')

    assert answer.status == 200
    assert_lean(seen, 20 + 8)


async def test_a_look_at_jobs_that_wait_for_others_reads_them_and_what_they_wait_for(crowded: Api) -> None:
    there = await crowded.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=10)
    here = await crowded.add_dataset([{'name': 'sim', 'command': 'true', 'depends': [f'{there}:gen']}], jobs=10)
    await materialize_all(crowded.service)
    # As with one that was deleted: then the other dataset is asked whether it has made that job.
    await crowded.database.tasks.delete_many({'dataset_id': there, 'job_index': 3})
    jobs = await crowded.service.store.sweeps.jobs_processing([here], None, 100)

    async with watched(crowded) as seen:
        ended = await chores.end_jobs(crowded.service, jobs)

    assert ended == 1
    assert_lean(seen, 3 * 10)


async def test_datasets_that_have_ended_are_read_only_where_they_depend_on_others(api: Api) -> None:
    ended = {'status': 'errors', 'depends_on': [], 'jobs_submitted': 1, 'jobs_materialized': 1}
    names = [f'd{number}' for number in range(CROWD)]
    await api.database.datasets.insert_many([{'dataset_id': name, **ended} for name in names])
    await api.database.datasets.insert_many([{'dataset_id': f'on{name}', **ended, 'status': 'complete',
                                              'depends_on': [name]} for name in names[:10]])  # fmt: skip
    await api.database.datasets.update_one({'dataset_id': 'd7'}, {'$set': {'depends_on': ['d1', 'd2']}})

    async with watched(api) as seen:
        active = await chores.active_datasets(api.service)

    # Whatever else the service reads meanwhile.
    read = [each for each in seen if each['ns'].endswith('.datasets')]
    assert active == ['d7']
    assert len(read) == 2
    assert sum(each['keysExamined'] for each in read) <= 40


async def test_what_is_held_at_the_head_of_the_queue_is_passed_over_in_portions(crowded: Api) -> None:
    held = {'dataset_id': 'ours', 'depends': ['f' * 32], 'status': 'waiting', 'priority': 10.0}
    await crowded.add_dataset([{'name': 'gen', 'command': 'true'}])
    await crowded.database.datasets.update_one({}, {'$set': {'dataset_id': 'ours'}})
    for _ in range(20):
        await crowded.add_task(**held)

    async with watched(crowded) as seen:
        answer = await crowded('POST', '/task_actions/queue', {'num_tasks': 10})

    assert answer.body == {'queued': 10}
    # The second look reads a portion at once, however many are asked for.
    assert_lean(seen, 20 + chores.AT_ONCE + 10)


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


async def test_the_demand_reads_a_bounded_number_of_keys_of_each_kind(crowded: Api) -> None:
    async with watched(crowded) as seen:
        answer = await crowded('GET', '/task_demand')

    rows = {str(row['requirements']): (row['waiting'], row['queued']) for row in answer.body['demand']}
    assert len(rows) == 21
    assert rows["{'gpu': 1}"] == (COUNTED_AT_MOST, COUNTED_AT_MOST)
    # Besides, a few keys and a document for each kind.
    assert_lean(seen, COUNTED_AT_MOST + 20 + FEW_KEYS)
    assert sum(each.get('docsExamined', 0) for each in seen) <= 4 * 21


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
    await crowded.database.jobs.insert_many([new_job('ours', 10 + place, 1, now) for place in range(500)])

    async with watched(crowded) as seen:
        await weigh(crowded.service)

    assert not [each for each in seen if each['ns'].endswith('.tasks')]
    assert_lean(seen, FEW_KEYS)
