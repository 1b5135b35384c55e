"""`iceprod-tasks run` and `nodes`, as a user types them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iceprod_tasks.cli.main import main
from tests.fanout.conftest import Marked, marked, server  # noqa: F401 - fixtures
from tests.fanout.sshd import Sshd


def typed(*words: str, stdin: str = '') -> Result:
    return CliRunner().invoke(main, words, input=stdin)


def local(*words: str) -> Result:
    return typed('run', '--local', *words)


def test_equal_outputs_are_printed_once_and_the_exit_code_is_the_largest() -> None:
    result = local('-w', 'n[1-5]', '--', 'echo same; [ %n = 2 ] && echo odd; exit $((%n * 2))')

    dashes = '-' * 15
    assert f'{dashes}\nn[1-2,4-5] (4)\n{dashes}\nsame\n' in result.stdout
    assert f'{dashes}\nn3\n{dashes}\nsame\nodd\n' in result.stdout
    assert result.stderr.splitlines() == [
        f'iceprod-tasks: n{place}: exit code {2 * place - 2}' for place in (2, 3, 4, 5)
    ]
    assert result.exit_code == 8


@pytest.mark.parametrize(
    ('limit', 'command', 'code'), [('0.3', 'sleep 30', 124), ('20', 'sleep 0.1', 0), ('20', 'kill -9 $$', 137)]
)
def test_time_that_is_over_is_124(limit: str, command: str, code: int) -> None:
    result = local('-w', 'a,b', '-t', limit, '--', command)

    assert result.exit_code == code
    assert ('iceprod-tasks: a,b: time is over\n' in result.stderr) == (code == 124)


def test_lines_are_printed_as_they_come() -> None:
    result = local('-w', 'a,b', '--lines', '-f', '1', '--', 'echo %h; echo end')

    assert result.stdout == 'a: a\na: end\nb: b\nb: end\n'


def test_programs_get_one_document() -> None:
    result = local('-w', 'a,b', '--json', '--', 'echo %h; exit %n')

    assert json.loads(result.stdout) == {
        name: {'code': code, 'timed_out': False, 'error': None, 'output': name, 'truncated': False}
        for code, name in enumerate('ab')
    }
    assert result.exit_code == 1


@pytest.mark.parametrize(
    'words',
    [
        ('-w', '', '--', 'x'), ('-w', '-oProxyCommand=touch mark', '--', 'x'), ('-w', '@all', '--', 'x'), ('-w', 'n1'),
        ('-w', 'n[1-9999999]', '--', 'x'), ('-w', 'n1', '-x', 'n1', '--', 'x'), ('-w', 'n1', '-x', '@x', '--', 'x'),
        ('--', 'x'), ('-w', 'n1', '-f', '0', '--', 'x'), ('-w', 'n1', '-t', '0', '--', 'x'),
        ('-w', 'n1', '--copy', '--', 'x'),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error_and_runs_nothing(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = typed('run', *words)

    assert result.exit_code == 2
    assert result.stderr
    assert not list(tmp_path.iterdir())


def test_nodes_are_asked_by_ssh(server: Sshd, tmp_path: Path) -> None:  # noqa: F811
    result = typed('run', '-w', 'n[1-3],dead1', '-x', 'n2', '-o', server.options, '--', 'echo hello; exit 3')

    assert 'n[1,3] (2)' in result.stdout
    assert 'iceprod-tasks: n[1,3]: exit code 3\niceprod-tasks: dead1: exit code 255\n' in result.stderr
    assert result.exit_code == 255


def test_a_file_is_copied_to_nodes(server: Sshd, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / 'source').write_text('content')
    ends = [str(tmp_path / 'source'), str(tmp_path / 'dest')]

    result = typed('run', '-w', 'n[1-2]', '-o', server.options, '--copy', '--', *ends)

    assert (result.exit_code, result.stderr) == (0, '')
    assert (tmp_path / 'dest').read_text() == 'content'


def test_ctrl_c_ends_all_commands(marked: Marked) -> None:  # noqa: F811
    command = [sys.executable, '-m', 'iceprod_tasks.cli.main', 'run', '--local', '-w', 'a,b', '--', marked.sleep]
    # Whoever has started the tests in the background has SIGINT ignored by all that comes from them.
    with subprocess.Popen(['env', '--default-signal=INT', *command], stderr=subprocess.PIPE) as running:
        marked.wait_for(2)
        began = time.monotonic()

        running.send_signal(signal.SIGINT)

        try:
            assert running.wait(10) == 130
        finally:
            running.kill()
    assert time.monotonic() - began < 5
    assert marked.count() == 0


def test_who_reads_no_more_lines_ends_all_commands(marked: Marked) -> None:  # noqa: F811
    command = [sys.executable, '-m', 'iceprod_tasks.cli.main', 'run', '--local', '--lines', '-w', 'a,b', '--']
    text = f'echo x; sleep 0.5; while echo y; do sleep 0.1; done & {marked.sleep}'
    with subprocess.Popen([*command, text], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()

        assert running.stderr.read() == b''
        assert running.wait(10) == 1
    assert marked.count() == 0


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (('expand', 'n[1-3]!n2'), 'n1\nn3\n'), (('expand', '-S', ' ', 'n[1-2]', 'm1'), 'm1 n1 n2\n'),
        (('expand', 'n1!n1'), ''),
        (('fold', 'n3', 'n1', 'n2'), 'n[1-3]\n'), (('fold', 'n[1-9]', '-x', 'n5', '-x', 'n7'), 'n[1-4,6,8-9]\n'),
        (('fold', 'n[1-9]', '-i', 'n[3-20]', '-i', 'n[1-4]'), 'n[3-4]\n'),
        (('fold', 'n[1-3]', '-X', 'n[2-4]'), 'n[1,4]\n'),
        (('count', 'n[1-1000/2]'), '500\n'), (('count', '-'), '3\n'), (('fold', 'm1', '-', '-x', 'n2'), 'm1,n[1,9]\n'),
    ],
)  # fmt: skip
def test_sets_are_expanded_folded_and_counted(words: tuple[str, ...], said: str) -> None:
    result = typed('nodes', *words, stdin='n1 n2\nn9\n')

    assert (result.stdout, result.exit_code) == (said, 0)


@pytest.mark.parametrize('text', ['n[1-', '@x', 'n1;x', 'n[1-9999999]'])
def test_what_is_no_set_is_a_usage_error(text: str) -> None:
    result = typed('nodes', 'expand', text)

    assert (result.exit_code, result.stdout) == (2, '')
    assert result.stderr.startswith('iceprod-tasks: ')
