"""How many pilots to have: rules that look at nothing but their arguments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.domain.requirements import Requirements, fits

LONGEST_REST_SECONDS = 900.0

_COUNTED = ('waiting', 'queued', 'unmade')


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is never left, whatever the demand.

    Args:
        slots: of a pilot, each for one task at a time.
        most: pilots in the batch system, running or pending.
        least: likewise.

    Raises:
        ValueError: no number fits in between.
    """

    slots: int
    most: int
    least: int = 0

    def __post_init__(self) -> None:
        if self.slots < 1 or not 0 <= self.least <= self.most:
            raise ValueError(f'at least {self.least} and at most {self.most} pilots is no range')


@dataclass(frozen=True, slots=True)
class Pilots:
    """Those that there are.

    Args:
        busy: running for long enough to have asked for work; what they work on is no demand any more.
        starting: running, but not for long enough.
        pending: in the batch system's queue.
        unknown: may have been submitted; nobody knows.
    """

    busy: int = 0
    starting: int = 0
    pending: int = 0
    unknown: int = 0

    @property
    def all(self) -> int:
        """Every one that there may be."""
        return self.busy + self.starting + self.pending + self.unknown


@dataclass(frozen=True, slots=True)
class Change:
    """What to do.

    Args:
        submit: so many pilots.
        cancel: so many of those that are pending.
    """

    submit: int = 0
    cancel: int = 0


def tasks_for(demand: Iterable[Mapping[str, Any]], offer: Requirements) -> int:
    """How many tasks wait that fit an offer.

    Args:
        demand: rows of `GET /task_demand`.
        offer: of each slot of a pilot.
    """
    return sum(
        sum(row[part] for part in _COUNTED)
        for row in demand
        if row['requirements'] is None or fits(row['requirements'], offer)
    )


def decide(tasks: int, pilots: Pilots, bounds: Bounds) -> Change:
    """What brings the number of pilots to where it should be.

    Pilots that run are left alone: they end by themselves when they find nothing.

    Args:
        tasks: that wait and that a pilot would take.
        pilots: that there are.
        bounds: of their number.
    """
    needed = -(-tasks // bounds.slots)
    coming = pilots.starting + pilots.pending + pilots.unknown
    wanted = max(needed - coming, bounds.least - pilots.all)
    room = bounds.most - pilots.all
    if wanted >= 0 and room >= 0:
        return Change(submit=min(wanted, room))
    return Change(cancel=min(pilots.pending, max(-wanted, -room)))


def rest_seconds(every_seconds: float, failures: int) -> float:
    """How long to rest after a round.

    Args:
        every_seconds: when all is well.
        failures: rounds that have failed, one after the other.
    """
    return max(every_seconds, min(every_seconds * 2.0 ** min(failures, 32), LONGEST_REST_SECONDS))
