"""What every action works with: the store, the limits, and word of what has just ended."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iceprod_tasks.domain.requirements import DEFAULT_CEILING
from iceprod_tasks.domain.revocations import Revoked
from iceprod_tasks.storage.archives import Archives
from iceprod_tasks.storage.store import Store


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that operators set.

    Args:
        lease_seconds: the lease of a claim that does not ask for one.
        lease_bounds_seconds: the shortest and longest lease that can be asked for.
        heartbeat_seconds: how soon a pilot is asked to come again, unless its lease is short.
        requirements_ceiling: no requirement grows past these.
        queue_depth: queued tasks a signature that the scheduler aims at.
        max_failures: a task that failed more often is given up.
        max_evictions: a task that was taken from or given back by so many pilots is lost at the next one.
        retry_delay_seconds: before the second try; it doubles with each failure.
        stop_grace_seconds: how long a pilot has to stop what it is asked to stop.
        unleased_grace_seconds: how long a task without a lease may take beside the time that it needs.
        retention_days: how long datasets are kept after their end that say nothing of it; None for ever.
        idempotency_hours: how long answers to requests with an idempotency key are kept.
    """

    lease_seconds: float = 300.0
    lease_bounds_seconds: tuple[float, float] = (1.0, 86400.0)
    heartbeat_seconds: float = 10.0
    requirements_ceiling: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_CEILING))
    queue_depth: int = 1000
    max_failures: int = 10
    max_evictions: int = 10
    retry_delay_seconds: float = 10.0
    stop_grace_seconds: float = 30.0
    unleased_grace_seconds: float = 3600.0
    retention_days: float | None = None
    idempotency_hours: float = 24.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that has just ended, its job and its dataset."""

    task_id: str
    job_id: str
    dataset_id: str


class News:
    """Word of ended tasks and new work, so that the scheduler of this process need not look for it.

    Losing some is harmless: the scheduler's sweeps find everything.
    """

    def __init__(self) -> None:
        self._ended: deque[Ended] = deque(maxlen=10_000)
        self._reweigh = False
        self._event = asyncio.Event()

    def ended(self, task: Mapping[str, object]) -> None:
        """Say that a task is complete or failed."""
        if task.get('managed'):
            self._ended.append(Ended(str(task['task_id']), str(task['job_id']), str(task['dataset_id'])))
            self._event.set()

    def stirred(self) -> None:
        """Say that there may be something to do."""
        self._event.set()

    def reweigh(self) -> None:
        """Say that what priorities depend on was changed by hand."""
        self._reweigh = True
        self._event.set()

    def take_reweigh(self) -> bool:
        """Whether that was said since the last call."""
        taken, self._reweigh = self._reweigh, False
        return taken

    def take(self) -> list[Ended]:
        """All word since the last call."""
        taken = list(self._ended)
        self._ended.clear()
        self._event.clear()
        return taken

    async def wait(self, timeout_seconds: float) -> None:
        """Return when there is word, or after the time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            pass


class Drain:
    """Whether this process is on its way out: it begins nothing new, and ends what it has begun."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether it is."""
        return self._event.is_set()

    def begin(self) -> None:
        """Say that it is."""
        self._event.set()

    async def wait(self) -> None:
        """Return when it is."""
        await self._event.wait()

    async def within(self, timeout_seconds: float) -> bool:
        """Wait for it, but not longer than some seconds; whether it has begun."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._event.wait()
        except TimeoutError:
            return False


@dataclass(frozen=True, slots=True)
class Service:
    """The service as actions see it.

    Args:
        store: where everything is kept.
        archives: where datasets that are deleted leave their archives.
        limits: numbers that operators set.
        news: word from actions to the scheduler.
        drain: whether this process is on its way out.
        revoked: tokens that are not believed any more.
        warnings: what an operator should know of the database; what can be lost comes first.
    """

    store: Store
    archives: Archives
    limits: Limits = field(default_factory=Limits)
    news: News = field(default_factory=News)
    drain: Drain = field(default_factory=Drain)
    revoked: Revoked = field(default_factory=Revoked)
    warnings: Sequence[str] = ()
