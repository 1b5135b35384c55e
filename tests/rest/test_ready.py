"""Can this process work? What load balancers are told, and what a process that is stopping refuses."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from iceprod_tasks.domain.errors import CannotStart, Unavailable
from iceprod_tasks.storage.store import Store
from tests.conftest import DRIVER, Api

READY = {'ready': True, 'why': [], 'warnings': []}


@pytest.fixture(autouse=True)
def afresh(api: Api) -> None:
    api.service.store.health._looked = None


@pytest.fixture
def draining(api: Api) -> Iterator[None]:
    api.service.drain.begin()
    yield
    api.service.drain._event.clear()


async def test_a_service_with_its_database_is_ready_and_says_so_to_anybody(api: Api) -> None:
    answer = await api('GET', '/readyz', headers={'Authorization': ''})

    assert (answer.status, answer.body) == (200, READY)


async def test_without_its_database_it_is_not(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> bool:
        raise Unavailable

    monkeypatch.setattr('iceprod_tasks.storage.client.Collection.is_writable', away)

    answer = await api('GET', '/readyz')

    assert (answer.status, answer.body['ready']) == (503, False)
    assert answer.body['why'] == ['the database does not answer']


async def test_without_a_primary_it_is_not(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def secondary(*_: Any) -> bool:
        return False

    monkeypatch.setattr('iceprod_tasks.storage.client.Collection.is_writable', secondary)

    assert (await api('GET', '/readyz')).body['why'] == ['the database has no primary']


async def test_however_many_ask_the_database_is_asked_once_a_second(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def counted(*_: Any) -> bool:
        nonlocal asked
        asked += 1
        return True

    monkeypatch.setattr('iceprod_tasks.storage.client.Collection.is_writable', counted)

    answers = await asyncio.gather(*(api('GET', '/readyz') for _ in range(30)))

    assert {answer.status for answer in answers} == {200}
    # The thirty may have taken longer than a second.
    assert asked <= 3


async def test_a_database_that_a_newer_release_has_changed_ends_readiness_and_prevents_a_start(
    api: Api, mongodb_url: str
) -> None:
    await api.database.schema.update_one({'_id': 'schema'}, {'$set': {'oldest': 7}}, upsert=True)
    store = Store(mongodb_url, api.database.name, DRIVER)

    answer = await api('GET', '/readyz')
    with pytest.raises(CannotStart, match='newer release: it needs schema 7'):
        await store.prepare()

    assert (answer.status, answer.body['why'][0][:34]) == (503, 'the database is of a newer release')
    await store.close()


async def test_a_newer_release_that_only_adds_keeps_the_older_one_ready(api: Api, mongodb_url: str) -> None:
    await api.database.schema.update_one({'_id': 'schema'}, {'$set': {'version': 7, 'oldest': 1}}, upsert=True)
    store = Store(mongodb_url, api.database.name, DRIVER)

    await store.prepare()

    assert (await api('GET', '/readyz')).status == 200
    note = await api.database.schema.find_one({'_id': 'schema'})
    assert note == {'_id': 'schema', 'version': 7, 'oldest': 1}
    await store.close()


NEW_WORK = [
    ('POST', '/task_actions/process', {'claim_id': 'a' * 32}),
    ('POST', '/task_actions/processing', {}),
    ('POST', '/task_actions/queue', {}),
    ('POST', '/task_actions/bulk_status/reset', {'tasks': ['x']}),
    ('POST', '/datasets', {}),
    ('DELETE', '/datasets/x', None),
    ('POST', '/jobs', {}),
    ('POST', '/tasks', {}),
    ('POST', '/datasets/x/task_actions/reset', {}),
    ('POST', '/datasets/x/job_actions/reset', {}),
    ('POST', '/datasets/x/dataset_actions/suspend', {}),
    ('POST', '/datasets/x/task_actions/bulk_status/reset', {'tasks': ['x']}),
    ('POST', '/datasets/x/job_actions/bulk_status/suspended', {'jobs': ['x']}),
    ('PATCH', '/datasets/x/task_actions/bulk_requirements/gen', {'cpu': 2}),
]


@pytest.mark.parametrize(('method', 'path', 'body'), NEW_WORK)
async def test_a_process_that_stops_begins_no_new_work(
    api: Api, draining: None, method: str, path: str, body: Any
) -> None:
    answer = await api(method, path, body)

    assert (answer.status, answer.body['error']) == (503, 'The service is stopping; repeat the same request')
    assert int(answer.headers['Retry-After']) > 0
    assert answer.headers['Connection'] == 'close'


async def test_a_process_that_stops_is_not_ready_whatever_the_database_does(api: Api, draining: None) -> None:
    api.service.store.health._looked, api.service.store.health._why = float('inf'), 'the database does not answer'

    answer = await api('GET', '/readyz')

    assert (answer.status, answer.body['why']) == (503, ['draining'])
    assert (await api('GET', '/healthz')).status == 200


async def test_a_process_that_stops_takes_reports_and_answers_reads(api: Api) -> None:
    task_id = await api.add_task()
    claimed = await api('POST', '/task_actions/process', {'claim_id': 'b' * 32})

    api.service.drain.begin()
    try:
        read = await api('GET', f'/tasks/{task_id}')
        report = await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': 'b' * 32})
    finally:
        api.service.drain._event.clear()

    assert (claimed.status, read.status, report.status) == (200, 200, 200)
    assert (read.headers['Connection'], report.headers['Connection']) == ('close', 'close')
    assert 'Connection' not in claimed.headers
    assert (await api.task(task_id))['status'] == 'complete'
