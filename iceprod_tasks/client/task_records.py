"""Tasks as `/vappio/task_ws.py` describes them: their types, and the check that an answer has them."""

from collections.abc import Mapping
from typing import Any, Required, TypedDict, cast

from iceprod_tasks.client.errors import ServerError


class TaskMessage(TypedDict, total=False):
    """What was said on a task; `timestamp` in seconds since 1970, UTC."""

    mtype: Required[str]
    timestamp: Required[float]
    text: str
    result: Any
    name: str
    stacktrace: str


class TaskRecord(TypedDict):
    """A task: whose kind is `tType`, how many of its steps are done, and what was said; `timestamp` as in messages."""

    name: str
    tType: str
    state: str
    completedTasks: float
    numTasks: float
    timestamp: float
    messages: list[TaskMessage]


_Fields = Mapping[str, tuple[type, ...]]

_NUMBER = (int, float)
_ANYTHING = ()
_TASK: _Fields = {
    'name': (str,),
    'tType': (str,),
    'state': (str,),
    'completedTasks': _NUMBER,
    'numTasks': _NUMBER,
    'timestamp': _NUMBER,
    'messages': (list,),
}
_MESSAGE: _Fields = {'mtype': (str,), 'timestamp': _NUMBER}
_MESSAGE_OF: Mapping[str, _Fields] = {
    'notification': {'text': (str,)},
    'silent': {'text': (str,)},
    'error': {'text': (str,)},
    'result': {'result': _ANYTHING},
}


def read_tasks(data: object) -> list[TaskRecord]:
    """The tasks of an answer, as they were sent; what else a service says of them is kept.

    Args:
        data: the JSON of the answer, without its envelope.

    Raises:
        ServerError: it is not a list of tasks; the error says what is wrong and where.
    """
    if not isinstance(data, list):
        raise ServerError('the answer is not a list of tasks')
    for number, task in enumerate(data):
        place = f'task {number} of the answer'
        _check(task, _TASK, place)
        for order, message in enumerate(task['messages']):
            _check_message(message, f'message {order} of {place}')
    return cast(list[TaskRecord], data)


def _check_message(message: Any, place: str) -> None:
    _check(message, _MESSAGE, place)
    _check(message, _MESSAGE_OF.get(message['mtype'], {}), place)
    # Programs that add an error by its text alone leave this out.
    if message['mtype'] == 'error' and 'stacktrace' in message:
        _check(message, {'stacktrace': (str,)}, place)


def _check(document: object, fields: _Fields, place: str) -> None:
    if not isinstance(document, dict):
        raise ServerError(f'{place} is not an object')
    for name, kinds in fields.items():
        if name not in document:
            raise ServerError(f'{place} has no "{name}"')
        # By the exact type, as a bool is an int to isinstance.
        if kinds and type(document[name]) not in kinds:
            raise ServerError(f'"{name}" of {place} is {_KIND[type(document[name])]}')


_KIND = {
    str: 'a text', int: 'a number', float: 'a number', bool: 'true or false', list: 'a list', dict: 'an object',
    type(None): 'null',
}  # fmt: skip
