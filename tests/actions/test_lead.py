"""Who leads: what a process believes, and that each write of a leader lands in the term that is current.

The property plays three services that renew, lose and fence in any order.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.actions.lead import campaign, leads, who_leads, write_as_leader
from iceprod_tasks.actions.leadership import Leadership
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import NotLeader, Unavailable
from iceprod_tasks.domain.terms import Term
from iceprod_tasks.storage.archives import Archives
from iceprod_tasks.storage.client import Session
from iceprod_tasks.storage.store import Store
from tests.conftest import DRIVER

A, B, C = 'http://a:8080', 'http://b:8080', 'http://c:8080'
LATER = datetime(2099, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_nobody_leads_before_the_first_answer() -> None:
    leadership = Leadership(A, 10)

    assert (leadership.is_leader, leadership.leader, leadership.number) == (False, '', 0)


def test_a_lease_counts_from_before_the_question_and_ends_a_tenth_early() -> None:
    clock = Clock()
    leadership = Leadership(A, 10, clock)
    asked = leadership.now()
    clock.seconds += 5
    leadership.heard(Term(A, 1, LATER), asked)

    clock.seconds = asked + 8.9
    early = leadership.is_leader
    clock.seconds = asked + 9.1

    assert (early, leadership.is_leader, leadership.is_ours) == (True, False, True)


def test_an_answer_that_comes_after_the_lease_is_no_lease() -> None:
    clock = Clock()
    leadership = Leadership(A, 10, clock)
    asked = leadership.now()
    clock.seconds += 60

    leadership.heard(Term(A, 1, LATER), asked)

    assert not leadership.is_leader


def test_an_old_answer_that_comes_late_changes_nothing() -> None:
    clock = Clock()
    leadership = Leadership(A, 10, clock)
    asked = clock()
    clock.seconds += 1
    leadership.heard(Term(B, 7, LATER), clock())

    is_new = leadership.heard(Term(A, 6, LATER), asked)

    assert (is_new, leadership.is_leader, leadership.leader) == (False, False, B)


def test_of_two_answers_on_one_term_the_one_asked_for_later_counts() -> None:
    clock = Clock()
    leadership = Leadership(A, 10, clock)
    leadership.heard(Term(A, 1, LATER), 1000)
    leadership.heard(Term(A, 1, LATER), 995)

    clock.seconds = 1008

    assert leadership.is_leader


def test_terms_that_begin_again_lower_are_believed() -> None:
    clock = Clock()
    leadership = Leadership(A, 10, clock)
    leadership.heard(Term(B, 7, LATER), clock())
    clock.seconds += 1

    is_new = leadership.heard(Term(A, 1, LATER), clock())

    assert (is_new, leadership.is_leader, leadership.number) == (True, True, 1)


@pytest.fixture(scope='module')
async def database(mongodb_url: str) -> AsyncIterator[Any]:
    """A database of its own: the service of other tests leads in theirs."""
    async with pymongo.AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        name = f'test_{uuid4().hex}'
        yield client[name]
        await client.drop_database(name)


@pytest.fixture(scope='module')
async def stores(database: Any, mongodb_url: str) -> AsyncIterator[list[Store]]:
    made = [Store(mongodb_url, database.name, DRIVER) for _ in range(3)]
    yield made
    for store in made:
        await store.close()


@pytest.fixture
async def services(database: Any, stores: list[Store], tmp_path: Path) -> list[Service]:
    """Two services, the second of which has two processes."""
    await empty(database)
    archives = Archives(tmp_path)
    return [
        Service(store, archives, leadership=Leadership(name, 30)) for store, name in zip(stores, (A, B, B), strict=True)
    ]


async def empty(database: Any) -> None:
    """Let nobody have led, and nothing be written."""
    await asyncio.gather(database.things.delete_many({}), database.leaders.delete_many({}))


async def expire(database: Any) -> None:
    """Let the lease be over."""
    await database.leaders.update_one({}, {'$set': {'until': datetime.now(UTC) - timedelta(seconds=1)}})


async def write(service: Service, thing: str) -> None:
    things = service.store.collection('things')

    async def work(session: Session) -> None:
        await things.insert_one({'_id': thing, 'term': service.leadership.number}, session=session)

    await write_as_leader(service, work)


async def test_one_service_leads_and_all_know_which(services: list[Service]) -> None:
    news = [await campaign(service) for service in services]

    assert news == [1, 1, 1]
    assert [service.leadership.is_leader for service in services] == [True, False, False]
    assert {service.leadership.leader for service in services} == {A}
    assert await campaign(services[0]) == 0


async def test_an_answer_that_takes_longer_than_the_lease_makes_no_leader(
    services: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, take = Clock(), services[0].store.leaders.take

    async def slowly(holder: str, lease_seconds: float) -> Term:
        taken = await take(holder, lease_seconds)
        clock.seconds += 60
        return taken

    monkeypatch.setattr(services[0].store.leaders, 'take', slowly)
    service = replace(services[0], leadership=Leadership(A, 30, clock))

    await campaign(service)

    assert service.leadership.is_ours
    assert not service.leadership.is_leader


async def test_who_does_not_lead_is_refused_without_a_question(services: list[Service]) -> None:
    for service in services:
        await campaign(service)

    with pytest.raises(NotLeader, match=f'does not lead; {A} does') as refused:
        await write(services[1], 'thing')

    assert refused.value.details == {'leader': A}


async def test_a_leader_whose_term_went_to_its_other_process_goes_on_in_the_next_one(
    services: list[Service], database: Any
) -> None:
    await campaign(services[1])
    await expire(database)
    await campaign(services[2])

    await write(services[1], 'thing')

    assert services[1].leadership.number == 2
    assert await database.things.count_documents({'_id': 'thing', 'term': 2}) == 1


async def test_a_process_that_slept_past_its_lease_asks_before_it_gives_up(services: list[Service]) -> None:
    await campaign(services[1])
    services[1].leadership._asked -= 60
    assert not services[1].leadership.is_leader

    await write(services[1], 'thing')

    assert services[1].leadership.is_leader


async def test_a_process_that_has_heard_nothing_asks(services: list[Service]) -> None:
    await campaign(services[1])

    assert await leads(services[2])
    assert not await leads(services[0])


async def test_who_knows_another_leader_does_not_ask(services: list[Service], database: Any) -> None:
    await campaign(services[0])
    await campaign(services[1])
    await expire(database)

    assert not await leads(services[1])
    assert services[1].leadership.number == 1


async def test_a_leader_that_believes_too_long_writes_nothing(services: list[Service], database: Any) -> None:
    await campaign(services[0])
    await expire(database)
    await campaign(services[1])
    assert services[0].leadership.is_leader

    with pytest.raises(NotLeader) as refused:
        await write(services[0], 'thing')

    assert refused.value.leader == B
    assert await database.things.count_documents({}) == 0


async def test_who_leads_is_read_from_the_lease(services: list[Service], database: Any) -> None:
    nobody = await who_leads(services[0])
    await campaign(services[0])
    first = await who_leads(services[1])
    await expire(database)

    assert nobody == {'leader': None, 'term': None, 'until': None, 'is_leader': False}
    assert (first['leader'], first['term'], first['is_leader']) == (A, 1, False)
    assert (await who_leads(services[1]))['leader'] is None


VERBS = ('renew', 'renew', 'expire', 'write', 'write', 'write late', 'together')
Step = tuple[str, int]
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 2)), min_size=3, max_size=14)


@dataclass
class World:
    """Three services, each with the term that it thinks is its own, and all terms that there were."""

    database: Any
    stores: Sequence[Store]
    believed: list[int] = field(default_factory=lambda: [1, 1, 1])
    holders: dict[int, str] = field(default_factory=dict)
    late: 'list[asyncio.Task[None]]' = field(default_factory=list)

    async def do(self, verb: str, at: int) -> None:
        """One step of one of them."""
        if verb == 'expire':
            await expire(self.database)
        elif verb == 'renew':
            await self.renew(at)
        elif verb == 'write':
            await self.write(at)
        elif verb == 'write late':
            # It is under way while the next steps come.
            self.late.append(asyncio.create_task(self.write(at)))
        else:
            await asyncio.gather(self.renew(at), self.write((at + 1) % 3), self.renew((at + 2) % 3), self.write(at))

    async def renew(self, at: int) -> None:
        term = await self.take(at)
        assert self.holders.setdefault(term.number, term.holder) == term.holder
        if term.holder == (A, B, C)[at]:
            self.believed[at] = term.number

    async def take(self, at: int) -> Term:
        """Again and again on a machine that is busy, as the timer does."""
        while True:
            with suppress(Unavailable):
                return await self.stores[at].leaders.take((A, B, C)[at], 30)

    async def write(self, at: int) -> None:
        """Write which term is thought to be, and which one the transaction sees."""
        holder, believed, store = (A, B, C)[at], self.believed[at], self.stores[at]
        leases, things = store.collection('leaders'), store.collection('things')

        async def work(session: Session) -> None:
            lease = await leases.find_one({}, session=session)
            await things.insert_one(
                {'by': holder, 'term': believed, 'current': lease['term'], 'holder': lease['holder'],
                 'nth': lease['writes']}, session=session,
            )  # fmt: skip

        try:
            await store.leaders.fenced(holder, believed, work)
        except NotLeader:
            return


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
async def test_in_any_order_each_write_that_lands_has_the_term_that_was_current(
    steps: list[Step], database: Any, stores: list[Store]
) -> None:
    await empty(database)
    world = World(database, stores)

    for verb, at in steps:
        await world.do(verb, at)
    await asyncio.gather(*world.late)

    landed = [thing async for thing in database.things.find().sort('nth')]
    for thing in landed:
        assert (thing['term'], thing['by']) == (thing['current'], thing['holder'])
        assert world.holders[thing['term']] == thing['by']
    # In the order in which they landed terms only rise, and no touch of the lease is without its write.
    assert [thing['term'] for thing in landed] == sorted(thing['term'] for thing in landed)
    assert [thing['nth'] for thing in landed] == list(range(1, len(landed) + 1))
