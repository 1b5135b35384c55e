"""The states of Drove's tasks, which come from our statuses, phases and outcomes; and the ways between them.

Whatever happens to a task here, who looks at it from outside sees a walk along `ARROWS` that ends with a result. A task
that allows itself another try goes back by one arrow of our own, `AGAIN`.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.operations import NOT_STARTED

Task = Mapping[str, Any]

STRAIGHT = (
    'PENDING', 'PROVISIONING', 'STARTING', 'RUNNING', 'RUN_COMPLETED', 'DEPROVISIONING', 'STOPPED',
)  # fmt: skip
"""The way of a task with which nothing goes wrong."""

ACTIVE = frozenset(STRAIGHT[:-1])
TERMINAL = frozenset({'STOPPED', 'LOST'})
STATES = (*STRAIGHT, 'PROVISIONING_FAILED', 'RUN_FAILED', 'LOST')

_NEXT: Mapping[str, tuple[str, ...]] = {
    'PENDING': ('PROVISIONING', 'STOPPED'),
    'PROVISIONING': ('STARTING', 'PROVISIONING_FAILED'),
    'PROVISIONING_FAILED': ('DEPROVISIONING',),
    'STARTING': ('RUNNING', 'RUN_FAILED', 'RUN_COMPLETED'),
    'RUN_FAILED': ('DEPROVISIONING',),
    'RUNNING': ('RUN_COMPLETED',),
    'RUN_COMPLETED': ('DEPROVISIONING',),
    'DEPROVISIONING': ('STOPPED',),
}

ARROWS = frozenset(
    [(old, new) for old, nexts in _NEXT.items() for new in nexts]
    + [(state, 'LOST') for state in STATES if state not in TERMINAL]
)
"""Every change of state that Drove knows, from and to."""

AGAIN = frozenset((state, 'PENDING') for state in STATES if state not in {*TERMINAL, 'PENDING'})
"""What a task with `retries` does beside that: its next try begins."""

_OF_PHASE = {
    'provisioning': 'PROVISIONING',
    'starting': 'STARTING',
    'running': 'RUNNING',
    'run_completed': 'RUN_COMPLETED',
    'deprovisioning': 'DEPROVISIONING',
}

_OF_STATUS = {
    'idle': 'PENDING',
    'waiting': 'PENDING',
    'queued': 'PENDING',
    'suspended': 'PENDING',
    # Another try, or the end, follows.
    'reset': 'DEPROVISIONING',
    'complete': 'STOPPED',
    'failed': 'STOPPED',
}

_LOST_AT = 'lose'


@dataclass(frozen=True, slots=True)
class Result:
    """How a task has ended.

    Args:
        status: SUCCESSFUL, FAILED, CANCELLED, LOST or TIMED_OUT.
        exit_code: of its program; -1 where there is none.
        message: why, for people; '' where all went well.
    """

    status: str
    exit_code: int
    message: str = ''


def state_of(task: Task) -> str:
    """The state of a task.

    Args:
        task: its document.
    """
    if task['status'] == 'processing':
        return _furthest(task)
    if task['status'] == 'failed' and _outcome(task).get('result') == 'lost':
        return 'LOST'
    return _OF_STATUS[task['status']]


def result_of(task: Task) -> Result | None:
    """How a task has ended; None as long as it has not."""
    if task['status'] == 'complete':
        return Result('SUCCESSFUL', _code(task, 0))
    if task['status'] != 'failed':
        return None
    outcome = _outcome(task)
    said, cause = str(outcome.get('message') or ''), outcome.get('cause')
    if outcome.get('result') == 'lost':
        return Result('LOST', -1, f'Instance lost: {said}' if said else 'Instance lost')
    if cause in (NOT_STARTED, 'run_time'):
        return Result('TIMED_OUT', -1, said)
    if outcome.get('result') == 'cancelled':
        return Result('CANCELLED', -1, said or 'killed')
    code = _code(task, -1) or -1
    if cause == 'provisioning' or code == -1:
        return Result('FAILED', -1, said)
    return Result('FAILED', code, f'Task instance exited with status: {code}')


def between(old: str, new: str, *, well: bool = False) -> list[str]:
    """The states on the way from one to another, the last one among them; none when there is no way.

    Args:
        old: the state before.
        new: the state after.
        well: whether nothing has gone wrong, so that no failing state is on it.
    """
    if well and old in STRAIGHT and new in STRAIGHT:
        return list(STRAIGHT[STRAIGHT.index(old) + 1 : STRAIGHT.index(new) + 1])
    ways: deque[list[str]] = deque([[old]])
    seen = {old}
    while ways:
        way = ways.popleft()
        for after in (*_NEXT.get(way[-1], ()), *(('LOST',) if way[-1] not in TERMINAL else ())):
            if after == new:
                return [*way[1:], new]
            if after not in seen and after not in TERMINAL:
                seen.add(after)
                ways.append([*way, after])
    return []


def timeline(task: Task) -> list[tuple[datetime, str]]:
    """Every state that a task has been in, and when it came to it, as far as the task remembers; none is skipped."""
    seen = [(task['create_date'], 'PENDING')]
    for when, new, well in _steps(task):
        now = seen[-1][1]
        if (now, new) in AGAIN:
            seen.append((when, new))
        elif new != now:
            seen += [(max(when, seen[-1][0]), state) for state in between(now, new, well=well)]
    return seen


def _steps(task: Task) -> Iterator[tuple[datetime, str, bool]]:
    """What has happened to a task: when, to which state that led, and whether all was well with it."""
    phases = task.get('phases') or []
    log: Sequence[Mapping[str, Any]] = task.get('log') or []
    for entry in log:
        if entry['to'] == 'processing':
            if entry['from'] != 'processing':
                yield entry['when'], 'PROVISIONING', True
            continue
        if entry['from'] == 'processing':
            yield from _gone_through(phases, entry['epoch'], well=entry['to'] == 'complete')
        if entry['transition'] == _LOST_AT:
            yield entry['when'], 'LOST', False
        else:
            yield entry['when'], _OF_STATUS[entry['to']], entry['to'] == 'complete'
    if task['status'] == 'processing':
        yield from _gone_through(phases, task['epoch'], well=False)


def _gone_through(
    phases: Sequence[Mapping[str, Any]], epoch: int, *, well: bool
) -> Iterator[tuple[datetime, str, bool]]:
    """The phases of an attempt. Pilots tell all of them: one that has left some out has failed on its way."""
    of_attempt = [each for each in phases if each['epoch'] == epoch]
    for each in sorted(of_attempt, key=lambda each: STRAIGHT.index(_OF_PHASE[each['phase']])):
        yield each['when'], _OF_PHASE[each['phase']], well


def _furthest(task: Task) -> str:
    """How far an attempt has come; a phase that is told late does not lead back."""
    told = [each['phase'] for each in task.get('phases') or () if each['epoch'] == task['epoch']]
    states = [_OF_PHASE[phase] for phase in (*told, task.get('phase') or 'provisioning')]
    return max(states, key=STRAIGHT.index)


def _outcome(task: Task) -> Mapping[str, Any]:
    outcome: Mapping[str, Any] = task.get('outcome') or {}
    return outcome


def _code(task: Task, otherwise: int) -> int:
    code = _outcome(task).get('exit_code')
    return otherwise if code is None else int(code)
