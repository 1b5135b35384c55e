"""A pilot in a world that goes wrong around it."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient, NotAuthenticated, NotFound
from iceprod_tasks.pilot import Pilot, Plan
from tests.pilot.conftest import ENVIRONMENT, Fly
from tests.pilot.fake_service import FakeService

BUSY = (503, {'code': 503, 'error': 'The database does not answer; repeat the same request'})


async def test_it_ends_when_nothing_is_left(service: FakeService, fly: Fly) -> None:
    for _ in range(3):
        service.add('true')

    reports = await fly()

    assert [report['action'] for report in reports] == ['complete'] * 3
    assert service.left == 0


async def test_it_ends_when_it_has_been_without_work_for_long_enough(service: FakeService, fly: Fly) -> None:
    service.left = 1
    service.add('sleep 1.5')
    began = time.monotonic()

    [report] = await fly(until_empty=False, idle_seconds=1.0)

    assert report['action'] == 'complete'
    assert 2.5 <= time.monotonic() - began < 20


async def test_an_idle_slot_stays_as_long_as_another_one_works(service: FakeService, fly: Fly) -> None:
    service.add('sleep 2')
    flying = asyncio.ensure_future(fly(until_empty=False, idle_seconds=0.5, slots=(ENVIRONMENT, ENVIRONMENT)))
    await service.until(lambda: len(service.held) == 1)
    await asyncio.sleep(1.2)
    service.add('true')

    reports = await flying

    # The short one was taken and done while the long one ran.
    assert [report['task_id'] for report in reports] == ['t1', 't0']


async def test_it_waits_for_what_others_have_not_finished(service: FakeService, fly: Fly) -> None:
    service.left = 1
    flying = asyncio.ensure_future(fly())
    await service.until(lambda: len(service.claims) > 3)
    service.add('true')
    service.left -= 1

    [report] = await flying

    assert report['action'] == 'complete'


async def test_a_claim_whose_answer_was_lost_is_asked_again_with_its_id(service: FakeService, fly: Fly) -> None:
    service.add('true')
    service.troubles['claim'].extend([BUSY, (500, {'code': 500, 'error': 'oh'}), BUSY])

    [report] = await fly()

    first = [claim['claim_id'] for claim in service.claims[:4]]
    assert set(first) == {report['claim_id']}


async def test_a_claim_that_is_over_gets_a_new_id(service: FakeService, fly: Fly) -> None:
    service.add('true')
    service.troubles['claim'].append((410, {'code': 410, 'error': 'This claim is over'}))

    [report] = await fly()

    assert report['claim_id'] == service.claims[1]['claim_id'] != service.claims[0]['claim_id']


async def test_a_report_is_repeated_until_it_is_heard(service: FakeService, fly: Fly) -> None:
    service.add('echo once')
    service.troubles['report'].extend([BUSY, BUSY])

    reports = await fly()

    assert len(reports) == 3
    assert reports[0] == reports[1] == reports[2]


@pytest.mark.parametrize('code', [400, 409, 500])
async def test_a_report_nobody_wants_is_dropped_and_work_goes_on(service: FakeService, fly: Fly, code: int) -> None:
    service.add('true')
    service.add('echo second')
    service.troubles['report'].append((code, {'code': code, 'error': 'no'}))
    service.left -= 1

    reports = await fly()

    assert [report['stdout'] for report in reports] == ['', 'second\n']


async def test_a_fault_of_the_pilot_resets_the_task_and_spares_the_slot(
    service: FakeService, fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> None:
        monkeypatch.undo()
        raise RuntimeError('a bug')

    monkeypatch.setattr('iceprod_tasks.pilot.attempt.command_of', broken)
    service.add('true')
    service.add('true')

    reports = await fly()

    assert [report['action'] for report in reports] == ['reset', 'complete']
    assert reports[0]['reason'] == "the pilot failed: RuntimeError('a bug')"


async def test_a_token_that_is_not_valid_ends_the_pilot(service: FakeService, fly: Fly) -> None:
    service.troubles['claim'].append((401, {'code': 401, 'error': 'Authentication failed'}))

    with pytest.raises(NotAuthenticated):
        await fly()


async def test_a_server_that_is_not_ours_ends_the_pilot(service: FakeService, fly: Fly) -> None:
    service.troubles['claim'].append((404, {}))

    with pytest.raises(NotFound):
        await fly()


async def test_many_slots_work_at_once(service: FakeService, fly: Fly, plan: Plan) -> None:
    for _ in range(32):
        service.add(f'while [ $(ls {plan.workdir} | wc -l) -lt 32 ]; do sleep 0.2; done; sleep 1')

    reports = await fly(slots=(ENVIRONMENT,) * 32)

    assert Counter(report['action'] for report in reports) == {'complete': 32}


async def test_of_many_idle_slots_one_polls(service: FakeService, plan: Plan) -> None:
    service.left = 1
    idle = Plan(plan.offer, (ENVIRONMENT,) * 16, 'test', plan.workdir, poll_seconds=0.2)
    async with AsyncClient(service.url, 'secret') as client:
        pilot = Pilot(client, idle)
        flying = asyncio.ensure_future(pilot.run())
        await service.until(lambda: len(service.claims) >= 30)
        pilot.stop()
        await flying

    after_the_first = Counter(claim['pilot'] for claim in service.claims[16:])

    assert len(after_the_first) == 1


async def test_work_that_arrives_reaches_all_idle_slots(service: FakeService, fly: Fly, plan: Plan) -> None:
    service.left = 1
    flying = asyncio.ensure_future(fly(slots=(ENVIRONMENT,) * 4))
    await service.until(lambda: len(service.claims) > 6)
    for _ in range(4):
        service.add(f'while [ $(ls {plan.workdir} | wc -l) -lt 4 ]; do sleep 0.05; done; sleep 0.5')
    service.left -= 1

    reports = await flying

    assert len(reports) == 4


async def test_stopping_kills_what_runs_and_hands_it_back(service: FakeService, plan: Plan) -> None:
    service.add('sleep 600')
    service.add('sleep 600')
    async with AsyncClient(service.url, 'secret') as client:
        pilot = Pilot(client, Plan(plan.offer, (ENVIRONMENT,) * 2, 'test', plan.workdir))
        flying = asyncio.ensure_future(pilot.run())
        await service.until(lambda: len(list(plan.workdir.iterdir())) == 2)
        began = time.monotonic()
        pilot.stop()
        await flying

    assert sorted((report['task_id'], report['action']) for report in service.reports) == [
        ('t0', 'hand_back'),
        ('t1', 'hand_back'),
    ]
    assert {report['reason'] for report in service.reports} == {'the pilot was told to stop'}
    assert time.monotonic() - began < 60
    assert list(plan.workdir.iterdir()) == []


async def test_a_task_claimed_while_stopping_is_handed_back(service: FakeService, plan: Plan) -> None:
    service.troubles['claim'].extend([BUSY] * 3)
    async with AsyncClient(service.url, 'secret') as client:
        pilot = Pilot(client, plan)
        flying = asyncio.ensure_future(pilot.run())
        await service.until(lambda: service.claims)
        service.add('touch started')
        pilot.stop()
        await flying

    [report] = service.reports
    assert (report['task_id'], report['action']) == ('t0', 'hand_back')
