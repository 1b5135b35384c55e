"""The connection: what is refused at start, and how the loss of the database looks to a client."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pymongo.errors import DuplicateKeyError

from iceprod_tasks.domain.errors import CannotStart, NoTransactions
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded, mongod_binary
from iceprod_tasks.storage.client import Collection, Duplicate, connect
from iceprod_tasks.storage.store import Store
from tests.conftest import DRIVER, SECRET, Api
from tests.journeys.commands import Commands

TASK = {
    'dataset_id': 'd', 'job_id': 'j', 'task_index': 0, 'job_index': 0, 'name': 'n', 'depends': [], 'requirements': {},
}  # fmt: skip


@pytest.fixture
async def mongod(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedMongod]:
    mongod = await embedded.start(tmp_path / 'own', cache_gb=0.25)
    yield mongod
    await mongod.stop()


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    argv = [
        *(str(mongod_binary.find()), '--dbpath', str(tmp_path), '--bind_ip', '127.0.0.1', '--port', str(port)),
        *('--networkMessageCompressors', 'disabled', '--nounixsocket'),
    ]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    yield f'mongodb://127.0.0.1:{port}/'
    process.kill()
    process.wait()


async def test_a_standalone_mongod_is_refused_unless_weak_durability_is_allowed(standalone: str) -> None:
    store = Store(standalone, 'test')

    with pytest.raises(CannotStart, match='--allow-weak-durability'):
        await store.prepare()
    await store.prepare(allow_weak_durability=True)

    await store.close()


def test_what_can_be_lost_is_printed_logged_and_told_by_readyz(standalone: str, tmp_path: Path) -> None:
    (tmp_path / 'service').mkdir()
    with Commands(tmp_path / 'service') as commands:
        commands.serve('--mongodb-url', standalone, '--allow-weak-durability')
        ready = httpx2.get(f'{commands.url}/readyz')
        said = commands.log('serve.log')

    assert (ready.status_code, len(ready.json()['warnings'])) == (200, 1)
    warning = ready.json()['warnings'][0]
    assert 'standalone' in warning
    assert 'can lose results' in warning
    assert f'iceprod-tasks warns: {warning}\n' in said
    logged = [json.loads(line) for line in said.splitlines() if line.startswith('{')]
    assert [line['message'] for line in logged if line['level'] == 'WARNING'] == [warning]


async def test_two_first_writes_at_once_of_one_document_are_both_done(api: Api) -> None:
    class Racing:
        """A collection in which somebody else is faster by a moment, the first time."""

        def __init__(self) -> None:
            self.lost = 0

        def __getattr__(self, name: str) -> Any:
            async def verb(*arguments: Any, **options: Any) -> Any:
                if not self.lost:
                    self.lost += 1
                    raise DuplicateKeyError('E11000', 11000)
                return await getattr(api.database.messages, name)(*arguments, **options)

            return verb

    update, replace = Racing(), Racing()

    await Collection(update).update_one({'message_id': 'a'}, {'$set': {'text': 'one'}}, upsert=True)
    await Collection(replace).replace_one({'message_id': 'b'}, {'message_id': 'b', 'text': 'two'})
    with pytest.raises(Duplicate):
        await Collection(Racing()).update_one({'message_id': 'a'}, {'$set': {'message_id': 'b'}})

    assert (update.lost, replace.lost) == (1, 1)
    assert await api.database.messages.count_documents({'text': {'$in': ['one', 'two']}}) == 2


async def test_an_index_of_the_same_name_and_another_kind_is_refused(
    api: Api, mongodb_url: str, database_name: str
) -> None:
    other = api.database.client[database_name]
    await other.tasks.create_index([('name', 1)], name='task_id')
    store = Store(mongodb_url, database_name, DRIVER)

    with pytest.raises(CannotStart, match=r'indexes of .*tasks cannot be made'):
        await store.prepare()

    await store.close()


async def test_a_start_leaves_other_indexes_alone(api: Api, mongodb_url: str, database_name: str) -> None:
    other = api.database.client[database_name]
    await other.tasks.create_index([('mine', 1)], name='of_an_operator')
    store = Store(mongodb_url, database_name, DRIVER)

    await store.prepare()
    await store.prepare()

    assert 'of_an_operator' in await other.tasks.index_information()
    await store.close()


NEEDS_DATABASE = [
    ('POST', '/task_actions/process', {'claim_id': 'a' * 32}),
    ('POST', '/task_actions/queue', {}),
    ('POST', '/tasks/x/task_actions/complete', {}),
    ('POST', '/tasks', TASK),
    ('POST', '/task_actions/bulk_status/reset', {'tasks': ['x']}),
    ('GET', '/tasks/x', None),
    ('GET', '/tasks?limit=5', None),
    ('GET', '/tasks', None),
    ('GET', '/task_counts/status', None),
    ('GET', '/datasets/x/task_stats', None),
]


async def test_without_its_database_the_service_says_repeat(mongod: embedded.EmbeddedMongod) -> None:
    tokens = Tokens(SECRET)
    headers = {'Authorization': f'Bearer {tokens.mint("root", ["admin"], [], 60)}'}
    async with running(Settings(token_secret=SECRET, port=0, scheduler=False), mongod.url, tokens) as up:
        mongod.kill()
        async with httpx2.AsyncClient(base_url=f'http://127.0.0.1:{up.port}', headers=headers, timeout=30) as http:
            asked = [http.request(method, path, json=body) for method, path, body in NEEDS_DATABASE]
            answers = await asyncio.gather(*asked)
            alive = await http.get('/healthz')

    assert [answer.status_code for answer in answers] == [503] * len(NEEDS_DATABASE)
    assert all(int(answer.headers['Retry-After']) > 0 for answer in answers)
    assert all(answer.json()['code'] == 503 for answer in answers)
    assert alive.status_code == 200


async def test_the_service_goes_on_when_its_database_is_back(mongod: embedded.EmbeddedMongod) -> None:
    tokens = Tokens(SECRET)
    headers = {'Authorization': f'Bearer {tokens.mint("root", ["admin"], [], 60)}'}
    async with running(Settings(token_secret=SECRET, port=0), mongod.url, tokens) as up:
        async with httpx2.AsyncClient(base_url=f'http://127.0.0.1:{up.port}', headers=headers, timeout=60) as http:
            made = (await http.post('/tasks', json=TASK)).json()['result']
            mongod.kill()
            again = await embedded.start(mongod.folder, port=mongod.port, cache_gb=0.25)
            answers = [await http.get(f'/tasks/{made}') for _ in range(20)]
        await again.stop()

    assert {answer.status_code for answer in answers} <= {200, 503}
    assert answers[-1].status_code == 200


@pytest.mark.parametrize(('driver', 'other'), [('motor', 'motor.motor_asyncio'), ('pymongo', 'pymongo.asynchronous')])
def test_each_driver_is_used_where_it_was_chosen(driver: str, other: str) -> None:
    assert type(connect('mongodb://db.example/', driver)).__module__.startswith(other)


def test_a_service_on_pymongo_does_not_load_motor() -> None:
    # The private mongod is asked by the chosen driver, too.
    text = 'import sys; from iceprod_tasks.storage.client import connect; import iceprod_tasks.server;'
    text += "connect('mongodb://db.example/', 'pymongo'); print('motor' in sys.modules)"

    said = subprocess.run([sys.executable, '-W', 'ignore', '-c', text], capture_output=True, text=True, check=True)

    assert said.stdout == 'False\n'


async def test_on_a_standalone_mongod_a_fenced_write_says_what_is_missing(standalone: str) -> None:
    store = Store(standalone, 'test')
    written = store.collection('things')
    await store.leaders.take('http://a:8080', 10)

    with pytest.raises(NoTransactions, match='make it a replica set'):
        await store.leaders.fenced(
            'http://a:8080', 1, lambda session: written.insert_one({'_id': 'thing'}, session=session)
        )

    assert await written.count({}) == 0
    await store.close()
