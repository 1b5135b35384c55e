"""Several changes as one, by either driver."""

import asyncio
import time
from typing import Any

import pytest

from iceprod_tasks.domain.errors import NotFound, Unavailable
from iceprod_tasks.storage.client import Collection, Duplicate, Session, in_transaction
from tests.storage.conftest import Database

# With this the driver looks again at once at a server that it was told is gone: here it is not.
POLL = 'serverMonitoringMode=poll'
SHORT = f'timeoutMS=700&{POLL}'


async def add_to_both(things: Collection, session: Session) -> None:
    for name in ('a', 'b'):
        await things.update_one({'_id': name}, {'$inc': {'n': 1}}, upsert=True, session=session)


async def both(database: Database) -> dict[str, int]:
    return {each['_id']: each['n'] async for each in database.plain.things.find()}


async def test_all_of_it_is_there_and_its_result_is_given_back(database: Database) -> None:
    things = database.collection()

    async def work(session: Session) -> Any:
        await things.insert_one({'_id': 'a', 'n': 1}, session=session)
        await things.replace_one({'_id': 'b'}, {'_id': 'b', 'n': 5}, session=session)
        await things.update_each([({'_id': 'b'}, {'$inc': {'n': 1}}, False)], session=session)
        await things.update_many({'_id': 'a'}, {'$inc': {'n': 1}}, session=session)
        await things.insert_one({'_id': 'c'}, session=session)
        await things.delete_many({'_id': 'c'}, session=session)
        found = [each async for each in things.find({}, session=session, sort=[('_id', 1)])]
        summed = [each async for each in things.aggregate([{'$count': 'n'}], session=session)]
        seen_by_others = await things.count({})
        return found, summed, seen_by_others, await things.count({}, session=session)

    found, summed, seen_by_others, seen = await in_transaction(things.client, work)

    assert (found, summed) == ([{'_id': 'a', 'n': 2}, {'_id': 'b', 'n': 6}], [{'n': 2}])
    assert (seen_by_others, seen) == (0, 2)
    assert await both(database) == {'a': 2, 'b': 6}


@pytest.mark.parametrize('error', [NotFound('gone'), KeyError('a')], ids=type)
async def test_nothing_of_it_is_there_when_the_work_fails(database: Database, error: Exception) -> None:
    things = database.collection()

    async def work(session: Session) -> None:
        await add_to_both(things, session)
        raise error

    with pytest.raises(type(error)):
        await in_transaction(things.client, work)

    assert await both(database) == {}


async def test_a_duplicate_is_told_and_nothing_else_is_there(database: Database) -> None:
    things = database.collection()
    await database.plain.things.insert_one({'_id': 'a', 'n': 7})

    async def work(session: Session) -> None:
        await things.insert_one({'_id': 'b', 'n': 1}, session=session)
        await things.insert_one({'_id': 'a', 'n': 1}, session=session)

    with pytest.raises(Duplicate):
        await in_transaction(things.client, work)

    assert await both(database) == {'a': 7}


async def test_those_that_meet_are_all_done(database: Database) -> None:
    things = database.collection()

    await asyncio.gather(*(in_transaction(things.client, lambda s: add_to_both(things, s)) for _ in range(20)))

    assert await both(database) == {'a': 20, 'b': 20}


TROUBLE: dict[str, dict[str, Any]] = {
    'a conflict': {'commands': ['update'], 'errorCode': 112, 'errorLabels': ['TransientTransactionError']},
    'a lost connection': {'commands': ['update'], 'closeConnection': True},
    'a primary that goes, at the end': {'commands': ['commitTransaction'], 'errorCode': 91},
    'a lost connection, at the end': {'commands': ['commitTransaction'], 'closeConnection': True},
    'no majority in time': {'commands': ['commitTransaction'], 'writeConcernError': {'code': 64, 'errmsg': 'late'}},
    'a commit that was not to be': {
        'commands': ['commitTransaction'], 'errorCode': 251, 'errorLabels': ['TransientTransactionError'],
    },
}  # fmt: skip


@pytest.mark.parametrize('trouble', TROUBLE)
async def test_after_a_short_trouble_it_is_done_once(database: Database, trouble: str) -> None:
    things = database.collection(POLL)
    await things.count({})

    async with database.broken(mode={'times': 3}, **TROUBLE[trouble]):
        await in_transaction(things.client, lambda session: add_to_both(things, session))

    assert await both(database) == {'a': 1, 'b': 1}


@pytest.mark.parametrize('trouble', TROUBLE)
async def test_what_stays_in_trouble_is_unknown_in_time(database: Database, trouble: str) -> None:
    things = database.collection(SHORT)
    await database.plain.things.insert_one({'_id': 'a', 'n': 0})
    await things.count({})
    began = time.monotonic()

    async with database.broken(**TROUBLE[trouble]):
        with pytest.raises(Unavailable):
            await in_transaction(things.client, lambda session: add_to_both(things, session))

        assert time.monotonic() - began < 3
    # Nothing that was not committed keeps others waiting.
    await database.plain.things.update_many({}, {'$set': {'n': 0}})
    assert time.monotonic() - began < 5


async def test_what_ran_out_of_time_keeps_nobody_waiting(database: Database) -> None:
    things = database.collection(SHORT)
    await things.insert_one({'_id': 'a', 'n': 0})

    async def work(session: Session) -> None:
        await things.update_one({'_id': 'a'}, {'$inc': {'n': 1}}, session=session)
        await asyncio.sleep(0.8)
        await things.update_one({'_id': 'a'}, {'$inc': {'n': 1}}, session=session)

    with pytest.raises(Unavailable):
        await in_transaction(things.client, work)

    assert await things.update_one({'_id': 'a'}, {'$inc': {'n': 5}}) == 1
    assert await both(database) == {'a': 5}


async def test_it_goes_on_to_its_end_when_nobody_waits_for_it(database: Database) -> None:
    things = database.collection()
    begun, go = asyncio.Event(), asyncio.Event()

    async def work(session: Session) -> None:
        begun.set()
        await go.wait()
        await add_to_both(things, session)

    asked = asyncio.create_task(in_transaction(things.client, work))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    go.set()

    async with asyncio.timeout(10):
        while await both(database) != {'a': 1, 'b': 1}:
            await asyncio.sleep(0.02)
