"""Pilots that die, freeze or are told to stop, against the real service: their work ends, and goes on elsewhere."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.journeys.commands import Commands
from tests.pilot.processes import is_alive, writes_pid

LEASE_SECONDS = 8
PATIENCE_SECONDS = 90


class World:
    """A service with short leases, and a dataset of one task: its first claim runs for ever, the next one is short."""

    def __init__(self, commands: Commands, folder: Path) -> None:
        self.commands = commands
        self._files = [folder / name for name in ('top', 'deep', 'task')]
        commands.serve('--lease', str(LEASE_SECONDS), '--heartbeat', '1', '--stop-grace', '600')
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('admin')
        top, deep, task = self._files
        (folder / 'deep.sh').write_text(writes_pid(deep))
        command = (
            f'[ $ICEPROD_TASK_EPOCH = 1 ] || exit 0; echo $ICEPROD_TASK_ID > {task}; '
            f'setsid sh {folder}/deep.sh > /dev/null 2>&1 & {writes_pid(top)}'
        )
        dataset = {'version': 1, 'description': 'one', 'tasks': [{'name': 'long', 'command': command}]}
        (folder / 'one.json').write_text(json.dumps(dataset))
        self.dataset_id = commands.run('submit', 'one.json').strip()

    def pilot(self, log: str, *options: str) -> Any:
        """A pilot in the background."""
        token = self.commands.token('pilot')
        return self.commands.start('pilot', '--token', token, '--poll-seconds', '0.5', *options, log=log)

    def pids(self) -> list[int]:
        """The processes of the first try, once it runs."""
        until(lambda: all(file.exists() and file.read_text() for file in self._files))
        return [int(file.read_text()) for file in self._files[:2]]

    def task(self) -> dict[str, Any]:
        """The task as the service shows it."""
        token = self.commands.environment['ICEPROD_TASKS_TOKEN']
        address = f'{self.commands.url}/tasks/{self._files[2].read_text().strip()}'
        answer = httpx2.get(address, headers={'Authorization': f'Bearer {token}'}, timeout=60)
        return dict(answer.raise_for_status().json())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Commands(tmp_path) as commands:
        yield World(commands, tmp_path)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def logged(task: dict[str, Any]) -> list[str]:
    return [entry['transition'] for entry in task['log']]


def when(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry['when']).replace(tzinfo=UTC)


def test_a_task_of_a_pilot_that_was_killed_runs_elsewhere_within_1_3_leases(world: World) -> None:
    first = world.pilot('first.log')
    pids = world.pids()
    second = world.pilot('second.log', '--until-empty')

    killed = datetime.now(UTC)
    first.kill()
    until(lambda: not any(is_alive(pid) for pid in pids))
    ended_after = datetime.now(UTC) - killed
    assert second.wait(PATIENCE_SECONDS) == 0, world.commands.log('second.log')

    task = world.task()
    _, claim, rescue, again, _ = task['log']
    assert logged(task) == ['queue', 'claim', 'rescue', 'claim', 'complete']
    assert (task['status'], task['evictions'], task['failures'], task['epoch']) == ('complete', 1, 0, 2)
    assert when(rescue) - when(claim) >= timedelta(seconds=LEASE_SECONDS)
    # Its last sign of life was before it was killed.
    assert when(again) - killed <= timedelta(seconds=1.3 * LEASE_SECONDS + 3)
    assert ended_after < timedelta(seconds=LEASE_SECONDS)


def test_work_of_a_paused_pilot_is_dead_before_it_runs_elsewhere(world: World) -> None:
    first = world.pilot('first.log', '--until-empty')
    pids = world.pids()

    first.send_signal(signal.SIGSTOP)
    second = world.pilot('second.log', '--until-empty')
    until(lambda: world.task()['epoch'] == 2)
    left, paused = [pid for pid in pids if is_alive(pid)], psutil.Process(first.pid).status()
    assert second.wait(PATIENCE_SECONDS) == 0, world.commands.log('second.log')
    done = world.task()
    first.send_signal(signal.SIGCONT)
    assert first.wait(PATIENCE_SECONDS) == 0, world.commands.log('first.log')

    task = world.task()
    assert (left, paused) == ([], psutil.STATUS_STOPPED)
    assert logged(task) == ['queue', 'claim', 'rescue', 'claim', 'complete']
    assert (task['status'], task['evictions'], task['failures']) == ('complete', 1, 0)
    assert task == done
    assert 'dropped' in world.commands.log('first.log')


def test_work_that_is_cancelled_is_ended_by_its_pilot(world: World) -> None:
    pilot = world.pilot('pilot.log', '--until-empty')
    pids = world.pids()

    world.commands.run('tasks', 'cancel', world.dataset_id, '--reason', 'not wanted', '--yes')
    assert pilot.wait(PATIENCE_SECONDS) == 0, world.commands.log('pilot.log')

    task = world.task()
    assert not any(is_alive(pid) for pid in pids)
    assert logged(task) == ['queue', 'claim', 'stop asked', 'cancel']
    assert (task['status'], task['outcome']['result'], task['failures']) == ('failed', 'cancelled', 0)
    # The next heartbeat, and the grace of a command that dies at once; the service alone would have waited longer.
    assert when(task['log'][-1]) - when(task['log'][-2]) < timedelta(seconds=30)
    assert 'asked to stop: cancel by' in world.commands.log('pilot.log')


def test_a_pilot_outlives_a_service_that_is_away_for_less_than_its_lease(world: World) -> None:
    pilot = world.pilot('pilot.log', '--lease-seconds', '60')
    pids = world.pids()

    for process in world.commands.started[:1]:
        process.kill()
        process.wait()
    world.commands.serve('--lease', str(LEASE_SECONDS), '--heartbeat', '1')
    beaten = world.task().get('heartbeat_at')
    until(lambda: world.task().get('heartbeat_at') not in (None, beaten))

    assert all(is_alive(pid) for pid in pids)
    assert logged(world.task()) == ['queue', 'claim']
    os.kill(pilot.pid, signal.SIGTERM)
    assert pilot.wait(PATIENCE_SECONDS) == 0
    assert world.task()['evictions'] == 1
