"""The statuses of a task and every way it may change, as a table.

All else derives from `TRANSITIONS`: the guards in the database's filters, the effects of an update, the enum in the
schemas, the drawing in the docs. A transition is data; nothing here runs it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar('T')

STATUSES = ('idle', 'waiting', 'queued', 'processing', 'reset', 'suspended', 'failed', 'complete')
"""All statuses, in the order every summary lists them."""

ACTIVE = frozenset({'idle', 'waiting', 'queued', 'processing', 'reset'})
"""Where work is still to be done and nobody has to act for it to go on."""

RUNNABLE = frozenset({'waiting', 'queued', 'processing', 'reset'})
"""Active and held by nothing: what keeps a job from ending while other tasks of it are stuck."""


class Change(Enum):
    """What a transition does to a counter of the task."""

    KEEP = 'keep'
    ZERO = 'zero'
    INCREMENT = 'increment'


class ClaimEffect(Enum):
    """What a transition does to the task's claim."""

    KEEP = 'keep'
    OPEN = 'open'
    CLOSE = 'close'


class Outcome(Enum):
    """What a transition does to the task's outcome: leave it, clear it, or set its result."""

    KEEP = 'keep'
    CLEAR = ''
    SUCCESSFUL = 'successful'
    FAILED = 'failed'
    CANCELLED = 'cancelled'
    LOST = 'lost'


@dataclass(frozen=True, slots=True)
class Transition:
    """One named way from some statuses to another.

    Args:
        name: how logs, answers and docs call it.
        sources: statuses it may start from.
        target: the status it ends in.
        asked_by: who asks, for the docs.
        blocked_target: the status it ends in instead when the task has dependencies.
        failures: what it does to the count of failures.
        evictions: what it does to the count of claims that ended without a report.
        claim: what it does to the claim.
        outcome: what it does to the outcome.
        tells: the type of the message that it leaves on the task: an error always, another where a report has words.

    `status`, `log` and, where the caller knows one, `site` change with every transition, `status_changed` with every
    one that leads to another status.
    """

    name: str
    sources: frozenset[str]
    target: str
    asked_by: str
    blocked_target: str | None = None
    failures: Change = Change.KEEP
    evictions: Change = Change.KEEP
    claim: ClaimEffect = ClaimEffect.KEEP
    outcome: Outcome = Outcome.KEEP
    tells: str = ''

    @property
    def targets(self) -> frozenset[str]:
        """Every status it can end in."""
        return frozenset({self.target, self.blocked_target or self.target})

    @property
    def stays(self) -> bool:
        """Whether it leaves the status as it is."""
        return self.sources == self.targets


def _from(*statuses: str) -> frozenset[str]:
    return frozenset(statuses)


def _all_but(*statuses: str) -> frozenset[str]:
    return frozenset(STATUSES) - frozenset(statuses)


_CLOSE = ClaimEffect.CLOSE

TRANSITIONS = {
    row.name: row
    for row in (
        Transition('release', _from('idle'), 'waiting', 'scheduler: dependencies complete'),
        Transition('queue', _from('waiting'), 'queued', 'scheduler or POST queue'),
        Transition('claim', _from('queued'), 'processing', 'pilot', claim=ClaimEffect.OPEN),
        Transition('stop asked', _from('processing'), 'processing', 'whoever cancels or suspends work that runs'),
        Transition('stop withdrawn', _from('processing'), 'processing', 'whoever resumes work asked to stop'),
        Transition(
            'complete', _from('processing'), 'complete', 'pilot', claim=_CLOSE, outcome=Outcome.SUCCESSFUL,
            tells='result',
        ),
        Transition(
            'reset', _all_but('complete'), 'reset', 'pilot', failures=Change.INCREMENT, claim=_CLOSE, tells='error'
        ),
        Transition(
            'fail', _all_but('complete'), 'failed', 'pilot',
            failures=Change.INCREMENT, claim=_CLOSE, outcome=Outcome.FAILED, tells='error',
        ),
        Transition(
            'hand back', _from('processing'), 'queued', 'the pilot that holds it (SIGTERM)',
            evictions=Change.INCREMENT, claim=_CLOSE, tells='notification',
        ),
        Transition(
            'rescue', _from('processing'), 'queued', 'scheduler: lease over',
            evictions=Change.INCREMENT, claim=_CLOSE, tells='error',
        ),
        Transition(
            'lose', _from('processing'), 'failed', 'scheduler: lease over, evictions at the limit',
            claim=_CLOSE, outcome=Outcome.LOST, tells='error',
        ),
        Transition(
            'restore', _from('processing'), 'queued', 'import of an export: no claim goes on', claim=_CLOSE
        ),
        Transition(
            'retry', _from('reset'), 'waiting', 'scheduler: failures within bounds, after a growing delay',
            blocked_target='idle',
        ),
        Transition(
            'give up', _from('reset'), 'failed', 'scheduler: too many failures', outcome=Outcome.FAILED, tells='error'
        ),
        Transition(
            'suspend', _from('idle', 'waiting', 'queued', 'processing', 'reset'), 'suspended',
            'user, operator; scheduler: a failed try in a debug dataset', claim=_CLOSE,
        ),
        Transition('resume', _from('suspended'), 'waiting', 'user, operator', blocked_target='idle'),
        Transition(
            'rerun', _from('failed'), 'waiting', 'user, operator', blocked_target='idle',
            failures=Change.ZERO, evictions=Change.ZERO, outcome=Outcome.CLEAR,
        ),
        Transition(
            'cancel', _all_but('complete', 'failed'), 'failed', 'user, operator', claim=_CLOSE,
            outcome=Outcome.CANCELLED, tells='error',
        ),
        Transition(
            'hard reset', _all_but(), 'waiting', 'operator, owner', blocked_target='idle',
            failures=Change.ZERO, evictions=Change.ZERO, claim=_CLOSE, outcome=Outcome.CLEAR,
        ),
    )
}  # fmt: skip

OVERRIDE = 'override'
"""Name of the transition that sets a status by hand; one row a target, made by `set_status`."""

_FREE_SOURCES = frozenset(STATUSES)
_USER_SOURCES = _all_but('complete')
_USER_TARGETS = _from('waiting', 'reset', 'suspended', 'failed')
_SET_FAILURES = {'waiting': Change.ZERO, 'reset': Change.ZERO}
_SET_OUTCOME = {'complete': Outcome.SUCCESSFUL, 'failed': Outcome.FAILED}


def set_status(target: str, *, free: bool) -> Transition | None:
    """The transition behind setting a status by PUT, PATCH or in bulk.

    It has one effect per target, whoever asks.

    Args:
        target: one of `STATUSES`.
        free: whether the caller is admin or system; a dataset's users are held to a few targets.

    Returns:
        The transition, or None when this caller may not set this status.
    """
    if not free and target not in _USER_TARGETS:
        return None
    return Transition(
        OVERRIDE,
        _FREE_SOURCES if free else _USER_SOURCES,
        target,
        'admin and system' if free else 'users of the dataset',
        failures=_SET_FAILURES.get(target, Change.KEEP),
        claim=_CLOSE,
        # A task that is to run again, or runs, has no result any more.
        outcome=_SET_OUTCOME.get(target, Outcome.CLEAR if target in ACTIVE else Outcome.KEEP),
        tells='error' if target in ('reset', 'failed') else '',
    )


def order(status: str) -> int:
    """Place of a status in listings; unknown ones come last."""
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)


def in_order(counts: Iterable[tuple[str, T]]) -> dict[str, T]:
    """A dict of statuses in their order."""
    return dict(sorted(counts, key=lambda pair: order(pair[0])))
