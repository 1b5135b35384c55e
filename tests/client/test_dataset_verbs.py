"""Datasets, jobs, actions and deletion, as they stand on the wire."""

from typing import Any

import httpx2
import pytest

from iceprod_tasks.client import AsyncClient, ClientError, Conflict, NotFound, NotPermitted, Unreachable
from tests.client.wire import Step, client_of, refused, says

CUT = httpx2.ReadError('cut')


pytestmark = pytest.mark.usefixtures('waits')


@pytest.mark.parametrize(
    ('method', 'arguments', 'verb', 'path', 'body'),
    [
        ('set_description', ('d1', 'new'), 'PUT', '/datasets/d1/description', {'description': 'new'}),
        ('set_dataset_status', ('d1', 'errors'), 'PUT', '/datasets/d1/status', {'status': 'errors'}),
        ('set_jobs_submitted', ('d1', 7), 'PUT', '/datasets/d1/jobs_submitted', {'jobs_submitted': 7}),
        ('set_priority', ('d1', 0.5), 'PUT', '/datasets/d1/priority', {'priority': 0.5}),
        ('set_user_priority', ('ada/x', 1), 'PUT', '/users/ada%2Fx/priority', {'priority': 1}),
        ('set_group_priority', ('simprod', 0.9), 'PUT', '/groups/simprod/priority', {'priority': 0.9}),
        ('set_retention', ('d1', None), 'PUT', '/datasets/d1/retention', {'days': None}),
        ('revoke_token', ('a.b.c',), 'POST', '/revocations', {'token': 'a.b.c'}),
        ('revoke_user', ('ada',), 'POST', '/revocations', {'user': 'ada'}),
        ('add_job', ('d1', 3), 'POST', '/jobs', {'dataset_id': 'd1', 'job_index': 3}),
        ('set_job_status', ('d1', 'j1', 'errors'), 'PUT', '/datasets/d1/jobs/j1/status', {'status': 'errors'}),
        (
            'set_requirements', ('d1', 'a/b', {'memory': 8}), 'PATCH',
            '/datasets/d1/task_actions/bulk_requirements/a%2Fb', {'memory': 8},
        ),
        ('act_on_tasks', ('d1', 'resume'), 'POST', '/datasets/d1/task_actions/resume', {'dry_run': False}),
        ('act_on_jobs', ('d1', 'rerun'), 'POST', '/datasets/d1/job_actions/rerun', {'dry_run': False}),
        ('act_on_dataset', ('d1', 'cancel'), 'POST', '/datasets/d1/dataset_actions/cancel', {'dry_run': False}),
    ],
)  # fmt: skip
async def test_each_change_has_its_route_and_body(
    method: str, arguments: tuple[Any, ...], verb: str, path: str, body: Any
) -> None:
    client, wire = client_of(says(200, {'result': 'j9'}))

    async with client:
        await getattr(client, method)(*arguments)

    assert (wire.requests[0].method, wire.requests[0].url.raw_path.decode()) == (verb, path)
    assert wire.bodies == [body]


@pytest.mark.parametrize(
    ('method', 'arguments', 'path'),
    [
        ('dataset_summaries', (), '/dataset_summaries/status'),
        ('job_summaries', ('d1',), '/datasets/d1/job_summaries/status'),
        ('dataset_job', ('d1', 'j1'), '/datasets/d1/jobs/j1'),
        ('dataset_task', ('d1', 't1'), '/datasets/d1/tasks/t1'),
        ('history', ('t1',), '/tasks/t1/history'),
    ],
)
async def test_each_reading_verb_has_its_route(method: str, arguments: tuple[Any, ...], path: str) -> None:
    client, wire = client_of(says(200, {'any': 'thing'}))

    async with client:
        found = await getattr(client, method)(*arguments)

    assert found == {'any': 'thing'}
    assert (wire.requests[0].method, wire.requests[0].url.path) == ('GET', path)


async def test_datasets_are_chosen_by_status_user_and_group() -> None:
    client, wire = client_of(says(200, {}))

    async with client:
        await client.datasets(['errors', 'complete'], ['status'], users=['ada'], groups=['a', 'b'])

    asked = {'status': 'errors|complete', 'keys': 'status', 'users': 'ada', 'groups': 'a|b'}
    assert dict(wire.requests[0].url.params) == asked


async def test_retention_leaves_the_archive_alone_unless_told() -> None:
    client, wire = client_of(says(200, {}))

    async with client:
        await client.set_retention('d1', 30, archive=False)

    assert wire.bodies == [{'days': 30, 'archive': False}]


async def test_a_patch_of_a_job_answers_the_job() -> None:
    client, wire = client_of(says(200, {'job_id': 'j1', 'colour': 'blue'}))

    async with client:
        job = await client.patch_job('j1', colour='blue')

    assert job['colour'] == 'blue'
    assert (wire.requests[0].method, wire.bodies) == ('PATCH', [{'colour': 'blue'}])


async def test_tasks_of_a_dataset_come_in_pages() -> None:
    client, wire = client_of(
        says(200, {'a': {'task_id': 'a'}}, Link='</datasets/d1/tasks?limit=1&after=b>; rel="next"'),
        says(200, {'c': {'task_id': 'c'}}),
    )

    async with client:
        tasks = client.each_task('d1', ['failed'], ['site'], name='gen', job_id='j1', page_size=1)
        found = [task['task_id'] async for task in tasks]

    assert found == ['a', 'c']
    first = {'status': 'failed', 'keys': 'site', 'name': 'gen', 'job_id': 'j1', 'limit': '1'}
    assert [dict(request.url.params) for request in wire.requests] == [first, {'limit': '1', 'after': 'b'}]


async def test_an_action_says_what_it_is_about_and_nothing_that_was_not_named() -> None:
    client, wire = client_of(says(200, {'changed': 1}))

    async with client:
        done = await client.act_on_tasks(
            'd1', 'suspend', jobs=('j1',), statuses=['waiting'], dry_run=True, reason='why'
        )
        await client.act_on_tasks('d1', 'suspend', tasks=[])

    assert done == {'changed': 1}
    chosen = {'dry_run': True, 'reason': 'why', 'jobs': ['j1'], 'statuses': ['waiting']}
    assert wire.bodies == [chosen, {'dry_run': False, 'tasks': []}]


async def test_an_action_may_take_an_hour_and_a_connection_may_not() -> None:
    client, wire = client_of(says(200, {}))

    async with client:
        await client.act_on_dataset('d1', 'suspend')
        await client.delete_dataset('d1')
        await client.dataset('d1')

    assert [request.extensions['timeout']['read'] for request in wire.requests] == [3600, 3600, 30]
    assert {request.extensions['timeout']['connect'] for request in wire.requests} == {30}


KEYED: list[tuple[str, tuple[Any, ...]]] = [
    ('submit_dataset', ({'description': 'd'},)), ('add_job', ('d1', 0)), ('set_statuses', ('d1', 'reset', ['t1'])),
    ('act_on_tasks', ('d1', 'hard_reset')), ('act_on_jobs', ('d1', 'reset')), ('act_on_dataset', ('d1', 'suspend')),
]  # fmt: skip


@pytest.mark.parametrize(('method', 'arguments'), KEYED)
@pytest.mark.parametrize('trouble', [refused(503), CUT])
async def test_what_makes_or_moves_things_is_repeated_with_one_key(
    method: str, arguments: tuple[Any, ...], trouble: Step
) -> None:
    client, wire = client_of(trouble, says(200, {'result': 'x'}))

    async with client:
        await getattr(client, method)(*arguments)

    keys = [request.headers['Idempotency-Key'] for request in wire.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1


@pytest.mark.parametrize(
    ('options', 'query'),
    [
        ({}, {}),
        ({'force': True}, {'force': 'true'}),
        ({'archive': False}, {'archive': 'false'}),
        ({'force': True, 'archive': True}, {'force': 'true', 'archive': 'true'}),
    ],
)
async def test_a_deletion_carries_its_choices(options: dict[str, bool], query: dict[str, str]) -> None:
    client, wire = client_of(says(200, {'deleted': {'tasks': 2}, 'archive': None}))

    async with client:
        done = await client.delete_dataset('d1', **options)

    assert done['deleted'] == {'tasks': 2}
    assert (wire.requests[0].method, dict(wire.requests[0].url.params)) == ('DELETE', query)


GOING_ON = says(202, {'deleting': True, 'stopping': 3})


async def test_a_deletion_that_goes_on_is_not_waited_for_unasked() -> None:
    client, wire = client_of(GOING_ON, refused(404))

    async with client:
        done = await client.delete_dataset('d1', force=True)

    assert done == {'deleting': True, 'stopping': 3}
    assert len(wire.requests) == 1


@pytest.mark.parametrize('gone', [refused(404, 'Dataset not found'), refused(403, 'authorization failed')])
async def test_a_deletion_is_looked_at_until_the_dataset_is_gone(gone: httpx2.Response, waits: list[float]) -> None:
    client, wire = client_of(GOING_ON, GOING_ON, gone)

    async with client:
        done = await client.delete_dataset('d1', force=True, wait=True, look_seconds=1.5)

    assert done == {'deleted': {}, 'archive': None}
    assert [request.method for request in wire.requests] == ['DELETE'] * 3
    assert waits == [1.5, 1.5]


@pytest.mark.parametrize(
    ('answers', 'error'),
    [
        ([refused(404)], NotFound),
        ([refused(403, 'authorization failed')], NotPermitted),
        ([GOING_ON, refused(409)], Conflict),
    ],
)
async def test_a_deletion_that_is_refused_is_no_success(answers: list[Step], error: type[ClientError]) -> None:
    client, _ = client_of(*answers)

    async with client:
        with pytest.raises(error):
            await client.delete_dataset('d1', wait=True)


async def read(client: AsyncClient) -> bytes:
    async with client:
        return b''.join([piece async for piece in client.archive('d1')])


async def test_an_archive_comes_in_pieces_as_it_is() -> None:
    client, wire = client_of(refused(503), httpx2.Response(200, content=b'\x1f\x8b not for us to unpack'))

    content = await read(client)

    assert content == b'\x1f\x8b not for us to unpack'
    assert [request.url.path for request in wire.requests] == ['/datasets/d1/archive'] * 2


class CutOff(httpx2.AsyncByteStream):
    """An answer that breaks in its middle."""

    async def __aiter__(self) -> Any:
        yield b'half'
        raise httpx2.RemoteProtocolError('incomplete chunked read')


async def test_an_archive_that_is_cut_off_is_an_error_and_not_begun_again() -> None:
    client, wire = client_of(httpx2.Response(200, stream=CutOff()))

    with pytest.raises(Unreachable, match='incomplete'):
        await read(client)

    assert len(wire.requests) == 1


class Unread(httpx2.AsyncByteStream):
    """A refusal that is still on its way."""

    async def __aiter__(self) -> Any:
        yield b'{"code": 404, "error": "Dataset not found"}'


async def test_an_archive_that_is_refused_says_why() -> None:
    client, _ = client_of(httpx2.Response(404, stream=Unread()))

    with pytest.raises(NotFound, match='Dataset not found'):
        await read(client)
