"""A service that is told to stop: not ready at once, nothing new, what is under way is finished, exit 0."""

import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.journeys.commands import Commands
from tests.journeys.test_kill import mongod_of

TASK = {
    'dataset_id': 'd', 'job_id': 'j', 'task_index': 0, 'job_index': 0, 'name': 'n', 'depends': [], 'requirements': {},
    'status': 'queued',
}  # fmt: skip
CLAIM = {'claim_id': 'c' * 32}


class Service:
    """A service of its own, and an admin who asks it."""

    def __init__(self, commands: Commands, *flags: str) -> None:
        self.commands = commands
        self.process = commands.serve(*flags)
        self.headers = {'Authorization': f'Bearer {commands.token("admin")}'}
        self.mongod = psutil.Process(mongod_of(self.process))

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """A request on a connection of its own."""
        with httpx2.Client(base_url=self.commands.url, headers=self.headers, timeout=30) as http:
            return http.request(method, path, **options)

    def begin(self, method: str, path: str, body: bytes) -> socket.socket:
        """A connection on which all of a request is sent but its last byte."""
        connection = socket.create_connection(('127.0.0.1', self.commands.port), timeout=60)
        head = f'{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {self.headers["Authorization"]}\r\n'
        head += 'Content-Type: application/json\r\n'
        connection.sendall(f'{head}Content-Length: {len(body)}\r\n\r\n'.encode() + body[:-1])
        return connection

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait until it has been heard."""
        said = self.commands.log('serve.log').count('stopping')
        self.process.send_signal(number)
        until(lambda: self.commands.log('serve.log').count('stopping') > said)

    def ended(self) -> int:
        """The exit code; its mongod is gone by then."""
        code = self.process.wait(30)
        assert not self.mongod.is_running()
        return code


def until(reached: Any, timeout_seconds: float = 30) -> None:
    end = time.monotonic() + timeout_seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def everything(connection: socket.socket) -> str:
    with connection:
        return b''.join(iter(lambda: connection.recv(65536), b'')).decode()


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(20)
    return connection.recv(1) == b''


@contextlib.contextmanager
def paused(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def test_while_it_still_listens_it_is_not_ready_gives_no_claims_and_takes_reports(commands: Commands) -> None:
    service = Service(commands, '--drain-notice', '5')
    for _ in range(2):
        service.ask('POST', '/tasks', json=TASK)
    task = service.ask('POST', '/task_actions/process', json=CLAIM).json()['task_id']
    before = service.ask('GET', '/readyz')

    service.stop()
    ready = service.ask('GET', '/readyz')
    claim = service.ask('POST', '/task_actions/process', json={'claim_id': 'd' * 32})
    read = service.ask('GET', f'/tasks/{task}')
    report = service.ask('POST', f'/tasks/{task}/task_actions/complete', json=CLAIM)
    alive = service.ask('GET', '/healthz')

    assert (before.status_code, before.json()['ready']) == (200, True)
    assert (ready.status_code, ready.json()['why']) == (503, ['draining'])
    assert claim.status_code == 503
    assert int(claim.headers['Retry-After']) > 0
    assert [read.status_code, report.status_code, alive.status_code] == [200, 200, 200]
    assert {each.headers['Connection'] for each in (ready, claim, read, report, alive)} == {'close'}
    assert 'Connection' not in before.headers
    assert service.ended() == 0


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_answered_idle_connections_closed_and_new_ones_refused(
    commands: Commands, number: signal.Signals
) -> None:
    service = Service(commands)
    body = httpx2.Request('POST', 'http://x', json=TASK).content
    idle = socket.create_connection(('127.0.0.1', commands.port))
    half_sent = service.begin('POST', '/tasks', body)
    working = service.begin('POST', '/tasks', body)
    with paused(service.mongod):
        # Half a second later it waits for the database, as it does for at least three seconds more.
        working.sendall(body[-1:])
        time.sleep(0.5)
        service.stop(number)
        idle_is_closed = is_closed(idle)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(('127.0.0.1', commands.port))
        still_there = service.process.poll() is None
    half_sent.sendall(body[-1:])
    answers = [everything(half_sent), everything(working)]

    assert (idle_is_closed, still_there) == (True, True)
    # One had begun its work, the other one not.
    assert [answer.split()[1] for answer in answers] == ['503', '201']
    assert all('\r\nConnection: close\r\n' in answer for answer in answers)
    assert service.ended() == 0
    assert 'broken off' not in commands.log('serve.log')
    idle.close()


def test_what_takes_longer_than_the_time_is_broken_off(commands: Commands) -> None:
    service = Service(commands, '--drain', '1')
    unfinished = service.begin('POST', '/tasks', b'{}')
    time.sleep(0.3)

    began = time.monotonic()
    service.stop()
    code = service.ended()

    assert code == 0
    assert time.monotonic() - began < 15
    assert '1 requests took too long' in commands.log('serve.log')
    unfinished.close()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_and_nothing_acknowledged_is_lost(
    commands: Commands, number: signal.Signals
) -> None:
    service = Service(commands, '--drain', '60')
    made = service.ask('POST', '/tasks', json=TASK).json()['result']
    unfinished = service.begin('POST', '/tasks', b'{}')
    time.sleep(0.3)
    service.stop()

    began = time.monotonic()
    service.process.send_signal(number)
    code = service.process.wait(30)
    took = time.monotonic() - began

    assert code == 128 + number
    assert took < 10
    until(lambda: not service.mongod.is_running())
    assert 'Now exiting' in (commands.folder / 'iceprod-tasks' / 'mongod' / 'mongod.log').read_text()
    again = Service(commands)
    assert again.ask('GET', f'/tasks/{made}').status_code == 200
    unfinished.close()


def test_a_signal_while_nobody_asks_ends_it_soon(commands: Commands) -> None:
    service = Service(commands)

    began = time.monotonic()
    service.stop()

    assert service.ended() == 0
    assert time.monotonic() - began < 15
