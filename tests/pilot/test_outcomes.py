"""What a pilot reports about each way a command can end."""

import asyncio
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from iceprod_tasks.client import AsyncClient, Claim
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.run import Outcome, Runner
from iceprod_tasks.pilot.warden import clock
from tests.pilot.conftest import ENVIRONMENT, OFFER, Fly
from tests.pilot.fake_service import FakeService
from tests.pilot.processes import is_alive

CLAIM = Claim({'task_id': 't0'}, 'c' * 32, 1)
ONE_CPU_SECOND = 'sh -c "ulimit -t 1; while :; do :; done"'
PYTHON = shlex.quote(sys.executable)
HOLD = 'import time; held = bytearray({mb} * 10**6); time.sleep({seconds})'


def hold(mb: int, seconds: float) -> list[str]:
    """A command that holds memory for a while."""
    return [sys.executable, '-c', HOLD.format(mb=mb, seconds=seconds)]


async def test_exit_zero_is_complete(service: FakeService, fly: Fly) -> None:
    service.add(['/bin/sh', '-c', 'echo out; echo err >&2'])

    [report] = await fly()

    assert report['action'] == 'complete'
    assert (report['exit_code'], report['stdout'], report['stderr']) == (0, 'out\n', 'err\n')
    assert (report['task_id'], report['epoch'], report['site']) == ('t0', 4, 'here')
    assert report['claim_id'] == service.claims[0]['claim_id']


async def test_another_exit_code_is_reset(service: FakeService, fly: Fly) -> None:
    service.add('echo wrong >&2; exit 3')

    [report] = await fly()

    assert (report['action'], report['exit_code'], report['reason']) == ('reset', 3, 'exit code 3')
    assert report['stderr'] == 'wrong\n'


async def test_death_by_a_signal_is_reset_with_128_and_its_number(service: FakeService, fly: Fly) -> None:
    service.add('kill -SEGV $$')

    [report] = await fly()

    assert (report['action'], report['exit_code'], report['reason']) == ('reset', 139, 'killed by SIGSEGV')


async def test_a_timeout_is_reset_and_leaves_no_grandchild(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    pids = tmp_path / 'pids'
    service.add(f'sh -c "trap : TERM; echo \\$\\$ > {pids}; while :; do sleep 1; done" & wait', timeout=2)

    [report] = await fly()

    assert (report['action'], report['reason']) == ('reset', 'timeout after 2 s')
    assert report['time_used'] >= 2
    assert not is_alive(int(pids.read_text()))


async def test_a_command_that_ignores_term_is_killed_after_the_grace(tmp_path: Path) -> None:
    runner = Runner(OFFER, grace_seconds=0.2)
    hold = Hold(AsyncClient('http://nowhere'), CLAIM, clock(), heartbeat_seconds=10, stop=asyncio.Event())
    command = Command(('/bin/sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'), ENVIRONMENT, 0.5)
    folder = Folder.make(tmp_path)

    ending = await runner.run(command, folder, hold)
    folder.remove()

    assert (ending.outcome, ending.report['exit_code']) == (Outcome.RESET, 137)


async def test_a_command_may_tidy_up_within_the_grace(service: FakeService, fly: Fly) -> None:
    service.add('trap "echo tidy; exit 0" TERM; while :; do sleep 0.1; done', timeout=0.5)

    [report] = await fly()

    assert (report['action'], report['exit_code'], report['stdout']) == ('reset', 0, 'tidy\n')


async def test_a_shell_with_job_control_leaves_no_job_behind(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    pid = tmp_path / 'pid'
    service.add(['bash', '-c', f'set -m; sleep 600 & echo $! > {pid}; exit 0'])

    [report] = await fly()

    assert report['action'] == 'complete'
    assert not is_alive(int(pid.read_text()))


async def test_more_memory_than_offered_is_reset(service: FakeService, fly: Fly) -> None:
    service.add(hold(300, 60))

    [report] = await fly(offer=replace(OFFER, memory_gb=0.15))

    assert report['action'] == 'reset'
    assert report['reason'].startswith('over memory limit: used 0.')
    assert report['reason'].endswith('GB of 0.15 GB')
    assert report['resources']['memory'] > 0.15


async def test_more_disk_than_offered_is_reset(service: FakeService, fly: Fly) -> None:
    service.add('head -c 30000000 /dev/zero > big; sleep 60')

    [report] = await fly(offer=replace(OFFER, disk_gb=0.01))

    assert report['action'] == 'reset'
    assert report['reason'] == 'over disk limit: used 0.03 GB of 0.01 GB'


@pytest.mark.parametrize('command', [['/does/not/exist'], ['no-such-program'], ['/etc/passwd'], ['/bin/echo', 'a\0b']])
async def test_a_command_that_cannot_be_started_has_failed(service: FakeService, fly: Fly, command: list[str]) -> None:
    service.add(command)

    [report] = await fly()

    assert report['action'] == 'failed'
    assert report['reason'].startswith('cannot be started: ')


@pytest.mark.parametrize(
    ('entry', 'reason'),
    [
        ({'command': 'echo ${nonsense}'}, 'tasks[0]: unknown name ${nonsense}'),
        ({}, 'tasks[0]: the command is neither a list of words nor a shell line'),
        ({'command': ['true'], 'env': ['A=1']}, 'tasks[0]: env is no object of names and texts'),
        ({'command': ['true'], 'timeout': 'soon'}, 'tasks[0]: timeout is no positive number of seconds'),
        ('true', 'tasks[0] is no object'),
    ],
)
async def test_a_config_that_makes_no_sense_has_failed(service: FakeService, fly: Fly, entry: Any, reason: str) -> None:
    service.config['tasks'].append(entry)
    service.add_index(0)

    [report] = await fly()

    assert (report['action'], report['reason']) == ('failed', reason)


async def test_a_config_without_the_task_has_failed(service: FakeService, fly: Fly) -> None:
    service.add_index(5)

    [report] = await fly()

    assert (report['action'], report['reason']) == ('failed', 'the config has no tasks[5]')


async def test_no_config_at_all_has_failed(service: FakeService, fly: Fly) -> None:
    service.add('true')
    service.troubles['config'].append((404, {'code': 404, 'error': 'Config not found'}))

    [report] = await fly()

    assert (report['action'], report['reason']) == ('failed', 'the config cannot be read: Config not found (404)')


async def test_a_service_that_fails_on_the_config_resets_the_task(service: FakeService, fly: Fly) -> None:
    service.add('true')
    service.troubles['config'].append((500, {'code': 500, 'error': 'oh'}))

    [report] = await fly()

    assert (report['action'], report['reason']) == ('reset', 'the config did not come: oh (500)')


async def test_no_folder_to_work_in_hands_the_task_back(service: FakeService, fly: Fly, plan: Plan) -> None:
    service.add('true')
    plan.workdir.rmdir()

    [report] = await fly()

    assert report['action'] == 'hand_back'
    assert report['reason'].startswith('the machine cannot run it: ')


async def test_what_a_command_uses_is_measured(service: FakeService, fly: Fly) -> None:
    service.add(hold(200, 1.5))

    [report] = await fly()

    assert report['action'] == 'complete'
    assert 0.2 < report['resources']['memory'] < 0.5
    assert 0 <= report['resources']['cpu'] < 2
    assert report['resources']['time'] * 3600 >= 1.5
    assert report['time_used'] >= 1.5


async def test_memory_is_summed_over_the_processes_of_a_task(service: FakeService, fly: Fly) -> None:
    code = HOLD.format(mb=100, seconds=3)
    service.add(f'{PYTHON} -c "{code}" & {PYTHON} -c "{code}"; wait')

    [report] = await fly()

    assert report['resources']['memory'] > 0.2


async def test_a_short_command_does_not_wear_the_pilots_memory(service: FakeService, fly: Fly) -> None:
    service.add(['sleep', '0.3'])

    [report] = await fly()

    assert report['resources']['memory'] * 1e9 < psutil.Process(os.getpid()).memory_info().rss / 3


def cpu_seconds(report: dict[str, Any]) -> float:
    """What a report says of the cores, whatever else the machine had to do meanwhile."""
    return float(report['resources']['cpu'] * max(1, report['resources']['time'] * 3600))


async def test_busy_cores_are_counted_with_those_of_children(service: FakeService, fly: Fly) -> None:
    service.add(f'{ONE_CPU_SECOND}; true')

    [report] = await fly()

    assert 0.8 < cpu_seconds(report) < 2


async def test_busy_cores_are_counted_under_a_process_nobody_waits_for(service: FakeService, fly: Fly) -> None:
    service.add(f'({ONE_CPU_SECOND}; {ONE_CPU_SECOND}; touch done; sleep 600) & until [ -e done ]; do sleep 0.1; done')

    [report] = await fly()

    assert 1.8 < cpu_seconds(report) < 4


async def test_disk_is_measured_with_temporary_files(service: FakeService, fly: Fly) -> None:
    service.add('head -c 5000000 /dev/zero > a; head -c 5000000 /dev/zero > "$TMPDIR/b"')

    [report] = await fly()

    assert 0.01 <= report['resources']['disk'] < 0.012


async def test_what_is_ended_together_with_its_pilot_is_handed_back(service: FakeService, plan: Plan) -> None:
    service.add('sleep 60')
    async with AsyncClient(service.url, 'secret') as client:
        pilot = Pilot(client, plan)
        flying = asyncio.ensure_future(pilot.run())
        await service.until(lambda: any(each.name() == 'sleep' for each in psutil.Process().children(recursive=True)))

        # As `scancel` does: to everybody, and the task hears it first.
        for each in psutil.Process().children(recursive=True):
            if each.name() in ('sh', 'sleep'):
                each.terminate()
        await asyncio.sleep(0.3)
        pilot.stop()
        await flying

    assert [report['action'] for report in service.reports] == ['hand_back']


async def test_what_is_ended_alone_has_failed(service: FakeService, fly: Fly) -> None:
    service.add('kill -TERM $$')

    [report] = await fly()

    assert (report['action'], report['reason']) == ('reset', 'killed by SIGTERM')
