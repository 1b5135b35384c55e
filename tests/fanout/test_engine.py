"""The engine against commands that do not behave: each fault of the original, and what else hurts one node only."""

import asyncio
import errno
import os
import resource
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from iceprod_tasks.fanout import Limits, Outcomes, processes, run
from tests.fanout.conftest import Marked, descriptors


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fails a test that leaves descriptors open; those of the loop are there before."""
    before = descriptors()
    yield
    assert descriptors() == before


async def one(command: str, **limits: object) -> Outcomes:
    return await run(command, 'a', limits=Limits(**limits))


async def test_codes_are_those_of_a_shell() -> None:
    codes = [(await one(command)).worst_code for command in ('exit 7', 'kill -9 $$', 'kill -15 $$', 'no-such-command')]

    assert codes == [7, 137, 143, 127]


async def test_a_command_that_closes_its_output_and_lives_on_is_timed_out_and_blocks_nobody() -> None:
    began = time.monotonic()
    closed = asyncio.create_task(one('exec >&- 2>&-; exec sleep 60', timeout_seconds=1))
    quick = await one('echo quick')
    took = time.monotonic() - began

    outcomes = await closed

    assert took < 0.9
    assert quick.worst_code == 0
    assert outcomes.timed_out == ['a']
    assert 1 <= time.monotonic() - began < 3


async def test_all_that_a_command_has_started_ends_with_it(marked: Marked) -> None:
    outcomes = await one(f'{marked.sleep} & ({marked.sleep}; true) & echo begun; {marked.sleep}', timeout_seconds=0.5)

    assert outcomes.timed_out == ['a']
    assert outcomes.by_node['a'].stdout.text == 'begun'
    assert marked.count() == 0


async def test_who_does_not_mind_sigterm_is_killed_after_a_grace(marked: Marked) -> None:
    began = time.monotonic()

    await one(f"trap '' TERM; {marked.sleep} & {marked.sleep}; {marked.sleep}", timeout_seconds=0.3, grace_seconds=0.5)

    assert 0.7 < time.monotonic() - began < 3
    assert marked.count() == 0


async def test_who_minds_sigterm_has_time_to_tidy_up_and_is_heard() -> None:
    outcomes = await one("trap 'sleep 0.3; echo tidy; exit' TERM; echo begun; sleep 60 & wait", timeout_seconds=0.3)

    assert outcomes.by_node['a'].stdout.text == 'begun\ntidy'
    assert outcomes.by_code() == {}


async def test_children_have_the_grace_too_when_their_shell_is_gone() -> None:
    outcomes = await one(
        """(trap 'sleep 0.4; echo tidy; exit' TERM; echo begun; sleep 60 & wait) & exec sleep 60""", timeout_seconds=0.3
    )

    assert outcomes.by_node['a'].stdout.text == 'begun\ntidy'


async def test_a_last_line_without_an_end_is_kept_when_time_is_over() -> None:
    lines: list[tuple[str, str, str]] = []

    outcomes = await run(
        'echo whole; printf part; sleep 60',
        'a',
        limits=Limits(timeout_seconds=0.5),
        on_line=lambda *line: lines.append(line),
    )

    assert outcomes.by_node['a'].stdout.text == 'whole\npart'
    assert lines == [('a', 'stdout', 'whole'), ('a', 'stdout', 'part')]


async def test_a_command_is_over_with_its_shell_while_somebody_holds_the_pipe(marked: Marked) -> None:
    began = time.monotonic()
    outcomes = await one(f'{marked.sleep} & echo $! done')
    took = time.monotonic() - began
    pid = int(outcomes.by_node['a'].stdout.text.split()[0])

    assert took < 2
    assert outcomes.worst_code == 0
    os.kill(pid, 15)


async def test_it_waits_for_the_pipe_where_that_is_asked() -> None:
    outcomes = await one('(sleep 0.5; echo late) & echo early', wait_for_pipes=True)

    assert outcomes.by_node['a'].stdout.text == 'early\nlate'


async def test_time_is_over_also_for_who_only_holds_the_pipe(marked: Marked) -> None:
    outcomes = await one(f'{marked.sleep} & echo early', wait_for_pipes=True, timeout_seconds=0.5)

    assert outcomes.timed_out == ['a']
    assert marked.count() == 0


async def test_one_in_the_background_that_never_stops_writing_does_not_hold_it_up() -> None:
    outcomes = await asyncio.wait_for(one('yes > /dev/stdout & echo $!; exit 3'), timeout=10)

    assert outcomes.worst_code == 3


async def test_twenty_megabytes_without_a_newline_are_bounded_and_marked() -> None:
    lines: list[int] = []

    outcomes = await run(
        'head -c 20000000 /dev/zero',
        'a',
        limits=Limits(output_bytes=1000),
        on_line=lambda *line: lines.append(len(line[2])),
    )

    output = outcomes.by_node['a'].stdout
    assert (output.size, output.truncated, len(output.kept)) == (20_000_000, True, 1000)
    assert output.text.endswith('\n[truncated: 1000 of 20000000 bytes are kept]')
    assert lines == [1000]


async def test_a_million_lines_take_bounded_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    outcomes = await one('seq 1 1000000')

    assert outcomes.by_node['a'].stdout.truncated
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


async def test_equal_outputs_are_together_and_kept_once() -> None:
    outcomes = await run('head -c 100000 /dev/zero; [ %n = 3 ] && echo odd; true', 'n[0-5]')

    groups = [(output, nodes) for output, nodes in outcomes.by_output()]
    assert sorted(map(sorted, (nodes for _, nodes in groups))) == [['n0', 'n1', 'n2', 'n4', 'n5'], ['n3']]
    assert outcomes.by_node['n0'].stdout.kept is outcomes.by_node['n5'].stdout.kept


async def test_outputs_that_differ_behind_the_bound_are_not_equal() -> None:
    outcomes = await run('head -c 1000 /dev/zero; echo %n', 'n[0-1]', limits=Limits(output_bytes=10))

    assert len(list(outcomes.by_output())) == 2


async def test_a_handler_that_fails_hurts_its_node_only(marked: Marked) -> None:
    def on_line(node: str, stream: str, line: str) -> None:
        if node == 'b':
            raise ValueError('a bug')

    outcomes = await run(f'echo x; [ %h != b ] || {marked.sleep}', 'a,b,c', on_line=on_line)

    assert {node: each.code for node, each in outcomes.by_node.items()} == {'a': 0, 'b': None, 'c': 0}
    assert outcomes.by_node['b'].error == "ValueError('a bug')"
    assert marked.count() == 0


@pytest.mark.parametrize('call', ['pipe', 'Popen'])
async def test_when_descriptors_or_processes_run_out_one_node_fails_and_none_leaks(
    call: str, monkeypatch: pytest.MonkeyPatch, no_leaks: None
) -> None:
    module = os if call == 'pipe' else subprocess
    real, calls = getattr(module, call), 0

    def failing(*given: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*given, **more)

    monkeypatch.setattr(getattr(processes, module.__name__), call, failing)
    outcomes = await run('echo x', 'a,b,c', limits=Limits(fanout=1), stderr=True)

    assert sorted(str(each.code) for each in outcomes.by_node.values()) == ['0', '0', '255']
    (broken,) = [each for each in outcomes.by_node.values() if each.code == 255]
    assert broken.error is not None
    assert 'Too many open files' in broken.error
    assert broken.stderr is not None
    assert broken.stderr.text == broken.error


@pytest.mark.parametrize('failing', [1, 2])
async def test_when_the_loop_can_listen_to_no_more_one_node_fails(
    failing: int, monkeypatch: pytest.MonkeyPatch, no_leaks: None, marked: Marked
) -> None:
    loop = asyncio.get_running_loop()
    real, calls = loop.add_reader, 0

    def add_reader(*given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*given)

    monkeypatch.setattr(loop, 'add_reader', add_reader)
    outcomes = await run(
        f'[ %h = a ] && {marked.sleep}; echo x', 'a,b,c', limits=Limits(fanout=1, timeout_seconds=20), stderr=True
    )

    assert {node: each.code for node, each in outcomes.by_node.items()} == {'a': 255, 'b': 0, 'c': 0}
    assert outcomes.by_node['a'].error == 'cannot start /bin/sh: No space left on device'
    assert marked.count() == 0


def limit_that_leaves(free: int) -> int:
    """The limit of open files with which some numbers are free: those of files that were closed are among them."""
    opened, limit = {int(file.name) for file in Path('/proc/self/fd').iterdir()}, 0
    while free:
        free -= limit not in opened
        limit += 1
    return limit


async def test_real_descriptors_that_run_out_hurt_some_nodes_and_not_the_run() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit_that_leaves(12), hard))
    try:
        outcomes = await run('echo x; sleep 0.3', 'n[1-20]', limits=Limits(fanout=20))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    codes = outcomes.by_code()
    assert set(codes) == {0, 255}
    assert sum(map(len, codes.values())) == 20


async def test_without_pidfds_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, 'pidfd_open')

    outcomes = await run('exec >&- 2>&-; sleep 0.1; exit 4', 'n[1-20]')

    assert outcomes.by_code() == {4: list(outcomes.by_node)}


async def test_without_pidfds_and_threads_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.delattr(os, 'pidfd_open')
    monkeypatch.setattr(threading.Thread, 'start', no_thread)

    outcomes = await run('exec >&- 2>&-; sleep 0.1; exit 4', 'a')

    assert outcomes.worst_code == 4


async def test_nobody_watches_a_process_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[int] = []

    def on_line(node: str, stream: str, line: str) -> None:
        time.sleep(0.2)  # and meanwhile it ends
        raise ValueError('a bug')

    def pidfd_open(pid: int) -> int:
        watched.append(pid)
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))

    monkeypatch.setattr(os, 'pidfd_open', pidfd_open)

    outcomes = await run('echo x', 'a', on_line=on_line)

    assert (watched, outcomes.by_node['a'].code) == ([], None)


async def test_a_null_byte_is_an_error_of_the_command() -> None:
    assert (await one('echo \0')).worst_code == 255


async def test_what_runs_is_ended_when_the_caller_is_cancelled(marked: Marked) -> None:
    running = asyncio.create_task(run(marked.sleep, 'a,b,c', limits=Limits(fanout=2)))
    while marked.count() < 2:
        await asyncio.sleep(0.01)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert marked.count() == 0


async def test_who_cancels_twice_does_not_wait_for_the_grace(marked: Marked) -> None:
    running = asyncio.create_task(
        run(f"trap '' TERM; {marked.sleep}; {marked.sleep}", 'a', limits=Limits(grace_seconds=30))
    )
    while marked.count() < 1:
        await asyncio.sleep(0.01)
    began = time.monotonic()

    running.cancel()
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert time.monotonic() - began < 5


async def test_many_commands_leave_no_descriptor_and_no_process(no_leaks: None) -> None:
    before = psutil.Process().children()

    await run('echo x; exit %n', 'n[0-99]', limits=Limits(fanout=50), stderr=True)
    await run('sleep 60', 'n[0-9]', limits=Limits(timeout_seconds=0.1))

    assert psutil.Process().children() == before


async def test_so_many_run_at_once_and_all_have_their_turn() -> None:
    running, most = 0, 0

    def on_line(node: str, stream: str, line: str) -> None:
        nonlocal running, most
        running += 1 if line == 'begin' else -1
        most = max(most, running)

    await run('echo begin; sleep 0.05; echo end', 'n[1-30]', limits=Limits(fanout=7), on_line=on_line)

    assert most == 7
    assert running == 0


async def test_bytes_that_are_no_text_are_replaced() -> None:
    lines: list[str] = []

    await run(r"printf 'a\377b\303\251\n'", 'a', on_line=lambda *line: lines.append(line[2]))

    assert lines == ['a�bé']


async def test_a_program_without_commands_of_its_own_reads_nothing_from_us() -> None:
    assert (await one('cat; echo end')).by_node['a'].stdout.text == 'end'
