"""Fixtures for the whole suite: a real mongod for each test process, a database of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pymongo
import pytest

from iceprod_tasks.storage import embedded


@pytest.fixture(scope='session')
async def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The connection string of this test process's mongod; the kernel ends it even when pytest is killed."""
    mongod = await embedded.start(tmp_path_factory.mktemp('mongod'), cache_gb=0.25)
    yield mongod.url
    await mongod.stop()


@pytest.fixture
def database_name(mongodb_url: str) -> Iterator[str]:
    """The name of an empty database, dropped after the test."""
    name = f'test_{uuid4().hex}'
    yield name
    with pymongo.MongoClient(mongodb_url) as client:
        client.drop_database(name)
