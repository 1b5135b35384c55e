"""Operations: what is done with a task that has a name of its own outside, one at a time, each until its deadline.

To create it is one, to kill it another. An operation is *active* from when it is accepted until what it waits for has
happened, another takes its place, or its time is over; then it is history. The core knows no other kinds, and none can
be cancelled (seed 003).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest

CREATE, KILL, REMOVE = 'create', 'kill', 'remove'
"""What is done; `remove` is written into the history when a task that has ended is forgotten."""

DONE, SUPERSEDED, TIMED_OUT = 'done', 'superseded', 'timed out'
"""How an operation ends."""

UNCLAIMED = ('idle', 'waiting', 'queued', 'reset', 'suspended')
"""Statuses of tasks that no pilot holds and that have not ended."""

ENDED = ('complete', 'failed')

NOT_STARTED = 'not_started'
"""The `cause` of an outcome: no pilot took the task before its operation was over."""

STOP = 'STOP'
PARALLELISM_BOUNDS = (1, 32)
TIMEOUT_BOUNDS_SECONDS = (1e-9, 30 * 86400.0)
OWN_TIMEOUT_BOUNDS_SECONDS = (10.0, 30 * 60.0)
"""Of operations that the service starts itself."""


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """How an operation is carried out. Source: seed 003; of tasks only the time matters.

    Args:
        timeout_seconds: after so long it is over, however far it has come.
        parallelism: how much of it at a time; there is one task.
        failure_strategy: what follows a failure: `STOP`.
    """

    timeout_seconds: float = 300.0
    parallelism: int = 1
    failure_strategy: str = STOP

    def check(self) -> None:
        """Refuse what is out of bounds.

        Raises:
            InvalidRequest: something is.
        """
        shortest, longest = TIMEOUT_BOUNDS_SECONDS
        if not shortest <= self.timeout_seconds <= longest:
            raise InvalidRequest(f'timeout must be more than 0 and at most {longest:g} seconds')
        least, most = PARALLELISM_BOUNDS
        if not least <= self.parallelism <= most:
            raise InvalidRequest(f'parallelism must be from {least} to {most}')
        if self.failure_strategy != STOP:
            raise InvalidRequest(f'failureStrategy must be {STOP}')

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            'timeout_seconds': self.timeout_seconds,
            'parallelism': self.parallelism,
            'failure_strategy': self.failure_strategy,
        }


@dataclass(frozen=True, slots=True)
class OperationRules:
    """What operators say of operations and of tasks with names outside.

    Args:
        own: of operations that the service starts itself, so that a task goes on.
        lost_after_seconds: a task whose pilot is not heard of for so long is lost.
        keep_hours: how long a task is remembered after its end that says nothing of it.
        clean_seconds: between two looks for tasks to forget.
        history_days: how long operations are remembered after their end.
    """

    own: OperationSpec = field(default_factory=OperationSpec)
    lost_after_seconds: float = 60.0
    keep_hours: float = 48.0
    clean_seconds: float = 3600.0
    history_days: float = 31.0


@dataclass(frozen=True, slots=True)
class NewOperation:
    """An operation as it is accepted.

    Args:
        operation_id: 32 hex characters.
        type: `create` or `kill`.
        task: of it, task_id, external and epoch.
        who: asks for it.
        spec: how it is carried out.
        term: of the leader that accepts it.
        why: the reason given.
    """

    operation_id: str
    type: str
    task: Mapping[str, Any]
    who: str
    spec: OperationSpec
    term: int
    why: str = ''

    def document(self, now: datetime | Any, deadline: datetime | Any) -> dict[str, Any]:
        """As it is stored.

        Args:
            now: when it is accepted.
            deadline: when its time is over.
        """
        return {
            'operation_id': self.operation_id,
            'type': self.type,
            'external': dict(self.task['external']),
            'task_id': self.task['task_id'],
            # Claims that are later than this one's belong to it.
            'epoch': self.task.get('epoch', 0),
            'who': self.who,
            'why': self.why,
            'spec': self.spec.document(),
            'term': self.term,
            'accepted': now,
            'deadline': deadline,
            'active': True,
            'ended': None,
            'outcome': '',
        }


def is_satisfied(operation: Mapping[str, Any], task: Mapping[str, Any] | None) -> bool:
    """Whether what an operation waits for has happened.

    Args:
        operation: as stored.
        task: its task: status and epoch; None when it is gone.
    """
    if task is None or task['status'] in ENDED:
        return True
    return bool(operation['type'] == CREATE and task['epoch'] > operation['epoch'])
