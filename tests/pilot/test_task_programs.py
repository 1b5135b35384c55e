"""The programs by which a task speaks of itself, in the shells that they meet: what they leave, and how they fail."""

import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.programs import NAMES, SPOOL, with_programs
from iceprod_tasks.pilot.spool import TEXT_CHARACTERS, Progress, Saying, Spool

MESSAGE, PROGRESS = NAMES
SHELLS = {'dash': ('dash',), 'busybox': ('busybox', 'sh'), 'bash': ('bash', '--posix')}

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder.make(tmp_path)
    folder.close()
    with_programs(Command(('true',), {}, None), folder)
    return folder


@pytest.fixture(params=SHELLS.values(), ids=SHELLS)
def run(request: pytest.FixtureRequest, folder: Folder) -> Run:
    """Runs one of the programs by a shell, in a task or with another spool."""

    def running(
        name: str, *words: str | bytes, given: bytes = b'', spool: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {'PATH': os.defpath, 'LANG': 'C.UTF-8', SPOOL: str(folder.spool) if spool is None else spool}
        argv = [*request.param, folder.programs / name, *words]
        return subprocess.run(argv, env=environment, input=given, capture_output=True, timeout=60)

    return running


def left(folder: Folder) -> list[Saying]:
    """What was said, without the ids of messages."""
    spool = Spool(folder.spool)
    sayings = spool.take(spool.names())
    assert list(folder.spool.iterdir()) == []
    return [each if isinstance(each, Progress) else {**each, 'message_id': ''} for each in sayings]


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['3'], Progress(3, 0, None)),
        (['3', '4'], Progress(3, 0, 4)),
        (['3/4'], Progress(3, 0, 4)),
        (['5/0'], Progress(5, 0, 0)),
        (['9', '--total', '8'], Progress(9, 0, 8)),
        (['+2'], Progress(None, 2, None)),
        (['+2', '--total=8'], Progress(None, 2, 8)),
        (['--total', '8'], Progress(None, 0, 8)),
    ],
)
def test_steps_are_told_in_several_ways(run: Run, folder: Folder, words: list[str], said: Progress) -> None:
    done = run(PROGRESS, *words)

    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')
    assert left(folder) == [said]


@pytest.mark.parametrize(
    ('words', 'given_text', 'said'),
    [
        (['two', 'words'], b'', {'mtype': 'notification', 'text': 'two words'}),
        (['--', '-5', '--error'], b'', {'mtype': 'notification', 'text': '-5 --error'}),
        ([''], b'', {'mtype': 'notification', 'text': ''}),
        (['-'], b'from\n\n input\n', {'mtype': 'notification', 'text': 'from\n\n input'}),
        (['--silent', 'x'], b'', {'mtype': 'silent', 'text': 'x'}),
        (['--result', 'x=1'], b'', {'mtype': 'result', 'result': 'x=1'}),
        (['--error', '--name=E', 'x'], b'', {'mtype': 'error', 'text': 'x', 'name': 'E'}),
        (
            ['--name', 'E', '--stacktrace', '-', '--error', 'x'], b'a\n\tb\n',
            {'mtype': 'error', 'text': 'x', 'name': 'E', 'stacktrace': 'a\n\tb'},
        ),
    ],
)  # fmt: skip
def test_messages_are_told_with_all_that_belongs_to_them(
    run: Run, folder: Folder, words: list[str], given_text: bytes, said: dict[str, str]
) -> None:
    done = run(MESSAGE, *words, given=given_text)

    assert (done.returncode, done.stdout, done.stderr) == (0, b'', b'')
    [found] = left(folder)
    assert found == {'message_id': '', 'name': '', **said} if said['mtype'] == 'error' else {'message_id': '', **said}


@example('\'"$(exit 3)`x`\\n\\0%s%%\n\n\r\t; ü€😀')
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.text(some.characters(exclude_characters='\0', exclude_categories=['Cs']), max_size=200))
def test_any_text_arrives_as_it_is(run: Run, folder: Folder, text: str) -> None:
    done = run(MESSAGE, '--', text if text != '-' else '--')

    assert done.returncode == 0, done.stderr
    assert [each['text'] for each in left(folder) if isinstance(each, dict)] == [text if text != '-' else '--']


def test_what_is_no_text_is_replaced(run: Run, folder: Folder) -> None:
    run(MESSAGE, b'a\xff\xfeb')
    run(MESSAGE, '-', given=b'c\xffd')

    assert [each['text'] for each in left(folder) if isinstance(each, dict)] == ['a\ufffd\ufffdb', 'c\ufffdd']


@pytest.mark.parametrize('shell', SHELLS.values(), ids=SHELLS)
def test_whoever_writes_a_long_text_can_write_it_to_its_end(folder: Folder, shell: tuple[str, ...]) -> None:
    line = f'yes | head -c 1000000 | {" ".join(shell)} {folder.programs / MESSAGE} -; echo "${{PIPESTATUS[1]}}"'
    environment = {'PATH': os.defpath, SPOOL: str(folder.spool)}

    done = subprocess.run(['bash', '-c', line], env=environment, capture_output=True, timeout=60)

    assert (done.stdout, done.stderr) == (b'0\n', b'')


def test_long_texts_are_cut(run: Run, folder: Folder, tmp_path: Path) -> None:
    (tmp_path / 'trace').write_text('x' * 100_000 + 'the end')
    first = run(MESSAGE, '-', given=b'begun' + b'y' * 2**20)
    second = run(MESSAGE, '--error', '--stacktrace', str(tmp_path / 'trace'), 'z' * 100_000)

    assert (first.returncode, second.returncode) == (0, 0)
    note, error = left(folder)
    assert isinstance(note, dict)
    assert isinstance(error, dict)
    assert note['text'] == 'begun' + 'y' * (TEXT_CHARACTERS - 5)
    assert error['text'] == 'z' * TEXT_CHARACTERS
    assert error['stacktrace'] == 'x' * (TEXT_CHARACTERS - 7) + 'the end'


@pytest.mark.parametrize(
    ('words', 'why'),
    [
        ([MESSAGE], 'there is no TEXT'),
        ([MESSAGE, '--error'], 'there is no TEXT'),
        ([MESSAGE, '--loud', 'x'], 'there is no option --loud (a text that begins with - stands behind --)'),
        ([MESSAGE, '--name'], '--name wants a value'),
        ([MESSAGE, '--error', '--silent', 'x'], 'one of --silent, --error and --result at the most'),
        ([MESSAGE, '--name', 'E', 'x'], '--name and --stacktrace go with --error'),
        ([MESSAGE, '--error', '--stacktrace', '-', '-'], 'standard input is either the text or the stack trace'),
        ([PROGRESS], 'there is no number of steps'),
        ([PROGRESS, 'x'], 'x is no number of steps'),
        ([PROGRESS, '+'], ' is no number of steps'),
        ([PROGRESS, '1.5'], '1.5 is no number of steps'),
        ([PROGRESS, '-1'], 'there is no option -1'),
        ([PROGRESS, '1/'], ' is no number of steps'),
        ([PROGRESS, '1/2/3'], '2/3 is no number of steps'),
        ([PROGRESS, '1', '2', '3'], '3 is too much'),
        ([PROGRESS, '1', '2/3'], '2/3 is too much'),
        ([PROGRESS, '9' * 16], f'{"9" * 16} is no number of steps'),
        ([PROGRESS, '--total'], '--total wants a value'),
    ],
)
def test_bad_usage_is_told_in_one_line(run: Run, folder: Folder, words: list[str], why: str) -> None:
    done = run(*words)

    assert (done.returncode, done.stdout) == (2, b'')
    assert done.stderr.decode() == f'{words[0]}: {why}; see {words[0]} --help\n'
    assert left(folder) == []


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('word', ['-h', '--help'])
def test_help_has_an_example_and_needs_no_task(run: Run, name: str, word: str) -> None:
    done = run(name, word, spool='')

    assert (done.returncode, done.stderr) == (0, b'')
    assert done.stdout.decode().startswith(f'Usage: {name} ')
    assert re.search(f'For example: {name} ', done.stdout.decode())


def test_outside_of_a_task_one_line_says_so(run: Run) -> None:
    done = run(PROGRESS, '1', spool='')

    assert (done.returncode, done.stdout) == (1, b'')
    assert done.stderr == b'iceprod-task-progress: this runs in no task: ICEPROD_TASK_SPOOL is not set\n'


def test_a_spool_that_is_gone_is_told_in_one_line(run: Run, folder: Folder) -> None:
    folder.spool.rmdir()

    done = run(MESSAGE, 'x')

    assert (done.returncode, done.stderr.decode()) == (1, f'iceprod-task-message: cannot write to {folder.spool}\n')


def test_a_stack_trace_that_cannot_be_read_is_told_in_one_line(run: Run, folder: Folder) -> None:
    done = run(MESSAGE, '--error', '--stacktrace', '/no/such', 'x')

    assert (done.returncode, done.stderr) == (1, b'iceprod-task-message: cannot read /no/such\n')
    assert left(folder) == []


@pytest.mark.parametrize('shell', SHELLS.values(), ids=SHELLS)
def test_on_a_full_disk_nothing_half_is_left(folder: Folder, shell: tuple[str, ...]) -> None:
    # A file may have no byte, which is what a full disk looks like to whoever ignores the signal.
    line = f'trap "" XFSZ; ulimit -f 0; exec {" ".join(shell)} {folder.programs / MESSAGE} x'
    environment = {'PATH': os.defpath, SPOOL: str(folder.spool)}

    done = subprocess.run(['bash', '-c', line], env=environment, capture_output=True, timeout=60)

    assert (done.returncode, done.stderr.decode()) == (1, f'iceprod-task-message: cannot write to {folder.spool}\n')
    assert list(folder.spool.iterdir()) == []


@pytest.mark.parametrize('shell', SHELLS.values(), ids=SHELLS)
def test_processes_of_one_number_do_not_overwrite_each_other(folder: Folder, shell: tuple[str, ...]) -> None:
    # One after the other, as in containers; and a draft is left of one that was killed.
    line = (
        f'cd {folder.spool}; name=$(printf %010d $$); echo text=half > .$name-1001; '
        f'printf text=old > $name-1000; exec {" ".join(shell)} {folder.programs / MESSAGE} new'
    )
    subprocess.run(['sh', '-c', line], env={'PATH': os.defpath, SPOOL: str(folder.spool)}, check=True, timeout=60)

    spool = Spool(folder.spool)
    assert [each['text'] for each in spool.take(spool.names()) if isinstance(each, dict)] == ['old', 'new']
    [draft] = folder.spool.iterdir()
    assert draft.read_text() == 'text=half\n'


def test_a_hundred_at_once_lose_nothing(run: Run, folder: Folder) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: run(PROGRESS, '+1').returncode, range(100)))

    assert done == [0] * 100
    assert left(folder) == [Progress(None, 1, None)] * 100


def test_what_one_process_says_comes_in_its_order(run: Run, folder: Folder) -> None:
    for number in range(20):
        run(PROGRESS, str(number))

    assert left(folder) == [Progress(number, 0, None) for number in range(20)]


def test_a_task_has_copies_of_its_own(tmp_path: Path) -> None:
    folders = [Folder.make(tmp_path) for _ in range(2)]
    commands = [with_programs(Command(('true',), {'PATH': '/bin'}, None), folder) for folder in folders]
    (folders[0].programs / MESSAGE).write_text('spoiled')

    assert 'spoiled' not in (folders[1].programs / MESSAGE).read_text()
    assert commands[1].environment == {'PATH': f'{folders[1].programs}:/bin', SPOOL: str(folders[1].spool)}
    for folder in folders:
        folder.remove()


def test_an_image_keeps_its_path_unless_the_task_has_one(folder: Folder, tmp_path: Path) -> None:
    other = Folder.make(tmp_path)

    command = with_programs(Command(('true',), {}, None, image='box'), other)

    assert command.environment == {SPOOL: str(other.spool)}
    other.remove()
