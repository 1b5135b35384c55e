"""Leaders that freeze, die and come back: one service leads, another one follows, and no late write lands."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pymongo
import pytest

from tests.conftest import SECRET
from tests.dialects.drove.bodies import spec
from tests.dialects.drove.cli import DroveCli
from tests.journeys.commands import ROOT, Commands, free_port
from tests.journeys.test_drain import until

A, B = 'http://a.example.org', 'http://b.example.org'
LEASE_SECONDS = 2.0


@pytest.fixture
def commands(tmp_path: Path, mongodb_url: str, database_name: str) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        commands.environment |= {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET}
        yield commands


class Leading:
    """The program `leading.py`, as a service with a name."""

    def __init__(self, commands: Commands, name: str) -> None:
        self._program = subprocess.Popen(
            [sys.executable, '-m', 'tests.journeys.leading', name, str(LEASE_SECONDS)], cwd=ROOT, text=True,
            env=commands.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        commands.started.append(self._program)
        self.url = f'http://127.0.0.1:{self.hear()}'

    def say(self, line: str) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(f'{line}\n')
        self._program.stdin.flush()

    def hear(self) -> str:
        assert self._program.stdout is not None
        return self._program.stdout.readline().strip()

    def write(self, name: str) -> str:
        """What comes of a write."""
        self.say(name)
        return self.hear()

    def signal(self, number: signal.Signals) -> None:
        self._program.send_signal(number)


def leader(url: str, token: str) -> dict[str, Any]:
    """What a service says of who leads, on a connection of its own."""
    answer = httpx2.get(f'{url}/leader', headers={'Authorization': f'Bearer {token}'}, timeout=20)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def seconds_until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    until(condition, timeout_seconds=60)
    return time.monotonic() - began


def test_a_leader_that_is_frozen_in_the_middle_of_a_write_and_woken_later_writes_nothing(
    commands: Commands, mongodb_url: str, database_name: str
) -> None:
    token = commands.token('admin')
    first, second = Leading(commands, A), Leading(commands, B)
    assert first.write('before') == 'written'
    assert second.write('not by the other') == f'refused: {A}'

    first.say('slow')
    assert first.hear() == 'in the middle'
    first.signal(signal.SIGSTOP)
    failover_seconds = seconds_until(lambda: leader(second.url, token)['is_leader'])
    now = leader(second.url, token)
    assert second.write('after') == 'written'
    first.signal(signal.SIGCONT)
    woken = leader(first.url, token)
    answer = first.hear()

    assert failover_seconds < 3 * LEASE_SECONDS
    assert (now['leader'], now['term']) == (B, 2)
    assert (woken['leader'], woken['is_leader']) == (B, False)
    assert answer == f'refused: {B}'
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        landed = {thing['_id']: thing['by'] for thing in client[database_name].things.find()}
    assert landed == {'before': A, 'after': B}
    assert first.write('late') == f'refused: {B}'


def test_when_the_leader_is_killed_another_one_leads_within_three_leases(commands: Commands) -> None:
    ports = [free_port(), free_port()]
    lease = ('--leader-lease', str(LEASE_SECONDS), '--no-scheduler')
    first, _ = [commands.serve('--port', str(port), *lease) for port in ports]
    token = commands.token('admin')
    urls = [f'http://127.0.0.1:{port}' for port in ports]
    before = [leader(url, token) for url in urls]

    first.kill()
    failover_seconds = seconds_until(lambda: leader(urls[1], token)['is_leader'])
    after = leader(urls[1], token)

    assert [(each['leader'], each['is_leader']) for each in before] == [(urls[0], True), (urls[0], False)]
    assert failover_seconds < 3 * LEASE_SECONDS
    assert (after['leader'], after['term']) == (urls[1], before[0]['term'] + 1)


def test_the_processes_of_a_service_lead_together_and_keep_their_term(commands: Commands) -> None:
    commands.serve('--processes', '2', '--leader-lease', '1', '--advertise', f'{A}/', '--log-level', 'debug')
    token = commands.token('admin')

    told = []
    end = time.monotonic() + 4
    while time.monotonic() < end:
        told.append(leader(commands.url, token))
        time.sleep(0.05)

    assert {(each['leader'], each['term'], each['is_leader']) for each in told} == {(A, 1, True)}
    lines = [json.loads(line) for line in commands.log('serve.log').splitlines() if line.startswith('{')]
    asked = {line['process'] for line in lines if 'GET /leader' in line['message'] or line.get('path') == '/leader'}
    assert len(asked) == 2


def test_a_service_that_comes_back_in_time_keeps_its_term(commands: Commands) -> None:
    token = commands.token('admin')
    first = commands.serve('--leader-lease', '60')
    before = leader(commands.url, token)
    first.terminate()
    first.wait(60)

    commands.serve('--leader-lease', '60')

    after = leader(commands.url, token)
    assert (after['leader'], after['term'], after['is_leader']) == (commands.url, before['term'], True)


def test_on_a_free_port_it_goes_by_the_port_that_it_has(commands: Commands) -> None:
    commands.serve('--port', '0')
    served = re.search(r'serves (http://\S+),', commands.log('serve.log'))
    assert served is not None

    assert leader(served[1], commands.token('admin'))['leader'] == served[1]


@pytest.mark.parametrize(
    'address',
    ['tasks.example.org', 'ftp://a', 'http://', 'http://u:p@a', 'http://a?x=1', 'http://a:99999', 'http://a b', 'http://ä'],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(commands: Commands, address: str) -> None:
    assert 'an address to advertise is like https://tasks.example.org' in commands.run(
        'serve', '--advertise', address, code=1
    )


def test_operations_sent_to_a_leader_that_is_frozen_do_not_land_when_it_wakes(
    commands: Commands, mongodb_url: str, database_name: str
) -> None:
    ports = [free_port(), free_port()]
    first, _ = [commands.serve('--port', str(port), '--leader-lease', str(LEASE_SECONDS)) for port in ports]
    commands.run('account', 'add', 'operator', '--role', 'admin', '--password-stdin', said='correct horse\n')
    old, new = (
        DroveCli(commands.folder, f'http://127.0.0.1:{port}', 'operator', 'correct horse') for port in ports
    )  # fmt: skip
    assert 'Task created' in old.task(spec(taskId='before'))
    assert 'This node is not the leader controller' in new.task(spec(taskId='too-early'))

    first.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor() as threads:
        late = [threads.submit(old.task, spec(sourceAppName='LATE', taskId=f'late-{number}')) for number in range(3)]
        late.append(threads.submit(old, 'tasks', 'kill', 'TEST_APP', 'before'))
        until(lambda: 'successful' in new('cluster', 'ping'), timeout_seconds=3 * LEASE_SECONDS + 5)
        assert 'Task created' in new.task(spec(taskId='after'))
        first.send_signal(signal.SIGCONT)
        answers = [each.result() for each in late]

    assert all('This node is not the leader controller' in answer for answer in answers), answers
    assert all(f'The leader is http://127.0.0.1:{ports[1]}' in answer for answer in answers), answers
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        tasks = {task['name']: task['status'] for task in client[database_name].tasks.find()}
        apps = [each['external']['app'] for each in client[database_name].datasets.find()]
        terms = [each['term'] for each in client[database_name].operations.find().sort('_id')]
    assert tasks == {'before': 'queued', 'after': 'queued'}
    assert terms == [1, 2]
    assert apps == ['TEST_APP']
    assert 'Task kill issued' in new('tasks', 'kill', 'TEST_APP', 'before')
