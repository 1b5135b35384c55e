"""`iceprod-tasks describe`: the same as `vp-describe-task`, and JSON for programs."""

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from iceprod_tasks.client import vappio
from tests.cli.described import describe, vp
from tests.client.task_service import Reply, TaskService, a_task, bad
from tests.journeys.commands import COMMAND

SAID = [{'mtype': mtype, 'timestamp': 0.25, 'text': mtype} for mtype in ('notification', 'silent', 'error')]
TASKS = [
    a_task(state, state, messages=[*SAID, {'mtype': 'result', 'timestamp': 0, 'result': 'r'}], later=[1])
    for state in ('idle', 'failed', 'completed')
]
FLAGS = ['--show', '--show-error', '--show-debug', '--show-all', '--nc', '--exit-code']


@pytest.fixture
def service() -> Iterator[TaskService]:
    with TaskService([dict(task) for task in TASKS]) as service:
        yield service


@pytest.mark.parametrize('flags', [each for size in (0, 1, 2, 3) for each in itertools.combinations(FLAGS, size)])
@pytest.mark.parametrize('names', [(), ('completed', 'idle'), ('completed',)], ids=['all', 'two', 'one'])
def test_both_commands_say_the_same(service: TaskService, flags: tuple[str, ...], names: tuple[str, ...]) -> None:
    ours = describe(*flags, *names, server=service.url)
    theirs = vp(*flags, *names, server=service.url)

    assert ours == theirs
    assert [asked.wanted for asked in service.asked] == [asked.wanted for asked in service.asked[: len(names) or 1]] * 2


@pytest.mark.parametrize('flags', [(), ('--show',), ('--block', 'failed', '--no-print-polling')], ids=str)
def test_json_is_the_tasks_as_the_service_has_them(service: TaskService, flags: tuple[str, ...]) -> None:
    said = describe('--json', *flags, server=service.url)

    assert json.loads(said.out) == [task for task in TASKS if 'failed' not in flags or task['name'] == 'failed']
    assert said.code == 0


def test_json_goes_with_what_is_left_out_and_the_exit_code(service: TaskService) -> None:
    said = describe('--json', '--nc', '--exit-code', server=service.url)
    none = describe('--json', '--nc', '--exit-code', 'completed', server=service.url)

    assert [task['name'] for task in json.loads(said.out)] == ['idle', 'failed']
    assert (said.code, none.code, none.out) == (1, 0, '[]\n')


def test_the_server_the_token_and_the_cluster_are_as_in_other_commands(service: TaskService) -> None:
    said = describe('--server', service.url, '--token', 'abc', '--name', 'far', server='http://127.0.0.1:1')

    assert said.code == 0
    assert service.asked[0].token == 'Bearer abc'
    assert service.asked[0].wanted == {'cluster': 'far'}


def test_debugging_is_told_on_stderr(service: TaskService) -> None:
    said = describe('--debug', '--json', server=service.url)

    assert len(json.loads(said.out)) == 3
    assert said.err.startswith('DEBUG: ')


@pytest.mark.parametrize(
    ('reply', 'code', 'line'),
    [
        (bad('a\nb\x1b[2J'), 1, 'a b [2J'),
        (bad('no such task', 'TaskNotFoundError'), 3, 'no such task'),
        (bad('who?', status=401), 4, 'who? (401)'),
        (bad('not you', status=403), 4, 'not you (403)'),
        ((200, b'[]'), 1, 'the answer is not that of a service that describes tasks'),
    ],
)
def test_an_error_is_a_line_and_the_exit_code_of_other_commands(
    service: TaskService, reply: Reply, code: int, line: str
) -> None:
    service.script = [reply]

    said = describe('--show', server=service.url)

    assert (said.out, said.err, said.code) == ('', f'iceprod-tasks: {line}\n', code)


def test_a_service_that_is_away_is_one_line(service: TaskService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vappio, 'TRIES', 1)
    service.stop()

    said = describe(server=service.url)

    assert (said.out, said.err.count('\n'), said.code) == ('', 1, 7)


def test_a_wrong_address_is_a_usage_error() -> None:
    assert describe('--server', 'gopher://x').code == 2


def test_ctrl_c_while_waiting_is_one_line(service: TaskService) -> None:
    with subprocess.Popen(
        [*COMMAND, 'describe', '--block', '--server', service.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert (said, process.returncode) == (b'iceprod-tasks: interrupted\n', 130)


def test_it_waits_over_a_restart_of_the_service(service: TaskService) -> None:
    with subprocess.Popen(
        [*COMMAND, 'describe', '--block', '--exit-code', 'idle', '--server', service.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        first = process.stdout.readline()
        service.stop()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        service.change('idle', state='completed')
        service.start()
        rest, said = process.communicate(timeout=30)

    assert 'State: idle ' in first
    assert 'State: completed ' in rest
    assert (said, process.returncode) == ('', 0)


def test_a_full_disk_is_one_line(service: TaskService) -> None:
    with Path('/dev/full').open('w') as full:
        done = subprocess.run(
            [*COMMAND, 'describe', '--server', service.url], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert (done.stderr, done.returncode) == (b'Error: cannot print: No space left on device\n', 1)


def test_a_closed_pipe_is_a_quiet_end(service: TaskService) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*COMMAND, 'describe', '--server', service.url], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)

    assert (done.stderr, done.returncode) == (b'', 1)
