"""Logs of tasks and programs, and the statistics that pilots send with each try."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_SERVICE_FIELDS = ('log_id', 'timestamp', '_id')
_DEFAULT_NAME = 'log'


def new_log(given: Mapping[str, Any], log_id: str, now: datetime) -> dict[str, Any]:
    """A log as stored.

    Args:
        given: data, and optionally name, dataset_id, task_id and keys of the client's own; what only the service sets
            is overwritten.
        log_id: its id.
        now: the time of it, UTC.
    """
    own = {key: value for key, value in given.items() if key not in _SERVICE_FIELDS}
    return {'name': _DEFAULT_NAME, **own, 'log_id': log_id, 'timestamp': now}


def new_task_stat(task_stat_id: str, task_id: str, stats: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The statistics of a try as stored.

    Args:
        task_stat_id: their id.
        task_id: of the task.
        stats: dataset_id, and whatever else the pilot says.
        now: the time of it, UTC.
    """
    return {
        'task_stat_id': task_stat_id,
        'task_id': task_id,
        'dataset_id': stats['dataset_id'],
        'create_date': now,
        'stats': dict(stats),
    }
