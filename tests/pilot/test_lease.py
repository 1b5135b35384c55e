"""A pilot keeps its tasks by heartbeats, obeys what they are answered, and never works past its lease."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient, Claim
from iceprod_tasks.pilot import Plan
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.line import Line
from iceprod_tasks.pilot.warden import clock
from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService, Trouble
from tests.pilot.processes import is_alive

STUBBORN = (
    'trap "" TERM; echo $$ > {pid}.new; mv {pid}.new {pid}; while :; do cut -d " " -f 1 /proc/uptime; sleep 0.05; done'
)
OVER = {'action': 'stop', 'why': 'the claim is over', 'again_in': 0, 'orders': []}


def answer(**changes: Any) -> Trouble:
    """An answer to a heartbeat."""
    return 200, {'action': 'continue', 'why': '', 'again_in': 60, 'orders': [], 'lease_seconds': 300, **changes}


async def hold_of(service: FakeService, client: AsyncClient, asked_seconds_ago: float = 0.0) -> Hold:
    """The hold on a task that waits in the service, claimed some time ago."""
    claim = await client.claim({})
    return Hold(client, claim, clock() - asked_seconds_ago, heartbeat_seconds=0.1, stop=asyncio.Event())


@pytest.fixture
def running(
    service: FakeService, fly: Fly, tmp_path: Path
) -> Callable[..., Awaitable[tuple[asyncio.Future[Any], int]]]:
    """Starts a pilot and waits until a command runs that ignores SIGTERM; the flight, and the command's process."""

    async def start(**changes: Any) -> tuple[asyncio.Future[Any], int]:
        pid = tmp_path / 'pid'
        service.add(STUBBORN.format(pid=pid))
        flying = asyncio.ensure_future(fly(**changes))
        await service.until(pid.exists)
        return flying, int(pid.read_text())

    return start


PHASES = ['provisioning', 'starting', 'running', 'run_completed', 'deprovisioning']


async def test_heartbeats_say_how_far_the_work_is(service: FakeService, fly: Fly) -> None:
    service.again_in = 0.05
    service.add('head -c 1000000 /dev/zero > big; sleep 1.5')
    service.troubles['config'].extend([(503, {})] * 2)
    service.troubles['report'].extend([(503, {})] * 3)

    [*_, report] = await fly(heartbeat_seconds=0.05)

    last = service.beats[-1]
    assert {beat['claim_id'] for beat in service.beats} == {report['claim_id']}
    assert {beat['epoch'] for beat in service.beats} == {4}
    told = [each['phase'] for beat in [*service.beats, report] for each in beat.get('phases', ())]
    # One that was sent when the report was comes twice; the service knows.
    assert list(dict.fromkeys(told)) == PHASES
    assert last['resources']['time'] * 3600 >= 1.5
    assert last['resources']['disk'] > 0.0009


async def test_a_task_that_is_done_before_its_first_heartbeat_sends_none(service: FakeService, fly: Fly) -> None:
    service.add('true')

    await fly()

    assert service.beats == []


async def test_work_that_is_asked_to_stop_is_handed_back_within_one_heartbeat(
    service: FakeService, fly: Fly, tmp_path: Path
) -> None:
    pid = tmp_path / 'pid'
    service.add(f'trap "echo asked; exit 0" TERM; echo $$ > {pid}; while :; do sleep 0.1; done')
    service.orders['t0'] = answer(action='stop', why='later (ada)')
    flying = asyncio.ensure_future(fly(heartbeat_seconds=1))

    [report] = await flying

    assert (report['action'], report['reason']) == ('hand_back', 'asked to stop: later (ada)')
    assert len(service.beats) == 1
    assert not is_alive(int(pid.read_text()))


@pytest.mark.parametrize(
    'lost',
    [
        (409, {'code': 409, 'error': 'The claim is over', **OVER}),
        (404, {'code': 404, 'error': 'Task not found', **OVER}),
        (410, {'code': 410, 'error': 'The claim is over'}),
    ],
)
async def test_work_that_is_not_ours_any_more_is_killed_and_dropped(
    service: FakeService, running: Any, lost: Trouble
) -> None:
    flying, pid = await running(heartbeat_seconds=0.2)
    service.add('echo next')
    service.left -= 1

    service.orders['t0'] = lost
    reports = await flying

    assert [report['stdout'] for report in reports] == ['next\n']
    assert not is_alive(pid)


@pytest.mark.parametrize(
    'trouble',
    [
        (500, {'code': 500, 'error': 'oh'}),
        (503, {'code': 503, 'error': 'The database does not answer; repeat the same request'}),
        (404, {'code': 404, 'error': 'Not found'}),
        (405, {'code': 405, 'error': 'Method not allowed'}),
        (401, {'code': 401, 'error': 'Authentication failed'}),
        (200, {'code': 200}),
    ],
)
async def test_an_answer_that_is_no_order_ends_nothing(service: FakeService, fly: Fly, trouble: Trouble) -> None:
    service.add('sleep 2')
    service.again_in = 0.05
    service.troubles['heartbeat'].extend([trouble] * 3)

    [report] = await fly(heartbeat_seconds=0.05)

    assert report['action'] == 'complete'
    assert len(service.beats) > 3


async def test_a_service_that_is_away_for_less_than_the_lease_costs_nothing(service: FakeService, fly: Fly) -> None:
    service.add('sleep 3; echo done')
    service.lease_seconds, service.again_in = 60, 0.05
    flying = asyncio.ensure_future(fly(heartbeat_seconds=0.05))
    await service.until(lambda: len(service.beats) >= 3)

    service.away = True
    await service.until(lambda: service.unheard >= 3)
    service.away = False
    [report] = await flying

    assert (report['action'], report['stdout']) == ('complete', 'done\n')


async def test_a_service_that_is_away_for_longer_ends_the_work_when_the_lease_is_over(
    service: FakeService, running: Any, plan: Plan
) -> None:
    service.lease_seconds, service.again_in = 3, 0.2
    flying, pid = await running(heartbeat_seconds=0.2, keep_workdirs=True)
    await service.until(lambda: service.beats)
    service.add('echo next')
    service.left -= 1

    service.away = True
    await service.until(lambda: not is_alive(pid))
    # One more may come, that the pilot had begun to send before it knew that its work has ended.
    beats = list(service.beats)
    service.away = False
    reports = await flying

    said = [path.read_text() for path in plan.workdir.glob('*/stdout')]
    last_stamp = max(float(stamp) for text in said if text != 'next\n' for stamp in text.split())
    lease_over = max(beat['when'] for beat in beats if beat['task_id'] == 't0') + 3
    assert lease_over - 2 < last_stamp < lease_over + 1
    assert [report['stdout'] for report in reports] == ['next\n']


async def test_a_lease_that_is_over_before_there_is_a_config_drops_the_task(service: FakeService, fly: Fly) -> None:
    service.add('echo first')
    service.add('echo second')
    service.lease_seconds = 1
    service.left -= 1
    service.troubles['config'].append((503, {}))
    service.away = True
    flying = asyncio.ensure_future(fly(heartbeat_seconds=0.1))

    await service.until(lambda: len(service.claims) > 1)
    service.away = False
    reports = await flying

    assert [report['stdout'] for report in reports] == ['second\n']


async def test_a_lease_counts_from_the_sending_of_a_heartbeat(service: FakeService) -> None:
    service.add('true')
    service.heartbeats_take_seconds = 0.5
    told: list[float] = []
    async with AsyncClient(service.url, 'secret') as client:
        hold = await hold_of(service, client)
        hold.tell(told.append)
        async with hold:
            await service.until(lambda: len(told) > 1)

    assert service.beats[0]['when'] + 300 - 0.5 < told[1] <= service.beats[0]['when'] + 300
    assert told[1] == hold.deadline


async def test_a_lease_counts_from_the_first_time_the_claim_was_asked_for(service: FakeService, plan: Plan) -> None:
    service.add('true')
    service.troubles['claim'].extend([(503, {'code': 503, 'error': 'no'})] * 3)
    async with AsyncClient(service.url, 'secret') as client:
        hold = await Line(client, plan, asyncio.Event(), asyncio.Event()).claim('slot')

    assert hold is not None
    assert hold.deadline <= service.claimed_at[0] + 300 < service.claimed_at[-1] + 300


async def test_a_claim_that_is_over_counts_from_the_next_one(service: FakeService, plan: Plan) -> None:
    service.add('true')
    service.troubles['claim'].append((410, {'code': 410, 'error': 'This claim is over'}))
    async with AsyncClient(service.url, 'secret') as client:
        hold = await Line(client, plan, asyncio.Event(), asyncio.Event()).claim('slot')

    assert hold is not None
    assert service.claimed_at[0] + 300 < hold.deadline <= service.claimed_at[1] + 300


async def test_a_claim_whose_answer_came_late_is_made_sure_of_before_anything_runs(
    service: FakeService, fly: Fly
) -> None:
    service.add('true')
    service.lease_seconds, service.claims_take_seconds = 2, 1

    [report] = await fly()

    assert report['action'] == 'complete'
    assert service.beats[0]['phase'] == 'provisioning'


async def test_a_claim_whose_answer_came_too_late_is_dropped(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    service.add(f'touch {tmp_path}/ran')
    service.left = 0
    service.lease_seconds, service.claims_take_seconds = 2, 1
    service.orders['t0'] = (409, {'code': 409, 'error': 'The claim is over', **OVER})

    reports = await fly()

    assert reports == []
    assert not (tmp_path / 'ran').exists()


async def test_a_lease_that_seems_to_be_over_is_a_new_one_if_the_service_says_so(service: FakeService) -> None:
    service.add('true')
    async with AsyncClient(service.url, 'secret') as client:
        hold = await hold_of(service, client, asked_seconds_ago=1000)
        async with hold:
            await asyncio.wait_for(hold.sure.wait(), 60)

    assert not hold.ended.is_set()
    assert hold.deadline > clock()


async def test_a_lease_that_nobody_can_tell_about_is_over_in_the_end(service: FakeService) -> None:
    service.add('true')
    service.lease_seconds = 1
    async with AsyncClient(service.url, 'secret') as client:
        hold = await hold_of(service, client, asked_seconds_ago=1000)
        service.away = True
        async with hold:
            await asyncio.wait_for(hold.ended.wait(), 60)

    assert (hold.lost, hold.reason) == (True, 'the lease is over')


async def test_an_answer_that_comes_after_the_lease_brings_nothing_back(service: FakeService) -> None:
    service.add('true')
    service.lease_seconds, service.heartbeats_take_seconds = 3, 0.9
    async with AsyncClient(service.url, 'secret') as client:
        hold = await hold_of(service, client, asked_seconds_ago=0.9)
        hold.deadline = clock() + 0.5
        async with hold:
            await service.until(lambda: hold.lost)
            await asyncio.sleep(1)

    assert len(service.beats) == 1
    assert hold.deadline == 0.0


async def test_a_service_without_leases_gets_heartbeats_too(service: FakeService) -> None:
    claim = Claim({'task_id': 't0'}, 'c' * 32, 1)
    service.held[claim.claim_id] = {'lease_seconds': 300}
    client = AsyncClient(service.url, 'secret')
    async with client, Hold(client, claim, clock(), heartbeat_seconds=0.1, stop=asyncio.Event()) as hold:
        await service.until(lambda: service.beats)

    assert not hold.lost


async def test_heartbeats_end_with_the_report(service: FakeService, fly: Fly) -> None:
    service.add('sleep 0.5')
    service.again_in = 0.05

    await fly(heartbeat_seconds=0.05)
    count = len(service.beats)
    await asyncio.sleep(0.3)

    assert len(service.beats) == count > 0
