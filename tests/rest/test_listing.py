"""Lists of tasks: what is shown, in which order, page by page or as a stream. Seed 004, contract 2, trap 15."""

import base64
import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from iceprod_tasks.domain.errors import Unavailable
from tests.conftest import Answer, Api
from tests.rest.answers import refusal, seen

BAD_CURSOR = refusal(400, '"after" is not a cursor of this listing')


async def ids(api: Api, path: str = '/tasks', **params: Any) -> list[str]:
    answer = await api('GET', path, params=params)
    assert answer.status == 200, answer.text
    return list(answer.body) if path != '/tasks' else [task['task_id'] for task in answer.body['tasks']]


async def pages(api: Api, path: str = '/tasks', **params: Any) -> list[Answer]:
    """All pages, following the links."""
    answers = [await api('GET', path, params=params)]
    while 'Link' in answers[-1].headers:
        link, _, relation = answers[-1].headers['Link'].partition('>; ')
        assert relation == 'rel="next"'
        answers.append(await api('GET', link.removeprefix('<')))
        assert len(answers) < 100
    return answers


def cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip('=')


async def test_all_tasks_are_listed_oldest_first_and_without_their_log(api: Api) -> None:
    tasks = [await api.add_task(status=status) for status in ('failed', 'waiting', 'complete')]

    answer = await api('GET', '/tasks')

    assert [task['task_id'] for task in answer.body['tasks']] == tasks
    shown = (await api('GET', f'/tasks/{tasks[0]}')).body
    del shown['log']
    assert answer.body['tasks'][0] == shown
    assert (await api('GET', '/datasets/d1/tasks')).body[tasks[0]] == shown


@pytest.mark.parametrize(('path', 'empty'), [('/tasks', {'tasks': []}), ('/datasets/d1/tasks', {})])
@pytest.mark.parametrize('limit', [0, 5])
async def test_an_empty_list_is_one(api: Api, path: str, empty: Any, limit: int) -> None:
    assert seen(await api('GET', path, params={'limit': limit})) == (200, empty)


@pytest.mark.parametrize(
    ('status', 'found'),
    [('queued', ['queued']), ('queued|failed', ['queued', 'failed']), ('nope', []), ('nope|failed', ['failed']),
     ('', ['queued', 'failed', 'idle']), (' failed ', ['failed']), ('$ne', [])],
)  # fmt: skip
@pytest.mark.parametrize('path', ['/tasks', '/datasets/d1/tasks'])
async def test_statuses_choose_tasks(api: Api, path: str, status: str, found: list[str]) -> None:
    tasks = {name: await api.add_task(status=name) for name in ('queued', 'failed', 'idle')}

    assert set(await ids(api, path, status=status)) == {tasks[name] for name in found}


async def test_a_dataset_s_tasks_are_chosen_by_job_and_name(api: Api) -> None:
    task_id = await api.add_task(job_id='j2', job_index=2, name='sim', status='idle')
    await api.add_task()
    await api.add_task(dataset_id='d2', job_id='j2', job_index=2, name='sim')

    for choice in ({'job_id': 'j2'}, {'job_index': 2}, {'name': 'sim'}, {'job_id': 'j2', 'status': 'idle'}):
        assert await ids(api, '/datasets/d1/tasks', **choice) == [task_id]
    assert await ids(api, '/datasets/d1/tasks', job_id='j2', status='failed') == []
    # The list of all tasks does not know these words.
    assert len(await ids(api, name='sim')) == 3


@pytest.mark.parametrize(
    ('path', 'keys', 'shown'),
    [('/tasks', 'name', {'name'}), ('/tasks', 'name|log|nope', {'name', 'log'}), ('/tasks', '_id', set()),
     ('/datasets/d1/tasks', 'name|nope', {'name', 'task_id'}), ('/datasets/d1/tasks', '_id', {'task_id'})],
)  # fmt: skip
@pytest.mark.parametrize('page', [{}, {'limit': 5}, {'sort': 'priority'}])
async def test_keys_choose_fields(api: Api, path: str, keys: str, shown: set[str], page: dict[str, Any]) -> None:
    await api.add_task()

    answer = await api('GET', path, params={'keys': keys, **page})

    (task,) = answer.body['tasks'] if path == '/tasks' else answer.body.values()
    assert set(task) == shown


@pytest.mark.parametrize(
    ('sort', 'order'),
    [('priority', [0, 2, 1]), ('priority=1', [0, 2, 1]), ('priority=-1', [1, 0, 2]), ('priority=5', [0, 2, 1]),
     ('priority=-1|task_index=-1', [1, 2, 0]), ('nope', [0, 1, 2]),
     ('nope|priority=-1', [1, 0, 2]), ('requirements', [0, 1, 2]), ('', [0, 1, 2])],
)  # fmt: skip
async def test_sort_orders_by_plain_fields_and_leaves_out_others(api: Api, sort: str, order: list[int]) -> None:
    tasks = [await api.add_task(priority=priority, task_index=index) for index, priority in enumerate([1, 2.5, 1.0])]

    assert await ids(api, sort=sort) == [tasks[place] for place in order]


@pytest.mark.parametrize(('limit', 'number'), [('2', 2), ('-2', 2), ('0', 3), ('x', 3), ('1.5', 3), ('9', 3), ('', 3),
                                               (str(2**40), 3), ('9' * 5000, 3)])  # fmt: skip
async def test_limit_is_as_old_clients_know_it(api: Api, limit: str, number: int) -> None:
    tasks = [await api.add_task() for _ in range(3)]

    assert await ids(api, limit=limit) == tasks[:number]


@pytest.mark.parametrize('sort', ['', 'priority', 'priority=-1|walltime', 'walltime=-1|status=-1', 'status_changed=-1',
                                  'name|task_id=-1', 'site=-1'])  # fmt: skip
@pytest.mark.parametrize(('path', 'limit'), [('/tasks', 4), ('/datasets/d1/tasks', 1)])
async def test_pages_have_every_task_once_in_the_order_of_the_whole(api: Api, path: str, limit: int, sort: str) -> None:
    # Ties, several types in one field, and fields that are missing.
    values = itertools.cycle([1, 1.5, None, 'text', True, datetime(2026, 1, 2, tzinfo=UTC), 2**60, 1, -0.5])
    for _ in range(11):
        task_id = await api.add_task()
        changes: dict[str, Any] = {'priority': next(values), 'walltime': next(values), 'name': next(values)}
        await api.database.tasks.update_one({'task_id': task_id}, {'$set': changes, '$unset': {'site': 1}})
    whole = await ids(api, path, sort=sort)

    answers = await pages(api, path, sort=sort, limit=limit, keys='name')
    assert [len(answer.body['tasks'] if path == '/tasks' else answer.body) for answer in answers[:-1]] == [limit] * (
        len(answers) - 1
    )
    found = await pages(api, path, sort=sort, limit=limit)

    assert len(whole) == 11
    listed = [answer.body['tasks'] if path == '/tasks' else answer.body.values() for answer in found]
    assert [task['task_id'] for page in listed for task in page] == whole


async def test_the_last_page_has_no_link_and_the_link_keeps_the_question(api: Api) -> None:
    for status in ('queued', 'failed', 'failed', 'failed', 'failed'):
        await api.add_task(status=status)

    answers = await pages(api, status='failed|nope', limit=2, sort='priority=-1', keys='status')

    assert [answer.body['tasks'] for answer in answers] == [[{'status': 'failed'}] * 2] * 2


async def test_a_task_that_comes_or_goes_between_pages_moves_no_other(api: Api) -> None:
    tasks = [await api.add_task() for _ in range(5)]
    first = await api('GET', '/tasks?limit=2')
    await api.database.tasks.delete_one({'task_id': tasks[1]})

    second = await api('GET', first.headers['Link'].partition('>')[0].removeprefix('<'))

    assert [task['task_id'] for task in second.body['tasks']] == tasks[2:4]


SOME_ID = '0' * 24


@pytest.mark.parametrize(
    'after',
    [
        'x', '====', 'é', '\\', cursor(), cursor('x'), cursor(5), cursor(None), cursor(SOME_ID, SOME_ID),
        cursor('z' * 24), cursor({'$gt': ''}), cursor([SOME_ID]), cursor({'date': 1}),
        base64.urlsafe_b64encode(b'{}').decode(),
        base64.urlsafe_b64encode(b'[' * 100_000).decode()[:8000], base64.urlsafe_b64encode(b'\xff\xfe').decode(),
    ],
)  # fmt: skip
async def test_a_cursor_that_is_none_is_400(api: Api, after: str) -> None:
    assert seen(await api('GET', '/tasks', params={'after': after, 'limit': 1})) == BAD_CURSOR


DEEP: Any = []
for _ in range(150):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    'value',
    [{'$gt': ''}, {}, {'date': 'x'}, {'date': 1e300}, {'date': None}, '$$ROOT', '\ud800', 2**70, 1e308 * 10, [DEEP],
     ['$x'], [{'$where': 'x'}], {'date': {'$gt': 1}}, 'a\0b', {'date': True}],
    ids=str,
)  # fmt: skip
async def test_a_forged_cursor_is_a_value_or_refused_and_never_an_operator(api: Api, value: Any) -> None:
    await api.add_task(priority=1)

    answer = await api('GET', '/tasks', params={'after': cursor(value, SOME_ID), 'limit': 5, 'sort': 'priority'})

    assert answer.status in (200, 400)
    assert answer.status == 200 or answer.body['code'] == 400


async def test_old_clients_may_send_arguments_in_the_body_of_a_get(api: Api) -> None:
    task_id = await api.add_task(status='failed')
    await api.add_task()

    answer = await api('GET', '/tasks', {'status': 'failed', 'limit': 1, 'keys': 'task_id'})

    assert seen(answer) == (200, {'tasks': [{'task_id': task_id}]})
    assert (await api('GET', '/tasks', content=b'[1]')).status == 400


@pytest.mark.parametrize('path', ['/tasks', '/datasets/d1/tasks'])
async def test_a_long_list_is_streamed_while_others_are_answered(api: Api, path: str) -> None:
    documents = [
        {'task_id': f'{n:032x}', 'dataset_id': 'd1', 'job_index': n, 'status': 'idle', 'own': 'x' * 500}
        for n in range(30_000)
    ]
    await api.database.tasks.insert_many(documents)
    # It stands at the end, and changes its status while the list is read: it must be there, and once.
    task_id = await api.add_task(dataset_id='d1', job_index=40_000)
    headers = {'Authorization': f'Bearer {api.token("admin")}'}

    async with api._http.stream('GET', path, headers=headers) as response:
        # Nobody reads the list yet, and there is more than the sockets hold.
        assert response.headers['Transfer-Encoding'] == 'chunked'
        claim = await api('POST', '/task_actions/process')
        body = json.loads(await response.aread())

    assert claim.body['task_id'] == task_id
    listed = [task['task_id'] for task in body['tasks']] if path == '/tasks' else list(body)
    assert listed == [*(document['task_id'] for document in documents), task_id]


async def test_a_client_that_goes_away_in_a_list_harms_nobody(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    await api.database.tasks.insert_many([{'task_id': f'{n:032x}', 'own': 'x' * 5000} for n in range(3000)])
    headers = {'Authorization': f'Bearer {api.token("admin")}'}

    async with api._http.stream('GET', '/tasks', headers=headers) as response:
        assert response.status_code == 200

    assert (await api('GET', '/task_counts/status')).status == 200
    assert not [record for record in caplog.records if record.levelname == 'ERROR']


async def test_a_list_that_cannot_be_read_to_its_end_is_cut_off_and_not_made_to_look_whole(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.database.tasks.insert_many([{'task_id': f'{n:032x}', 'own': 'x' * 500} for n in range(2000)])
    original = api.service.store.tasks.select

    async def breaking(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async for number, task in aenumerate(original(*args, **options)):
            if number == 1500:
                raise Unavailable
            yield task

    monkeypatch.setattr(api.service.store.tasks, 'select', breaking)

    with pytest.raises(httpx2.RemoteProtocolError):
        await api('GET', '/tasks')

    assert (await api('GET', '/task_counts/status')).status == 200


async def aenumerate(items: AsyncIterator[Any]) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async for item in items:
        yield number, item
        number += 1
