"""Fixtures for the whole suite: a real mongod and a real service for each test process, an empty database a test."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pymongo
import pytest
from hypothesis import settings as hypothesis_settings
from pymongo.asynchronous.database import AsyncDatabase

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.tasks import KEY_FIELDS
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.server import Running, running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded
from tests.leaks import Listener

# How long an example takes says more about what else this machine does.
hypothesis_settings.register_profile('any time', deadline=None)
hypothesis_settings.load_profile('any time')

DRIVER = os.environ.get('MONGODB_DRIVER', 'motor')
"""What the service under test uses; `scripts/test` runs a part of the suite on the other one."""

SECRET = 'a secret for tests, of more than 32 bytes'


@pytest.fixture(scope='session')
def listener() -> Iterator[Listener]:
    """Hears all that is logged in this test process."""
    listener = Listener([SECRET])
    ours = logging.getLogger('iceprod_tasks')
    ours.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(listener)
    yield listener
    logging.getLogger().removeHandler(listener)


@pytest.fixture(autouse=True)
def no_secret_is_logged(listener: Listener) -> Iterator[None]:
    """Fails a test in which a token, the secret or a password gets into the log."""
    listener.heard.clear()
    yield
    assert listener.heard == []


@pytest.fixture(scope='session')
async def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The connection string of this test process's mongod; the kernel ends it even when pytest is killed."""
    mongod = await embedded.start(tmp_path_factory.mktemp('mongod'), cache_gb=0.5)
    yield mongod.url
    await mongod.stop()


@pytest.fixture
def database_name(mongodb_url: str) -> Iterator[str]:
    """The name of an empty database, dropped after the test."""
    name = f'test_{uuid4().hex}'
    yield name
    with pymongo.MongoClient(mongodb_url) as client:
        client.drop_database(name)


@dataclass(frozen=True)
class Answer:
    """An answer of the service, short to write about in tests."""

    status: int
    body: Any
    headers: httpx2.Headers
    text: str


class Api:
    """The service under test, asked over HTTP as somebody."""

    def __init__(self, up: Running, tokens: Tokens, database: AsyncDatabase[dict[str, Any]]) -> None:
        self.url = f'http://127.0.0.1:{up.port}'
        self.service: Service = up.service
        self.database = database
        self._tokens = tokens
        self._http = httpx2.AsyncClient(base_url=self.url, timeout=60)
        self._token = tokens.mint('root', ['admin'], [], 3600)

    def token(self, role: str, name: str = 'someone', groups: tuple[str, ...] = ()) -> str:
        """A token of one role."""
        return self._tokens.mint(name, [role], groups, 3600)

    def as_(self, role: str, name: str = 'someone', groups: tuple[str, ...] = ()) -> 'Api':
        """The same service, asked by somebody else than an admin."""
        return self.with_token(name, (role,), groups)

    def with_token(self, name: str, roles: tuple[str, ...], groups: tuple[str, ...] = ()) -> 'Api':
        """The same service, asked with a token of any roles."""
        other = object.__new__(Api)
        other.__dict__ |= {**self.__dict__, '_token': self._tokens.mint(name, roles, groups, 3600)}
        return other

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Send a request; `body` is sent as JSON, `content` in options as it is, said to be JSON."""
        headers = {'Authorization': f'Bearer {self._token}', **options.pop('headers', {})}
        if 'content' in options:
            headers.setdefault('Content-Type', 'application/json')
        if body is not None:
            options['json'] = body
        response = await self._http.request(method, path, headers=headers, **options)
        is_json = 'application/json' in response.headers.get('content-type', '')
        return Answer(response.status_code, response.json() if is_json else None, response.headers, response.text)

    async def add_task(self, **fields: Any) -> str:
        """Store a task by POST /tasks; its id."""
        task = {
            'dataset_id': 'd1', 'job_id': 'j1', 'task_index': 0, 'job_index': 0, 'name': 'gen', 'depends': [],
            'requirements': {}, 'status': 'queued', **fields,
        }  # fmt: skip
        answer = await self('POST', '/tasks', task)
        assert answer.status == 201, answer.text
        return str(answer.body['result'])

    async def task(self, task_id: str) -> dict[str, Any]:
        """A task as an admin reads it, and the keys to its claims, which nobody but their claimants can read."""
        answer = await self.as_('admin')('GET', f'/tasks/{task_id}')
        assert answer.status == 200, answer.text
        stored = await self.database.tasks.find_one({'task_id': task_id}) or {}
        if len(stored['log']) != len(answer.body['log']):
            # It has gone on between the two readings.
            return await self.task(task_id)
        claims = [entry.get('claim', '') for entry in stored['log']]
        log = [{**entry, 'claim': claim} for entry, claim in zip(answer.body['log'], claims, strict=True)]
        return {**answer.body, 'log': log} | {key: stored[key] for key in KEY_FIELDS if key in stored}

    async def add_dataset(self, tasks: list[dict[str, Any]], jobs: int = 1, **fields: Any) -> str:
        """Submit a dataset with a config; its id. Nothing is materialized until the scheduler runs."""
        config = {'version': 1, 'description': 'a test', 'tasks': tasks}
        dataset = {
            'description': 'a test', 'jobs_submitted': jobs, 'tasks_submitted': jobs * len(tasks),
            'tasks_per_job': len(tasks), 'group': 'simprod', 'config': config, **fields,
        }  # fmt: skip
        answer = await self('POST', '/datasets', dataset)
        assert answer.status == 201, answer.text
        return str(answer.body['result']).rpartition('/')[2]

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()


@pytest.fixture(scope='session')
async def shared_api(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One service for all tests of a process; use `api`."""
    name = f'test_{uuid4().hex}'
    tokens = Tokens(SECRET)
    settings = Settings(
        token_secret=SECRET, port=0, scheduler=False, mongodb_database=name, retry_delay_seconds=0.0,
        archive_dir=tmp_path_factory.mktemp('archive'), mongodb_driver=DRIVER,
        leader_lease_seconds=300.0,
    )  # fmt: skip
    client: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(mongodb_url)
    async with client, running(settings, mongodb_url, tokens) as up:
        api = Api(up, tokens, client[name])
        # Tests write behind the service's back.
        up.service.store.tallies.fresh_seconds = 0
        yield api
        await api.close()


@pytest.fixture
async def api(shared_api: Api) -> Api:
    """The service with nothing in it, asked as an admin; chores run only when a test runs them."""
    # Who leads goes on to.
    all_names = await shared_api.database.list_collection_names()
    names = [name for name in all_names if name != 'leaders' and not name.startswith('system.')]
    sizes = await asyncio.gather(*(shared_api.database[name].estimated_document_count() for name in names))
    full = [name for name, size in zip(names, sizes, strict=True) if size]
    await asyncio.gather(*(shared_api.database[name].delete_many({}) for name in full))
    return shared_api


@pytest.fixture
def chores(api: Api) -> Callable[[], Any]:
    """Runs all chores until none changes anything."""
    scheduler = Scheduler(api.service)

    async def run() -> None:
        for _ in range(100):
            if not await scheduler.follow() + await scheduler.sweep():
                return
        raise AssertionError('the chores do not come to rest')

    return run
