"""Whole pilots whose tasks have images: with the flags of a site, told to stop, killed, with many slots."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from iceprod_tasks.pilot.containers import ContainerRules
from tests.pilot.conftest import Fly, Start
from tests.pilot.containers.conftest import RUN_OPTIONS, groups, program
from tests.pilot.fake_service import FakeService

STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 0.05; done'


@pytest.fixture(autouse=True)
def leaves_nothing(storage: tuple[str, ...]) -> Iterator[None]:
    """After each test there is no container, and runc knows of none."""
    yield
    assert containers_of(storage) == []
    assert [place for place in groups() if storage[1] in place] == []


@pytest.fixture
def rules(storage: tuple[str, ...]) -> ContainerRules:
    """A site with podman."""
    return ContainerRules(runtime=program('podman'), options=storage, run_options=RUN_OPTIONS)


@pytest.fixture
def flags(storage: tuple[str, ...]) -> list[str]:
    """The same as flags of the pilot."""
    return [
        f'--container-runtime={program("podman")}',
        *(f'--container-option={word}' for word in storage),
        *(f'--container-run-option={word}' for word in RUN_OPTIONS),
    ]


def containers_of(storage: tuple[str, ...]) -> list[str]:
    """The names of all containers in a storage."""
    listing = [program('podman'), *storage, 'ps', '--all', '--format', '{{.Names}}']
    return subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()


def processes_below(place: Path) -> list[int]:
    """The processes that have a folder in their environment or on their command line, zombies left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and str(place) in f'{process.environ()} {process.cmdline()}':
                found.append(process.pid)
    return found


async def test_a_pilot_that_can_run_no_image_does_not_go_through_the_queue(service: FakeService, start: Start) -> None:
    for _ in range(5):
        service.add('true', image='box')

    async with start('--container-runtime=/no/podman', '--black-hole=2', '--poll-seconds=0.1') as pilot:
        _, said = await pilot.communicate()

    assert pilot.returncode == 1
    assert 'this pilot runs no containers: there is no /no/podman here' in said.decode()
    assert len(service.reports) == 2


async def test_a_task_over_its_memory_is_ended_in_its_container(
    service: FakeService, fly: Fly, rules: ContainerRules, storage: tuple[str, ...]
) -> None:
    service.add(['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=800M'], image='box')
    service.tasks[0]['requirements'] = {'memory': 0.5}

    [report] = await fly(containers=rules)

    assert report['action'] == 'reset'
    assert report['reason'].startswith('over memory limit')
    assert report['resources']['memory'] >= 0.5
    assert containers_of(storage) == []


async def test_a_pilot_with_the_flags_of_a_site_hands_back_what_runs_in_a_container(
    service: FakeService, start: Start, flags: list[str], storage: tuple[str, ...]
) -> None:
    service.add(STUBBORN, image='box')

    async with start(*flags, '--grace=0.5') as pilot:
        await service.until(lambda: service.output('t0'))
        pilot.send_signal(signal.SIGTERM)
        await pilot.communicate()

    assert pilot.returncode == 0
    assert [report['action'] for report in service.reports] == ['hand_back']
    assert containers_of(storage) == []


async def test_what_a_killed_pilot_leaves_is_gone_at_once_or_with_the_next_container(
    service: FakeService, start: Start, flags: list[str], storage: tuple[str, ...], tmp_path: Path
) -> None:
    service.add(STUBBORN, image='box')

    async with start(*flags) as pilot:
        await service.until(lambda: service.output('t0'))
        ran = processes_below(tmp_path)
        os.kill(pilot.pid, signal.SIGKILL)
        await pilot.communicate()
    await service.until(lambda: not processes_below(tmp_path))
    left = containers_of(storage)
    service.add('true', image='box')
    async with start(*flags) as pilot:
        await service.until(lambda: service.reports)
        pilot.send_signal(signal.SIGTERM)
        await pilot.communicate()

    assert len(ran) >= 3
    assert len(left) == 1
    assert [report['action'] for report in service.reports] == ['complete']
    assert containers_of(storage) == []


async def test_many_slots_run_containers_at_once(
    service: FakeService, fly: Fly, rules: ContainerRules, storage: tuple[str, ...]
) -> None:
    for _ in range(3):
        service.add('echo $ICEPROD_TASK_INDEX', image='box')

    reports = await fly(containers=rules, slots=({'PATH': '/usr/bin:/bin'},) * 3)

    assert sorted(json.loads(report['stdout']) for report in reports) == [0, 1, 2]
    assert {report['action'] for report in reports} == {'complete'}
    assert containers_of(storage) == []
