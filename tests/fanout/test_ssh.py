"""Commands on nodes by the system's ssh, against a real sshd on this machine."""

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path

import pytest

from iceprod_tasks.fanout import Limits, Outcomes, Ssh, copy, run
from iceprod_tasks.fanout.Event import EventHandler
from iceprod_tasks.fanout.remote import guarded
from iceprod_tasks.fanout.Task import Task
from tests.fanout.conftest import Marked
from tests.fanout.sshd import Sshd, sshd


def said(outcomes: Outcomes) -> dict[str, str]:
    return {node: each.stdout.text for node, each in outcomes.by_node.items()}


async def test_every_node_runs_the_command_in_its_login_shell(ssh: Ssh) -> None:
    outcomes = await run('echo "$0"; echo "$HOME"', 'n[1-5]', ssh=ssh)

    assert outcomes.by_code() == {0: list(outcomes.by_node)}
    assert set(outcomes.by_node) == {f'n{number}' for number in range(1, 6)}
    assert all(text.splitlines()[1] == str(Path.home()) for text in said(outcomes).values())


async def test_the_server_of_the_tests_listens_where_it_is_told(tmp_path: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as found:
        port = int(found.getsockname()[1])

    with sshd(tmp_path, port) as server:
        outcomes = await run('echo "$SSH_CONNECTION"', 'n1', ssh=Ssh(options=server.options))

    assert outcomes.by_node['n1'].stdout.text.split()[2:] == ['127.0.0.1', str(port)]


async def test_exit_codes_differ_and_signals_are_128_and_more(ssh: Ssh) -> None:
    three = await run('exit 3', 'n1', ssh=ssh)
    killed = await run("sh -c 'kill -KILL $$'; exit $?", 'n1', ssh=ssh)
    missing = await run('no-such-command-here', 'n1', ssh=ssh)

    assert [three.worst_code, killed.worst_code, missing.worst_code] == [3, 137, 127]


@pytest.mark.parametrize('guarded', [True, False])
@pytest.mark.parametrize(
    'command',
    ["echo 'a b'", 'echo "it\'s"', r"printf '%s\n' 'back\slash' '!bang' '%d'", 'echo one\necho two', "echo '$HOME'"],
)
async def test_a_command_is_run_as_it_stands(ssh: Ssh, command: str, guarded: bool) -> None:
    here = await run(command.replace('%', '%%'), 'x')
    there = await run(command, 'n1', ssh=dataclasses.replace(ssh, guarded=guarded))

    assert said(there)['n1'] == said(here)['x'] != ''


async def test_standard_error_is_kept_apart_when_that_is_asked(ssh: Ssh) -> None:
    apart = await run('echo out; echo err >&2', 'n1', ssh=ssh, stderr=True)

    assert said(apart) == {'n1': 'out'}
    assert apart.by_node['n1'].stderr is not None
    assert apart.by_node['n1'].stderr.text == 'err'


async def test_a_node_that_cannot_be_reached_is_255_and_no_matter_of_the_others(ssh: Ssh) -> None:
    outcomes = await run('echo up', 'n1,dead1,n2', ssh=ssh)

    assert {node: each.code for node, each in outcomes.by_node.items()} == {'n1': 0, 'n2': 0, 'dead1': 255}
    assert 'refused' in outcomes.by_node['dead1'].stdout.text


async def test_a_node_that_says_nothing_is_given_up_after_the_connect_timeout(ssh: Ssh) -> None:
    began = time.monotonic()

    outcomes = await run('echo up', 'silent1', ssh=dataclasses.replace(ssh, connect_timeout_seconds=1))

    assert outcomes.worst_code == 255
    assert outcomes.timed_out == []
    assert 0.9 < time.monotonic() - began < 8


async def test_a_command_there_ends_when_its_time_is_over(ssh: Ssh, marked: Marked) -> None:
    outcomes = await run(
        f'echo begun; {marked.sleep} & {marked.sleep}', 'n[1-2]', ssh=ssh, limits=Limits(timeout_seconds=2)
    )

    assert sorted(outcomes.timed_out) == ['n1', 'n2']
    assert outcomes.by_code() == {}
    assert said(outcomes) == {'n1': 'begun', 'n2': 'begun'}
    marked.wait_for(0)


async def test_a_command_there_that_ignores_sigterm_is_killed(ssh: Ssh, marked: Marked) -> None:
    limits = Limits(timeout_seconds=2, grace_seconds=1)

    await run(f"trap '' TERM; {marked.sleep}; {marked.sleep}", 'n1', ssh=ssh, limits=limits)

    marked.wait_for(0)


async def test_a_command_there_ends_when_nobody_waits_for_it_any_more(ssh: Ssh, marked: Marked) -> None:
    running = asyncio.create_task(run(marked.sleep, 'n[1-2]', ssh=ssh))
    while marked.count() < 2:
        await asyncio.sleep(0.02)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    marked.wait_for(0)


def test_the_line_that_all_login_shells_read_has_nothing_that_one_of_them_reads_otherwise() -> None:
    begin, text, rest = guarded("echo 'x'", 1.5, 0.1).split("'", 2)

    assert (begin, rest) == ('/bin/sh -c ', " watch 2 1; echo 'x'")
    assert not set(text) & set("'!\\\n")


def test_nodes_and_paths_stand_behind_the_end_of_options() -> None:
    asked, copied = Ssh().command('n1', 'x', None, 1), Ssh(user='u').copy('n1', '-source', '/dest')

    assert asked[-3:-1] == ['--', 'n1']
    assert copied[-3:] == ['--', '-source', 'u@[n1]:/dest']
    assert '-oBatchMode=yes' in asked
    assert '-oConnectTimeout=10' in copied


async def test_the_watch_leaves_when_the_command_is_over(ssh: Ssh) -> None:
    await run('echo x', 'n1', ssh=ssh, limits=Limits(timeout_seconds=1234))

    for _ in range(100):
        if not watches('1234'):
            break
        await asyncio.sleep(0.05)
    assert not watches('1234')


def watches(seconds: str) -> int:
    words = []
    for each in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):  # it has ended
            words.append(each.read_bytes().split(b'\0'))
    return sum(each[3:5] == [b'watch', seconds.encode()] for each in words)


async def test_its_own_clock_ends_it_there_when_we_are_cut_off(ssh: Ssh, marked: Marked, tmp_path: Path) -> None:
    # An ssh that is deaf to us and to the end of its input: as if the network had gone.
    deaf = tmp_path / 'deaf'
    deaf.write_text('#!/bin/sh\ntrap "" TERM\nsetsid sleep 8 | setsid ssh "$@"\n')
    deaf.chmod(0o755)
    cut_off = dataclasses.replace(ssh, ssh=str(deaf))

    await run(marked.sleep, 'n1', ssh=cut_off, limits=Limits(timeout_seconds=2, grace_seconds=0.1))

    began = time.monotonic()
    marked.wait_for(0)
    assert time.monotonic() - began < 4  # before the input of ssh ends


async def test_what_was_left_in_the_background_there_goes_on(ssh: Ssh, tmp_path: Path) -> None:
    mark = tmp_path / 'mark'

    outcomes = await run(f'(sleep 0.5; echo done > {mark}) > /dev/null 2>&1 < /dev/null & exit 4', 'n1', ssh=ssh)

    assert outcomes.worst_code == 4
    assert not mark.exists()
    for _ in range(100):
        if mark.exists():
            break
        await asyncio.sleep(0.05)
    assert mark.exists()


async def test_a_file_and_a_folder_are_copied_to_all_nodes(ssh: Ssh, tmp_path: Path) -> None:
    source, folder = tmp_path / 'a:file', tmp_path / 'folder'
    source.write_text('content')
    folder.mkdir()
    (folder / 'inner').write_text('inside')

    one = await copy(str(source), str(tmp_path / 'copy'), 'n[1-2]', ssh=ssh)
    other = await copy(str(folder), str(tmp_path / 'folders'), 'n1', ssh=ssh)
    none = await copy(str(tmp_path / 'missing'), str(tmp_path / 'x'), 'n1,dead1', ssh=ssh)

    assert one.by_code() == {0: list(one.by_node)}
    assert (tmp_path / 'copy').read_text() == 'content'
    assert other.worst_code == 0
    assert (tmp_path / 'folders' / 'inner').read_text() == 'inside'
    assert none.worst_code in (1, 255)


async def test_a_file_with_a_colon_in_a_relative_name_is_no_node(
    ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('n9:file').write_text('content')

    outcomes = await copy('n9:file', str(tmp_path / 'copy'), 'n1', ssh=ssh)

    assert outcomes.worst_code == 0, said(outcomes)
    assert (tmp_path / 'copy').read_text() == 'content'


@pytest.fixture
def there(task: Task, server: Sshd) -> Task:
    task.set_info('ssh_options', server.options)
    return task


class Writer(EventHandler):
    def __init__(self) -> None:
        self.written = 0

    def ev_pickup(self, worker, node) -> None:
        worker.write(b'hello\n')
        worker.write(b'0\n')
        worker.set_write_eof()

    def ev_written(self, worker, node, sname, size) -> None:
        self.written += size


@pytest.mark.parametrize('guard', [True, False])
def test_a_task_writes_to_commands_on_nodes(there: Task, guard: bool) -> None:
    there.set_info('ssh_guard', guard)
    handler = Writer()
    there.shell('cat; echo end', nodes='n1', handler=handler)

    there.resume()

    assert there.node_buffer('n1') == b'hello\n0\nend'
    assert handler.written == 8


@pytest.mark.parametrize('guard', [True, False])
def test_a_megabyte_goes_through_the_standard_input_of_a_node(there: Task, guard: bool) -> None:
    there.set_info('ssh_guard', guard)
    worker = there.shell('sha256sum', nodes='n1')
    for _ in range(16):
        worker.write(os.urandom(2**16))
    worker.set_write_eof()

    there.resume()

    assert there.max_retcode() == 0
    assert len(there.node_buffer('n1').split()[0]) == 64


def test_a_task_copies_to_nodes_and_from_them(there: Task, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('content')
    there.copy(str(tmp_path / 'file'), str(tmp_path / 'copy'), 'n1')
    there.resume()
    (tmp_path / 'back').mkdir()

    there.rcopy(str(tmp_path / 'copy'), str(tmp_path / 'back'), 'n[1-2]')
    there.resume()

    assert there.max_retcode() == 0
    assert sorted(each.name for each in (tmp_path / 'back').iterdir()) == ['copy.n1', 'copy.n2']


def test_time_counts_for_each_node_from_its_own_start(there: Task, marked: Marked) -> None:
    there.set_info('fanout', 1)
    there.shell('[ "$SSH_CLIENT" ] && sleep 0.6', nodes='n[1-4]', timeout=2.5)

    there.resume()

    assert there.num_timeout() == 0
    assert dict(there.iter_retcodes()) == {0: ['n1', 'n2', 'n3', 'n4']}
