"""Messages: what is told of a task while it runs and when it ends, for people and for programs that wait."""

import uuid
from collections.abc import Mapping
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest

MESSAGE_TYPES = ('notification', 'silent', 'error', 'result')
"""Silent ones are for finding errors in programs."""

KEPT_AT_MOST = 200
"""Messages that a task keeps, unless a setting says otherwise."""
KEPT_BYTES = 1024 * 1024
"""However few they are, no more of them."""
REPORTED_BYTES = 4096
"""So much of the end of an output goes into the message of a report; the whole is kept beside."""

STEPS_AT_MOST = 10**15

_TEXT_OF = {'result': 'result'}
_OF_ERRORS = ('name', 'stacktrace')


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """A message as it is kept, of one that fits its schema.

    A result has a `result`, an error has `text`, `name` and `stacktrace` (the last two may be empty), others have a
    `text`. Source: seed 000.

    Args:
        given: `mtype` and the fields of that type; `message_id` may be there.

    Raises:
        InvalidRequest: its text is missing, or it has a field of another type.
    """
    mtype = given['mtype']
    text = _TEXT_OF.get(mtype, 'text')
    fields = (text, *(_OF_ERRORS if mtype == 'error' else ()))
    if text not in given:
        raise InvalidRequest(f'a message of type {mtype} needs a "{text}"')
    for name in ('text', 'result', *_OF_ERRORS):
        if name in given and name not in fields:
            raise InvalidRequest(f'a message of type {mtype} has no "{name}"')
    # In the order of the seed's tables; what stands in a database is read by people as well.
    known = {name: given[name] for name in ('message_id', 'mtype') if name in given}
    return known | {name: given.get(name, '') for name in fields}


def end_of(text: str) -> str:
    """The end of an output as a message has it: its last `REPORTED_BYTES` in whole characters, less empty lines."""
    return text.rstrip().encode()[-REPORTED_BYTES:].decode(errors='ignore')


def shown(task_id: str, message: Mapping[str, Any], report: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A message as its readers see it.

    Args:
        task_id: of its task.
        message: as the task has it.
        report: what the report brought that left it, where one did.

    Returns:
        What it says, its time as `timestamp` and as `when`, and beside that what the report brought.
    """
    when = message['when']
    told = {key: value for key, value in (report or {}).items() if key not in ('_id', 'dataset_id')}
    told |= {'task_id': task_id, 'timestamp': when, **message}
    # One that a change of status has left needs no id until somebody asks: no other has its time.
    told.setdefault('message_id', uuid.uuid5(uuid.NAMESPACE_OID, f'{task_id}:{when.isoformat()}').hex)
    return told


def of_report(mtype: str, report: Mapping[str, Any], otherwise: str) -> dict[str, Any]:
    """What the message of a report says.

    Args:
        mtype: its type.
        report: `reason`, `exit_code`, `stdout` and `stderr`, as far as it has them.
        otherwise: what it says where the report has no reason.
    """
    if mtype == 'result':
        return {'result': end_of(report.get('stdout') or '')}
    code = report.get('exit_code')
    text = report.get('reason') or (f'exit code {code}' if code is not None else otherwise)
    if mtype != 'error':
        return {'text': text}
    return {'text': text, 'name': otherwise, 'stacktrace': end_of(report.get('stderr') or '')}
