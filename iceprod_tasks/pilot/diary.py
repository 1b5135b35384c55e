"""What a pilot does and has done: for its entry at the service, for its metrics, and to see when it does only harm."""

import asyncio
import logging
from typing import Any

from iceprod_tasks.client import Resources
from iceprod_tasks.domain.requirements import is_number
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.metrics import Metrics
from iceprod_tasks.pilot.run import Ending, Outcome
from iceprod_tasks.pilot.streak import Streak

log = logging.getLogger(__name__)

_FAILURES = (Outcome.RESET, Outcome.FAILED)


class Diary:
    """The tasks of a pilot.

    Args:
        streak: its quick failures.
        metrics: its numbers.

    Attributes:
        drained: set when the pilot is to take no more tasks.
        why: the reason; empty before.
    """

    def __init__(self, streak: Streak, metrics: Metrics) -> None:
        self.streak = streak
        self.drained = asyncio.Event()
        self.why = ''
        self.is_black_hole = False
        self._metrics = metrics
        self._holds: dict[str, Hold] = {}

    def begin(self, slot: str, hold: Hold) -> None:
        """Enter a task that a slot has claimed."""
        self._holds[slot] = hold
        self._tell()

    def end(self, slot: str, ending: Ending, seconds: float, *, at_fault: bool) -> None:
        """Enter what became of it.

        Args:
            slot: that had it.
            ending: what was reported.
            seconds: since its claim.
            at_fault: whether this machine or the pilot is to blame.
        """
        self._holds.pop(slot, None)
        if ending.outcome is Outcome.COMPLETE:
            self.streak.succeed()
        elif at_fault or ending.outcome in _FAILURES:
            self.streak.fail(seconds)
        if self.streak.is_black_hole and not self.drained.is_set():
            self.is_black_hole = True
            self.drain(self.streak.words)
        self._metrics.ended.labels(ending.outcome.value).inc()
        self._metrics.seconds.observe(seconds)
        self._tell()

    def drain(self, why: str) -> None:
        """Take no more tasks.

        Args:
            why: in words for people.
        """
        if not self.drained.is_set():
            log.warning('no more tasks: %s', why, extra={'action': 'drain'})
            self.why = why
            self.drained.set()
            self._tell()

    def now(self) -> dict[str, Any]:
        """What there is to say of it, as an entry at the service has it."""
        used = [hold.resources() or Resources() for hold in self._holds.values()]
        self._metrics.memory_gb.set(sum(each.get('memory', 0.0) for each in used))
        claimed = {
            name: sum(_number(hold, name) for hold in self._holds.values()) for name in ('cpu', 'gpu', 'memory', 'disk')
        }
        return {
            'tasks': [hold.claim.task_id for hold in self._holds.values()],
            'resources_claimed': claimed,
            'state': 'draining' if self.drained.is_set() else 'working' if self._holds else 'idle',
            'why': self.why,
        }

    def _tell(self) -> None:
        self._metrics.running.set(len(self._holds))
        self._metrics.draining.set(self.drained.is_set())
        self._metrics.quick_failures.set(self.streak.failures)


def _number(hold: Hold, name: str) -> float:
    value: Any = (hold.claim.task.get('requirements') or {}).get(name)
    return float(value) if is_number(value) else 0.0
