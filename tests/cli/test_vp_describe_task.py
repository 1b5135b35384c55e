"""`vp-describe-task` as scripts and people type it."""

import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iceprod_tasks.cli.vp_describe_task import server_of
from tests.cli.described import vp
from tests.client.task_service import TaskService, a_task, bad

HELP = (Path(__file__).parent / 'vappio_page' / 'help.txt').read_text()
COMMAND = [sys.executable, '-m', 'iceprod_tasks.cli.vp_describe_task']
TIME = '1970/01/01 00:00:00 UTC'
SAID = [
    {'mtype': 'notification', 'timestamp': 0, 'text': 'n'},
    {'mtype': 'silent', 'timestamp': 0, 'text': 's'},
    {'mtype': 'error', 'timestamp': 0, 'text': 'e', 'name': 'x', 'stacktrace': 'trace'},
    {'mtype': 'result', 'timestamp': 0, 'result': 'r'},
]
STATES = ('idle', 'running', 'failed', 'completed')


@pytest.fixture
def service() -> Iterator[TaskService]:
    """Describes a task in each state, with a message of each kind."""
    with TaskService([a_task(state, state, messages=SAID) for state in STATES]) as service:
        yield service


def environment(service: TaskService, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ('PATH', 'HOME', 'LANG', 'PYTHONPATH') if name in os.environ}
    return {**kept, 'ICEPROD_TASKS_SERVER': service.url, 'no_proxy': '*', **more}


def names(text: str) -> list[str]:
    return re.findall(r'^Task: (\S+)', text, re.M)


def told(text: str) -> str:
    """The first letters of the messages shown."""
    return ''.join(re.findall(r'^([A-Z])\w+ - ', text, re.M))


@pytest.mark.parametrize('columns', ['', '40', '200'])
@pytest.mark.parametrize('flag', ['-h', '--help', '--he'])
def test_the_help_is_that_of_the_page(flag: str, columns: str) -> None:
    said = vp(flag, COLUMNS=columns)

    assert (said.out, said.err, said.code) == (HELP, '', 0)


def test_it_is_installed_under_its_name() -> None:
    installed = Path(sys.executable).with_name('vp-describe-task')

    done = subprocess.run([installed, '--help'], capture_output=True, text=True, check=True)

    assert done.stdout == HELP


def test_all_tasks_are_shown_with_two_empty_lines_between(service: TaskService) -> None:
    said = vp(server=service.url)

    assert (said.code, said.err) == (0, '')
    assert [line[:6] for line in said.out.split('\n')] == ['Task: ', '', ''] * 3 + ['Task: ', '']
    assert names(said.out) == [*STATES]
    assert [asked.wanted for asked in service.asked] == [{'cluster': 'local'}]


def test_named_tasks_are_shown_in_the_order_given_and_as_often(service: TaskService) -> None:
    said = vp('running', '--show', 'idle', '--exit-code', 'running', server=service.url)

    assert names(said.out) == ['running', 'idle', 'running']
    assert [asked.wanted['task_name'] for asked in service.asked] == ['running', 'idle', 'running']


def test_no_tasks_are_no_output() -> None:
    with TaskService() as service:
        said = vp('--exit-code', server=service.url)

    assert (said.out, said.err, said.code) == ('', '', 0)


@pytest.mark.parametrize(
    ('flags', 'letters'),
    [
        ((), ''),
        (('--show',), 'N'),
        (('--show-error',), 'E'),
        (('--show-debug',), 'D'),
        (('--show-all',), 'NDER'),
        (('--show', '--show-error'), 'NE'),
        (('--show', '--show-debug'), 'ND'),
        (('--show-debug', '--show-error'), 'DE'),
        (('--show-debug', '--show-error', '--show'), 'NDE'),
        (('--show', '--show-all'), 'NDER'),
        (('--show-e',), 'E'),
    ],
)
def test_each_flag_shows_its_kind_of_messages_and_they_add_up(
    service: TaskService, flags: tuple[str, ...], letters: str
) -> None:
    said = vp(*flags, 'idle', server=service.url)

    assert told(said.out) == letters


def test_messages_follow_their_task_without_an_empty_line(service: TaskService) -> None:
    said = vp('--show-all', 'idle', server=service.url)

    assert said.out.split('\n')[1:] == [
        f'Notification - {TIME}: n', f'Debug - {TIME}: s', f'Error - {TIME}: e', 'Stacktrace:', '\ttrace',
        f'Result - {TIME}: r', '',
    ]  # fmt: skip


def test_completed_tasks_can_be_left_out_and_do_not_widen_the_names(service: TaskService) -> None:
    said = vp('--nc', server=service.url)

    assert names(said.out) == ['idle', 'running', 'failed']
    assert said.out.startswith('Task: idle    Type: ')


def test_a_completed_task_that_is_left_out_is_no_output(service: TaskService) -> None:
    said = vp('--nc', '--exit-code', '--show-all', 'completed', server=service.url)

    assert (said.out, said.code) == ('', 0)


@pytest.mark.parametrize('more', [(), ('--nc',), ('--show-all', '--nc')], ids=str)
@pytest.mark.parametrize('state', STATES)
def test_the_exit_code_tells_whether_all_are_completed(service: TaskService, state: str, more: tuple[str, ...]) -> None:
    plain = vp(*more, 'completed', state, server=service.url)
    said = vp(*more, '--exit', 'completed', state, server=service.url)

    assert plain.code == 0
    assert said.code == (0 if state == 'completed' else 1)
    assert said.out == plain.out


def test_blocking_on_tasks_that_have_ended_shows_them_once(service: TaskService) -> None:
    said = vp('--bl', '--no-print-polling', 'failed', '-b', 'completed', server=service.url)

    assert names(said.out) == ['failed', 'completed']
    assert said.code == 0


def test_the_cluster_and_the_token_are_sent(service: TaskService) -> None:
    vp('--name', 'far', server=service.url, token='abc')
    vp('--name=far', 'idle', server=service.url)

    assert [asked.wanted['cluster'] for asked in service.asked] == ['far', 'far']
    assert [asked.token for asked in service.asked] == ['Bearer abc', None]


@pytest.mark.parametrize(
    ('host', 'server'),
    [
        ('h', 'http://h'),
        ('h:81', 'http://h:81'),
        ('[::1]:81', 'http://[::1]:81'),
        ('http://h/a', 'http://h/a'),
        ('https://h', 'https://h'),
        (None, 'http://127.0.0.1:8080'),
    ],
)
def test_a_host_is_plain_http_and_an_address_is_as_it_is(
    monkeypatch: pytest.MonkeyPatch, host: str | None, server: str
) -> None:
    monkeypatch.delenv('ICEPROD_TASKS_SERVER', raising=False)

    assert server_of(host) == server


@pytest.mark.parametrize('form', ['127.0.0.1:{}', 'http://127.0.0.1:{}', 'http://127.0.0.1:{}/'])
def test_the_host_comes_before_the_environment(service: TaskService, form: str) -> None:
    said = vp('--host', form.format(service.port), server='http://127.0.0.1:1')

    assert said.code == 0
    assert service.asked[0].path == '/vappio/task_ws.py'


def test_debugging_is_told_on_stderr_and_changes_nothing_else(service: TaskService) -> None:
    handlers = [*logging.getLogger('iceprod_tasks').handlers]
    plain = vp('--show', server=service.url)
    said = vp('--show', '--debug', 'idle', 'running', 'failed', 'completed', server=service.url)
    later = vp('--show', server=service.url)

    lines = said.err.splitlines()
    assert said.out == plain.out
    assert len(lines) == 8
    assert all(re.match(r'DEBUG: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d - \S', line) for line in lines)
    assert plain.err == later.err == ''
    assert logging.getLogger('iceprod_tasks').handlers == handlers


@pytest.mark.parametrize('word', ['--nonsense', '--host', '--n', '--block=1', '--sh', '-x'])
def test_wrong_options_are_exit_code_2(word: str) -> None:
    said = vp(word)

    assert (said.out, said.code) == ('', 2)
    assert said.err.startswith('Usage: vp-describe-task [options]\n\nvp-describe-task: error: ')


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        (('idle', 'nothing'), 'no such task'),
        (('--host', 'h:x'), "not the address of a service: 'http://h:x'"),
        (('--host', ''), "not the address of a service: 'http://'"),
    ],
)
def test_an_error_is_one_line_and_nothing_is_printed(service: TaskService, words: tuple[str, ...], line: str) -> None:
    said = vp('--show-all', *words, server=service.url)

    assert (said.out, said.err, said.code) == ('', f'vp-describe-task: {line}\n', 1)


def test_a_failure_is_one_line_whatever_it_says(service: TaskService) -> None:
    service.script = [bad('a\nb\x1b[2J\tc')]

    said = vp(server=service.url)

    assert (said.out, said.err, said.code) == ('', 'vp-describe-task: a b [2J c\n', 1)


def test_a_service_that_is_away_is_one_line(service: TaskService) -> None:
    service.stop()

    said = vp(server=service.url)

    assert said.err.startswith(f'vp-describe-task: {service.url} does not answer: ')
    assert (said.out, said.err.count('\n'), said.code) == ('', 1, 1)


def test_letters_that_a_locale_does_not_have_are_no_trouble(service: TaskService) -> None:
    service.tasks = [a_task('ü🙂')]

    done = run(service, PYTHONIOENCODING='latin-1')

    assert done.stdout.startswith(b'Task: \xfc\\U0001f642 Type:')
    assert (done.stderr, done.returncode) == (b'', 0)


def run(service: TaskService, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *words], env=environment(service, **more), capture_output=True, timeout=60, check=False
    )


@pytest.mark.parametrize('words', [(), ('--help',)], ids=['list', 'help'])
def test_a_closed_pipe_is_a_quiet_end(service: TaskService, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [*COMMAND, *words], env=environment(service), stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)

    assert (done.stderr, done.returncode) == (b'', 1)


def test_a_full_disk_is_one_line(service: TaskService) -> None:
    with Path('/dev/full').open('w') as full:
        done = subprocess.run(
            COMMAND, env=environment(service), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )

    assert done.stderr == b'vp-describe-task: cannot print: No space left on device\n'
    assert done.returncode == 1


def test_without_a_standard_output_the_exit_code_is_left(service: TaskService) -> None:
    done = subprocess.run(
        ['sh', '-c', '"$@" >&-', 'sh', *COMMAND, '--exit-code', 'completed'],
        env=environment(service), stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip

    assert (done.stderr, done.returncode) == (b'', 0)


def test_ctrl_c_while_waiting_is_one_line(service: TaskService) -> None:
    with subprocess.Popen(
        [*COMMAND, '--block'], env=environment(service), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert (said, process.returncode) == (b'vp-describe-task: interrupted\n', 1)


def test_on_a_terminal_what_changes_is_drawn_again_in_its_place(service: TaskService) -> None:
    service.tasks = [a_task('a'), a_task('b', 'completed')]
    service.before = [lambda: service.change('a', state='completed')]

    screen = on_a_terminal(service, 'xterm')

    polled, final = screen.split('\x1b[H\x1b[J')[1:]
    assert screen.startswith('\x1b[H\x1b[J')
    assert [line[:8] for line in polled.splitlines()] == ['Task: a ', 'Task: b ']
    assert [line[:8] for line in final.splitlines()] == ['Task: a ', '', '', 'Task: b ']
    assert '\x1b' not in polled + final


@pytest.mark.parametrize(('kind', 'words'), [('dumb', ()), ('', ()), ('xterm', ('--no-print-polling',))])
def test_a_terminal_is_left_alone_where_it_cannot_or_need_not_be_drawn_on(
    service: TaskService, kind: str, words: tuple[str, ...]
) -> None:
    service.tasks = [a_task('a')]
    service.before = [lambda: service.change('a', state='completed')]

    screen = on_a_terminal(service, kind, *words)

    assert '\x1b' not in screen
    assert len(screen.splitlines()) == (1 if words else 2)


def on_a_terminal(service: TaskService, kind: str, *words: str) -> str:
    """All that a terminal gets from `--block`."""
    ours, its_end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, '--block', *words], env=environment(service, TERM=kind), stdout=its_end, stderr=its_end
    )
    os.close(its_end)
    got, end = b'', time.monotonic() + 60
    while time.monotonic() < end:
        select.select([ours], [], [], 1)
        try:
            got += os.read(ours, 4096)
        except OSError:  # nobody has its other end any more
            break
    os.close(ours)
    assert process.wait(30) == 0
    return got.decode().replace('\r\n', '\n')
