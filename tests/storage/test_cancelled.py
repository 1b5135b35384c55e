"""Whoever asks the database may give up at any moment: no connection is lost by that, none gives wrong answers."""

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psutil
import pytest

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.storage.client import Collection
from tests.storage.conftest import Database

# PyMongo forgets the socket of a connection that it was about to open; it is closed at once, but not by a word of it.
pytestmark = pytest.mark.filterwarnings(
    'ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning'
)

CONNECTIONS = 3
POOL = f'maxPoolSize={CONNECTIONS}&timeoutMS=3000'


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """Closes them while it is known where they come from, and not in a later test."""
    yield
    gc.collect()


async def given_up(asked: Coroutine[Any, Any, Any], after_seconds: float) -> None:
    task = asyncio.create_task(asked)
    await asyncio.sleep(after_seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def all_of(things: Collection, *stages: dict[str, Any]) -> list[Any]:
    if stages:
        return [each async for each in things.aggregate(list(stages), batchSize=5)]
    return [each async for each in things.find({}, batch_size=5)]


async def all_connections_work(database: Database, things: Collection) -> None:
    """As many questions as there may be connections can be under way at once, and each gets its own answer."""
    async with database.broken(['find'], blockConnection=True, blockTimeMS=200), asyncio.timeout(10):
        took_seconds = 10.0
        # What was given up may still be at its end: with Motor it goes on.
        while took_seconds > 0.2 * CONNECTIONS:
            began = time.monotonic()
            answers = await asyncio.gather(*(things.find_one({'_id': each}) for each in range(CONNECTIONS)))
            took_seconds = time.monotonic() - began
            assert [answer['_id'] for answer in answers] == list(range(CONNECTIONS))


def sockets_to(database: Database) -> int:
    return sum(each.raddr[1:] == (database.port,) for each in psutil.Process().net_connections('tcp'))


async def open_cursors(database: Database) -> int:
    return int((await database.admin.command('serverStatus'))['metrics']['cursor']['open']['total'])


async def are_closed_but(cursors: int, database: Database) -> None:
    async with asyncio.timeout(5):
        while await open_cursors(database) > cursors:
            await asyncio.sleep(0.02)


@pytest.fixture
async def things(database: Database) -> Collection:
    await database.plain.things.insert_many([{'_id': each, 'n': each} for each in range(50)])
    things = database.collection(POOL)
    await all_of(things)
    return things


async def test_at_any_moment(database: Database, things: Collection) -> None:
    chance = random.Random(6)
    before = sockets_to(database)

    asked: tuple[Callable[[], Coroutine[Any, Any, Any]], ...] = (
        lambda: things.find_one({'_id': 1}), lambda: all_of(things), lambda: all_of(things, {'$match': {}}),
        lambda: things.update_one({'_id': 1}, {'$inc': {'m': 1}}),
    )  # fmt: skip
    for _ in range(10):
        await asyncio.gather(*(given_up(asked[each % 4](), chance.uniform(0, 0.01)) for each in range(40)))
        answers = await asyncio.gather(*(things.find_one({'_id': each}) for each in range(20)))
        assert [answer['_id'] for answer in answers] == list(range(20))

    await all_connections_work(database, things)
    assert sockets_to(database) <= before + CONNECTIONS


@pytest.mark.parametrize('command', ['find', 'aggregate', 'getMore', 'update'])
async def test_while_the_database_is_at_it(database: Database, things: Collection, command: str) -> None:
    asked = {
        'find': lambda: all_of(things), 'aggregate': lambda: all_of(things, {'$match': {}}),
        'getMore': lambda: all_of(things), 'update': lambda: things.update_one({'_id': 1}, {'$inc': {'m': 1}}),
    }[command]  # fmt: skip

    async with database.broken([command], blockConnection=True, blockTimeMS=300):
        # Those of the second half are waiting for a connection.
        await asyncio.gather(*(given_up(asked(), 0.1) for _ in range(2 * CONNECTIONS)))

    await all_connections_work(database, things)


async def test_in_the_middle_of_a_list(database: Database, things: Collection) -> None:
    before = await open_cursors(database)
    reading = asyncio.Semaphore(0)

    async def read_some() -> None:
        async for _ in things.find({}, batch_size=5):
            reading.release()
            await asyncio.Event().wait()

    readers = [asyncio.create_task(read_some()) for _ in range(10)]
    for _ in readers:
        await reading.acquire()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)

    await all_connections_work(database, things)
    await are_closed_but(before, database)


async def test_after_time_is_over(database: Database) -> None:
    await database.plain.things.insert_many([{'_id': each} for each in range(CONNECTIONS)])
    things = database.collection(f'maxPoolSize={CONNECTIONS}&timeoutMS=400&serverMonitoringMode=poll')
    await all_of(things)

    async with database.broken(['find', 'update'], blockConnection=True, blockTimeMS=600):
        reads = [things.find_one({'_id': 1}) for _ in range(CONNECTIONS)]
        writes = [things.update_one({'_id': 1}, {'$inc': {'m': 1}}) for _ in range(CONNECTIONS)]
        answers = await asyncio.gather(*reads, *writes, return_exceptions=True)

    assert {type(answer) for answer in answers} == {Unavailable}
    await all_connections_work(database, things)
