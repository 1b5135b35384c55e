"""The lease of who leads, and the fence around a leader's writes, by each of the drivers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from iceprod_tasks.domain.errors import NotLeader, Unavailable
from iceprod_tasks.domain.terms import Term
from iceprod_tasks.storage.client import Collection, Duplicate, Session, collection
from iceprod_tasks.storage.driver import close
from iceprod_tasks.storage.leaders import Leaders
from iceprod_tasks.storage.transactions import Transactions
from tests.storage.conftest import Database

A, B = 'http://a:8080', 'http://b:8080'
LEASE_SECONDS = 2.0


class Process:
    """What a process has of its own: a client, a session, and what it knows of the lease."""

    def __init__(self, database: Database) -> None:
        self.client = database.client()
        self.things: Collection = collection(self.client, database.plain.name, 'things')
        self.transactions = Transactions(self.client)
        self.leaders = Leaders(collection(self.client, database.plain.name, 'leaders'), self.transactions)

    async def write(self, holder: str, term: int, thing: str) -> None:
        async def work(session: Session) -> None:
            await self.things.insert_one({'_id': thing, 'term': term}, session=session)

        await self.leaders.fenced(holder, term, work)

    async def take(self, holder: str) -> Term:
        """Take the lease, again and again on a machine that is busy, as the timer does."""
        while True:
            with suppress(Unavailable):
                return await self.leaders.take(holder, 10)

    async def close(self) -> None:
        await self.transactions.close()
        await close(self.client)


@pytest.fixture
async def processes(database: Database) -> AsyncIterator[list[Process]]:
    made = [Process(database) for _ in range(3)]
    yield made
    for process in made:
        await process.close()


async def expire(database: Database) -> None:
    """Let the lease be over."""
    await database.plain.leaders.update_one({}, {'$set': {'until': datetime.now(UTC) - timedelta(seconds=1)}})


async def things(database: Database) -> set[str]:
    return {thing['_id'] async for thing in database.plain.things.find()}


async def test_the_first_lease_of_all_begins_term_1(database: Database, processes: list[Process]) -> None:
    before = await processes[0].leaders.current()

    term = await processes[0].leaders.take(A, 10)

    assert before is None
    assert (term.holder, term.number) == (A, 1)
    assert timedelta(seconds=8) < term.until - datetime.now(UTC) < timedelta(seconds=12)
    assert await processes[1].leaders.current() == term


async def test_a_lease_that_goes_on_is_left_to_its_holder(database: Database, processes: list[Process]) -> None:
    first = await processes[0].leaders.take(A, 10)

    assert await processes[1].leaders.take(B, 300) == first
    assert await processes[1].leaders.current() == first


async def test_the_holder_renews_and_keeps_its_term(database: Database, processes: list[Process]) -> None:
    first = await processes[0].leaders.take(A, 10)

    second = await processes[0].leaders.take(A, 100)

    assert (second.holder, second.number) == (A, first.number)
    assert second.until - first.until > timedelta(seconds=80)


async def test_a_shorter_lease_takes_nothing_from_a_longer_one(database: Database, processes: list[Process]) -> None:
    first = await processes[0].leaders.take(A, 100)

    assert (await processes[1].leaders.take(A, 1)).until == first.until


@pytest.mark.parametrize('taker', [A, B])
async def test_a_lease_that_is_over_is_anybodys_and_begins_a_term(
    database: Database, processes: list[Process], taker: str
) -> None:
    await processes[0].leaders.take(A, 10)
    await expire(database)

    term = await processes[1].leaders.take(taker, 10)

    assert (term.holder, term.number) == (taker, 2)


async def test_nobody_leads_once_the_lease_is_over(database: Database, processes: list[Process]) -> None:
    await processes[0].leaders.take(A, 10)
    await expire(database)

    assert await processes[0].leaders.current() is None


async def test_of_many_takers_one_wins_each_term(database: Database, processes: list[Process]) -> None:
    for number in range(1, 8):
        names = [f'http://{number}-{taker}' for taker in range(12)]

        taken = await asyncio.gather(*(processes[at % 3].take(name) for at, name in enumerate(names)))

        assert {term.number for term in taken} == {number}
        assert len({term.holder for term in taken}) == 1
        await expire(database)


async def test_a_name_that_looks_like_a_field_is_a_name(database: Database, processes: list[Process]) -> None:
    assert (await processes[0].leaders.take('$until', 10)).holder == '$until'
    assert (await processes[1].leaders.take('$until', 10)).number == 1


async def test_the_leader_writes(database: Database, processes: list[Process]) -> None:
    await processes[0].leaders.take(A, 10)

    await processes[0].write(A, 1, 'thing')

    assert await things(database) == {'thing'}


async def test_another_process_of_the_leader_writes_before_it_has_renewed(
    database: Database, processes: list[Process]
) -> None:
    await processes[0].leaders.take(A, 10)

    await processes[1].write(A, 1, 'thing')

    sessions = (await database.plain.leaders.find_one())['sessions']
    assert await things(database) == {'thing'}
    assert sessions == [await process.transactions.session_id() for process in processes[:2]]


@pytest.mark.parametrize(('holder', 'term'), [(B, 1), (A, 2), (A, 0)])
async def test_who_has_not_the_term_does_not_write_and_hears_who_has(
    database: Database, processes: list[Process], holder: str, term: int
) -> None:
    await processes[0].leaders.take(A, 10)

    with pytest.raises(NotLeader) as refused:
        await processes[1].write(holder, term, 'thing')

    assert refused.value.leader == A
    assert await things(database) == set()


async def test_a_leader_whose_lease_is_over_does_not_write_although_nobody_else_leads(
    database: Database, processes: list[Process]
) -> None:
    await processes[0].leaders.take(A, 10)
    await expire(database)

    with pytest.raises(NotLeader) as refused:
        await processes[0].write(A, 1, 'thing')

    assert refused.value.leader == ''
    assert await things(database) == set()


@asynccontextmanager
async def hanging(process: Process, thing: str) -> 'AsyncIterator[tuple[asyncio.Task[None], asyncio.Event]]':
    """A fenced write that has stopped in the middle until it may go on, at the latest at the end of the block."""
    is_there, goes_on = asyncio.Event(), asyncio.Event()

    async def work(session: Session) -> None:
        await process.things.insert_one({'_id': thing}, session=session)
        is_there.set()
        await goes_on.wait()

    writing = asyncio.create_task(process.leaders.fenced(A, 1, work))
    try:
        async with asyncio.timeout(10):
            await is_there.wait()
        yield writing, goes_on
    finally:
        goes_on.set()
        await asyncio.gather(writing, return_exceptions=True)


async def test_a_write_under_way_does_not_land_once_another_has_taken_over(
    database: Database, processes: list[Process]
) -> None:
    await processes[0].leaders.take(A, LEASE_SECONDS)
    async with hanging(processes[0], 'late') as (writing, goes_on):
        await asyncio.sleep(LEASE_SECONDS + 0.1)

        taken = await processes[1].leaders.take(B, 10)
        goes_on.set()
        with pytest.raises(NotLeader) as refused:
            await writing

    assert (taken.holder, taken.number) == (B, 2)
    assert refused.value.leader == B
    assert await things(database) == set()
    # It can go on in the same session once it leads again.
    await expire(database)
    assert (await processes[0].leaders.take(A, 10)).number == 3
    await processes[0].write(A, 3, 'in time')
    assert await things(database) == {'in time'}


async def test_a_write_that_commits_before_somebody_takes_over_lands(
    database: Database, processes: list[Process]
) -> None:
    await processes[0].leaders.take(A, LEASE_SECONDS)
    async with hanging(processes[0], 'in time') as (writing, goes_on):
        await asyncio.sleep(LEASE_SECONDS + 0.1)

        goes_on.set()
        await writing

    assert (await processes[1].leaders.take(B, 10)).number == 2
    assert await things(database) == {'in time'}


async def test_writes_of_two_processes_that_meet_all_land(database: Database, processes: list[Process]) -> None:
    await processes[0].leaders.take(A, 60)

    async def count(process: Process) -> None:
        async def work(session: Session) -> None:
            found = await process.things.find_one({'_id': 'number'}, session=session) or {'value': 0}
            value = {'$set': {'value': found['value'] + 1}}
            await process.things.update_one({'_id': 'number'}, value, upsert=True, session=session)

        await process.leaders.fenced(A, 1, work)

    await asyncio.gather(*(count(process) for process in processes for _ in range(10)))

    assert (await database.plain.things.find_one({'_id': 'number'}))['value'] == 30


async def test_a_write_whose_work_fails_leaves_nothing(database: Database, processes: list[Process]) -> None:
    await processes[0].leaders.take(A, 10)
    await processes[0].write(A, 1, 'there')

    async def work(session: Session) -> None:
        await processes[0].things.insert_one({'_id': 'new'}, session=session)
        await processes[0].things.insert_one({'_id': 'there'}, session=session)

    with pytest.raises(Duplicate):
        await processes[0].leaders.fenced(A, 1, work)

    assert await things(database) == {'there'}
    await processes[0].write(A, 1, 'next')


async def test_a_write_whose_caller_goes_away_comes_to_its_end(database: Database, processes: list[Process]) -> None:
    await processes[0].leaders.take(A, 10)

    async with hanging(processes[0], 'thing') as (writing, _):
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    await processes[0].write(A, 1, 'next')

    assert await things(database) == {'thing', 'next'}


@pytest.mark.parametrize('command', ['update', 'insert', 'commitTransaction'])
async def test_what_fails_in_passing_is_tried_again_and_lands_once(
    database: Database, processes: list[Process], command: str
) -> None:
    await processes[0].leaders.take(A, 10)
    await processes[0].write(A, 1, 'first')

    async with database.broken([command], {'times': 2}, closeConnection=True):
        await processes[0].write(A, 1, 'second')

    assert await things(database) == {'first', 'second'}
    assert (await database.plain.leaders.find_one())['writes'] == 2


async def test_a_commit_that_is_not_on_the_majority_yet_is_asked_for_again(
    database: Database, processes: list[Process]
) -> None:
    await processes[0].leaders.take(A, 10)

    slow = {'code': 64, 'errmsg': 'waiting for replication timed out'}
    async with database.broken(['commitTransaction'], {'times': 1}, writeConcernError=slow):
        await processes[0].write(A, 1, 'thing')

    assert await things(database) == {'thing'}


async def test_a_commit_that_nobody_answers_is_unknown_and_not_refused(
    database: Database, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.transactions._TRY_SECONDS', 1.0)
    await processes[0].leaders.take(A, 10)

    async with database.broken(['commitTransaction'], closeConnection=True):
        with pytest.raises(Unavailable):
            await processes[0].write(A, 1, 'thing')

    await processes[0].write(A, 1, 'next')
    assert 'next' in await things(database)


async def test_a_lease_that_cannot_be_asked_for_is_unavailable(database: Database, processes: list[Process]) -> None:
    async with database.broken(['findAndModify'], errorCode=50):
        with pytest.raises(Unavailable):
            await processes[0].leaders.take(A, 10)


async def test_the_sessions_of_a_term_stay_few(
    database: Database, processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.leaders._SESSIONS_AT_MOST', 2)

    for process in (*processes, *processes):
        await process.leaders.take(A, 10)

    last = [await process.transactions.session_id() for process in processes[1:]]
    assert (await database.plain.leaders.find_one())['sessions'] == last
