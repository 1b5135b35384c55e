"""Datasets whose jobs and tasks old clients make for themselves: they end like others, and hold nobody up."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iceprod_tasks.scheduler import chores as chore
from tests.conftest import Api

Chores = Callable[[], Awaitable[None]]

GEN = [{'name': 'gen', 'command': 'true'}]
FOREIGN = {'version': 3.1, 'tasks': [{'trays': []}]}


async def old_dataset(api: Api, jobs: int = 2, config: dict[str, Any] | None = FOREIGN) -> str:
    """A dataset as old clients submit it: the record first, the config afterwards."""
    sizes = {'jobs_submitted': jobs, 'tasks_submitted': 2 * jobs, 'tasks_per_job': 2}
    answer = await api('POST', '/datasets', {'description': '', 'group': 'simprod', **sizes})
    dataset_id = str(answer.body['result'].rpartition('/')[2])
    if config is not None:
        assert (await api('PUT', f'/config/{dataset_id}', config)).status == 200
    return dataset_id


async def old_job(api: Api, dataset_id: str, job_index: int, *statuses: str) -> str:
    """A job as old materializers make it, its tasks one by one."""
    answer = await api('POST', '/jobs', {'dataset_id': dataset_id, 'job_index': job_index})
    place = {'dataset_id': dataset_id, 'job_id': answer.body['result'], 'job_index': job_index}
    for index, status in enumerate(statuses):
        await api.add_task(**place, task_index=index, name=f't{index}', status=status)
    return str(place['job_id'])


async def status_of(api: Api, dataset_id: str) -> str:
    return str((await api('GET', f'/datasets/{dataset_id}')).body['status'])


@pytest.mark.parametrize('config', [FOREIGN, None])
@pytest.mark.parametrize(
    ('last', 'ended'), [('complete', 'complete'), ('failed', 'errors'), ('suspended', 'suspended')]
)
async def test_it_ends_with_the_last_of_the_jobs_that_were_submitted(
    api: Api, chores: Chores, config: dict[str, Any] | None, last: str, ended: str
) -> None:
    dataset_id = await old_dataset(api, config=config)
    first = await old_job(api, dataset_id, 0, 'complete', 'complete')
    await chores()
    half = await status_of(api, dataset_id), (await api('GET', f'/jobs/{first}')).body['status']

    await old_job(api, dataset_id, 1, 'complete', last)
    await chores()

    assert half == ('processing', 'complete')
    assert await status_of(api, dataset_id) == ended
    end_date = (await api('GET', f'/datasets/{dataset_id}')).body['end_date']
    assert (end_date is None) == (ended == 'suspended')


async def test_a_job_does_not_end_before_its_last_task_is_there(api: Api, chores: Chores) -> None:
    dataset_id = await old_dataset(api, jobs=1)
    job_id = await old_job(api, dataset_id, 0, 'complete')

    await chores()

    assert (await api('GET', f'/jobs/{job_id}')).body['status'] == 'processing'
    assert await status_of(api, dataset_id) == 'processing'


async def test_a_dataset_waits_for_its_config(api: Api, chores: Chores) -> None:
    dataset_id = await old_dataset(api, config=None)

    await chores()

    assert await status_of(api, dataset_id) == 'processing'


async def test_a_foreign_config_is_never_materialized(api: Api, chores: Chores) -> None:
    dataset_id = await old_dataset(api)

    await chores()

    assert (await api('GET', f'/datasets/{dataset_id}/jobs')).body == {}
    assert (await api('GET', f'/datasets/{dataset_id}/tasks')).body == {}


async def test_a_config_of_ours_after_a_foreign_one_is_materialized(api: Api, chores: Chores) -> None:
    dataset_id = await old_dataset(api)
    two = [{'name': name, 'command': 'true'} for name in ('gen', 'sim')]

    await api('PUT', f'/config/{dataset_id}', {'version': 1, 'description': '', 'tasks': two})
    await chores()

    assert (await api('GET', f'/datasets/{dataset_id}/task_counts/status')).body == {'queued': 4}


async def test_configs_of_an_earlier_release_are_told_apart_as_well(api: Api, chores: Chores) -> None:
    ours, theirs = await api.add_dataset(GEN, jobs=2), await old_dataset(api)
    await api.database.config.update_many({}, {'$unset': {'foreign': ''}})

    await chores()

    jobs = [(await api('GET', f'/datasets/{each}/job_counts/status')).body for each in (ours, theirs)]
    assert jobs == [{'processing': 2}, {}]


async def test_a_dataset_of_ours_waits_for_its_jobs_however_many_clients_have_made(api: Api) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=1)
    job_id = await old_job(api, dataset_id, 0)
    await api('PUT', f'/datasets/{dataset_id}/jobs/{job_id}/status', {'status': 'complete'})

    assert await chore.end_datasets(api.service, [dataset_id]) == 0


async def test_one_without_a_config_holds_up_nobody(api: Api, chores: Chores) -> None:
    before = [await old_dataset(api, config=None), await old_dataset(api, jobs=0)]
    dataset_id = await api.add_dataset(GEN)
    await chores()
    task = (await api('POST', '/task_actions/process')).body

    await api('POST', f'/tasks/{task["task_id"]}/task_actions/complete')
    await chores()

    assert await status_of(api, dataset_id) == 'complete'
    assert [await status_of(api, each) for each in before] == ['processing'] * 2


async def test_a_dataset_that_is_given_jobs_while_it_ends_goes_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await old_dataset(api, jobs=1)
    job_id = await old_job(api, dataset_id, 0)
    await api('PUT', f'/datasets/{dataset_id}/jobs/{job_id}/status', {'status': 'complete'})
    counts = api.service.store.counts
    count = counts.jobs_by_status

    async def meanwhile(*args: Any) -> Any:
        await api('PUT', f'/datasets/{dataset_id}/jobs_submitted', {'jobs_submitted': 2})
        return await count(*args)

    monkeypatch.setattr(counts, 'jobs_by_status', meanwhile)

    assert await chore.end_datasets(api.service, [dataset_id]) == 0
    assert await status_of(api, dataset_id) == 'processing'


async def test_a_job_that_goes_on_while_its_dataset_ends_keeps_it_open(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await old_dataset(api, jobs=1)
    job_id = await old_job(api, dataset_id, 0, 'complete', 'failed')
    await api('PUT', f'/datasets/{dataset_id}/jobs/{job_id}/status', {'status': 'errors'})
    task = next(iter((await api('GET', f'/datasets/{dataset_id}/tasks?status=failed')).body))
    counts = api.service.store.counts
    count = counts.jobs_by_status

    async def meanwhile(*args: Any) -> Any:
        counted = await count(*args)
        await api('PUT', f'/tasks/{task}/status', {'status': 'waiting'})
        return counted

    monkeypatch.setattr(counts, 'jobs_by_status', meanwhile)

    await chore.end_datasets(api.service, [dataset_id])

    dataset = (await api('GET', f'/datasets/{dataset_id}')).body
    assert (dataset['status'], dataset['end_date']) == ('processing', None)
