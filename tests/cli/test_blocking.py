"""Waiting for tasks: when it ends, what is asked meanwhile, and how often."""

import contextlib
import threading
from collections.abc import Iterator
from itertools import islice, repeat
from types import SimpleNamespace
from typing import Any

import pytest

from iceprod_tasks.cli.blocking import rhythm
from iceprod_tasks.cli.describing import Wish, describe, service_for
from iceprod_tasks.client import ClientError, NotFound, Retry, vappio
from iceprod_tasks.client.vappio import Vappio
from tests.client.task_service import TaskService, a_task, bad, good

BLOCK = Wish(block=True)


async def blocked(
    service: TaskService, wish: Wish = BLOCK, pauses: Iterator[float] | None = None, patience_seconds: float = 30
) -> int:
    """Wait without waiting long; the exit code."""
    patience = Retry(seconds=patience_seconds, first_seconds=0.01, longest_seconds=0.05)
    return await describe(Vappio(service.url, patience=patience), wish, pauses or repeat(0.0))


def wanted(service: TaskService) -> list[str]:
    """What each request was about."""
    return [asked.wanted.get('task_name', 'all') for asked in service.asked]


def lines(text: str) -> list[tuple[str, str]]:
    """The name and the state of each line about a task."""
    return [(line.split()[1], line.split()[5]) for line in text.splitlines() if line]


def test_the_pauses_grow_to_five_seconds() -> None:
    assert list(islice(rhythm(), 7)) == [1, 2, 4, 5, 5, 5, 5]


@pytest.mark.parametrize('names', [(), ('a', 'b')], ids=['all', 'named'])
@pytest.mark.parametrize('states', [('completed', 'failed'), ('completed', 'completed')])
async def test_tasks_that_have_ended_are_not_waited_for(
    capsys: pytest.CaptureFixture[str], states: tuple[str, str], names: tuple[str, ...]
) -> None:
    with TaskService([a_task('a', states[0]), a_task('b', states[1])]) as service:
        await blocked(service, Wish(names, block=True), iter([]))

    assert len(service.asked) == max(len(names), 1)
    assert lines(capsys.readouterr().out) == [('a', states[0]), ('b', states[1])]


@pytest.mark.parametrize('state', ['idle', 'running', 'a new one'])
async def test_it_ends_when_the_last_one_has_ended(capsys: pytest.CaptureFixture[str], state: str) -> None:
    with TaskService([a_task('a', state), a_task('b', state)]) as service:
        service.before = [lambda: service.change('b', state='failed'), lambda: service.change('a', state='completed')]
        code = await blocked(service)

    assert code == 0
    assert len(service.asked) == 3
    assert lines(capsys.readouterr().out)[-2:] == [('a', 'completed'), ('b', 'failed')]


async def test_all_tasks_are_waited_for_with_one_request_a_look_and_later_ones_are_not() -> None:
    with TaskService([a_task('a'), a_task('b')]) as service:
        service.before = [
            lambda: service.tasks.insert(0, a_task('later')),
            lambda: service.change('b', state='failed'),
            lambda: service.change('a', state='completed'),
        ]
        await blocked(service)

    assert wanted(service) == ['all'] * 4


async def test_what_came_later_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with TaskService([a_task('a')]) as service:
        service.before = [lambda: service.tasks.append(a_task('later')), lambda: service.change('a', state='failed')]
        await blocked(service)

    assert 'later' not in capsys.readouterr().out


async def test_named_tasks_are_asked_for_by_the_names_that_were_given() -> None:
    ended = a_task('shown-1', 'completed')
    with TaskService(script=[good([a_task('shown-1')]), good([ended])] * 2) as service:
        service.script[1:3] = [good([a_task('shown-2')]), good([ended])]
        await blocked(service, Wish(('id1', 'id2'), block=True))

    assert wanted(service) == ['id1', 'id2'] * 2


async def test_a_task_that_is_gone_ends_the_wait() -> None:
    with TaskService([a_task('a'), a_task('b')]) as service:
        service.before = [lambda: service.tasks.pop(0).clear()]
        with pytest.raises(NotFound, match='there is no task a any more'):
            await blocked(service)


async def test_a_named_task_that_is_gone_ends_the_wait() -> None:
    with TaskService([a_task('a')]) as service:
        service.before = [service.tasks.clear]
        with pytest.raises(NotFound, match='no such task'):
            await blocked(service, Wish(('a',), block=True))


async def test_off_a_terminal_a_look_is_printed_when_something_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    def nothing() -> None:
        """Nothing changes."""

    with TaskService([a_task('a', numTasks=2), a_task('bc', 'completed')]) as service:
        service.before = [
            nothing, nothing, lambda: service.change('a', completedTasks=1), nothing,
            lambda: service.change('a', state='completed', completedTasks=2),
        ]  # fmt: skip
        await blocked(service)

    tail = '         Num: 1/2 ( 50%) LastUpdated: 2010/12/02 22:41:33 UTC'
    said = capsys.readouterr().out
    assert '\x1b' not in said
    assert said.splitlines() == [
        f'Task: a  Type: tagData       State: running{tail.replace("1/2 ( 50%)", "0/2 (  0%)")[2:]}',
        f'Task: bc Type: tagData       State: completed{tail.replace("1/2 ( 50%)", "0/1 (  0%)")[4:]}',
        f'Task: a  Type: tagData       State: running{tail[2:]}',
        f'Task: bc Type: tagData       State: completed{tail.replace("1/2 ( 50%)", "0/1 (  0%)")[4:]}',
        f'Task: a  Type: tagData       State: completed{tail.replace("1/2 ( 50%)", "2/2 (100%)")[4:]}',
        '',
        '',
        f'Task: bc Type: tagData       State: completed{tail.replace("1/2 ( 50%)", "0/1 (  0%)")[4:]}',
    ]


async def test_messages_that_are_wanted_are_shown_while_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    told = [{'mtype': 'notification', 'timestamp': 0, 'text': 'half way'}]
    with TaskService([a_task('a')]) as service:
        service.before = [lambda: service.change('a', messages=told), lambda: service.change('a', state='failed')]
        await blocked(service, Wish(('a',), kinds={'notification'}, block=True))

    said = capsys.readouterr().out.splitlines()
    assert [line.partition(':')[0] for line in said if 'half way' in line] == ['Notification - 1970/01/01 00'] * 2
    assert len(said) == 5


@pytest.mark.parametrize('more', [{'show_polling': False}, {'as_json': True}], ids=str)
async def test_nothing_is_printed_while_waiting_where_that_is_not_wanted(
    capsys: pytest.CaptureFixture[str], more: dict[str, Any]
) -> None:
    seen: list[str] = []
    with TaskService([a_task('a')]) as service:
        service.before = [
            lambda: service.change('a', completedTasks=1),
            lambda: service.change('a', state=seen.append(capsys.readouterr().out) or 'completed'),
        ]
        await blocked(service, Wish(block=True, **more))

    assert seen == ['']
    assert capsys.readouterr().out.count('completed"' if 'as_json' in more else 'Task: a ') == 1


async def test_completed_tasks_are_left_out_after_the_wait_only(capsys: pytest.CaptureFixture[str]) -> None:
    with TaskService([a_task('long name', 'completed'), a_task('a'), a_task('b')]) as service:
        service.before = [lambda: [service.change('a', state='completed'), service.change('b', state='failed')]]
        code = await blocked(service, Wish(block=True, unfinished=True, exit_code=True))

    *polled, last = capsys.readouterr().out.splitlines()
    assert len(polled) == 3
    assert last.startswith('Task: b Type: ')
    assert code == 1


@pytest.mark.parametrize(('state', 'code'), [('completed', 0), ('failed', 1)])
async def test_the_exit_code_is_that_of_the_end(state: str, code: int) -> None:
    with TaskService([a_task('a')]) as service:
        service.before = [lambda: service.change('a', state=state)]

        assert await blocked(service, Wish(block=True, exit_code=True)) == code


async def test_a_service_that_goes_away_and_comes_back_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with TaskService([a_task('a')]) as service:
        code = await blocked(service, Wish(block=True, exit_code=True), restarted_meanwhile(service))

    assert code == 0
    assert lines(capsys.readouterr().out)[-1] == ('a', 'completed')
    assert service.script == []


def restarted_meanwhile(service: TaskService) -> Iterator[float]:
    """No pauses; after the first look the service goes, and comes back while it is asked."""

    def come_back() -> None:
        service.change('a', state='completed')
        service.script = [None, bad('starting', status=503), (502, b'<html>')]
        service.start()

    service.stop()
    timer = threading.Timer(0.2, come_back)
    timer.start()
    yield 0
    timer.join()
    raise AssertionError('the look after the restart saw the task as it was before')


async def test_a_service_that_stays_away_is_an_error() -> None:
    with TaskService([a_task('a')]) as service:
        service.before = [lambda: service.script.extend([bad('starting', status=503)] * 1000)]
        with pytest.raises(ClientError, match='starting'):
            await blocked(service, patience_seconds=0.3)

    assert len(service.asked) > 4


@pytest.mark.parametrize(('wish', 'tries'), [(Wish(block=True), 20), (Wish(), 4)], ids=['blocking', 'not'])
async def test_only_one_who_waits_for_tasks_has_more_patience(
    monkeypatch: pytest.MonkeyPatch, wish: Wish, tries: int
) -> None:
    async def sleep(seconds: float) -> None:
        """No time goes by."""

    monkeypatch.setattr(vappio, 'asyncio', SimpleNamespace(sleep=sleep))
    trouble = [bad('starting', status=503)] * 19
    with TaskService(script=[good([]), *trouble]) as service:
        async with service_for(wish, service.url, '', 'local') as client:
            await client.tasks()
            with contextlib.suppress(ClientError):
                await client.tasks()

    assert len(service.asked) == 1 + tries


async def test_a_failure_ends_the_wait_at_once() -> None:
    script = [good([a_task('a')]), bad('no more')]
    with TaskService(script=script) as service, pytest.raises(ClientError, match='no more'):
        await blocked(service)

    assert len(service.asked) == 2
