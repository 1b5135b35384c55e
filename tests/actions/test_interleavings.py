"""Pilots and rescuers of two processes at once, in any order: what the protocol of claims promises holds all the time.

Each round is a handful of requests that run at once on one database. After it nothing may have gone wrong, and every
answer must fit what was so before or after the round.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.actions import report
from iceprod_tasks.actions.act import Asked, act_on_tasks
from iceprod_tasks.actions.claim import ClaimRequest, claim
from iceprod_tasks.actions.heartbeat import SignOfLife, heartbeat
from iceprod_tasks.actions.report import Report
from iceprod_tasks.actions.service import Limits, Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import ClaimOver, InvalidRequest, NoWork, StaleClaim
from iceprod_tasks.domain.statuses import TRANSITIONS, ClaimEffect
from iceprod_tasks.domain.tasks import CLAIMS_LENGTH, LOG_LENGTH, new_id, new_task
from iceprod_tasks.scheduler.rescue import Rescue
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.openings import Wanted
from iceprod_tasks.storage.store import Store
from iceprod_tasks.storage.transitions import Note
from tests.conftest import DRIVER, Api

PILOT = Caller('p', frozenset({'pilot'}))
TASKS = 3
CLAIMS = 6
LIMITS = Limits(max_evictions=4, unleased_grace_seconds=-7200.0, stop_grace_seconds=0.001)
"""Tasks without a lease are over at once, so that they meet the rescuer too."""

REPORTS: dict[str, Callable[..., Awaitable[None]]] = {
    'complete': report.complete, 'reset': report.reset, 'fail': report.fail, 'hand back': report.hand_back,
}  # fmt: skip
ENDS = {'reset': {'reset', 'suspend', 'cancel'}, 'hand back': {'hand back', 'suspend', 'cancel'}}
"""The transitions a report may come to, where they are not just its own."""

CLOSING = {row.name for row in TRANSITIONS.values() if row.claim is ClaimEffect.CLOSE}

VERBS = ('claim', 'claim', 'claim', 'heartbeat', 'heartbeat', *REPORTS, 'old claim', 'old reset', 'rescue', 'rescue',
         'time goes by', 'suspend', 'cancel', 'resume', 'go on')  # fmt: skip
"""What may happen, the more usual ones more often."""

Step = tuple[str, int, int]
"""A verb, the number of a claim, and that of the process asked."""

STEPS = st.tuples(st.sampled_from(VERBS), st.integers(0, CLAIMS - 1), st.integers(0, 1))


@pytest.fixture(scope='module')
async def two(shared_api: Api, mongodb_url: str) -> AsyncIterator[list[Service]]:
    """Two processes on one database, as far as they share nothing in memory."""
    stores = [Store(mongodb_url, shared_api.database.name, DRIVER) for _ in range(2)]
    yield [Service(store, shared_api.service.archives, LIMITS) for store in stores]
    for store in stores:
        await store.close()


@dataclass
class World:
    """The tasks, the pilots that want them, and what these were told."""

    api: Api
    services: Sequence[Service]
    ids: list[str] = field(default_factory=lambda: [new_id() for _ in range(CLAIMS)])
    given: dict[str, str] = field(default_factory=dict)
    told: list[tuple[str, str, bool]] = field(default_factory=list)
    completed: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    log_is_full: bool = False
    ended: bool = False

    async def begin(self) -> None:
        await self.api.database.tasks.delete_many({})
        common = {'dataset_id': 'd1', 'job_id': 'j', 'job_index': 0, 'name': 'n', 'depends': [], 'requirements': {}}
        tasks = [new_task({**common, 'task_index': index, 'status': 'queued'}, new_id(), utc_now(), managed=False)
                 for index in range(TASKS)]  # fmt: skip
        await self.api.database.tasks.insert_many(tasks)

    async def round(self, steps: Sequence[Step]) -> None:
        """Some things happen at once, and then all is looked at."""
        self.told.clear()
        before = self.held
        await asyncio.gather(*(self.step(*step) for step in steps))
        tasks = {task['task_id']: task async for task in self.api.database.tasks.find()}
        self.held = {task['claim_id']: task['task_id'] for task in tasks.values() if task['claim_id']}
        self.log_is_full = any(len(task['log']) == LOG_LENGTH for task in tasks.values())
        self.ended = all(task['status'] in ('complete', 'failed') for task in tasks.values())
        if self.log_is_full:
            return
        for task in tasks.values():
            check(task)
        self.check_claims(tasks)
        self.check_answers(before, tasks)

    async def step(self, verb: str, number: int, process: int) -> None:
        service, claim_id = self.services[process], self.ids[number]
        task_id = self.given.get(claim_id)
        if verb == 'claim':
            await self.claim(service, claim_id)
        elif verb in ('suspend', 'cancel', 'resume'):
            await act_on_tasks(service, 'ada', 'd1', Asked(verb))
        elif verb == 'rescue':
            await Rescue(service).turn()
        elif verb == 'time goes by':
            leased = {'status': 'processing', 'lease_until': {'$ne': None}, 'task_index': number % TASKS}
            over = [{'$set': {'lease_until': {'$subtract': ['$$NOW', 1]}}}]
            await self.api.database.tasks.update_many(leased, over)
        elif verb == 'go on':
            for row, status in (('retry', 'reset'), ('resume', 'suspended'), ('queue', 'waiting')):
                await service.store.tasks.move_all(TRANSITIONS[row], Note(), {'status': status})
        elif verb == 'old claim':
            await self.claim(service, '')
        elif task_id is not None:
            await self.say(service, verb, claim_id, task_id)

    async def claim(self, service: Service, claim_id: str) -> None:
        try:
            task = await claim(service, PILOT, ClaimRequest(Wanted(), claim_id, lease_seconds=60))
        except NoWork:
            return
        except ClaimOver:
            # A new question, with an id of its own.
            self.ids = [new_id() if each == claim_id else each for each in self.ids]
            return
        if claim_id:
            assert self.given.setdefault(claim_id, task['task_id']) == task['task_id']

    async def say(self, service: Service, verb: str, claim_id: str, task_id: str) -> None:
        """A pilot is heard of, with its claim or as one that knows of none."""
        try:
            if verb == 'heartbeat':
                await heartbeat(service, PILOT, task_id, SignOfLife(claim_id))
            elif verb == 'old reset':
                await report.reset(service, PILOT, task_id, Report())
            else:
                await REPORTS[verb](service, PILOT, task_id, Report(claim_id))
        except InvalidRequest:
            assert verb == 'old reset'
        except StaleClaim:
            self.told.append((verb, claim_id, False))
        else:
            self.told.append((verb, claim_id, True))

    def check_claims(self, tasks: dict[str, dict[str, Any]]) -> None:
        """A claim id belongs to one task for ever, and what a pilot was given is in it."""
        owners = [claim_id for task in tasks.values() for claim_id in task['claims']]
        assert len(owners) == len(set(owners))
        for claim_id, task_id in self.given.items():
            assert claim_id in [entry['claim'] for entry in tasks[task_id]['log'] if entry['transition'] == 'claim']

    def check_answers(self, before: dict[str, str], tasks: dict[str, dict[str, Any]]) -> None:
        """What pilots were told is so, and an accepted completion stays."""
        for verb, claim_id, accepted in self.told:
            task = tasks[self.given[claim_id]]
            ends = [entry for entry in task['log'] if entry['claim'] == claim_id and entry['transition'] in CLOSING]
            assert len(ends) <= 1
            if verb == 'heartbeat':
                assert claim_id in before if accepted else claim_id not in before or claim_id not in self.held
            elif verb != 'old reset':
                own = [entry for entry in ends if entry['who'] == PILOT.name]
                assert accepted == any(entry['transition'] in ENDS.get(verb, {verb}) for entry in own)
            if verb == 'complete' and accepted:
                self.completed[task['task_id']] = claim_id
        for task_id, claim_id in self.completed.items():
            last = tasks[task_id]['log'][-1]
            assert (tasks[task_id]['status'], last['transition'], last['claim']) == ('complete', 'complete', claim_id)


def check(task: dict[str, Any]) -> None:
    """A task is where its log leads, by the table, and has what its log counts."""
    status, epoch, claim_id, claims = 'queued', 0, '', []
    counts: Counter[str] = Counter()
    for entry in task['log']:
        name = entry['transition']
        row = TRANSITIONS[name]
        assert (entry['from'], entry['to'] in row.targets, entry['from'] in row.sources) == (status, True, True)
        if name == 'claim':
            # So there is no second claim while one is open, and each has the next number.
            assert claim_id == ''
            epoch, claim_id = epoch + 1, entry['claim']
            claims.append(claim_id)
        if name in ('rescue', 'lose'):
            evictions = counts['rescue'] + counts['hand back']
            assert (name == 'lose') == (evictions >= LIMITS.max_evictions)
        assert (entry['epoch'], entry['claim']) == (epoch, claim_id)
        if row.claim is ClaimEffect.CLOSE:
            claim_id = ''
        status = entry['to']
        counts[name] += 1
    assert (task['status'], task['epoch'], task['claim_id']) == (status, epoch, claim_id)
    assert (task['status'] == 'processing') == bool(task['claim_id'])
    assert task['claims'] == claims[-CLAIMS_LENGTH:]
    assert task['evictions'] == counts['rescue'] + counts['hand back']
    assert task['failures'] == counts['reset'] + counts['fail']
    if status in ('failed', 'complete'):
        assert task['outcome']['result'] == TRANSITIONS[task['log'][-1]['transition']].outcome.value


@settings(deadline=None, max_examples=60)
@given(rounds=st.lists(st.lists(STEPS, min_size=1, max_size=6), max_size=9))
async def test_whatever_happens_at_once_no_promise_is_broken(
    shared_api: Api, two: list[Service], rounds: list[list[Step]]
) -> None:
    world = World(shared_api, two)
    await world.begin()

    for steps in rounds:
        await world.round(steps)
        if world.log_is_full:
            return


async def test_a_long_day_of_many_pilots_breaks_no_promise(shared_api: Api, two: list[Service]) -> None:
    # Many rounds in a row, as chance has it, with few ends: what a short example does not come to.
    chance = random.Random(4)
    usual = [verb for verb in VERBS if verb not in ('complete', 'fail', 'suspend', 'cancel')] * 5 + list(VERBS)
    for _ in range(40):
        world = World(shared_api, two)
        await world.begin()
        while not world.log_is_full:
            steps = [(chance.choice(usual), chance.randrange(CLAIMS), chance.randrange(2)) for _ in range(8)]
            await world.round(steps)
            if world.ended:
                break
