"""The history of a task: its creation, and every change that its log still has."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.domain.tasks import Task

FIELDS = (
    'task_id',
    'dataset_id',
    'status',
    'epoch',
    'failures',
    'evictions',
    'create_date',
    'log',
    'log_dropped',
    'phases',
)
"""What a history is made of."""

_ENTRY = ('when', 'from', 'to', 'transition', 'why', 'who', 'epoch')


def history(task: Mapping[str, Any]) -> Task:
    """What has become of a task, oldest first.

    The creation is no entry of the log: a task that nothing has happened to need not have one. It is made up from the
    date of creation and the first status that the log knows of.

    Args:
        task: its `FIELDS`; a task of an older release may lack some.

    Returns:
        The history. The keys to claims, which the log has, are no part of it.
    """
    log = task.get('log') or []
    truncated = bool(task.get('log_dropped'))
    return {
        'task_id': task['task_id'],
        'status': task['status'],
        'epoch': task.get('epoch') or 0,
        'failures': task.get('failures') or 0,
        'evictions': task.get('evictions') or 0,
        'truncated': truncated,
        'phases': list(task.get('phases') or ()),
        'history': [
            _creation(task.get('create_date'), None if truncated else log[0]['from'] if log else task['status']),
            *({field: entry.get(field) for field in _ENTRY} for entry in log),
        ],
    }


def _creation(when: Any, status: str | None) -> dict[str, Any]:
    """The entry of the creation; the status is None where the log does not reach back to it."""
    return {
        'when': when, 'from': None, 'to': status, 'transition': 'create', 'why': '', 'who': '', 'epoch': 0,
    }  # fmt: skip
