"""Many hostile connections at once, and what is left behind: nobody else waits, and the chores go on."""

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from tests.attacks.case import Case
from tests.attacks.people import token_of
from tests.attacks.stage import Stage
from tests.attacks.wire import parse
from tests.conftest import SECRET
from tests.dialects.drove import bodies

_HEAD = b'GET /healthz HTTP/1.1\r\nHost: x\r\n'
_CLAIM = Case('', (200,), 'POST', '/task_actions/process', 'canary', {'query_params': {'dataset_id': 'canary'}})
_MANY = 200
_OPERATIONS = '/apis/v1/tasks/operations'
_KEY = 'Idempotency-Key'
_STORM = 20


def _listing() -> bytes:
    """A request for all tasks."""
    return f'GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token_of("root")}\r\n\r\n'.encode()


@contextmanager
def _open(stage: Stage, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections on which something has been sent."""
    with ExitStack() as stack:
        connections = [stack.enter_context(stage.connect()) for _ in range(number)]
        for connection in connections:
            connection.sendall(sent)
        yield connections


@pytest.mark.parametrize(
    'sent',
    [
        b'', b'G', _HEAD, _HEAD + b'X: ', b'POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{',
        b'POST /logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{',
    ],
    ids=['nothing', 'a letter', 'half a head', 'half a header', 'half a body', 'half a chunk'],
)  # fmt: skip
def test_senders_that_do_not_go_on_keep_nobody_waiting(stage: Stage, sent: bytes) -> None:
    with _open(stage, _MANY, sent):
        began = time.monotonic()
        answers = [stage.send(_CLAIM)[0].status for _ in range(5)]
        seconds = time.monotonic() - began

    assert set(answers) <= {200, 404}
    assert seconds < 5
    assert stage.suffered(refused=False) == []


def test_readers_that_do_not_read_keep_nobody_waiting(stage: Stage) -> None:
    with _open(stage, 50, _listing()):
        began = time.monotonic()
        answers = [stage.send(_CLAIM)[0].status for _ in range(5)]
        seconds = time.monotonic() - began

    assert set(answers) <= {200, 404}
    assert seconds < 10
    assert stage.suffered(refused=False) == []


def test_what_connections_have_asked_for_that_are_gone_is_not_done(stage: Stage) -> None:
    stage.database.tasks.update_one({'task_id': stage.known['play_task']}, {'$set': {'note': ['x' * 1000] * 1000}})
    process = psutil.Process(stage.service.pid)
    with _open(stage, 40, _listing() * 20):
        time.sleep(1)
    used = process.cpu_times().user

    time.sleep(3)
    seconds = process.cpu_times().user - used
    answers = [stage.send(_CLAIM)[0].status for _ in range(3)]

    stage.database.tasks.update_one({'task_id': stage.known['play_task']}, {'$unset': {'note': 1}})
    assert set(answers) <= {200, 404}
    assert seconds < 1


def test_connections_that_are_reset_in_the_middle_leave_nothing_behind(stage: Stage) -> None:
    post = f'POST /logs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token_of("root")}\r\n'
    post += 'Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{"data":"x'
    stage.settle()

    for _ in range(50):
        with _open(stage, 1, post.encode()) as (connection,):
            # The kernel answers what comes next with a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')

    assert stage.suffered(refused=True) == []


def test_a_connection_goes_on_after_each_refusal(stage: Stage) -> None:
    requests = [
        b'GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n', b'GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n',
        b'BREW /tasks HTTP/1.1\r\nHost: x\r\n\r\n',
        b'POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
        _HEAD + b'\r\n',
    ]  # fmt: skip
    statuses = []
    with _open(stage, 1, b'') as (connection,):
        connection.settimeout(10)
        for request in requests:
            connection.sendall(request)
            received = b''
            while not (answers := parse(received, head_only=False)[0]):
                received += connection.recv(65536)
            statuses.append(answers[0].status)

    assert statuses == [401, 404, 405, 401, 200]


@pytest.mark.parametrize('key', ['storm', None], ids=['one key', 'no key'])
def test_a_storm_of_creations_and_kills_makes_one_task_and_ends_it_once(stage: Stage, key: str | None) -> None:
    app = f'STORM_{key}'
    made = Case(
        '',
        (),
        'POST',
        _OPERATIONS,
        body=bodies.create(bodies.spec(sourceAppName=app)),
        headers=((_KEY, 'begin'),) if key else (),
    )
    ended = Case('', (), 'POST', _OPERATIONS, body=bodies.kill(app), headers=((_KEY, 'end'),) if key else ())

    creations = _at_once(stage, made)
    kills = _at_once(stage, ended)

    operations = stage.database.operations.find({'external.app': app}, sort=[('_id', 1)])
    assert [each['type'] for each in operations] == ['create', 'kill']
    assert stage.database.tasks.count_documents({'external.app': app}) == 1
    for statuses in (creations, kills):
        assert len(statuses) == _STORM
        # Who comes while the first is under way is told to repeat.
        assert set(statuses) <= ({200, 503} if key else {200, 400})
        assert (statuses.count(200) > 0) if key else (statuses.count(200) == 1)
    assert stage.suffered(refused=False) == []


def _at_once(stage: Stage, case: Case) -> list[int]:
    """The statuses of the answers to a request that many send in the same moment."""
    with ThreadPoolExecutor(_STORM) as threads:
        return [answers[0].status for answers in threads.map(stage.send, [case] * _STORM)]


async def test_the_chores_cope_with_whatever_the_attacks_have_left(
    stage: Stage, mongodb_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(token_secret=SECRET, port=0, scheduler=False, mongodb_database=stage.database.name)
    async with running(settings, mongodb_url, Tokens(SECRET)) as up:
        scheduler = Scheduler(up.service)
        with caplog.at_level(logging.WARNING):
            for _ in range(5):
                await scheduler.follow()
                await scheduler.sweep()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
