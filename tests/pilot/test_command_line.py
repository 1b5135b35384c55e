"""`iceprod-tasks pilot` as a process: its signals, its end, its words."""

import signal
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from iceprod_tasks.cli.pilot import pilot
from tests.pilot.conftest import Start
from tests.pilot.fake_service import FakeService
from tests.pilot.processes import is_alive, writes_pid


async def test_it_runs_until_empty_and_says_a_line_for_claim_and_report(service: FakeService, start: Start) -> None:
    service.add('echo $LICENSE; env')

    async with start('--until-empty', '--pass-env', 'LICENSE', '--pass-env', 'ICEPROD_TASKS_TOKEN') as process:
        out, err = await process.communicate()

    lines = [line for line in err.decode().splitlines() if 't0' in line]
    assert process.returncode == 0
    assert out == b''
    assert [word in line for word, line in zip(('claimed', 'complete'), lines, strict=True)] == [True, True]
    assert service.reports[0]['stdout'].startswith('mine\n')
    assert 'very secret' not in service.reports[0]['stdout'] + err.decode()


async def test_it_offers_what_it_is_told(service: FakeService, start: Start) -> None:
    machine = ['--cpu', '2', '--memory', '3.5', '--disk', '4', '--gpu', '0', '--os', 'any_1']
    offer = [*machine, '--time', '1.5', '--site', 'there', '--tag', 'fast', '--container-runtime', 'none']

    async with start('--until-empty', '--lease-seconds', '90', *offer) as process:
        await process.communicate()

    assert service.claims[0]['requirements'] == {
        'cpu': 2, 'gpu': 0, 'memory': 3.5, 'disk': 4.0, 'time': 1.5, 'os': 'any_1', 'site': 'there',
        'container': False, 'work': True, 'tagged': sorted({'there', 'fast', socket.gethostname()}),
    }  # fmt: skip
    assert (service.claims[0]['site'], service.claims[0]['lease_seconds']) == ('there', 90)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_kills_what_runs_and_hands_it_back(
    service: FakeService, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    pid = tmp_path / 'pid'
    service.add(writes_pid(pid))

    async with start() as process:
        await service.until(pid.exists)
        process.send_signal(number)
        await process.communicate()

    assert process.returncode == 0
    assert [report['action'] for report in service.reports] == ['hand_back']
    assert not is_alive(int(pid.read_text()))


async def test_a_second_signal_ends_all_of_it_at_once(service: FakeService, start: Start, tmp_path: Path) -> None:
    pid = tmp_path / 'pid'
    stubborn = f'trap "touch {tmp_path}/asked" TERM; {writes_pid(pid)}'
    service.add(f"trap : TERM; sh -c '{stubborn}' & while :; do wait; done")

    async with start() as process:
        await service.until(pid.exists)
        process.send_signal(signal.SIGTERM)
        await service.until((tmp_path / 'asked').exists)
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    assert process.returncode == 128 + signal.SIGTERM
    assert service.reports == []
    await service.until(lambda: not is_alive(int(pid.read_text())))


async def test_a_killed_pilot_takes_its_command_along(service: FakeService, start: Start, tmp_path: Path) -> None:
    pid = tmp_path / 'pid'
    service.add(writes_pid(pid))

    async with start() as process:
        await service.until(pid.exists)
        process.kill()
        await process.communicate()

    await service.until(lambda: not is_alive(int(pid.read_text())))


async def test_an_idle_pilot_ends_at_a_signal(service: FakeService, start: Start) -> None:
    async with start('--poll-seconds', '600', '--slots', '3') as process:
        await service.until(lambda: len(service.claims) >= 3)
        process.terminate()
        await process.communicate()

    assert process.returncode == 0


@pytest.mark.parametrize(('code', 'exit_code'), [(401, 4), (403, 4), (404, 3), (400, 1)])
async def test_a_pilot_the_service_will_not_have_exits_with_a_meaning(
    service: FakeService, start: Start, code: int, exit_code: int
) -> None:
    service.troubles['claim'].append((code, {'code': code, 'error': 'the reason'}))

    async with start() as process:
        _, err = await process.communicate()

    assert process.returncode == exit_code
    assert b'the reason' in err


@pytest.mark.parametrize(
    'options',
    [
        ['--slots', '0'],
        ['--memory', '0'],
        ['--server', 'nowhere'],
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(options: list[str]) -> None:
    result = CliRunner().invoke(pilot, ['--token', 'x', *options])

    assert result.exit_code == 2


def test_a_folder_it_cannot_work_in_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()

    result = CliRunner().invoke(pilot, ['--token', 'x', '--workdir', str(tmp_path / 'file' / 'inner')])

    assert result.exit_code == 1
    assert 'cannot work in' in result.output


def test_more_gpus_than_there_are_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0,1,2')

    result = CliRunner().invoke(pilot, ['--token', 'x', '--slots', '2', '--gpu', '2'])

    assert result.exit_code == 2
    assert 'more than the 3 there are' in result.output


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(pilot, ['--help'])

    assert 'iceprod-tasks pilot --slots' in result.output
