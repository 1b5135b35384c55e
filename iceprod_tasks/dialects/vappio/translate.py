"""Their words and ours: how a task of ours reads in theirs, and their envelope around it."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from iceprod_tasks.domain.task_names import shown_name
from iceprod_tasks.domain.tasks import Task

STATES: Mapping[str, str] = {
    'idle': 'idle',
    'waiting': 'idle',
    'queued': 'idle',
    'processing': 'running',
    'reset': 'idle',
    'suspended': 'idle',
    'failed': 'failed',
    'complete': 'completed',
}
"""Our status of a task, their state."""

MESSAGES: Mapping[str, Mapping[str, str]] = {
    'notification': {'text': 'text'},
    'silent': {'text': 'text'},
    'result': {'result': 'result'},
    'error': {'text': 'text', 'stacktrace': 'stacktrace', 'name': 'name'},
}
"""Their keys of each type of message, beside its type and time; ours."""

STEPS: Mapping[str, str] = {'completedTasks': 'completed', 'numTasks': 'total'}
"""Their numbers of a task, our steps."""

_PLAIN: Mapping[str, str] = {'text': 'text'}
_NO_STEPS: Mapping[str, int] = {'completed': 0, 'total': 1}
_SECONDS_BYTES = 4


class Failure(Exception):
    """What they answer with HTTP 200 all the same.

    Args:
        msg: what is wrong.
        name: of the error.
        stacktrace: of the error, where another service has sent one.
    """

    def __init__(self, msg: str, name: str = '', stacktrace: str = '') -> None:
        super().__init__(msg)
        self.data = {'msg': msg, 'name': name, 'stacktrace': stacktrace}


def failed(failure: Failure) -> dict[str, Any]:
    """The envelope of a failure."""
    return {'success': False, 'data': failure.data}


async def succeeded(tasks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The envelope of tasks, in pieces.

    Args:
        tasks: each as JSON text.
    """
    opening = b'{"success":true,"data":['
    async for task in tasks:
        yield opening + task
        opening = b','
    yield b']}' if opening == b',' else opening + b']}'


def task_in_words(task: Task) -> dict[str, Any]:
    """A task as they describe it.

    Args:
        task: as `actions.observe` has it; what older ones do not have yet is made up for.
    """
    steps = task.get('steps') or _NO_STEPS
    return {
        'name': shown_name(task['name'], task['stamp']),
        'tType': task['name'],
        'state': STATES[task['status']],
        **{theirs: steps[ours] for theirs, ours in STEPS.items()},
        'timestamp': _seconds(_last_change(task)),
        'messages': [_message(each) for each in task.get('messages') or ()],
    }


def _last_change(task: Task) -> datetime:
    made = datetime.fromtimestamp(int.from_bytes(task['stamp'][:_SECONDS_BYTES]), UTC)
    return max((when for when in (task.get('updated'), task.get('message_at')) if when is not None), default=made)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    mtype = message['mtype']
    words = {theirs: message.get(ours, '') for theirs, ours in MESSAGES.get(mtype, _PLAIN).items()}
    return {'mtype': mtype, 'timestamp': _seconds(message['when']), **words}


def _seconds(when: datetime) -> float:
    return round(when.timestamp(), 3)
