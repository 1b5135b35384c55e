"""How tasks and their messages look as lines of text: the layout of `vp-describe-task`; nothing here asks or prints."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from iceprod_tasks.client.task_records import TaskMessage, TaskRecord

BETWEEN_TASKS = '\n\n\n'

_COLUMN = 13
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]')
"""What moves a cursor or changes a terminal, and halves of characters, which nothing can print."""
_BREAK = re.compile('[\t\n]')


def blocks(tasks: Collection[TaskRecord], kinds: Collection[str] | None = ()) -> list[str]:
    """Tasks with their messages, a text of one or more lines each, without the line's end.

    Args:
        tasks: in the order in which they are shown; the names have one width.
        kinds: which messages to show, by their mtype; None shows all.
    """
    names = [one_line(task['name']) for task in tasks]
    width = max(map(len, names), default=0)
    return [
        '\n'.join((_task_line(task, name.ljust(width)), *_messages(task['messages'], kinds)))
        for task, name in zip(tasks, names, strict=True)
    ]


def _task_line(task: TaskRecord, name: str) -> str:
    kind, state = one_line(task['tType']), one_line(task['state'])
    completed, total = task['completedTasks'], task['numTasks']
    steps = f'{int(completed)}/{int(total)} ({percent(completed, total):3}%)'
    updated = time_text(task['timestamp'])
    return f'Task: {name} Type: {kind:{_COLUMN}} State: {state:{_COLUMN}} Num: {steps} LastUpdated: {updated}'


def percent(completed: float, total: float) -> int:
    """How much of a task is done, without its fraction; 0 where there is nothing to do.

    By fractions, as floats take 29 of 100 for 28.
    """
    return int(100 * Fraction(completed) / Fraction(total)) if total else 0


def time_text(seconds: float) -> str:
    """A time in UTC to the second.

    Args:
        seconds: since 1970; what is in no year from 1 to 9999 is shown as the number it is.
    """
    try:
        time = _1970 + timedelta(seconds=math.floor(seconds))
    except OverflowError:
        return f'{seconds} UTC'
    return f'{time.year:04}/{time:%m/%d %H:%M:%S} UTC'


def _messages(messages: Iterable[TaskMessage], kinds: Collection[str] | None) -> Iterable[str]:
    for message in messages:
        if kinds is None or message['mtype'] in kinds:
            yield _message(message)


def _message(message: TaskMessage) -> str:
    title, body = _LAYOUT.get(message['mtype'], (message['mtype'].title(), _whole))
    return f'{one_line(title)} - {time_text(message["timestamp"])}: {harmless(body(message))}'


def _text(message: TaskMessage) -> str:
    return message['text']


def _text_and_stacktrace(message: TaskMessage) -> str:
    text, trace = message['text'], message.get('stacktrace', '')
    if not trace:
        return text
    return '\n'.join((text, 'Stacktrace:', *(f'\t{line}' for line in trace.split('\n'))))


def _result(message: TaskMessage) -> str:
    return _in_words(message['result'])


def _whole(message: TaskMessage) -> str:
    """A message of a kind that is not known."""
    text: Any = message.get('text')
    return text if isinstance(text, str) else _in_words(message)


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_LAYOUT: dict[str, tuple[str, Callable[[TaskMessage], str]]] = {
    'notification': ('Notification', _text),
    'silent': ('Debug', _text),
    'error': ('Error', _text_and_stacktrace),
    'result': ('Result', _result),
}


def harmless(text: str) -> str:
    """A text as it is, but for what a terminal would obey: blanks stand there; tabs and newlines stay."""
    return _CONTROL.sub(' ', text.replace('\r\n', '\n'))


def one_line(text: str) -> str:
    """The same without tabs and newlines, for what stands in the middle of a line."""
    return _BREAK.sub(' ', harmless(text))
