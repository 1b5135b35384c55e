"""Describes tasks, and waits for them where that is wanted: what `vp-describe-task` and `iceprod-tasks describe` do."""

import contextlib
import errno
import io
import json
import logging
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import click

from iceprod_tasks.cli.blocking import look_again_at, look_at, rhythm, wait
from iceprod_tasks.cli.task_lines import BETWEEN_TASKS, blocks, one_line
from iceprod_tasks.client.task_records import TaskRecord
from iceprod_tasks.client.vappio import WHILE_BLOCKING, Vappio

NOT_COMPLETED = 1

_FROM_THE_TOP = '\x1b[H\x1b[J'
_KIND_OF_FLAG: Mapping[str, str] = {'show': 'notification', 'show_error': 'error', 'show_debug': 'silent'}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants to know.

    Args:
        names: of the tasks; all tasks when there are none.
        kinds: the messages to show, by their mtype; None shows all.
        unfinished: leave out completed tasks.
        block: wait until all tasks have ended.
        show_polling: show them while waiting.
        exit_code: tell by it whether all are completed.
        as_json: the tasks as one JSON document, in place of lines.
    """

    names: tuple[str, ...] = ()
    kinds: Collection[str] | None = ()
    unfinished: bool = False
    block: bool = False
    show_polling: bool = True
    exit_code: bool = False
    as_json: bool = False


def wish_of(names: tuple[str, ...], flags: Mapping[str, bool]) -> Wish:
    """What a user wants, from the flags that both commands have.

    Args:
        names: of the tasks.
        flags: show, show_error, show_debug, show_all, nc, exit_code, block, no_print_polling; as_json if there is one.
    """
    return Wish(
        names=names,
        kinds=None if flags['show_all'] else {kind for flag, kind in _KIND_OF_FLAG.items() if flags[flag]},
        unfinished=flags['nc'],
        block=flags['block'],
        show_polling=not flags['no_print_polling'],
        exit_code=flags['exit_code'],
        as_json=flags.get('as_json', False),
    )


def service_for(wish: Wish, server: str, token: str, cluster: str) -> Vappio:
    """The service that is asked: one who waits for tasks has more patience with it.

    Raises:
        ValueError: the address is not one of HTTP.
    """
    return Vappio(server, token, cluster, patience=WHILE_BLOCKING if wish.block else None)


async def describe(service: Vappio, wish: Wish, pauses: Iterator[float] | None = None) -> int:
    """Print what a user wants to know.

    Args:
        service: that is asked.
        wish: what is wanted.
        pauses: seconds between two looks while waiting; as `rhythm` has them when None.

    Returns:
        The exit code.

    Raises:
        ClientError: the service cannot be asked, or says no. Nothing was printed but what it had said before.
        click.ClickException: what was found cannot be printed.
    """
    screen = Screen()
    async with service:
        tasks = await _found(service, wish, screen, pauses or rhythm())
    if wish.unfinished:
        tasks = [task for task in tasks if task['state'] != 'completed']
    if wish.as_json:
        screen.end(json.dumps(tasks))
    else:
        screen.end(BETWEEN_TASKS.join(blocks(tasks, wish.kinds)))
    return NOT_COMPLETED if wish.exit_code and any(task['state'] != 'completed' for task in tasks) else 0


async def _found(service: Vappio, wish: Wish, screen: 'Screen', pauses: Iterator[float]) -> list[TaskRecord]:
    def show(tasks: list[TaskRecord]) -> None:
        if wish.show_polling and not wish.as_json:
            screen.poll('\n'.join(blocks(tasks, wish.kinds)))

    look = look_at(service, wish.names) if wish.names else service.tasks
    tasks = await look()
    if wish.block:
        again = look if wish.names else look_again_at(service, tasks)
        tasks = await wait(tasks, again, show, pauses)
    return tasks


class Screen:
    """Standard output: a terminal, where what changes is drawn again in its place, or something else."""

    def __init__(self) -> None:
        self._shown: str | None = None
        self._from_the_top = _FROM_THE_TOP if _is_terminal() else ''
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A locale without a name's letters is no reason to fail.
            sys.stdout.reconfigure(errors='backslashreplace')

    def poll(self, text: str) -> None:
        """Show how it is now, where that is something else than what was shown last."""
        if text != self._shown:
            self._put(self._from_the_top, text)
            self._shown = text

    def end(self, text: str) -> None:
        """Show how it was in the end, in place of what was shown before."""
        self._put('' if self._shown is None else self._from_the_top, text)

    def _put(self, begin: str, text: str) -> None:
        # In one piece, so that nobody sees the screen empty.
        whole = begin + (f'{text}\n' if text else '')
        try:
            click.echo(whole, nl=False)
        except OSError as error:
            _leave_stdout()
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(f'cannot print: {error.strerror}') from error


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get('TERM', '') not in {'', 'dumb'}


def _leave_stdout() -> None:
    """Let go of a standard output that takes nothing: Python would try once more at its end, and complain."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def debugging(wanted: bool) -> Iterator[None]:
    """Tell on stderr what is asked, and when, in local time; or do nothing.

    Args:
        wanted: whether to tell.
    """
    if not wanted:
        yield
        return
    ours = logging.getLogger('iceprod_tasks')
    level, handler = ours.level, logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine('DEBUG: %(asctime)s - %(message)s', '%Y/%m/%d %H:%M:%S'))
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        ours.setLevel(level)
        ours.removeHandler(handler)


class _OneLine(logging.Formatter):
    """Messages have what a service said."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))
