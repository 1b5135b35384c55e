"""What an attempt may use: what its task requires, within what the slot offers."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.domain.requirements import is_number
from iceprod_tasks.pilot.measure import Meter
from iceprod_tasks.pilot.offer import Offer

SMALLEST_LIMIT = 0.5
"""GB or hours. A use below that lets no requirement grow (contract, section 2.3), so that a task which was ended for it
would come back as it was, and be ended again."""
CPU_HEADROOM = 1.2
"""So much more than was asked for is no use of other tasks' cores yet; from 1.1 on, the requirement grows."""
CPU_SECONDS = 60.0
"""Over so long the cores in use are averaged: a command that starts, or compiles something, is left alone."""
_MOST_CORES = 20.0
"""More are taken for an error of measuring (contract, section 2.3), and let nothing grow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an attempt may use; None is no limit.

    Args:
        memory_gb: all its processes together, in units of 10⁹ bytes.
        disk_gb: its folder.
        time_hours: from its start.
        cpu: cores, on the average of `cpu_seconds`.
        cpu_seconds: how long the cores are averaged.
    """

    memory_gb: float
    disk_gb: float
    time_hours: float | None = None
    cpu: float | None = None
    cpu_seconds: float = CPU_SECONDS

    @property
    def time_seconds(self) -> float:
        """The same in seconds."""
        return math.inf if self.time_hours is None else 3600 * self.time_hours

    def exceeded(self, meter: Meter, cores: 'Cores') -> str:
        """Why an attempt must be ended; '' while it stays within its limits.

        Args:
            meter: what it uses.
            cores: the cores that it uses.
        """
        for name, used, limit in (('memory', meter.memory_gb, self.memory_gb), ('disk', meter.disk_gb, self.disk_gb)):
            if used > limit:
                return f'over {name} limit: used {used:.3g} GB of {limit:g} GB'
        if meter.time_seconds > self.time_seconds:
            return f'over time limit: used {meter.time_seconds / 3600:.3g} h of {self.time_hours:g} h'
        if self.cpu is not None and (used := cores.average(meter)) > CPU_HEADROOM * self.cpu:
            meter.busy_cores = min(used, _MOST_CORES)
            return f'over cpu limit: used {used:.3g} cores of {self.cpu:g}'
        return ''


def limits_of(requirements: Mapping[str, Any], offer: Offer) -> Limits:
    """The limits of a task in a slot.

    Args:
        requirements: of the task; what it does not require is limited by the offer alone.
        offer: of the slot.
    """

    def required(name: str) -> float | None:
        value: Any = requirements.get(name)
        return float(value) if is_number(value) and 0 < value < math.inf else None

    def at_most(name: str, offered: float) -> float:
        wanted = required(name)
        return offered if wanted is None else min(offered, max(wanted, SMALLEST_LIMIT))

    hours, cpu = required('time'), max(required('cpu') or offer.cpu, 1.0)
    return Limits(
        memory_gb=at_most('memory', offer.memory_gb),
        disk_gb=at_most('disk', offer.disk_gb),
        time_hours=offer.time_hours if hours is None else max(hours, SMALLEST_LIMIT),
        cpu=cpu if CPU_HEADROOM * cpu <= _MOST_CORES else None,
    )


class Cores:
    """The cores in use, on the average of the last while.

    Args:
        seconds: how long a while is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, float]] = deque()

    def average(self, meter: Meter) -> float:
        """The average up to now; 0 until a whole while has passed.

        Args:
            meter: has just taken a sample.
        """
        now = meter.time_seconds
        self._samples.append((now, meter.cpu_seconds))
        while len(self._samples) > 1 and self._samples[1][0] <= now - self._seconds:
            self._samples.popleft()
        then, cpu_seconds = self._samples[0]
        return (meter.cpu_seconds - cpu_seconds) / (now - then) if now - then >= self._seconds else 0.0
