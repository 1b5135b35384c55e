"""A row of the status table as one update of MongoDB, guard and change in the same statement.

All updates are pipelines of one `$set`, so that every expression reads the document as it was, and every value that
came from outside is a `$literal`: a site called `$$ROOT` stays a site.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.domain.statuses import Change, ClaimEffect, Outcome, Transition
from iceprod_tasks.domain.tasks import CLAIMS_LENGTH, LOG_LENGTH, NEW_ATTEMPT, PHASES_LENGTH
from iceprod_tasks.storage.client import Document, Filter
from iceprod_tasks.storage.message_updates import appended

NO_CLAIM = {'claim_id': '', 'instance_id': '', 'lease_until': None, 'lease_seconds': None, 'stop': None}
"""What is left of a claim on a task when it is closed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A pilot's hold on a task, as it is being opened.

    Args:
        claim_id: 32 hex characters.
        lease_seconds: how long it holds without a sign of life; None when the server made the id.
        pilot: how the pilot calls itself.
        site: where it runs.
        claimed_by: subject of the token that it is made with.
        host: the machine it runs on.
    """

    claim_id: str
    lease_seconds: float | None
    pilot: str
    site: str
    claimed_by: str
    host: str = ''


@dataclass(frozen=True, slots=True)
class Stop:
    """A request to stop, as it is put on a task that runs.

    Args:
        then: what becomes of the task once it has stopped: `suspend` or `cancel`.
        grace_seconds: how long the pilot has for it, on the primary's clock.
    """

    then: str
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """What goes with a transition beside the status.

    Args:
        who: the caller, for the log.
        why: the reason given, for the log.
        sets: fields that get these values.
        adds: fields that grow by these numbers.
        outcome: further keys of the outcome, where the transition sets one.
        stop: the stop to ask for, for a transition that asks for one.
        request: which request this is part of, where it may be worked on again.
        phases: that the attempt has gone through, each with `phase` and `when`.
        message: the message that the transition leaves, where a report has words for it.
    """

    who: str = ''
    why: str = ''
    sets: Mapping[str, Any] = field(default_factory=dict)
    adds: Mapping[str, float] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)
    stop: Stop | None = None
    request: str = ''
    phases: Sequence[Mapping[str, Any]] = ()
    message: Mapping[str, Any] = field(default_factory=dict)


_WAS = {'$concat': ['$status', ' ', '$dataset_id', ' ', '$name']}
"""What a task was until it changed its status. The database's record of changes has nothing but what has changed; with
this in it, numbers can be kept by it. Neither a status nor an id has a space in it."""


def was(text: str) -> tuple[str, str, str]:
    """The status, the dataset and the name of a task before a change, from its field `was`."""
    status, dataset_id, name = text.split(' ', 2)
    return status, dataset_id, name


def guard(transition: Transition) -> Filter:
    """The filter that holds a transition to its sources."""
    sources = sorted(transition.sources)
    return {'status': sources[0] if len(sources) == 1 else {'$in': sources}}


def untouched(note: Note) -> Filter:
    """The filter that leaves out tasks that the same request has moved before."""
    return {'log.request': {'$ne': note.request}} if note.request else {}


def touched(request: str) -> Filter:
    """The filter of tasks that a request has moved."""
    return {'log.request': request}


def update(transition: Transition, note: Note, claim: Claim | None = None) -> list[Document]:
    """The update that carries out a transition.

    Args:
        transition: a row of the table.
        note: what goes with it.
        claim: the claim to open, for a transition that opens one.

    Returns:
        An aggregation pipeline for an update.
    """
    target = _target(transition)
    changes: Document = {
        'status': target,
        'updated': '$$NOW',
        **({} if transition.stays else {'status_changed': '$$NOW', 'was': _WAS}),
        **_counter('failures', transition.failures),
        **_counter('evictions', transition.evictions),
        **_outcome(transition.outcome, note.outcome),
    }
    entry = _entry(transition, note, target)
    if transition.failures is Change.INCREMENT:
        changes['failed_on'] = {'$cond': [{'$gt': ['$host', '']}, '$host', '$$REMOVE']}
    if note.phases:
        changes['phases'] = gone_through(_literal(note.phases))
    if transition.claim is ClaimEffect.CLOSE:
        changes |= {name: _literal(value) for name, value in NO_CLAIM.items()}
    changes |= _told(transition, note)
    if note.stop is not None:
        changes['stop'] = _asked(note, note.stop)
    if claim is not None:
        changes |= _opened(claim)
        entry |= {'claim': _literal(claim.claim_id), 'epoch': changes['epoch']}
    changes |= {name: {'$add': [_or('$' + name, 0), _literal(value)]} for name, value in note.adds.items()}
    changes |= {name: _literal(value) for name, value in note.sets.items()}
    changes['log'] = _appended('$log', entry, LOG_LENGTH)
    changes['log_dropped'] = _dropped('$log', '$log_dropped')
    return [{'$set': changes}]


@dataclass(frozen=True, slots=True)
class Particulars:
    """What is a task's own in a transition of many.

    Args:
        note: what goes with it.
        claim: the claim to open, for a transition that opens one.
    """

    note: Note
    claim: Claim | None = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """What must be the same of all that go into one update."""
        note = self.note
        named = (frozenset(note.sets), frozenset(note.adds), frozenset(note.outcome))
        return (*named, frozenset(note.message), note.stop, note.request, bool(note.phases), self.claim is not None)


def update_each(transition: Transition, field_name: str, particulars: Mapping[Any, Particulars]) -> list[Document]:
    """The update that carries out a transition on many tasks, on each in its own way.

    Args:
        transition: a row of the table.
        field_name: the field of a task that says which particulars are its own.
        particulars: by the value of that field; all of one `shape`. The update is for tasks with such a value only.

    Returns:
        An aggregation pipeline for an update.
    """
    first = next(iter(particulars.values()))
    note = Note(
        _Own('who'),  # type: ignore[arg-type]
        _Own('why'),  # type: ignore[arg-type]
        {name: _Own(f'sets.{name}') for name in first.note.sets},
        {name: _Own(f'adds.{name}') for name in first.note.adds},  # type: ignore[misc]
        {name: _Own(f'outcome.{name}') for name in first.note.outcome},
        first.note.stop,
        first.note.request,
        _Own('phases') if first.note.phases else (),  # type: ignore[arg-type]
        {name: _Own(f'message.{name}') for name in first.note.message},
    )
    claim = None if first.claim is None else Claim(*(_Own(f'claim.{name}') for name in _CLAIM_FIELDS))  # type: ignore[arg-type]
    place = {'$indexOfArray': [_literal(list(particulars)), '$' + field_name]}
    own = {'$set': {_OWN: {'$arrayElemAt': [_literal([_row(each) for each in particulars.values()]), place]}}}
    return [own, *update(transition, note, claim), {'$unset': _OWN}]


_OWN = '__own'
"""A field that a task has in the middle of an update only."""

_CLAIM_FIELDS = tuple(Claim.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class _Own:
    """In place of a value: the one in the task's own row."""

    name: str

    @property
    def expression(self) -> str:
        return f'${_OWN}.{self.name}'


def _row(particulars: Particulars) -> Document:
    note, claim = particulars.note, particulars.claim
    row: Document = {'who': note.who, 'why': note.why}
    row |= {'sets': dict(note.sets), 'adds': dict(note.adds), 'outcome': dict(note.outcome)}
    row |= {'phases': list(note.phases), 'message': dict(note.message)}
    return row if claim is None else {**row, 'claim': {name: getattr(claim, name) for name in _CLAIM_FIELDS}}


def _target(transition: Transition) -> Any:
    if transition.blocked_target is None:
        return transition.target
    depends = {'$size': _or('$depends', [])}
    return {'$cond': [{'$gt': [depends, 0]}, transition.blocked_target, transition.target]}


def _opened(claim: Claim) -> Document:
    # A task may allow no more than a number of seconds. What is null counts for nothing in a least value; and nothing
    # comes from what is nothing: a claim without a lease has no end.
    lease = {'$min': [_literal(claim.lease_seconds), '$max_lease_seconds']}
    lease_ms = {'$round': {'$multiply': [lease, 1000]}}
    return {
        'claim_id': _literal(claim.claim_id),
        'instance_id': _literal(claim.claim_id),
        'claims': _appended('$claims', _literal(claim.claim_id), CLAIMS_LENGTH),
        'epoch': {'$add': [_or('$epoch', 0), 1]},
        'lease_seconds': lease,
        'lease_until': {'$add': ['$$NOW', lease_ms]},
        'pilot': _literal(claim.pilot),
        'claimed_by': _literal(claim.claimed_by),
        'host': _literal(claim.host),
        'site': _literal(claim.site),
        'stop': _literal(None),
        **{name: _literal(value) for name, value in NEW_ATTEMPT.items()},
    }


def gone_through(phases: Any) -> Document:
    """The phases of a task once an attempt has gone through some; those that it is known to have are not added again.

    Args:
        phases: an expression for them, each with `phase` and `when`.
    """
    of_attempt = {'$filter': {'input': _or('$phases', []), 'cond': {'$eq': ['$$this.epoch', '$epoch']}}}
    known = {'$map': {'input': of_attempt, 'in': '$$this.phase'}}
    with_epoch = {'$map': {'input': phases, 'in': {'$mergeObjects': ['$$this', {'epoch': '$epoch'}]}}}
    new = {'$filter': {'input': with_epoch, 'cond': {'$not': {'$in': ['$$this.phase', known]}}}}
    return {'$slice': [{'$concatArrays': [_or('$phases', []), new]}, -PHASES_LENGTH]}


def _entry(transition: Transition, note: Note, target: Any) -> Document:
    """What the log says of a transition."""
    return {
        # Another primary's clock may be behind: a log never goes back in time.
        'when': {'$max': ['$$NOW', {'$last': _or('$log.when', [])}]},
        'from': '$status',
        'to': target,
        'transition': transition.name,
        'why': _literal(note.why),
        'who': _literal(note.who),
        'claim': '$claim_id',
        'epoch': '$epoch',
        **({'request': note.request} if note.request else {}),
    }


def _told(transition: Transition, note: Note) -> Document:
    """What changes for those who follow a task: its messages, and its steps once all are done."""
    told = appended([_message(transition, note)], 1) if note.message or transition.tells == 'error' else {}
    return {**told, 'steps': _all_steps()} if transition.target == 'complete' else told


def _message(transition: Transition, note: Note) -> Document:
    """The message that tells of a transition."""
    error = {'mtype': 'error', 'text': note.why or transition.name, 'name': transition.name, 'stacktrace': ''}
    said = {name: _literal(value) for name, value in (note.message or error).items()}
    return {**said, 'who': _literal(note.who)}


def _all_steps() -> Document:
    """The steps of a task that is complete."""
    total = _or('$steps.total', 1)
    return {'completed': total, 'total': total}


def _asked(note: Note, stop: Stop) -> Document:
    deadline = {'$add': ['$$NOW', round(stop.grace_seconds * 1000)]}
    return {'then': stop.then, 'why': _literal(note.why), 'who': _literal(note.who), 'deadline': deadline}


def _counter(name: str, change: Change) -> Document:
    if change is Change.KEEP:
        return {}
    return {name: 0 if change is Change.ZERO else {'$add': [_or('$' + name, 0), 1]}}


def _outcome(outcome: Outcome, more: Mapping[str, Any]) -> Document:
    if outcome is Outcome.KEEP:
        return {}
    if outcome is Outcome.CLEAR:
        return {'outcome': _literal(None)}
    result = _literal({'result': outcome.value, **more})
    # Who gives a task up knows nothing of its last try but what is kept.
    return {'outcome': {'$mergeObjects': ['$outcome', result]} if outcome is Outcome.FAILED and not more else result}


def _appended(array: str, element: Any, length: int) -> Document:
    return {'$slice': [{'$concatArrays': [_or(array, []), [element]]}, -length]}


def _dropped(array: str, count: str) -> Document:
    """How many elements have had to make room in a full array; no field as long as none has."""
    full = {'$gte': [{'$size': _or(array, [])}, LOG_LENGTH]}
    return {'$cond': [full, {'$add': [_or(count, 0), 1]}, '$$REMOVE']}


def _or(value: str, default: Any) -> Document:
    return {'$ifNull': [value, default]}


def _literal(value: Any) -> Any:
    """A value that came from outside, or the place where a task's own one stands, also in a document of such."""
    if isinstance(value, _Own):
        return value.expression
    if isinstance(value, Mapping) and any(isinstance(each, _Own) for each in value.values()):
        return {name: _literal(each) for name, each in value.items()}
    return {'$literal': value}
