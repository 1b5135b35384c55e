"""A task in the words of Drove. Source: the contract of its REST API, which docs/drove.md tells."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from iceprod_tasks.dialects.drove.envelope import without_nulls
from iceprod_tasks.dialects.drove.states import result_of, state_of, timeline
from iceprod_tasks.domain.placeholders import expand

OWN_ENV = 'DROVE_'
"""How variables begin that the service sets in the environment of each task."""

_NOT_IN_IDS = re.compile(r'[^A-Za-z0-9_.-]')
MASK = '*****'
BYTES_A_MB = 1024 * 1024
BYTES_A_GB = 1_000_000_000
_LOGGING = {'type': 'LOCAL', 'maxSize': '1m', 'maxFiles': 1, 'compress': False}
"""What is kept of what a task prints: the last mebibyte of each stream."""


def milliseconds(time: datetime) -> int:
    """A time as Drove writes it: since 1970, UTC."""
    return int(time.timestamp() * 1000)


def instance_id(task_id: str) -> str:
    """The name of the one instance of a task, which it finds in its environment, too."""
    return f'TI-{task_id}'


def executor_id(pilot: str, *, slots: bool = True) -> str:
    """The id of the executor that a pilot is, as it may stand in a path.

    Args:
        pilot: as it calls itself, or one of its slots.
        slots: whether it is a slot that has the name.
    """
    name = pilot.rpartition('/')[0] if slots and pilot.count('/') > 1 else pilot
    return _NOT_IN_IDS.sub('-', name)


def task_info(task: Mapping[str, Any], *, secrets: bool) -> dict[str, Any]:
    """What clients read of a task; never a null, and `metadata` is empty, or the command line breaks.

    Args:
        task: its document.
        secrets: whether the values of its environment are shown.
    """
    about, work, external = task.get('about') or {}, task.get('work') or {}, task['external']
    logging = about.get('logging') or _LOGGING
    env = {name: expand(value, {}) for name, value in (work.get('env') or {}).items() if not name.startswith(OWN_ENV)}
    result = result_of(task)
    info = {
        'sourceAppName': external['app'],
        'taskId': external['id'],
        'instanceId': instance_id(task['task_id']),
        'executorId': executor_id(task.get('pilot') or '') or None,
        'hostname': task.get('host') or None,
        'executable': about.get('executable'),
        'args': about.get('args'),
        'resources': _allocated(about, task['requirements']),
        'volumes': about.get('volumes') or [],
        'loggingSpec': logging,
        # The command line looks here.
        'logging': logging,
        'env': env if secrets else dict.fromkeys(env, MASK),
        'tags': about.get('tags') or {},
        'state': state_of(task),
        'metadata': {},
        'taskResult': {'status': result.status, 'exitCode': result.exit_code} if result else None,
        'errorMessage': result.message if result else '',
        'created': milliseconds(task['create_date']),
        'updated': milliseconds(task['updated']),
    }
    return {**without_nulls(info), 'metadata': {}}


def states_in_words(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every state that a task has been in, and when it came to it."""
    return [{'state': state, 'time': milliseconds(when)} for when, state in timeline(task)]


def operation_in_words(operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation of a task's history.

    Args:
        operation: as stored.
    """
    spec, ended = operation['spec'], operation['ended']
    told: dict[str, Any] = without_nulls({
        'operationId': operation['operation_id'],
        'type': operation['type'].upper(),
        'instanceId': instance_id(operation['task_id']),
        'user': operation['who'],
        'reason': operation['why'] or None,
        'opSpec': {
            'timeout': duration(spec['timeout_seconds']),
            'parallelism': spec['parallelism'],
            'failureStrategy': spec['failure_strategy'],
        },
        'accepted': milliseconds(operation['accepted']),
        'deadline': milliseconds(operation['deadline']),
        'ended': milliseconds(ended) if ended else None,
        'outcome': operation['outcome'].upper().replace(' ', '_') if operation['outcome'] else 'ACTIVE',
        'left': _left(operation.get('left')),
    })  # fmt: skip
    return told


def duration(seconds: float) -> str:
    """A length of time as its grammar has it: whole numbers of the largest unit that fits."""
    nanoseconds = round(seconds * 1_000_000_000)
    for unit, size in (('m', 60_000_000_000), ('s', 1_000_000_000), ('ms', 1_000_000), ('us', 1000)):
        if nanoseconds % size == 0:
            return f'{nanoseconds // size}{unit}'
    return f'{nanoseconds}ns'


def _left(left: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is remembered of a task that is gone."""
    if left is None:
        return None
    result = result_of(left)
    return {
        'state': state_of(left),
        'taskResult': {'status': result.status, 'exitCode': result.exit_code} if result else None,
        'errorMessage': result.message if result else '',
        'created': milliseconds(left['create_date']),
        'updated': milliseconds(left['status_changed']),
    }


def _allocated(about: Mapping[str, Any], requirements: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cores and memory in Drove's form of an allocation; of NUMA nodes we know one."""
    asked = {each['type']: each for each in about.get('resources') or ()}
    cores = asked.get('CPU', {}).get('count') or int(requirements.get('cpu') or 1)
    memory_mb = asked.get('MEMORY', {}).get('sizeInMB') or round(
        float(requirements.get('memory') or 0) * BYTES_A_GB / BYTES_A_MB
    )
    return [
        {'type': 'CPU', 'cores': {'0': list(range(cores))}},
        {'type': 'MEMORY', 'memoryInMB': {'0': memory_mb}},
    ]
