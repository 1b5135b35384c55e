"""Nothing that a command started outlives its lease, its pilot or itself."""

import asyncio
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.pilot.warden import below, children_of_all
from tests.pilot.conftest import OFFER, Fly, Start
from tests.pilot.fake_service import FakeService
from tests.pilot.processes import is_alive, writes_pid


def family(folder: Path) -> tuple[str, list[Path]]:
    """A command with a child and a grandchild in sessions of their own, and the files that name the three of them."""
    files = [folder / name for name in ('top', 'deep', 'deepest')]
    (folder / 'deepest.sh').write_text(writes_pid(files[2]))
    (folder / 'deep.sh').write_text(f'(setsid sh {folder}/deepest.sh &); {writes_pid(files[1])}')
    return f'setsid sh {folder}/deep.sh > /dev/null 2>&1 & {writes_pid(files[0])}', files


async def pids_in(service: FakeService, files: list[Path]) -> list[int]:
    """The processes, once all have said their numbers."""
    await service.until(lambda: all(file.exists() for file in files))
    return [int(file.read_text()) for file in files]


async def test_a_pilot_that_is_paused_past_its_lease_does_no_work_meanwhile(
    service: FakeService, start: Start, tmp_path: Path
) -> None:
    command, files = family(tmp_path)
    service.add(command)
    service.again_in = 0.3

    async with start('--until-empty', '--lease-seconds', '3') as process:
        pids = await pids_in(service, files)
        process.send_signal(signal.SIGSTOP)
        await service.until(lambda: not any(is_alive(pid) for pid in pids))
        paused = psutil.Process(process.pid).status()
        service.orders['t0'] = (409, {'code': 409, 'error': 'The claim is over'})
        service.add('echo next')
        service.left -= 1
        process.send_signal(signal.SIGCONT)
        _, err = await process.communicate()

    assert paused == psutil.STATUS_STOPPED
    assert [report['stdout'] for report in service.reports] == ['next\n']
    assert b'dropped t0' in err


async def test_a_pilot_that_is_paused_for_less_than_its_lease_goes_on(
    service: FakeService, start: Start, tmp_path: Path
) -> None:
    service.add(f'touch {tmp_path}/runs; sleep 2; echo done')

    async with start('--until-empty') as process:
        await service.until((tmp_path / 'runs').exists)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3)
        process.send_signal(signal.SIGCONT)
        await process.communicate()

    assert [(report['action'], report['stdout']) for report in service.reports] == [('complete', 'done\n')]


async def test_work_done_within_the_lease_is_reported_by_a_pilot_that_wakes_after_it(
    service: FakeService, start: Start, tmp_path: Path
) -> None:
    service.add(f'touch {tmp_path}/runs; sleep 1; echo done')

    async with start('--until-empty', '--lease-seconds', '4') as process:
        await service.until((tmp_path / 'runs').exists)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(5)
        process.send_signal(signal.SIGCONT)
        await process.communicate()

    assert [(report['action'], report['stdout']) for report in service.reports] == [('complete', 'done\n')]


async def test_a_killed_pilot_takes_all_descendants_of_its_commands_along(
    service: FakeService, start: Start, tmp_path: Path
) -> None:
    command, files = family(tmp_path)
    service.add(command)

    async with start() as process:
        pids = await pids_in(service, files)
        process.kill()
        await process.communicate()

    await service.until(lambda: not any(is_alive(pid) for pid in pids))


async def test_no_descendant_outlives_the_command(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    command, files = family(tmp_path)
    deeper = ' && '.join(f'[ -e {file} ]' for file in files[1:])
    service.add(f'{{ {command}; }} & until {deeper}; do sleep 0.05; done')

    [report] = await fly()

    assert report['action'] == 'complete'
    assert not any(is_alive(pid) for pid in await pids_in(service, files))


async def test_a_command_dies_with_its_warden(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    pid = tmp_path / 'pid'
    service.add(f'echo $$ > {pid}; kill -KILL $PPID; while :; do sleep 0.1; done')

    [report] = await fly()

    assert (report['action'], report['exit_code'], report['reason']) == ('reset', 137, 'killed by SIGKILL')
    await service.until(lambda: not is_alive(int(pid.read_text())))


@pytest.mark.parametrize('number', ['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'XCPU'])
async def test_a_warden_leaves_the_signals_of_a_batch_system_to_the_pilot(
    service: FakeService, fly: Fly, number: str
) -> None:
    service.add(f'kill -{number} $PPID; sleep 0.2; echo fine')

    [report] = await fly()

    assert (report['action'], report['stdout']) == ('complete', 'fine\n')


@pytest.mark.parametrize('who', ['$PPID', '$$'])
async def test_who_was_stopped_is_ended_all_the_same(service: FakeService, fly: Fly, who: str, tmp_path: Path) -> None:
    pid = tmp_path / 'pid'
    service.add(f'echo $$ > {pid}; kill -STOP {who}; sleep 600', timeout=1)

    [report] = await fly()

    assert (report['action'], report['reason']) == ('reset', 'timeout after 1 s')
    assert not is_alive(int(pid.read_text()))


PYTHON = shlex.quote(sys.executable)
LOOK_AROUND = """
import os, signal
print([number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN])
print(sorted(os.listdir('/proc/self/fd'))[:-1], os.getsid(0) == os.getpid())
print(open(f'/proc/{os.getppid()}/environ').read())
"""


async def test_a_command_finds_nothing_of_the_wardens(service: FakeService, start: Start) -> None:
    service.add([sys.executable, '-c', LOOK_AROUND])

    async with start('--until-empty') as process:
        await process.communicate()

    # Python itself ignores these two.
    ignored = [signal.SIGPIPE, signal.SIGXFSZ]
    assert service.reports[0]['stdout'] == f"{ignored!r}\n['0', '1', '2'] True\n\n"


async def test_memory_of_processes_in_other_sessions_is_counted(service: FakeService, fly: Fly) -> None:
    hold = 'import time; held = bytearray(300 * 10**6); time.sleep(60)'
    service.add(f"setsid {PYTHON} -c '{hold}' & sleep 60")

    [report] = await fly(offer=replace(OFFER, memory_gb=0.15))

    assert report['reason'].startswith('over memory limit: used 0.')


async def test_a_command_of_a_megabyte_is_started(service: FakeService, fly: Fly) -> None:
    service.add(['/bin/sh', '-c', 'echo $#', *['x' * 1000] * 1000])

    [report] = await fly()

    assert report['stdout'] == '999\n'


async def test_a_warden_that_cannot_be_started_says_nothing_about_the_task(
    service: FakeService, fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add('true')
    monkeypatch.setattr(sys, 'executable', '/bin/false')

    [report] = await fly()

    assert (report['action'], report['reason']) == ('hand_back', 'the machine cannot run it: the warden has died')


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=30))
def test_all_descendants_are_found_parents_first(parents: list[int]) -> None:
    # The parent of process n + 1 is any process before it.
    parent_of = {number: parent % number for number, parent in enumerate(parents, start=1)}
    children: dict[int, list[int]] = {}
    for number, parent in parent_of.items():
        children.setdefault(parent, []).append(number)

    found = below(1, children) if parents else []

    def comes_from_one(number: int) -> bool:
        return number == 1 or (number > 1 and comes_from_one(parent_of[number]))

    assert sorted(found) == [number for number in parent_of if number != 1 and comes_from_one(number)]
    assert all(parent_of[number] in {1, *found[:place]} for place, number in enumerate(found))


def test_the_children_of_this_process_are_found() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        assert pid in children_of_all()[os.getpid()]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
