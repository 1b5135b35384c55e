"""Two releases on one database: documents and indexes as the release before wrote them, and what it still does.

`documents_of_0_1.json` is a database of release 0.1 in MongoDB's extended JSON: two datasets of ada's, one with a task
in each kind of state, the other in the hands of an old pilot; and tasks of a client that makes its own.
`indexes_of_0_1.json` is that release's `INDEXES`. Neither is ever changed: a new release adds files of its own.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from iceprod_tasks.storage.indexes import INDEXES
from iceprod_tasks.storage.store import Store
from tests.conftest import DRIVER, Api

HERE = Path(__file__).resolve().parent
DOCUMENTS: dict[str, list[dict[str, Any]]] = json_util.loads(
    (HERE / 'documents_of_0_1.json').read_text(encoding='utf-8')
)
INDEXES_BEFORE = json.loads((HERE / 'indexes_of_0_1.json').read_text(encoding='utf-8'))

COMPLETED, OPEN = '1' * 32, '4' * 32

Chores = Callable[[], Any]


@pytest.fixture
async def old(api: Api) -> Api:
    """The service on a database of the release before."""
    for name, documents in DOCUMENTS.items():
        await api.database[name].delete_many({})
        await api.database[name].insert_many(documents)
    return api


def task_with(claim_id: str) -> dict[str, Any]:
    return next(task for task in DOCUMENTS['tasks'] if claim_id in task.get('claims', []))


def managed() -> list[str]:
    return [dataset['dataset_id'] for dataset in DOCUMENTS['datasets']]


async def test_everything_can_be_read(old: Api) -> None:
    paths = [
        *(f'/tasks/{task["task_id"]}' for task in DOCUMENTS['tasks']),
        *(f'/jobs/{job["job_id"]}' for job in DOCUMENTS['jobs']),
        *(f'/logs/{log["log_id"]}' for log in DOCUMENTS['logs']),
        *(f'/pilots/{pilot["pilot_id"]}' for pilot in DOCUMENTS['pilots']),
        *(f'/datasets/{dataset}{part}' for dataset in managed() for part in ('', '/tasks', '/archive')),
        *(f'/config/{dataset}' for dataset in managed()),
        '/tasks', '/datasets', '/task_counts/status', '/users', '/task_order', '/task_demand',
    ]  # fmt: skip

    answers = {path: (await old('GET', path)).status for path in paths}

    assert len(answers) > 25
    assert {path: status for path, status in answers.items() if status != 200} == {}


async def test_a_claim_that_is_open_goes_on(old: Api) -> None:
    task_id = task_with(OPEN)['task_id']

    again = await old('POST', '/task_actions/process', {'claim_id': OPEN})
    report = await old('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': OPEN})

    assert (again.status, again.body['task_id'], again.body['epoch']) == (200, task_id, task_with(OPEN)['epoch'])
    assert report.status == 200
    assert (await old.task(task_id))['status'] == 'complete'


async def test_a_claim_that_is_over_stays_over(old: Api) -> None:
    task_id, pilot = task_with(COMPLETED)['task_id'], old.as_('pilot', 'a-pilot')

    claim = await pilot('POST', '/task_actions/process', {'claim_id': COMPLETED})
    same = await pilot('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': COMPLETED})
    other = await pilot('POST', f'/tasks/{task_id}/task_actions/failed', {'claim_id': COMPLETED})

    assert (claim.status, same.status, other.status) == (410, 200, 409)
    assert (await old.task(task_id))['status'] == 'complete'


async def test_an_old_pilot_ends_what_it_has_taken(old: Api) -> None:
    taken = next(
        task for task in DOCUMENTS['tasks'] if task['status'] == 'processing' and task.get('lease_until') is None
    )

    report = await old('POST', f'/tasks/{taken["task_id"]}/task_actions/complete', {'time_used': 5})

    assert report.status == 200
    assert (await old.task(taken['task_id']))['status'] == 'complete'


async def test_all_of_it_comes_to_its_end(old: Api, chores: Chores) -> None:
    await old.database.tasks.update_many({'status': 'processing'}, {'$set': {'status': 'queued', 'claim_id': ''}})
    for number in range(100):
        await chores()
        claim = await old(
            'POST', '/task_actions/process', {'claim_id': f'{number:032x}', 'requirements': {'memory': 64}}
        )
        if claim.status == 404:
            break
        path = f'/tasks/{claim.body["task_id"]}/task_actions/complete'
        assert (await old('POST', path, {'claim_id': f'{number:032x}'})).status == 200
    await chores()

    statuses = {task['status'] for task in DOCUMENTS['tasks']} | {'complete'}
    left = await old.database.tasks.distinct('status', {'managed': True})
    records = [(await old('GET', f'/datasets/{dataset}')).body['status'] for dataset in managed()]

    assert len(statuses) >= 5
    assert left == ['complete']
    assert records == ['complete', 'complete']


async def test_its_datasets_can_be_deleted(old: Api) -> None:
    answers = [(await old('DELETE', f'/datasets/{each}?force=true&archive=true')).status for each in managed()]

    assert set(answers) <= {200, 202}


async def test_a_database_with_its_indexes_is_taken_and_it_would_take_one_with_ours(
    api: Api, mongodb_url: str, database_name: str
) -> None:
    database = api.database.client[database_name]
    for collection, indexes in INDEXES_BEFORE.items():
        for name, index in indexes.items():
            await database[collection].create_index(**index, name=name)
    store = Store(mongodb_url, database_name, DRIVER)

    await store.prepare()

    for collection, indexes in INDEXES_BEFORE.items():
        there = await database[collection].index_information()
        for name, index in indexes.items():
            # MongoDB refuses another definition of the same name.
            assert await database[collection].create_index(**index, name=name) == name
            assert name in there
    await store.close()


@pytest.mark.parametrize(
    ('collection', 'name'), [(collection, name) for collection in INDEXES_BEFORE for name in INDEXES_BEFORE[collection]]
)
def test_an_index_that_was_released_keeps_its_definition(collection: str, name: str) -> None:
    now = json.loads(json.dumps(INDEXES[collection][name]))

    assert now == INDEXES_BEFORE[collection][name]
