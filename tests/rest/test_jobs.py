"""Jobs: made, listed, changed and counted. Contract 4."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iceprod_tasks.actions import move_jobs
from iceprod_tasks.domain.jobs import JOB_STATUSES
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

UUID = 'c0ffee00c0ffee00c0ffee00c0ffee00'

GEN = [{'name': 'gen', 'command': 'true'}]
Chores = Callable[[], Awaitable[None]]


async def test_jobs_are_read_one_by_one_and_listed(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=3)
    await chores()

    jobs = (await api('GET', f'/datasets/{dataset_id}/jobs')).body

    assert [job['job_index'] for job in jobs.values()] == [0, 1, 2]
    assert {job['status'] for job in jobs.values()} == {'processing'}
    for job_id, job in jobs.items():
        assert job['job_id'] == job_id
        assert (await api('GET', f'/jobs/{job_id}')).body == job
        assert (await api('GET', f'/datasets/{dataset_id}/jobs/{job_id}')).body == job


async def test_the_list_is_filtered_and_the_counts_follow(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=3)
    await chores()
    task = (await api('POST', '/task_actions/process')).body
    await api('POST', f'/tasks/{task["task_id"]}/task_actions/complete')
    await chores()
    path = f'/datasets/{dataset_id}/jobs'

    assert list((await api('GET', f'{path}?status=complete|nope')).body) == [task['job_id']]
    assert len((await api('GET', f'{path}?status=processing')).body) == 2
    assert list((await api('GET', f'{path}?job_index={task["job_index"]}')).body) == [task['job_id']]
    shown = (await api('GET', f'{path}?status=complete&keys=job_index|_id|nope')).body
    assert shown == {task['job_id']: {'job_id': task['job_id'], 'job_index': task['job_index']}}
    counts = (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body
    assert list(counts.items()) == [('processing', 2), ('complete', 1)]


@pytest.mark.parametrize('path', ['/jobs/nobody', '/datasets/d1/jobs/nobody'])
async def test_an_unknown_job_is_404(api: Api, path: str) -> None:
    assert seen(await api('GET', path)) == refusal(404, 'Job not found')


async def test_a_job_is_found_only_in_its_own_dataset(api: Api, chores: Chores) -> None:
    first, second = await api.add_dataset(GEN), await api.add_dataset(GEN)
    await chores()
    job_id = next(iter((await api('GET', f'/datasets/{first}/jobs')).body))

    assert seen(await api('GET', f'/datasets/{second}/jobs/{job_id}')) == refusal(404, 'Job not found')


@pytest.mark.parametrize('index', ['x', '1.5', '', str(2**63)])
@pytest.mark.parametrize('kind', ['jobs', 'tasks'])
async def test_a_job_index_that_is_no_integer_is_400(api: Api, kind: str, index: str) -> None:
    answer = await api('GET', f'/datasets/d1/{kind}', params={'job_index': index})

    long = len(index) > 5
    assert seen(answer) == refusal(400, 'an integer has more than 64 bits' if long else
                                   'Bad argument "job_index": must be integer')  # fmt: skip


# Jobs that clients make for themselves


async def added(api: Api, dataset_id: str = 'd1', job_index: int = 0, **fields: Any) -> str:
    answer = await api('POST', '/jobs', {'dataset_id': dataset_id, 'job_index': job_index, **fields})
    assert answer.status == 201, answer.text
    assert answer.headers['Location'] == f'/jobs/{answer.body["result"]}'
    return str(answer.body['result'])


async def job_of(api: Api, job_id: str) -> dict[str, Any]:
    answer = await api.as_('admin')('GET', f'/jobs/{job_id}')
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def test_a_job_needs_no_dataset_with_a_record(api: Api, chores: Chores) -> None:
    job_id = await added(api.as_('system'), job_index=7, status='complete', own='kept', tasks_total=5)
    await chores()

    job = await job_of(api, job_id)

    given = {'dataset_id': 'd1', 'job_index': 7, 'status': 'processing', 'own': 'kept', 'tasks_total': 0}
    assert job.items() >= {**given, 'job_id': job_id}.items()
    assert re.fullmatch('[0-9a-f]{32}', job_id)
    assert (await api('GET', '/datasets/d1/jobs')).body == {job_id: job}


@pytest.mark.parametrize('tasks_per_job', [3, 0, -1])
async def test_a_job_knows_how_many_tasks_its_dataset_has_a_job(api: Api, tasks_per_job: int) -> None:
    sizes = {'description': '', 'jobs_submitted': 1, 'tasks_submitted': 0, 'tasks_per_job': tasks_per_job, 'group': 'x'}
    dataset_id = (await api('POST', '/datasets', sizes)).body['result'].rpartition('/')[2]

    job = await job_of(api, await added(api, dataset_id))

    assert job['tasks_total'] == max(0, tasks_per_job)


@pytest.mark.parametrize('given', [UUID, UUID.upper(), str(uuid.UUID(UUID)), f'urn:uuid:{uuid.UUID(UUID)}'])
async def test_a_client_may_make_the_id_itself(api: Api, given: str) -> None:
    assert await added(api, job_id=given) == UUID
    assert (await job_of(api, UUID))['job_id'] == UUID


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'dataset_id': None}, 'missing key: dataset_id'), ({'job_index': None}, 'missing key: job_index'),
        ({'dataset_id': 5}, "key dataset_id should be of type <class 'str'>"),
        ({'job_index': '0'}, "key job_index should be of type <class 'int'>"),
        ({'job_index': True}, "key job_index should be of type <class 'int'>"),
        *(({'job_id': job_id}, 'job_id should be a valid uuid') for job_id in ('x', '', 5, UUID[:-1], 'z' * 32, 'é')),
    ],
)  # fmt: skip
async def test_a_job_that_is_not_valid_is_refused_with_a_reason(api: Api, changes: dict[str, Any], reason: str) -> None:
    job = {'dataset_id': 'd1', 'job_index': 0, **changes}

    answer = await api('POST', '/jobs', {key: value for key, value in job.items() if value is not None})

    assert seen(answer) == refusal(400, reason)
    assert await api.database.jobs.count_documents({}) == 0


async def test_a_dataset_has_one_job_a_place_and_an_id_is_given_once(api: Api) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=2)
    await added(api, dataset_id, job_id=UUID)

    async def again(**job: Any) -> tuple[int, Any]:
        return seen(await api('POST', '/jobs', job))

    taken = refusal(409, 'there is a job with this job_id or job_index already')
    assert await again(dataset_id=dataset_id, job_index=0) == taken
    assert await again(dataset_id=dataset_id, job_index=0, job_id=uuid.uuid4().hex) == taken
    assert await again(dataset_id='d2', job_index=5, job_id=UUID) == taken
    assert (await again(dataset_id='d2', job_index=0))[0] == 201


async def test_where_a_dataset_has_no_record_its_client_may_make_what_it_likes(api: Api) -> None:
    assert await added(api, job_index=3) != await added(api, job_index=3)


async def test_of_many_who_make_the_same_job_one_makes_it(api: Api) -> None:
    body = {'dataset_id': await api.add_dataset(GEN, jobs=2), 'job_index': 0}

    answers = await asyncio.gather(*(api('POST', '/jobs', body) for _ in range(8)))

    assert sorted(answer.status for answer in answers) == [201, *[409] * 7]


async def test_a_job_made_before_the_scheduler_comes_by_is_the_one_it_would_make(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=2)
    job_id = await added(api, dataset_id)

    await chores()

    jobs = (await api('GET', f'/datasets/{dataset_id}/jobs')).body
    assert [job['job_index'] for job in jobs.values()] == [0, 1]
    assert len((await api('GET', f'/datasets/{dataset_id}/tasks?job_id={job_id}')).body) == 1


async def test_a_patch_merges_fields_and_gives_the_job_back(api: Api) -> None:
    job_id = await added(api, own={'a': 1})
    before = await job_of(api, job_id)

    answer = await api.as_('system')('PATCH', f'/jobs/{job_id}', {'own': '$status', 'new': [1]})

    assert seen(answer) == (200, before | {'own': '$status', 'new': [1]})
    assert await job_of(api, job_id) == answer.body


async def test_a_patched_status_counts_from_now(api: Api) -> None:
    job_id = await added(api)
    before = await job_of(api, job_id)

    after = (await api('PATCH', f'/jobs/{job_id}', {'status': 'errors'})).body

    assert (after['status'], after['status_changed'] > before['status_changed']) == ('errors', True)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({}, 'Missing update data'), ({'status': 'blah'}, 'Bad status'), ({'status': 'failed'}, 'Bad status'),
        *(({key: 5, 'own': 6}, f'key {key} cannot be changed') for key in
          ('job_id', 'dataset_id', 'job_index', 'tasks_total', 'status_changed', 'create_date', '_id')),
    ],
)  # fmt: skip
async def test_a_patch_that_is_not_valid_changes_nothing(api: Api, changes: dict[str, Any], reason: str) -> None:
    job_id = await added(api)
    before = await job_of(api, job_id)

    assert seen(await api('PATCH', f'/jobs/{job_id}', changes)) == refusal(400, reason)
    assert await job_of(api, job_id) == before


@pytest.mark.parametrize('key', ['$set', 'a.b', ''])
async def test_a_key_that_could_be_an_operator_is_refused(api: Api, key: str) -> None:
    job_id = await added(api)

    assert (await api('PATCH', f'/jobs/{job_id}', {key: 1})).status == 400
    assert (await api('POST', '/jobs', {'dataset_id': 'd1', 'job_index': 1, key: 1})).status == 400


# Status


def status_path(job_id: str, dataset_id: str = 'd1') -> str:
    return f'/datasets/{dataset_id}/jobs/{job_id}/status'


def bulk(status: str, dataset_id: str = 'd1') -> str:
    return f'/datasets/{dataset_id}/job_actions/bulk_status/{status}'


@pytest.mark.parametrize('status', JOB_STATUSES)
async def test_any_status_is_set_and_the_tasks_stay(api: Api, status: str) -> None:
    job_id = await added(api)
    task_id = await api.add_task(job_id=job_id)

    assert seen(await api.as_('system')('PUT', status_path(job_id), {'status': status})) == DONE
    assert seen(await api('PUT', status_path(job_id), {'status': status})) == DONE

    assert (await job_of(api, job_id))['status'] == status
    assert (await api.task(task_id))['status'] == 'queued'


@pytest.mark.parametrize(
    ('body', 'reason'),
    [({}, 'Missing status in body'), ({'status': 'blah'}, 'Bad status'), ({'status': 'waiting'}, 'Bad status'),
     ({'status': 5}, 'Bad status'), ({'status': {'$ne': ''}}, 'Bad status')],
)  # fmt: skip
async def test_a_status_that_no_job_has_is_refused(api: Api, body: dict[str, Any], reason: str) -> None:
    job_id = await added(api)

    assert seen(await api('PUT', status_path(job_id), body)) == refusal(400, reason)
    assert (await job_of(api, job_id))['status'] == 'processing'


async def test_a_job_that_is_not_there_is_404(api: Api) -> None:
    job_id = await added(api)

    for path in (status_path('nobody'), status_path(job_id, 'd2')):
        assert seen(await api('PUT', path, {'status': 'errors'})) == refusal(404, 'Job not found')
    assert seen(await api('PATCH', '/jobs/nobody', {'own': 1})) == refusal(404, 'Job not found')
    assert (await job_of(api, job_id))['status'] == 'processing'


async def test_many_statuses_are_set_at_once_in_one_dataset_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move_jobs, '_AT_ONCE', 2)
    jobs = [await added(api, job_index=index) for index in range(5)]
    elsewhere = await added(api, dataset_id='d2')

    answer = await api('POST', bulk('suspended'), {'jobs': [*jobs[:3], 'nobody', elsewhere, jobs[4], jobs[4]]})

    assert seen(answer) == DONE
    statuses = [(await job_of(api, job_id))['status'] for job_id in (*jobs, elsewhere)]
    assert statuses == [*['suspended'] * 3, 'processing', 'suspended', 'processing']


@pytest.mark.parametrize(
    ('status', 'body', 'code', 'reason'),
    [
        ('blah', {}, 400, 'Missing jobs in body'), ('blah', {'jobs': []}, 400, 'Missing jobs in body'),
        ('blah', {'jobs': ['x'] * 100_001}, 400, 'Too many jobs specified (limit: 100k)'),
        ('blah', {'jobs': ['x']}, 400, 'Bad status'), ('failed', {'jobs': ['x']}, 400, 'Bad status'),
        ('complete', {'jobs': 'x'}, 400, "key jobs should be of type <class 'list'>"),
        ('complete', {'jobs': ['x', 5]}, 400, "key jobs: every id should be of type <class 'str'>"),
        ('complete', {'jobs': ['x'] * 100_000}, 404, 'Jobs not found'),
        ('complete', {'jobs': ['x']}, 404, 'Jobs not found'),
    ],
)  # fmt: skip
async def test_the_checks_of_a_bulk_status_come_in_their_order(
    api: Api, status: str, body: dict[str, Any], code: int, reason: str
) -> None:
    assert seen(await api('POST', bulk(status), body)) == refusal(code, reason)


async def test_users_of_a_dataset_set_the_status_of_its_jobs(api: Api) -> None:
    ada = api.as_('user', 'ada')
    dataset_id = await ada.add_dataset(GEN)
    job_id = await added(api, dataset_id)

    assert seen(await ada('PUT', status_path(job_id, dataset_id), {'status': 'errors'})) == DONE
    assert seen(await ada('POST', bulk('complete', dataset_id), {'jobs': [job_id]})) == DONE
    for role in ('user', 'pilot'):
        eve = api.as_(role, 'eve')
        refused = refusal(403, 'authorization failed')
        assert seen(await eve('PUT', status_path(job_id, dataset_id), {'status': 'errors'})) == refused
        assert seen(await eve('POST', bulk('errors', dataset_id), {'jobs': [job_id]})) == refused
    assert (await job_of(api, job_id))['status'] == 'complete'


async def test_summaries_and_counts_name_the_statuses_that_occur_in_their_order(api: Api) -> None:
    ids = {status: [await added(api, job_index=2 * place + n) for n in range(2)] for place, status in
           enumerate(('complete', 'processing', 'suspended'))}  # fmt: skip
    await added(api, dataset_id='d2')
    for status, jobs in ids.items():
        await api('POST', bulk(status), {'jobs': jobs})

    summaries = (await api('GET', '/datasets/d1/job_summaries/status')).body
    counts = (await api('GET', '/datasets/d1/job_counts/status')).body

    order = ('processing', 'suspended', 'complete')
    assert list(summaries.items()) == [(status, ids[status]) for status in order]
    assert list(counts.items()) == [(status, 2) for status in order]
