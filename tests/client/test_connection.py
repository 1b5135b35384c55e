"""What is repeated and what is not."""

import asyncio

import httpx2
import pytest

from iceprod_tasks.client import (
    AsyncClient,
    BadRequest,
    Claim,
    NewDataset,
    Overloaded,
    ServerError,
    Unreachable,
)
from tests.client.wire import client_of, refused, says

TASK = {'task_id': 't1', 'dataset_id': 'd1', 'epoch': 3}
CLAIM = Claim({'task_id': 't1', 'dataset_id': 'd1'}, '0' * 32, 3)
DATASET: NewDataset = {
    'description': 'a test',
    'jobs_submitted': 1,
    'tasks_submitted': 1,
    'tasks_per_job': 1,
    'group': 'users',
}


pytestmark = pytest.mark.usefixtures('waits')


@pytest.mark.parametrize(
    'trouble',
    [refused(429), refused(502), refused(503), refused(504), httpx2.ConnectError('no'), httpx2.ReadTimeout('')],
)
async def test_a_read_is_repeated_until_it_is_answered(trouble: httpx2.Response | Exception) -> None:
    client, wire = client_of(trouble, trouble, says(200, TASK))

    async with client:
        task = await client.task('t1')

    assert task == TASK
    assert len(wire.requests) == 3


async def test_a_claim_is_repeated_with_the_same_claim_id() -> None:
    client, wire = client_of(refused(503), httpx2.ReadError('cut'), says(200, TASK))

    async with client:
        claim = await client.claim({'cpu': 1})

    assert claim.epoch == 3
    assert len(wire.bodies) == 3
    assert {body['claim_id'] for body in wire.bodies} == {claim.claim_id}


async def test_a_report_is_repeated_as_it_was() -> None:
    client, wire = client_of(refused(503), says(200, {}))

    async with client:
        await client.complete(CLAIM, time_used=2.5)

    assert wire.bodies == [{'claim_id': '0' * 32, 'epoch': 3, 'time_used': 2.5}] * 2


@pytest.mark.parametrize('trouble', [refused(503), refused(429), httpx2.ReadTimeout(''), httpx2.ReadError('cut')])
async def test_a_submission_that_may_have_arrived_is_repeated_with_its_key(
    trouble: httpx2.Response | Exception,
) -> None:
    client, wire = client_of(trouble, trouble, says(201, {'result': '/datasets/d1'}))

    async with client:
        await client.submit_dataset(DATASET)
        await client.submit_dataset(DATASET)

    *first, second = [request.headers['Idempotency-Key'] for request in wire.requests]
    assert len(first) == 3
    assert len(set(first)) == 1
    assert second not in first


async def test_a_submission_carries_the_key_that_its_caller_gives() -> None:
    client, wire = client_of(says(201, {'result': '/datasets/d1'}))

    async with client:
        await client.submit_dataset(DATASET, idempotency_key='mine')

    assert wire.requests[0].headers['Idempotency-Key'] == 'mine'


async def test_a_read_and_a_claim_carry_no_key() -> None:
    client, wire = client_of(says(200, TASK))

    async with client:
        await client.task('t1')
        await client.claim({})

    assert not any('Idempotency-Key' in request.headers for request in wire.requests)


async def test_a_submission_that_never_left_is_repeated() -> None:
    client, wire = client_of(httpx2.ConnectError('refused'), says(201, {'result': '/datasets/d1'}))

    async with client:
        dataset_id = await client.submit_dataset(DATASET)

    assert dataset_id == 'd1'
    assert len(wire.requests) == 2


async def test_a_refusal_is_not_repeated() -> None:
    client, wire = client_of(refused(400))

    async with client:
        with pytest.raises(BadRequest):
            await client.task('t1')

    assert len(wire.requests) == 1


async def test_retry_after_is_the_shortest_wait(waits: list[float]) -> None:
    client, _ = client_of(says(503, {}, Retry_After='7'), says(200, TASK))

    async with client:
        await client.task('t1')

    assert 7 <= waits[0] <= 7.2


async def test_a_wait_beyond_the_patience_ends_the_retries() -> None:
    client, wire = client_of(says(429, {}, Retry_After='31'), retry_seconds=30)

    async with client:
        with pytest.raises(Overloaded) as caught:
            await client.task('t1')

    assert caught.value.retry_after_seconds == 31
    assert len(wire.requests) == 1


async def test_no_answer_at_all_is_unreachable_in_the_end() -> None:
    client, _ = client_of(httpx2.ConnectError('refused'), retry_seconds=0)

    async with client:
        with pytest.raises(Unreachable, match='refused') as caught:
            await client.task('t1')

    assert caught.value.code == 0


async def test_a_more_patient_client_shares_the_connections() -> None:
    client, wire = client_of(refused(503), refused(503), says(200, TASK), retry_seconds=0)

    async with client:
        task = await client.retrying(None).task('t1')

    assert task == TASK
    assert len(wire.requests) == 3


async def test_a_real_port_that_nobody_listens_on_is_unreachable() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    async with AsyncClient(f'http://127.0.0.1:{port}', retry_seconds=0) as client:
        with pytest.raises(Unreachable) as caught:
            await client.health()

    assert not caught.value.sent


async def test_an_answer_that_is_not_json_is_the_servers_error() -> None:
    client, _ = client_of(httpx2.Response(200, text='<html>'))

    async with client:
        with pytest.raises(ServerError, match='not JSON'):
            await client.task('t1')


@pytest.mark.parametrize('server', ['', 'service:8080', 'ftp://service', 'http://', 'http://service/?a=b'])
def test_an_address_that_is_none_is_refused_at_once(server: str) -> None:
    with pytest.raises(ValueError, match='not the address of a service'):
        AsyncClient(server)
