"""Jobs, as far as issue 2 needs them of contract 4."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import Api
from tests.rest.answers import refusal, seen

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
