"""Fixtures for tests of what is next to the drivers: each of them, on a mongod that fails when it is told to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pymongo import common

from iceprod_tasks.settings import DRIVERS
from iceprod_tasks.storage import embedded, mongod_binary
from iceprod_tasks.storage.client import Client, Collection, close, collection, connect


@pytest.fixture(scope='session')
async def breakable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[embedded.EmbeddedMongod]:
    """A mongod with fail points."""
    plain = mongod_binary.command
    with pytest.MonkeyPatch.context() as patched:
        more = ('--setParameter', 'enableTestCommands=1')
        patched.setattr(mongod_binary, 'command', lambda *arguments: [*plain(*arguments), *more])
        mongod = await embedded.start(tmp_path_factory.mktemp('breakable'), cache_gb=0.25)
    yield mongod
    await mongod.stop()


class Database:
    """An empty database, as storage has it by one of the drivers, and as tests look at it.

    Args:
        mongod: where it is.
        driver: by which storage uses it.
        plain: the tests' own client.
    """

    def __init__(self, mongod: embedded.EmbeddedMongod, driver: str, plain: Any, stack: AsyncExitStack) -> None:
        self._mongod = mongod
        self.port = mongod.port
        self._driver = driver
        self._name = f'test_{uuid4().hex}'
        self._stack = stack
        self.plain = plain[self._name]
        self.admin = plain.admin

    def client(self, options: str = '') -> Client:
        """One more client, as storage makes them."""
        client = connect('&'.join(filter(None, (self._mongod.url, options))), self._driver)
        self._stack.push_async_callback(close, client)
        return client

    def collection(self, options: str = '') -> Collection:
        """The collection `things`, by a client of its own."""
        return collection(self.client(options), self._name, 'things')

    @asynccontextmanager
    async def broken(self, commands: list[str], mode: Any = 'alwaysOn', **how: Any) -> AsyncIterator[None]:
        """Have commands fail in storage's clients; those of the tests do not."""
        data = {'failCommands': commands, 'appName': 'iceprod_tasks', **how}
        await self.admin.command({'configureFailPoint': 'failCommand', 'mode': mode, 'data': data})
        try:
            yield
        finally:
            await self.admin.command({'configureFailPoint': 'failCommand', 'mode': 'off'})


@pytest.fixture(params=DRIVERS)
async def database(
    breakable: embedded.EmbeddedMongod, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """An empty database, by each of the drivers."""
    # A driver waits so long before it looks again at a server that failed.
    monkeypatch.setattr(common, 'MIN_HEARTBEAT_INTERVAL', 0.01)
    async with AsyncExitStack() as stack:
        plain: Any = await stack.enter_async_context(pymongo.AsyncMongoClient[dict[str, Any]](breakable.url))
        made = Database(breakable, request.param, plain, stack)
        await made.plain.create_collection('things')
        yield made
        await plain.drop_database(made.plain.name)
