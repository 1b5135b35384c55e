"""`iceprod-tasks jobs`: lists, one job, and actions on jobs and their tasks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.cli.typed import typed
from tests.conftest import Api

ACTIONS = ('suspend', 'resume', 'reset', 'rerun', 'hard-reset', 'cancel')


@pytest.fixture
async def dataset_id(api: Api, chores: Callable[[], Awaitable[None]]) -> str:
    """A dataset of three jobs of one task."""
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=3, description='three')
    await chores()
    return dataset_id


async def jobs(api: Api, dataset_id: str) -> dict[str, dict[str, Any]]:
    return dict((await api('GET', f'/datasets/{dataset_id}/jobs')).body)


async def test_jobs_are_listed(api: Api, dataset_id: str) -> None:
    found = await jobs(api, dataset_id)

    table = await typed(api, 'jobs', 'list', dataset_id)
    document = await typed(api, 'jobs', 'list', dataset_id, '--json')
    others = await typed(api, 'jobs', 'list', dataset_id, '--json', '--status', 'errors', '--status', 'complete')

    rows = {line.split()[0]: line.split()[1:3] for line in table.out.splitlines() if 'processing' in line}
    assert rows == {job_id: [str(job['job_index']), 'processing'] for job_id, job in found.items()}
    assert (document.json, others.json) == (found, {})


async def test_a_job_is_shown_to_operators_and_to_its_user(api: Api, chores: Callable[[], Awaitable[None]]) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset([{'name': 'gen', 'command': 'true'}])
    await chores()
    (job_id,) = await jobs(api, dataset_id)

    for token in (api.token('admin'), api.token('user', 'ada')):
        assert (await typed(api, 'jobs', 'show', job_id, '--json', token=token)).json['dataset_id'] == dataset_id
    facts = await typed(api, 'jobs', 'show', job_id, '--dataset', dataset_id)
    assert ['job_index', '0'] in [line.split() for line in facts.out.splitlines()]
    await typed(api, 'jobs', 'show', 'nothing', token=api.token('user', 'ada'), code=3)


@pytest.mark.parametrize('action', ACTIONS)
async def test_each_action_is_the_one_that_its_name_says(api: Api, dataset_id: str, action: str) -> None:
    said = await typed(api, 'jobs', action, dataset_id, '--yes', '--json')

    assert said.json['action'] == action.replace('-', '_')


async def test_named_jobs_are_suspended_with_their_tasks(api: Api, dataset_id: str) -> None:
    first, second, third = await jobs(api, dataset_id)

    asked = await typed(api, 'jobs', 'suspend', dataset_id, first, second, code=2)
    said = await typed(api, 'jobs', 'suspend', dataset_id, first, second, first, '--yes', '--reason', 'why')

    assert f'suspend 2 jobs and 2 tasks of dataset {dataset_id} "three"?' in asked.err
    assert said.out == 'jobs: changed 2, unchanged 0, refused 0\ntasks: changed 2, unchanged 0, refused 0\n'
    found = await jobs(api, dataset_id)
    assert [found[job_id]['status'] for job_id in (first, second, third)] == ['suspended', 'suspended', 'processing']
    assert {task['log'][-1]['why'] async for task in api.database.tasks.find({'status': 'suspended'})} == {'why'}


async def test_a_named_job_that_is_refused_makes_it_partial_and_another_one_does_not(api: Api, dataset_id: str) -> None:
    first, second, _ = await jobs(api, dataset_id)
    await api.database.jobs.update_one({'job_id': first}, {'$set': {'status': 'complete'}})

    named = await typed(api, 'jobs', 'suspend', dataset_id, first, second, '--yes', code=6)
    every = await typed(api, 'jobs', 'suspend', dataset_id, '--yes')

    assert f'  refused {first}: its status is complete\n' in named.out
    assert every.out.startswith('jobs: changed 1, unchanged 1, refused 1\n')


async def test_a_job_of_another_dataset_makes_it_partial(api: Api, dataset_id: str) -> None:
    first, *_ = await jobs(api, dataset_id)

    said = await typed(api, 'jobs', 'suspend', dataset_id, first, 'elsewhere', '--yes', code=6)
    await typed(api, 'jobs', 'suspend', dataset_id, 'elsewhere', '--yes', code=3)

    assert said.err == 'jobs named that are not of this dataset: 1\n'
