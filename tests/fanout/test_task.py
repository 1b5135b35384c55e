"""The façade: the seed page's calls, and what is better here than there."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from ClusterShell.MsgTree import MsgTree as UpstreamTree
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.fanout.Event import EventHandler
from iceprod_tasks.fanout.MsgTree import MODE_TRACE, MsgTree
from iceprod_tasks.fanout.NodeSet import NodeSet
from iceprod_tasks.fanout.Task import (
    AlreadyRunningError,
    Task,
    TaskError,
    TaskMsgTreeError,
    TimeoutError,
    task_cleanup,
    task_self,
    task_terminate,
    task_wait,
)
from iceprod_tasks.fanout.Worker.Exec import ExecWorker
from iceprod_tasks.fanout.Worker.Ssh import WorkerSsh
from iceprod_tasks.fanout.Worker.Worker import FANOUT_UNLIMITED
from tests.fanout.conftest import Marked


def local(task: Task, command: str, nodes: str = 'n[1-3]', **more: Any) -> Any:
    return task.shell(command, nodes=nodes, remote=False, **more)


# The page.


def test_the_example_of_the_page_prints(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    local(task, 'echo hello; echo world')
    task.resume()

    for buffer, nodelist in task.iter_buffers():
        print(NodeSet.fromlist(nodelist))  # noqa: T201
        print(buffer)  # noqa: T201
    print(task.node_buffer('n1'))  # noqa: T201

    assert capsys.readouterr().out == 'n[1-3]\nhello\nworld\nhello\nworld\n'


def test_the_default_info_is_that_of_the_page(task: Task) -> None:
    defaults = dict(Task._default_info)

    assert callable(defaults.pop('print_debug'))
    assert defaults == {'command_timeout': 0, 'connect_timeout': 10, 'debug': False, 'fanout': 32}
    assert [task.info(key) for key in defaults] == list(defaults.values())


def test_a_task_is_that_of_its_thread(task: Task) -> None:
    assert task is task_self() is Task(thread_id=threading.get_ident()) is Task(thread=threading.current_thread())
    assert task.thread_id == threading.get_ident()
    with pytest.raises(ValueError, match='no thread'):
        Task(thread_id=1)


def test_a_limit_of_zero_is_none(task: Task) -> None:
    for limit in (0, None, -1):
        task.shell('sleep 0.2', key='k')
        task.resume(limit)

        assert task.key_retcode('k') == 0


def test_an_unknown_key_is_an_error_of_both_kinds(task: Task) -> None:
    for error in (KeyError, ValueError):
        with pytest.raises(error):
            task.key_retcode('unknown')
        with pytest.raises(error):
            task.node_retcode('unknown')


def test_without_any_code_the_largest_is_none(task: Task) -> None:
    assert task.max_retcode() is None
    task.shell('sleep 30', key='k', timeout=0.2)
    task.resume()

    assert task.max_retcode() is None
    assert task.num_timeout() == 1


def test_results_are_those_of_the_last_run(task: Task) -> None:
    task.shell('echo x; exit 3', key='k')
    task.resume()
    task.resume()

    assert (task.key_buffer('k'), task.max_retcode(), list(task.iter_buffers())) == (b'', None, [])


def test_the_underscore_methods_of_the_page(task: Task) -> None:
    worker = local(task, 'echo out; exit %n', 'n[1-2]')
    late = local(task, 'sleep 30', 'm1', timeout=0.2)
    task.resume()
    source = (worker, 'n1')

    assert task._msg_by_source(source) == b'out'
    assert list(task._msg_iter_by_key('n1')) == [b'out']
    assert [(bytes(each), sorted(keys)) for each, keys in task._msg_iter_by_worker(worker)] == [(b'out', ['n1', 'n2'])]
    assert [(key, bytes(each)) for key, each in task._kmsg_iter_by_worker(worker)] == [('n1', b'out'), ('n2', b'out')]
    assert task._rc_by_source(source) == 0
    assert list(task._rc_iter_by_key('n2')) == [1]
    assert dict(task._rc_iter_by_worker(worker, ['n2'])) == {1: ['n2']}
    assert dict(task._krc_iter_by_worker(worker)) == {'n1': 0, 'n2': 1}
    assert task._num_timeout_by_worker(late) == 1
    assert list(task._iter_keys_timeout_by_worker(late)) == ['m1']
    task._msg_add((worker, 'x'), b'by hand')
    task._rc_set((worker, 'x'), 9)
    task._rc_set((worker, 'x'), 1, override=False)
    task._timeout_add((worker, 'y'))
    assert (task.key_buffer('x'), task.key_retcode('x'), task.num_timeout()) == (b'by hand', 9, 2)
    task._reset()
    assert task.max_retcode() is None


# Orders.


def test_a_new_fanout_holds_at_once(task: Task) -> None:
    class Widens(EventHandler):
        running: ClassVar[set[str]] = set()
        most = 0

        def ev_pickup(self, worker, node) -> None:
            self.running.add(node)
            self.most = max(self.most, len(self.running))
            if node == 'n3':
                task.set_info('fanout', 6)

        def ev_hup(self, worker, node, rc) -> None:
            if node == 'n1':
                assert self.most == 1
            self.running.discard(node)

    handler = Widens()
    task.set_info('fanout', 1)
    local(task, 'sleep 0.1', 'n[1-12]', handler=handler)

    task.resume()

    assert handler.most == 6


@pytest.mark.parametrize('fanout', [0, -1, 'many', None, 1.5])
def test_a_fanout_that_makes_no_sense_is_an_error(task: Task, fanout: object) -> None:
    with pytest.raises(ValueError, match='fanout'):
        task.set_info('fanout', fanout)


def test_a_worker_may_have_a_fanout_of_its_own(task: Task) -> None:
    task.set_info('fanout', 1)
    worker = ExecWorker('n[1-10]', None, command='sleep 0.3')
    worker._fanout = FANOUT_UNLIMITED
    task.schedule(worker)
    began = time.monotonic()

    task.resume()

    assert time.monotonic() - began < 1.5


def test_the_time_of_commands_is_honoured_by_all_workers(task: Task) -> None:
    task.set_info('command_timeout', 0.3)
    local(task, 'sleep 30', 'a')
    task.shell('sleep 30', key='k')
    local(task, 'sleep 0.6', 'b', timeout=20)

    task.resume()

    assert sorted(task.iter_keys_timeout()) == ['a', 'k']
    assert task.key_retcode('b') == 0


def test_no_time_at_all_is_over_at_once(task: Task) -> None:
    task.shell('sleep 30', key='k', timeout=0)

    task.resume()

    assert list(task.iter_keys_timeout()) == ['k']


def test_a_percent_sign_needs_not_be_doubled(task: Task) -> None:
    local(task, "date +%%Y; date +%Y; printf '%s %d' x 1; echo %{h}%{rank}", 'n1')

    task.resume()

    year = time.strftime('%Y').encode()
    assert bytes(task.node_buffer('n1')).split(b'\n') == [year, year, b'x 1n10']


def test_outputs_of_a_task_have_a_bound(task: Task) -> None:
    task.set_info('output_limit', 10)
    local(task, 'seq 1 1000')

    task.resume()

    ((buffer, nodes),) = task.iter_buffers()
    assert buffer.truncated
    assert sorted(nodes) == ['n1', 'n2', 'n3']
    assert task.node_buffer('n1') == b'1\n2\n3\n4\n5\n\n[truncated: 10 of 3892 bytes are kept]'


def test_outputs_that_are_not_kept_are_an_error_to_ask_for(task: Task) -> None:
    lines: list[bytes] = []

    class Reads(EventHandler):
        def ev_read(self, worker, node, sname, msg) -> None:
            lines.append(msg)

    task.set_default('stdout_msgtree', False)
    worker = local(task, 'echo x', 'a', handler=Reads())
    task.resume()

    for ask in (lambda: task.key_buffer('a'), lambda: list(task.iter_buffers()), lambda: worker.read('a')):
        with pytest.raises(TaskMsgTreeError):
            ask()
    assert lines == [b'x']
    assert task.key_retcode('a') == 0


def test_outputs_are_forgotten_on_demand(task: Task) -> None:
    class Forgets(EventHandler):
        def ev_read(self, worker, node, sname, msg) -> None:
            if msg == b'forget':
                worker.flush_buffers()

    local(task, 'echo one; sleep 0.1; echo forget; sleep 0.2; echo two', 'a', handler=Forgets())
    task.resume()
    assert task.node_buffer('a') == b'two'

    task.flush_buffers()
    assert task.node_buffer('a') == b''


def test_what_is_not_offered_is_an_error(task: Task) -> None:
    with pytest.raises(TaskError):
        task.shell('true', nodes='n1', tree=True)
    with pytest.raises(TaskError):
        task.copy('a', 'b', 'n1', tree=True)
    with pytest.raises(ValueError, match='rsh'):
        task.set_default('distant_workername', 'rsh')
    with pytest.raises(AssertionError):
        task.shell('true', nodes='n1', key='k')
    with pytest.raises(ValueError, match='missing'):
        WorkerSsh('n1', None)
    with pytest.raises(ValueError, match='directory'):
        task.rcopy('/etc/hostname', '/nonexistent', 'n1')


def test_local_workers_copy_as_well(task: Task, tmp_path: Any) -> None:
    (tmp_path / 'source').write_text('x')
    task.schedule(ExecWorker('n[1-2]', None, source=str(tmp_path / 'source'), dest=f'{tmp_path}/%h'))

    task.resume()

    assert sorted(each.name for each in tmp_path.iterdir()) == ['n1', 'n2', 'source']


def test_debugging_prints_what_is_said(task: Task) -> None:
    lines: list[str] = []
    task.set_info('debug', True)
    task.set_info('print_debug', lambda _, line: lines.append(line))
    local(task, 'echo x', 'a')

    task.resume()

    assert any('x' in line and 'a' in line for line in lines)


# Handlers.


def test_events_of_one_node_come_after_those_of_the_other_when_there_is_room_for_one(task: Task) -> None:
    class Journal(EventHandler):
        events: ClassVar[list[object]] = []

        def ev_start(self, worker) -> None:
            self.events.append('start')

        def ev_pickup(self, worker, node) -> None:
            self.events.append(('pickup', node))

        def ev_read(self, worker, node, sname, msg) -> None:
            self.events.append(('read', node, msg))

        def ev_hup(self, worker, node, rc) -> None:
            self.events.append(('hup', node, rc))

        def ev_close(self, worker, timedout) -> None:
            self.events.append(('close', timedout))

    task.set_info('fanout', 1)
    local(task, 'echo x; exit %n', 'a,b', handler=Journal())

    task.resume()

    assert Journal.events == [
        'start', ('pickup', 'a'), ('read', 'a', b'x'), ('hup', 'a', 0),
        ('pickup', 'b'), ('read', 'b', b'x'), ('hup', 'b', 1), ('close', False),
    ]  # fmt: skip


def test_a_handler_that_fails_hurts_one_node_and_is_raised_when_all_are_over(task: Task, marked: Marked) -> None:
    closed: list[bool] = []

    class Fails(EventHandler):
        def ev_read(self, worker, node, sname, msg) -> None:
            if node != 'c':
                raise ValueError(node)

        def ev_close(self, worker, timedout) -> None:
            closed.append(timedout)

    task.set_info('fanout', 1)
    local(task, f'echo x; [ %h = c ] || {marked.sleep}', 'a,b,c', handler=Fails())

    with pytest.raises(ValueError, match='a') as raised:
        task.resume()

    assert raised.value.__notes__ == ["and another handler: ValueError('b')"]
    assert dict(task.iter_retcodes()) == {0: ['c']}
    assert task.node_buffer('c') == b'x'
    assert closed == [False]
    assert marked.count() == 0


@pytest.mark.parametrize('name', ['ev_start', 'ev_pickup', 'ev_hup', 'ev_close'])
def test_whatever_method_of_a_handler_fails_the_others_have_their_results(task: Task, name: str) -> None:
    def fail(*_: object) -> None:
        raise ValueError(name)

    handler = type('Fails', (EventHandler,), {name: fail})()
    local(task, 'echo x', 'a', handler=handler)
    local(task, 'echo y', 'b')

    with pytest.raises(ValueError, match=name):
        task.resume()

    assert task.node_buffer('b') == b'y'
    assert task.key_retcode('b') == 0


def test_ctrl_c_ends_everything_and_is_raised(task: Task, marked: Marked) -> None:
    class Interrupts(EventHandler):
        def ev_read(self, worker, node, sname, msg) -> None:
            raise KeyboardInterrupt

    local(task, f'[ %h = a ] && echo x; {marked.sleep}', 'a,b', handler=Interrupts())

    with pytest.raises(KeyboardInterrupt):
        task.resume()

    assert marked.count() == 0
    task.shell('true', key='k')
    task.resume()
    assert task.key_retcode('k') == 0


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Whoever has started the tests in the background has SIGINT ignored by them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_interrupts_a_run(task: Task, marked: Marked, ctrl_c_interrupts: None) -> None:
    local(task, marked.sleep, 'a,b')
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()

    with pytest.raises(KeyboardInterrupt):
        task.resume()

    timer.join()
    assert marked.count() == 0


def test_aborting_in_a_handler_reaches_nothing_behind_it_even_if_it_catches_errors(task: Task, marked: Marked) -> None:
    reached: list[str] = []

    class Aborts(EventHandler):
        def ev_read(self, worker, node, sname, msg) -> None:
            try:
                task.abort()
            except Exception:
                reached.append('caught')
            reached.append('behind')

    local(task, f'echo x; {marked.sleep}', 'a,b', handler=Aborts())
    task.resume()

    assert reached == []
    assert (task.max_retcode(), list(task.iter_buffers()), marked.count()) == (None, [], 0)
    assert task_self() is task


@pytest.mark.parametrize('name', ['ev_start', 'ev_pickup', 'ev_read'])
@pytest.mark.parametrize('fanout', [1, 32])
@pytest.mark.parametrize('end', ['worker', 'task', 'interrupt'])
def test_whoever_ends_all_with_the_first_event_ends_those_that_have_not_begun(
    task: Task, marked: Marked, name: str, fanout: int, end: str
) -> None:
    closed: list[bool] = []

    def ends(_: object, worker: Any, *__: object) -> None:
        if end == 'interrupt':
            raise KeyboardInterrupt
        worker.abort() if end == 'worker' else task.abort()

    handler = type('Ends', (EventHandler,), {name: ends, 'ev_close': lambda _, __, timedout: closed.append(timedout)})()
    task.set_info('fanout', fanout)
    local(task, f'echo x; {marked.sleep}', 'n[1-40]', handler=handler)

    if end == 'interrupt':
        with pytest.raises(KeyboardInterrupt):
            task.resume()
    else:
        task.resume()

    assert closed == [False]
    assert task.max_retcode() is None
    assert task.num_timeout() == 0
    assert marked.count() == 0


def test_nothing_is_heard_of_a_worker_after_it_was_aborted(task: Task) -> None:
    heard: list[bytes] = []

    class Aborts(EventHandler):
        def ev_read(self, worker, node, sname, msg) -> None:
            heard.append(msg)
            worker.abort()

    local(task, r"printf 'a\nb\nc'; exec sleep 30", 'n1', handler=Aborts())

    task.resume()

    assert heard == [b'a']


def test_aborting_forgets_what_is_scheduled(task: Task, tmp_path: Any) -> None:
    task.shell(f'touch {tmp_path}/mark')
    task.abort()
    task.resume()

    assert not (tmp_path / 'mark').exists()


def test_terminating_parts_a_thread_from_its_task(task: Task) -> None:
    task_terminate()

    assert task_self() is not task
    with pytest.raises(AssertionError):
        task.shell('true')


def test_handlers_of_old_take_the_worker_alone(task: Task) -> None:
    seen: list[object] = []

    class Old:
        def ev_start(self, worker) -> None:
            seen.append('start')

        def ev_read(self, worker) -> None:
            seen.append((worker.current_node, worker.current_msg))

        def ev_error(self, worker) -> None:
            seen.append(('error', worker.current_errmsg))

        def ev_hup(self, worker) -> None:
            seen.append(worker.current_rc)

        def ev_timeout(self, worker) -> None:
            seen.append('timeout')

        def ev_close(self, worker) -> None:
            seen.append('close')

    with pytest.warns(DeprecationWarning, match='Old'):
        local(task, 'echo x; sleep 0.1; echo e >&2; sleep 0.1; exit 2', 'a', handler=Old(), stderr=True)
        task.resume()
        local(task, 'exec sleep 30', 'a', handler=Old(), timeout=0.2)
        task.resume()

    assert seen == ['start', ('a', b'x'), ('error', b'e'), 2, 'close', 'start', 'timeout', 'close']


def test_a_task_that_runs_cannot_be_resumed(task: Task) -> None:
    class Resumes(EventHandler):
        def ev_start(self, worker) -> None:
            assert task.running()
            with pytest.raises(AlreadyRunningError):
                task.resume()

    task.shell('true', key='k', handler=Resumes())
    task.resume()

    assert not task.running()
    assert task.key_retcode('k') == 0


def test_when_the_time_of_the_run_is_over_all_nodes_are_listed(task: Task, marked: Marked) -> None:
    task.set_info('fanout', 2)
    local(task, f'[ %h = a ] || {marked.sleep}', 'a,b,c,d')

    with pytest.raises(TimeoutError):
        task.resume(0.5)

    assert sorted(task.iter_keys_timeout()) == ['b', 'c', 'd']
    assert dict(task.iter_retcodes()) == {0: ['a']}


def test_what_is_in_the_background_ends_with_the_rest(task: Task, marked: Marked) -> None:
    closed: list[bool] = []

    class Closes(EventHandler):
        def ev_close(self, worker, timedout) -> None:
            closed.append(timedout)

    task.shell(marked.sleep, key='b', autoclose=True, handler=Closes())
    task.shell('sleep 0.2; exit 2', key='k')

    task.resume()

    assert closed == [False]
    assert dict(task.iter_retcodes()) == {2: ['k']}


async def test_a_task_works_inside_of_another_loop(task: Task) -> None:
    task.shell('echo x', key='k')

    task.resume()

    assert task.key_buffer('k') == b'x'


def test_runs_leave_no_descriptors(task: Task, no_descriptor_leaks: None) -> None:
    for _ in range(3):
        local(task, 'cat', 'n[1-20]', stdin=False, stderr=True)
        local(task, 'exec sleep 30', 'm[1-3]', timeout=0.1)
        task.resume()


# Timers.


class Ticks(EventHandler):
    def __init__(self, change: Callable[[Any, int], None] = lambda *_: None) -> None:
        self.at: list[float] = []
        self._change = change

    def ev_timer(self, timer) -> None:
        self.at.append(time.monotonic())
        self._change(timer, len(self.at))


def test_a_timer_fires_once_and_is_not_valid_then(task: Task) -> None:
    handler, began = Ticks(), time.monotonic()
    timer = task.timer(0.2, handler)
    assert timer.is_valid()

    task.resume()

    assert [0.2 <= at - began < 1 for at in handler.at] == [True]
    assert not timer.is_valid()


def test_a_timer_can_be_changed_in_its_handler(task: Task) -> None:
    def change(timer: Any, times: int) -> None:
        if times == 1:
            timer.set_nextfire(0.3)

    handler = Ticks(change)
    timer = task.timer(0.05, handler, interval=0.05)

    task.resume()

    assert len(handler.at) == 2
    assert handler.at[1] - handler.at[0] >= 0.3
    with pytest.raises(Exception, match='invalid timer'):
        timer.set_nextfire(1)


def test_timers_are_refused_that_make_no_sense(task: Task) -> None:
    with pytest.raises(AssertionError):
        task.timer(-1, Ticks())
    with pytest.raises(AssertionError):
        task.timer(1, None)


def test_a_timer_whose_handler_fails_fires_no_more(task: Task) -> None:
    def fail(timer: Any, times: int) -> None:
        raise ValueError('a bug')

    handler = Ticks(fail)
    task.timer(0, handler, interval=0.01)

    with pytest.raises(ValueError, match='a bug'):
        task.resume()

    assert len(handler.at) == 1


# Threads.


@pytest.fixture
def other(task: Task) -> Any:
    return Task()


def test_another_thread_runs_its_task_without_blocking(other: Task) -> None:
    began = time.monotonic()
    other.shell('sleep 0.5; echo x', key='k')
    other.resume()
    assert time.monotonic() - began < 0.4

    task_wait()

    assert other.key_buffer('k') == b'x'
    assert other.thread.name.startswith('Task-')
    assert not other.thread.daemon


def test_what_is_scheduled_while_it_runs_is_run_too(other: Task) -> None:
    other.shell('sleep 0.3', key='a')
    other.resume()
    while not other.running():
        time.sleep(0.01)
    other.shell('echo b', key='b')
    other.resume()
    other.join()

    assert other.key_retcode('a') == other.key_retcode('b') == 0


def test_every_order_from_outside_is_carried_out_at_some_time(other: Task) -> None:
    for number in range(200):
        other.shell('true', key=number)
        other.resume()
        if number % 7 == 0:
            other.join()
    other.resume()
    other.join()
    other.shell('echo last', key='last')
    other.resume()
    other.join()

    assert other.key_buffer('last') == b'last'


def test_aborting_from_outside_waits_until_all_has_ended(other: Task, marked: Marked) -> None:
    other.shell(marked.sleep, nodes='a,b', remote=False)
    other.resume()
    marked.wait_for(2)

    other.abort()

    assert marked.count() == 0
    other.thread.join(5)
    assert not other.thread.is_alive()
    assert other not in Task._tasks.values()


def test_fanout_changes_from_outside(other: Task) -> None:
    other.set_info('fanout', 1)
    other.shell('sleep 0.5', nodes='n[1-8]', remote=False)
    other.resume()
    while not other.running():
        time.sleep(0.01)
    began = time.monotonic()
    other.set_info('fanout', 8)
    other.join()

    assert time.monotonic() - began < 2


def test_what_is_raised_in_a_thread_of_its_own_goes_to_the_hook(other: Task) -> None:
    seen: list[type[BaseException]] = []
    other.excepthook = lambda kind, error, trace: seen.append(kind)
    other.shell('sleep 30')
    other.resume(0.2)
    other.join()
    other.thread.join(5)

    assert seen == [TimeoutError]
    assert not other.thread.is_alive()


def test_ports_carry_messages_between_tasks(task: Task, other: Task) -> None:
    seen: list[object] = []

    class Hears(EventHandler):
        def ev_port_start(self, port) -> None:
            seen.append('start')

        def ev_msg(self, port, msg) -> None:
            seen.append((msg, threading.current_thread() is other.thread))
            if msg == 'last':
                other.remove_port(port)

    port = other.port(Hears())
    port.msg_send('early')
    other.resume()
    assert port.msg('waits')
    assert port.msg('last')
    other.join()

    assert seen == ['start', ('early', True), ('waits', True), ('last', True)]
    assert port.msg('too late') is False


def test_cleaning_up_leaves_no_task_and_no_thread(task: Task, marked: Marked) -> None:
    others = [Task() for _ in range(3)]
    others[0].shell(marked.sleep)
    others[0].resume()
    marked.wait_for(1)

    task_cleanup()

    assert Task._tasks == {}
    assert not any(other.thread.is_alive() for other in others)


# Message trees.

keyed = st.lists(st.tuples(st.integers(1, 5), st.sampled_from([b'a', b'b', b''])), max_size=20)


def told(tree: Any, match: Any = None) -> list[Any]:
    return sorted((bytes(element), sorted(keys)) for element, keys in tree.walk(match))


@given(keyed, st.sampled_from([0, 1, 2]), st.sets(st.integers(1, 5)))
def test_message_trees_are_those_of_clustershell(lines: list[Any], mode: int, gone: set[int]) -> None:
    theirs, ours = UpstreamTree(mode), MsgTree(mode)
    for key, line in lines:
        theirs.add(key, line)
        ours.add(key, line)

    if mode != MODE_TRACE:  # where theirs lists a key with all its lines
        assert told(ours) == told(theirs)
        assert told(ours, lambda key: key in gone) == told(theirs, lambda key: key in gone)
    else:
        assert sorted((line, sorted(keys), depth, behind) for line, keys, depth, behind in ours.walk_trace()) == sorted(
            (line, sorted(keys), depth, behind) for line, keys, depth, behind in theirs.walk_trace()
        )
    assert sorted(ours) == sorted(theirs)
    assert {key: (bytes(each), list(each), len(each)) for key, each in ours.items()} == {
        key: (bytes(each), list(each), len(each)) for key, each in theirs.items()
    }
    for tree in (theirs, ours):
        tree.remove(lambda key: key in gone)
    assert len(ours) == len(theirs)
    assert {key: bytes(each) for key, each in ours.items()} == {key: bytes(each) for key, each in theirs.items()}
