"""The verbs, as they stand on the wire."""

from typing import Any

import httpx2
import pytest

from iceprod_tasks.client import AsyncClient, Claim, ClientError, Conflict, NotFound, NoWork, Report, ServerError
from tests.client.wire import client_of, refused, says

HEARTBEAT = {'action': 'continue', 'why': '', 'again_in': 10, 'orders': [], 'lease_seconds': 300}
CLAIM = Claim({'task_id': 't1', 'dataset_id': 'd1', 'name': 'gen'}, 'ab' * 16, 2)


async def test_a_claim_carries_the_offer_and_a_fresh_id() -> None:
    client, wire = client_of(says(200, {'task_id': 't1', 'dataset_id': 'd1', 'epoch': 1}))

    async with client:
        first = await client.claim({'cpu': 2, 'site': 'here'}, site='here', pilot='me')
        second = await client.claim({'cpu': 2})

    assert wire.bodies[0] == {
        'requirements': {'cpu': 2, 'site': 'here'},
        'claim_id': first.claim_id,
        'site': 'here',
        'pilot': 'me',
    }
    assert len(bytes.fromhex(first.claim_id)) == 16
    assert first.claim_id != second.claim_id


async def test_every_request_carries_the_token() -> None:
    client, wire = client_of(says(200, {}))

    async with client:
        await client.datasets()

    assert wire.requests[0].headers['Authorization'] == 'Bearer secret'


async def test_no_work_is_an_exception_with_what_is_left() -> None:
    client, _ = client_of(refused(404, 'Task not found', left=4))

    async with client:
        with pytest.raises(NoWork) as caught:
            await client.claim({'cpu': 1})

    assert caught.value.left == 4


@pytest.mark.parametrize('body', [None, [], {}, {'task_id': 't1'}])
async def test_a_claim_answered_with_no_task_is_the_servers_error(body: Any) -> None:
    client, _ = client_of(says(200, body))

    async with client:
        with pytest.raises(ServerError):
            await client.claim({'cpu': 1})


@pytest.mark.parametrize(('method', 'action'), [('complete', 'complete'), ('reset', 'reset'), ('fail', 'failed')])
async def test_a_report_carries_the_claim_and_what_was_seen(method: str, action: str) -> None:
    client, wire = client_of(says(200, {}))
    report: Report = {'time_used': 1.5, 'exit_code': 3, 'resources': {'memory': 0.5}}

    async with client:
        await getattr(client, method)(CLAIM, **report)

    assert wire.requests[0].url.path == f'/tasks/t1/task_actions/{action}'
    assert wire.bodies == [{'claim_id': 'ab' * 16, 'epoch': 2, **report}]


async def test_a_lost_claim_is_a_conflict() -> None:
    client, _ = client_of(refused(409, "The claim is not the task's current claim"))

    async with client:
        with pytest.raises(Conflict):
            await client.hand_back(CLAIM, reason='stopped')


async def test_a_heartbeat_carries_the_claim_and_how_far_it_is() -> None:
    client, wire = client_of(says(200, HEARTBEAT))

    async with client:
        answer = await client.heartbeat(
            CLAIM, progress={'completed': 3, 'total': 9}, phase='running', resources={'memory': 0.5}
        )

    assert answer == HEARTBEAT
    assert wire.requests[0].url.path == '/tasks/t1/task_actions/heartbeat'
    said = {'progress': {'completed': 3, 'total': 9}, 'phase': 'running', 'resources': {'memory': 0.5}}
    assert wire.bodies == [{'claim_id': 'ab' * 16, 'epoch': 2, **said}]


async def test_a_bare_heartbeat_says_nothing_but_the_claim() -> None:
    client, wire = client_of(says(200, HEARTBEAT))

    async with client:
        await client.heartbeat(CLAIM)

    assert wire.bodies == [{'claim_id': 'ab' * 16, 'epoch': 2}]


async def test_a_heartbeat_that_was_cut_off_is_repeated(waits: list[float]) -> None:
    client, wire = client_of(httpx2.ReadError('cut'), says(200, HEARTBEAT))

    async with client:
        await client.heartbeat(CLAIM)

    assert len(wire.requests) == 2
    assert len(waits) == 1


@pytest.mark.parametrize(('code', 'kind'), [(409, Conflict), (404, NotFound)])
async def test_a_heartbeat_of_a_lost_claim_says_why(code: int, kind: type[ClientError]) -> None:
    lost = {'action': 'stop', 'why': 'it is queued', 'again_in': 0, 'orders': []}
    client, _ = client_of(refused(code, "The claim is not the task's current claim", **lost))

    async with client:
        with pytest.raises(kind) as caught:
            await client.heartbeat(CLAIM)

    assert caught.value.body['why'] == 'it is queued'


@pytest.mark.parametrize('body', [None, [], {}, {'action': 'continue'}])
async def test_a_heartbeat_answered_with_something_else_is_the_servers_error(body: Any) -> None:
    client, _ = client_of(says(200, body))

    async with client:
        with pytest.raises(ServerError):
            await client.heartbeat(CLAIM)


async def test_a_listing_follows_the_cursor_to_its_end() -> None:
    client, wire = client_of(
        says(200, {'tasks': [{'task_id': 'a'}, {'task_id': 'b'}]}, Link='</tasks?status=idle&after=b>; rel="next"'),
        says(200, {'tasks': [{'task_id': 'c'}]}),
    )

    async with client:
        found = [task['task_id'] async for task in client.tasks(['idle', 'waiting'], ['task_id'], page_size=2)]

    assert found == ['a', 'b', 'c']
    assert wire.requests[0].url.params['status'] == 'idle|waiting'
    assert wire.requests[1].url.params['after'] == 'b'


async def test_a_cursor_never_leads_to_another_server() -> None:
    client, wire = client_of(
        says(200, {'tasks': []}, Link='<http://elsewhere/tasks?after=b>; rel="next"'), says(200, {'tasks': []})
    )

    async with client:
        assert [task async for task in client.tasks()] == []

    assert [request.url.host for request in wire.requests] == ['service', 'service']


async def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    client, wire = client_of(says(200, {}))

    async with client:
        await client.task('../datasets/d1?x')

    assert wire.requests[0].url.raw_path == b'/tasks/..%2Fdatasets%2Fd1%3Fx'


@pytest.mark.parametrize(
    ('method', 'arguments', 'verb', 'path'),
    [
        ('config', ('d1',), 'GET', '/config/d1'),
        ('dataset', ('d1',), 'GET', '/datasets/d1'),
        ('datasets', (), 'GET', '/datasets'),
        ('dataset_tasks', ('d1',), 'GET', '/datasets/d1/tasks'),
        ('health', (), 'GET', '/healthz'),
        ('job', ('j1',), 'GET', '/jobs/j1'),
        ('job_counts', ('d1',), 'GET', '/datasets/d1/job_counts/status'),
        ('jobs', ('d1',), 'GET', '/datasets/d1/jobs'),
        ('name_status_counts', ('d1',), 'GET', '/datasets/d1/task_counts/name_status'),
        ('set_config', ('d1', {}), 'PUT', '/config/d1'),
        ('set_status', ('t1', 'reset'), 'PUT', '/tasks/t1/status'),
        ('set_statuses', ('d1', 'reset', ['t1']), 'POST', '/datasets/d1/task_actions/bulk_status/reset'),
        ('task_counts', (), 'GET', '/task_counts/status'),
        ('task_counts', ('d1',), 'GET', '/datasets/d1/task_counts/status'),
        ('task_stats', ('d1',), 'GET', '/datasets/d1/task_stats'),
    ],
)
async def test_each_verb_has_its_route(method: str, arguments: tuple[Any, ...], verb: str, path: str) -> None:
    client, wire = client_of(says(200, {'any': 'thing'}))

    async with client:
        await getattr(client, method)(*arguments)

    assert (wire.requests[0].method, wire.requests[0].url.path) == (verb, path)


async def test_messages_and_files_come_without_their_wrapping() -> None:
    client, _ = client_of(says(200, {'messages': [{'reason': 'x'}]}), says(200, {'files': [{'filename': 'f'}]}))

    async with client:
        messages, files = await client.messages('t1'), await client.files('d1', 't1')

    assert (messages, files) == ([{'reason': 'x'}], [{'filename': 'f'}])


def test_the_token_is_not_in_the_clients_text() -> None:
    client = AsyncClient('http://service', 'very secret')

    assert 'very secret' not in repr(client)


async def test_the_demand_is_asked_for() -> None:
    row = {'requirements': {'cpu': 1}, 'waiting': 1, 'queued': 2, 'unmade': 3}
    client, wire = client_of(says(200, {'demand': [row]}))

    async with client:
        assert await client.task_demand() == [row]

    assert (wire.requests[0].method, wire.requests[0].url.path) == ('GET', '/task_demand')


@pytest.mark.parametrize(
    ('given', 'query'), [({}, 'limit=10'), ({'dataset_id': 'd 1', 'limit': 3}, 'limit=3&dataset_id=d+1')]
)
async def test_the_order_of_tasks_is_asked_for(given: dict[str, Any], query: str) -> None:
    client, wire = client_of(says(200, {'tasks': [{'task_id': 't1', 'factors': None}]}))

    async with client:
        tasks = await client.task_order(**given)

    assert tasks == [{'task_id': 't1', 'factors': None}]
    assert (wire.requests[0].url.path, wire.requests[0].url.query.decode()) == ('/task_order', query)
