"""What a task may use: what it requires, and what no failure could make it ask for is no reason to end it."""

import asyncio
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.client import AsyncClient, Claim
from iceprod_tasks.domain.requirements import grow
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.limits import CPU_HEADROOM, SMALLEST_LIMIT, Cores, Limits, limits_of
from iceprod_tasks.pilot.run import Ending, Outcome, Runner
from iceprod_tasks.pilot.warden import clock
from tests.pilot.conftest import ENVIRONMENT, OFFER, Fly
from tests.pilot.fake_service import FakeService
from tests.pilot.processes import is_alive

HOLD = 'import time; held = bytearray({mb} * 10**6); time.sleep(30)'
FORKS = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open('pid', 'w').write(str(os.getpid()))
        held = bytearray(700 * 10**6)
        time.sleep(30)
    os._exit(0)
time.sleep(30)
"""
SHARED = """
import os, time
held = bytearray(400 * 10**6)
for _ in range(3):
    if os.fork() == 0:
        break
time.sleep(2)
"""

numbers = st.floats(min_value=0.01, max_value=1000)


@given(needs=st.fixed_dictionaries({}, optional=dict.fromkeys(('cpu', 'memory', 'disk', 'time'), numbers)))
def test_no_limit_is_beyond_the_offer_or_below_what_was_asked_for(needs: dict[str, float]) -> None:
    offer = replace(OFFER, cpu=math.ceil(needs.get('cpu', 1)), memory_gb=1000.0, disk_gb=1000.0)

    limits = limits_of(needs, offer)

    assert needs.get('memory', 0) <= limits.memory_gb <= 1000
    assert needs.get('disk', 0) <= limits.disk_gb <= 1000
    assert limits.time_hours is None or limits.time_hours >= needs['time']
    assert limits.cpu is None or limits.cpu >= needs.get('cpu', 1)


@given(needs=st.fixed_dictionaries({'memory': numbers, 'disk': numbers, 'time': numbers, 'cpu': st.integers(1, 15)}),
       over=st.floats(min_value=1.0001, max_value=3))  # fmt: skip
def test_whatever_is_ended_for_a_limit_asks_for_more_the_next_time(needs: dict[str, float], over: float) -> None:
    limits = limits_of(needs, replace(OFFER, cpu=16, memory_gb=10_000, disk_gb=10_000))
    assert limits.time_hours and limits.cpu
    used = {
        'memory': limits.memory_gb,
        'disk': limits.disk_gb,
        'time': limits.time_hours,
        'cpu': limits.cpu * CPU_HEADROOM,
    }
    used['cpu'] = min(used['cpu'] * over, 20) / over

    for name, amount in used.items():
        grown = grow(needs, {name: amount * over}, {})

        assert grown[name] > needs[name], name


def test_what_is_not_required_is_limited_by_the_offer() -> None:
    offer = replace(OFFER, time_hours=8.0)

    assert limits_of({}, offer) == Limits(memory_gb=2.0, disk_gb=10.0, time_hours=8.0, cpu=1.0)
    assert limits_of({'memory': 'much', 'disk': True}, offer) == limits_of({}, offer)
    assert limits_of({}, OFFER).time_seconds == math.inf


def test_a_limit_is_not_so_low_that_nothing_would_grow() -> None:
    assert limits_of({'memory': 0.1, 'disk': 0.1, 'time': 0.1}, OFFER) == Limits(0.5, 0.5, 0.5, 1.0)
    assert limits_of({'memory': 0.1}, replace(OFFER, memory_gb=0.25)).memory_gb == 0.25
    assert SMALLEST_LIMIT == 0.5


def meter(time_seconds: float, cpu_seconds: float) -> Any:
    return SimpleNamespace(time_seconds=time_seconds, cpu_seconds=cpu_seconds)


def test_cores_are_averaged_over_a_while_and_not_from_the_start() -> None:
    cores = Cores(60)

    assert [cores.average(meter(t, 4.0 * t)) for t in (0, 20, 59)] == [0, 0, 0]
    assert cores.average(meter(61, 244)) == 4
    for t in range(62, 200):
        last = cores.average(meter(t, 244))
    assert last == 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder.make(tmp_path)
    yield folder
    folder.remove()


async def run(service: FakeService, folder: Folder, command: list[str], runner: Runner, **needs: float) -> Ending:
    claim = Claim({'task_id': 't0', 'requirements': needs}, 'c' * 32, 1)  # type: ignore[typeddict-item]
    service.held['c' * 32] = {'lease_seconds': 300}
    async with AsyncClient(service.url) as client:
        hold = Hold(client, claim, clock(), heartbeat_seconds=60, stop=asyncio.Event())
        async with hold:
            return await runner.run(Command(tuple(command), ENVIRONMENT, None), folder, hold)


async def test_a_task_that_outgrows_its_memory_is_ended(service: FakeService, folder: Folder) -> None:
    ending = await run(service, folder, [sys.executable, '-c', HOLD.format(mb=700)], Runner(OFFER), memory=0.5)

    assert (ending.outcome, ending.reason[:17]) == (Outcome.RESET, 'over memory limit')
    assert 0.5 < ending.report['resources']['memory'] < 1


async def test_what_forks_away_is_counted_and_ended_with_the_rest(service: FakeService, folder: Folder) -> None:
    ending = await run(service, folder, [sys.executable, '-c', FORKS], Runner(OFFER), memory=0.5)

    assert ending.reason.startswith('over memory limit')
    assert not is_alive(int((folder.work / 'pid').read_text()))


async def test_memory_that_processes_share_is_counted_once(service: FakeService, folder: Folder) -> None:
    ending = await run(service, folder, [sys.executable, '-c', SHARED], Runner(OFFER), memory=0.8)

    assert (ending.outcome, ending.reason) == (Outcome.COMPLETE, '')


async def test_a_task_that_fills_its_disk_is_ended(service: FakeService, folder: Folder) -> None:
    fill = ['/bin/sh', '-c', 'head -c 700000000 /dev/zero > big; sleep 30']

    ending = await run(service, folder, fill, Runner(OFFER), disk=0.5)

    assert (ending.outcome, ending.reason[:15]) == (Outcome.RESET, 'over disk limit')


async def test_a_task_that_takes_too_long_is_ended(service: FakeService, folder: Folder) -> None:
    offer = replace(OFFER, time_hours=0.5 / 3600)

    ending = await run(service, folder, ['/bin/sleep', '30'], Runner(offer))

    assert (ending.outcome, ending.reason[:15]) == (Outcome.RESET, 'over time limit')
    assert ending.report['resources']['time'] * 3600 >= 0.5


async def test_a_task_on_more_cores_than_it_asked_for_is_ended(service: FakeService, folder: Folder) -> None:
    busy = 'while :; do :; done & while :; do :; done'

    ending = await run(service, folder, ['/bin/sh', '-c', busy], Runner(OFFER, cpu_seconds=2.0), cpu=1)

    assert (ending.outcome, ending.reason[:14]) == (Outcome.RESET, 'over cpu limit')
    assert ending.report['resources']['cpu'] > CPU_HEADROOM


async def test_a_task_within_its_requirements_is_left_alone(service: FakeService, fly: Fly) -> None:
    service.add([sys.executable, '-c', 'held = bytearray(300 * 10**6)'])
    service.tasks[0]['requirements'] = {'memory': 0.4, 'disk': 0.1, 'time': 0.01, 'cpu': 1}

    [report] = await fly()

    assert report['action'] == 'complete'
