"""Several processes behind one port: equal, started again, ended together."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.conftest import SECRET
from tests.journeys.commands import EXAMPLE, ROOT, Commands
from tests.journeys.test_drain import TASK, everything, until
from tests.journeys.test_kill import mongod_of


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def children(service: 'subprocess.Popen[str]') -> list[psutil.Process]:
    """Those of the processes that answer requests."""
    mongod = mongod_of(service)
    return [child for child in psutil.Process(service.pid).children() if child.pid != mongod and 'child' in cmd(child)]


def cmd(process: psutil.Process) -> str:
    try:
        return ' '.join(process.cmdline())
    except psutil.Error:
        return ''


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_three_processes_serve_the_example_and_end_together(commands: Commands) -> None:
    service = commands.serve('--processes', '3', '--retry-delay', '1')
    family = children(service)
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
    pilot = ('pilot', '--token', commands.token('pilot'), '--until-empty', '--slots', '2', '--memory', '4')

    dataset = commands.run('submit', str(EXAMPLE)).strip()
    pilots = [commands.start(*pilot, log='pilots.log') for _ in range(2)]
    codes = [each.wait(240) for each in pilots]
    commands.run('status', '--wait', dataset)
    summed = subprocess.run(
        [sys.executable, str(ROOT / 'docs' / 'examples' / 'primes_sum.py'), dataset],
        env=commands.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    service.terminate()
    code = service.wait(60)

    assert len(family) == 3
    assert codes == [0, 0], commands.log('pilots.log')
    assert summed.stdout.strip() == '78498'
    assert code == 0, commands.log('serve.log')
    assert all_gone(family)
    assert commands.log('serve.log').count('iceprod-tasks serves') == 1


def test_on_a_free_port_it_says_which_and_its_log_says_who_speaks(commands: Commands) -> None:
    service = commands.serve('--processes', '2', '--port', '0', '--log-level', 'debug')
    port = re.search(r'serves http://127.0.0.1:(\d+)', commands.log('serve.log'))
    assert port is not None

    for _ in range(20):
        assert httpx2.get(f'http://127.0.0.1:{port[1]}/readyz').status_code == 200

    lines = [json.loads(line) for line in commands.log('serve.log').splitlines() if line.startswith('{')]
    spoken = {line['process'] for line in lines if line['logger'] == 'iceprod_tasks.access'}
    assert spoken <= {child.pid for child in children(service)}
    assert spoken


def test_one_that_dies_is_started_again_while_the_others_serve(commands: Commands) -> None:
    service = commands.serve('--processes', '2')
    first, second = children(service)

    first.kill()
    answers = [httpx2.get(f'{commands.url}/healthz').status_code for _ in range(20)]
    until(lambda: len(children(service)) == 2 and all(child.pid != first.pid for child in children(service)))

    assert set(answers) == {200}
    assert second.is_running()
    assert 'a process ended with 137; another one starts in 0.1 s' in commands.log('serve.log')
    service.terminate()
    assert service.wait(60) == 0


def test_when_one_is_stopped_by_hand_no_request_is_lost_and_another_one_comes(commands: Commands) -> None:
    service = commands.serve('--processes', '2')
    token = commands.token('admin')
    outcomes = []
    with httpx2.Client(base_url=commands.url, headers={'Authorization': f'Bearer {token}'}, timeout=30) as http:
        for turn in range(60):
            if turn == 20:
                children(service)[0].terminate()
            outcomes.append(http.post('/tasks', json=TASK).status_code)
    until(lambda: len(children(service)) == 2)

    # 503: it reached the one that was stopping.
    assert set(outcomes) <= {201, 503}
    assert outcomes.count(201) >= 50


def test_requests_under_way_in_any_of_them_are_answered(commands: Commands) -> None:
    service = commands.serve('--processes', '2')
    mongod = psutil.Process(mongod_of(service))
    head = f'GET /tasks/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {commands.token("admin")}\r\n\r\n'.encode()
    mongod.suspend()
    connections = [socket.create_connection(('127.0.0.1', commands.port), timeout=60) for _ in range(12)]
    for connection in connections:
        connection.sendall(head)
    time.sleep(0.5)

    service.terminate()
    time.sleep(0.5)
    mongod.resume()
    answers = [everything(connection).split()[1] for connection in connections]

    assert answers == ['404'] * 12
    assert service.wait(60) == 0
    assert not mongod.is_running()


def test_a_second_signal_ends_all_at_once(commands: Commands) -> None:
    service = commands.serve('--processes', '2')
    family, mongod = children(service), psutil.Process(mongod_of(service))
    unfinished = socket.create_connection(('127.0.0.1', commands.port))
    unfinished.sendall(
        b'POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{'
    )
    time.sleep(0.3)
    service.terminate()
    until(lambda: 'stopping' in commands.log('serve.log'))
    time.sleep(0.5)
    there = service.poll() is None

    service.terminate()
    code = service.wait(10)

    assert (there, code) == (True, 128 + signal.SIGTERM)
    until(lambda: all_gone([*family, mongod]))
    unfinished.close()


def test_ctrl_c_which_all_of_them_hear_drains_as_one_signal(commands: Commands) -> None:
    service = commands.serve('--processes', '2')
    family = children(service)
    unfinished = socket.create_connection(('127.0.0.1', commands.port), timeout=30)
    unfinished.sendall(
        b'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{'
    )
    time.sleep(0.3)

    for each in [psutil.Process(service.pid), *family]:
        each.send_signal(signal.SIGINT)
    time.sleep(1)
    unfinished.sendall(b'}')

    assert everything(unfinished).split()[1] == '200'
    assert service.wait(60) == 0
    assert all_gone(family)


def test_when_the_parent_is_killed_all_end(commands: Commands) -> None:
    service = commands.serve('--processes', '2')
    family, mongod = children(service), psutil.Process(mongod_of(service))

    service.kill()

    until(lambda: all_gone([*family, mongod]), timeout_seconds=60)


def test_what_prevents_a_start_is_said_once(commands: Commands) -> None:
    # Nobody listens on the first port of all.
    said = commands.run('serve', '--processes', '3', '--mongodb-url', 'mongodb://127.0.0.1:1/?timeoutMS=500', code=1)

    assert said.count('MongoDB does not answer') == 1
    assert len(said.strip().splitlines()) == 1


def test_processes_share_a_database_that_is_named(commands: Commands, mongodb_url: str, database_name: str) -> None:
    commands.environment |= {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET}
    service = commands.serve('--processes', '2')

    assert httpx2.get(f'{commands.url}/readyz').json()['ready'] is True
    assert len(children(service)) == 2
    service.terminate()
    assert service.wait(60) == 0
