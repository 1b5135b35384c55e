"""The numbers of a run, in a few lines."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.final import Final, log_of
from tests.faults.history import CLAIM, HEARTBEAT, REPORTS, History


def lines(history: History, final: Final) -> Iterator[str]:
    """What happened, for people."""
    counts = {
        'tasks': len(final.tasks),
        'claims': _count(history, CLAIM),
        'completions': _count(history, 'complete'),
        'heartbeats': _count(history, HEARTBEAT),
        'rescues': sum(entry['transition'] == 'rescue' for task in final.tasks for entry in log_of(task)),
        'replays': sum(task.get('replays') or 0 for task in final.tasks),
        'refused stale reports': sum(each.status == 409 for each in history.of(*REPORTS, outcome='fail')),
        'lost claims told by a heartbeat': sum(each.status == 409 for each in history.of(HEARTBEAT, outcome='fail')),
        'claims told that they are over': sum(each.status == 410 for each in history.of(CLAIM, outcome='fail')),
        'dropped answers': sum(each.dropped for each in history.operations),
        'answers that never came': sum(each.outcome == 'info' and not each.dropped for each in history.operations),
    }
    yield ', '.join(f'{name}: {count}' for name, count in counts.items())
    faults = Counter(fault.name for fault in history.faults)
    yield 'faults: ' + ', '.join(f'{name}: {count}' for name, count in sorted(faults.items()))
    gap = longest_gap(history)
    during = ', '.join(
        sorted({each.name for each in history.faults if each.began < gap.ended and each.ended > gap.began})
    )
    yield f'longest gap without an acknowledged operation: {gap.seconds:.1f} s (during: {during or "no fault"})'


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no claim, heartbeat or report was acknowledged, on the clock of the history."""

    began: float = 0
    ended: float = 0

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.ended - self.began) / 1e9


def longest_gap(history: History) -> Gap:
    """The longest one."""
    ended = sorted(each.ended for each in history.of(CLAIM, HEARTBEAT, *REPORTS, outcome='ok'))
    return max((Gap(*pair) for pair in itertools.pairwise(ended)), key=lambda gap: gap.seconds, default=Gap())


def _count(history: History, what: str) -> int:
    return sum(1 for _ in history.of(what, outcome='ok'))
