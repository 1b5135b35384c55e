"""The files of a task: there before its command, sent after it was a success, and what goes wrong with them."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import Retry
from iceprod_tasks.pilot.files import FileRules
from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService

ENTRY: dict[str, Any] = {'type': 'permanent', 'local': '', 'compression': False, 'transfer': True}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of the machine that tasks may read and write."""
    folder = tmp_path / 'site'
    folder.mkdir()
    (folder / 'in').write_text('numbers')
    return folder


def entry(movement: str, remote: Any, **more: Any) -> dict[str, Any]:
    return {**ENTRY, 'movement': movement, 'remote': f'file://{remote}', **more}


async def test_files_come_before_the_command_and_go_after_it(service: FakeService, fly: Fly, site: Path) -> None:
    service.add('tr a-z A-Z < in > out')
    service.files['t0'] = [entry('input', site / 'in'), entry('output', site / 'out')]

    [report] = await fly(files=FileRules(file_roots=(site,)))

    assert report['action'] == 'complete'
    assert (site / 'out').read_text() == 'NUMBERS'


async def test_what_a_failed_command_has_written_stays_where_it_is(service: FakeService, fly: Fly, site: Path) -> None:
    service.add('echo half > out; exit 1')
    service.files['t0'] = [entry('output', site / 'out')]

    [report] = await fly(files=FileRules(file_roots=(site,)))

    assert (report['action'], report['reason']) == ('reset', 'exit code 1')
    assert not (site / 'out').exists()


@pytest.mark.parametrize(
    ('more', 'why'),
    [({'local': '../x'}, 'download'), ({'checksum': 'sha256:' + '0' * 64}, 'checksum')],
)  # fmt: skip
async def test_a_file_that_is_refused_fails_the_task_before_its_command(
    service: FakeService, fly: Fly, site: Path, more: dict[str, Any], why: str
) -> None:
    service.add(f'touch {site}/ran')
    service.files['t0'] = [entry('input', site / 'in', **more)]

    [report] = await fly(files=FileRules(file_roots=(site,)))

    assert report['action'] == 'failed'
    assert report['reason'].startswith('download file://') and why in report['reason']
    assert not (site / 'ran').exists()


async def test_an_output_that_is_not_there_is_worth_another_try(service: FakeService, fly: Fly, site: Path) -> None:
    service.add('true')
    service.files['t0'] = [entry('output', site / 'out')]

    [report] = await fly(files=FileRules(file_roots=(site,)))

    assert (report['action'], report['exit_code']) == ('reset', 0)
    assert report['reason'].startswith('upload file://')


async def test_a_server_that_is_not_there_is_worth_another_try(service: FakeService, fly: Fly) -> None:
    service.add('true')
    service.files['t0'] = [{**ENTRY, 'movement': 'input', 'remote': 'http://127.0.0.1:1/x'}]
    rules = FileRules(tries=2, retry=Retry(seconds=None, first_seconds=0.01))

    [report] = await fly(files=rules)

    assert report['action'] == 'reset'
    assert report['reason'].startswith('download http://127.0.0.1:1/x')


async def test_a_lost_task_waits_for_no_file(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    silent = socket.create_server(('127.0.0.1', 0))
    port = silent.getsockname()[1]
    service.add('true')
    service.left, service.again_in = 0, 0.1
    service.files['t0'] = [{**ENTRY, 'movement': 'input', 'remote': f'http://127.0.0.1:{port}/x'}]
    service.orders['t0'] = 409, {'code': 409, 'error': 'lost', 'action': 'stop', 'why': ''}

    async with asyncio.timeout(20):
        assert await fly(heartbeat_seconds=0.1) == []
    silent.close()


@pytest.mark.parametrize(('code', 'action'), [(500, 'reset'), (404, 'complete'), (403, 'failed')])
async def test_a_service_that_does_not_tell_of_files_decides_what_becomes_of_the_task(
    service: FakeService, fly: Fly, code: int, action: str
) -> None:
    service.add('true')
    service.troubles['files'].append((code, {'code': code, 'error': 'no'}))

    [report] = await fly()

    assert report['action'] == action
