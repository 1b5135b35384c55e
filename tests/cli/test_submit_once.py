"""`iceprod-tasks submit` over a connection that loses answers makes one dataset."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from iceprod_tasks.client import AsyncClient, Conflict, NewDataset, Unreachable
from tests.cli.typed import Said, typed
from tests.conftest import Api

Chores = Callable[[], Awaitable[None]]

CONFIG = {'version': 1, 'description': 'once', 'tasks': [{'name': 'gen', 'command': 'true'}]}
DATASET: NewDataset = {
    'description': 'once', 'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'group': 'users',
}  # fmt: skip


class Losing(httpx2.AsyncBaseTransport):
    """The network, but for answers to the first few submissions: those get lost after the service has sent them."""

    def __init__(self, lost: int) -> None:
        self._network = httpx2.AsyncHTTPTransport()
        self.lost = lost

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._network.handle_async_request(request)
        if request.method == 'POST' and self.lost:
            self.lost -= 1
            await response.aclose()
            raise httpx2.ReadError('the answer got lost', request=request)
        return response

    async def aclose(self) -> None:
        await self._network.aclose()


async def with_chores(chores: Chores, typing: Awaitable[Said]) -> Said:
    """What a command says that waits for chores."""
    command = asyncio.ensure_future(typing)
    while not command.done():
        await chores()
        await asyncio.sleep(0.1)
    return await command


async def datasets(api: Api) -> list[str]:
    return [each['dataset_id'] async for each in api.database.datasets.find()]


@pytest.mark.parametrize('lost', [0, 1, 3])
async def test_a_submission_whose_answers_get_lost_makes_one_dataset(api: Api, lost: int) -> None:
    network = Losing(lost)
    async with AsyncClient(api.url, api.token('admin'), transport=network) as client:
        dataset_id = await client.submit_dataset(DATASET)

    assert network.lost == 0
    assert await datasets(api) == [dataset_id]


async def test_a_program_that_was_restarted_goes_on_with_its_key(api: Api) -> None:
    async with AsyncClient(api.url, api.token('admin'), transport=Losing(1), retry_seconds=0) as client:
        with pytest.raises(Unreachable):
            await client.submit_dataset(DATASET, idempotency_key='mine')

    async with AsyncClient(api.url, api.token('admin')) as client:
        dataset_id = await client.submit_dataset(DATASET, idempotency_key='mine')
        with pytest.raises(Conflict, match='Idempotency-Key'):
            await client.submit_dataset({**DATASET, 'description': 'other'}, idempotency_key='mine')

    assert await datasets(api) == [dataset_id]


async def test_a_reset_whose_answer_gets_lost_is_done_once(api: Api) -> None:
    task_id = await api.add_task(status='failed')
    async with AsyncClient(api.url, api.token('admin'), transport=Losing(1)) as client:
        done = await client.act_on_tasks('d1', 'reset')

    assert done['changed'] == 1
    assert len((await api.task(task_id))['log']) == 1


@asynccontextmanager
async def losing_first_answer(api: Api) -> AsyncIterator[Api]:
    """An address where the first answer to a submission is lost after the service has sent it."""
    lost = False

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: Callable[[], bool]) -> None:
        while (data := await reader.read(65536)) and not stop():
            writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        onward_reader, onward_writer = await asyncio.open_connection('127.0.0.1', httpx2.URL(api.url).port)
        head = await reader.readuntil(b'\r\n\r\n')
        onward_writer.write(head)
        drop = head.startswith(b'POST /datasets ') and not lost
        lost = lost or drop
        both = (pass_on(reader, onward_writer, lambda: False), pass_on(onward_reader, writer, lambda: drop))
        await asyncio.gather(*both)

    server = await asyncio.start_server(connected, '127.0.0.1', 0, family=socket.AF_INET)
    async with server:
        other = object.__new__(Api)
        other.__dict__ |= {**api.__dict__, 'url': f'http://127.0.0.1:{server.sockets[0].getsockname()[1]}'}
        yield other
        assert lost


async def test_the_command_submits_once_when_its_answer_gets_lost(api: Api, chores: Chores, tmp_path: Path) -> None:
    file = tmp_path / 'once.json'
    file.write_text(json.dumps(CONFIG))

    async with losing_first_answer(api) as network:
        said = await with_chores(chores, typed(network, 'submit', str(file), '--json'))

    assert await datasets(api) == [said.json['dataset_id']]


async def test_the_command_takes_a_key(api: Api, chores: Chores, tmp_path: Path) -> None:
    file = tmp_path / 'once.json'
    file.write_text(json.dumps(CONFIG))
    words = ('submit', str(file), '--idempotency-key', 'mine')
    first, second = [await with_chores(chores, typed(api, *words)) for _ in range(2)]

    assert first.out == second.out
    assert await datasets(api) == [first.out.strip()]
    said = await typed(api, *words, '--jobs', '2', code=5)
    assert 'used for another request' in said.err
