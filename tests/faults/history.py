"""What was asked, what was answered and what was worked on, as the checker reads it.

Each process of a run writes lines of JSON to a file of its own. Times are CLOCK_MONOTONIC in nanoseconds, which all
processes of a machine share. An operation is two lines: *invoke* before it is sent, then one of

    ok     the service did it: 2xx
    fail   the service did not do it: 4xx
    info   nobody knows: no answer, an answer that was dropped on the way, 5xx

A process that was killed leaves operations without the second line: those are *info* too, and never end.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]

NEVER = math.inf
CLAIM = 'claim'
HEARTBEAT = 'heartbeat'
SUBMIT = 'submit'
REPORTS = ('complete', 'reset', 'failed', 'hand_back')


@dataclass(frozen=True, slots=True)
class Operation:
    """One request and what became of it.

    Args:
        what: `claim`, `heartbeat`, `submit`, one of `REPORTS`, or the method and path of anything else.
        outcome: `ok`, `fail` or `info`.
        began: when it was sent.
        ended: when its answer came, `NEVER` when none did.
        who: which process asked.
        status: the HTTP status; 0 without one.
        dropped: whether the answer never got to the one who asked.
        task_id: of the request, or of the answer to a claim.
        claim_id: of the request.
        epoch: of the request, or of the answer to a claim.
        dataset_id: of the answer to a submission.
        why: words about an outcome that is not `ok`.
    """

    what: str
    outcome: str = 'info'
    began: float = 0
    ended: float = NEVER
    who: str = ''
    status: int = 0
    dropped: bool = False
    task_id: str = ''
    claim_id: str = ''
    epoch: int = 0
    dataset_id: str = ''
    why: str = ''


@dataclass(frozen=True, slots=True)
class Interval:
    """One command at work: from its first sign of life to its last."""

    task_id: str
    epoch: int
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What the nemesis did, and when it was over."""

    name: str
    began: float
    ended: float = NEVER


@dataclass(frozen=True, slots=True)
class History:
    """All that a run left behind, each list in the order of time."""

    operations: list[Operation] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def of(self, *whats: str, outcome: str = '') -> Iterator[Operation]:
        """Operations of some kinds, perhaps of one outcome only."""
        for each in self.operations:
            if each.what in whats and outcome in ('', each.outcome):
                yield each


def read(folder: Path) -> History:
    """The history that is kept in a folder."""
    lines = [line for path in sorted(folder.glob('*.ndjson')) for line in _lines(path)]
    return History(
        operations=sorted(_operations(lines), key=lambda each: each.began),
        intervals=sorted(_intervals(lines), key=lambda each: each.began),
        faults=sorted(_faults(lines), key=lambda each: each.began),
    )


def _lines(path: Path) -> Iterator[Line]:
    with path.open() as file:
        for text in file:
            # Of a process that was killed, the last line may be half there.
            if text.endswith('}\n'):
                yield json.loads(text)


def _operations(lines: Iterable[Line]) -> Iterator[Operation]:
    invoked: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line['type'] == 'invoke':
            invoked[line['id']] = {**line['asked'], 'began': line['at'], 'who': line['who']}
        elif line['type'] in ('ok', 'fail', 'info'):
            # What a claim was asked with and what it was answered are one operation.
            yield Operation(
                **{**invoked.pop(line['id']), **line['answer'], 'outcome': line['type'], 'ended': line['at']}
            )
    yield from (Operation(**asked) for asked in invoked.values())


def _intervals(lines: Iterable[Line]) -> Iterator[Interval]:
    times: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for line in lines:
        if line['type'] == 'work':
            times[line['task_id'], line['epoch'], line['pid']].append(line['at'])
    return (Interval(task_id, epoch, min(seen), max(seen)) for (task_id, epoch, _), seen in times.items())


def _faults(lines: Iterable[Line]) -> Iterator[Fault]:
    began: dict[str, Line] = {}
    for line in lines:
        if line['type'] == 'fault':
            began[line['id']] = line
        elif line['type'] == 'healed':
            first = began.pop(line['id'])
            yield Fault(first['name'], first['at'], line['at'])
    yield from (Fault(line['name'], line['at']) for line in began.values())
