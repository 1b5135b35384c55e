"""What every action works with: the store, the limits, and word of what has just ended."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iceprod_tasks.actions.leadership import Leadership
from iceprod_tasks.domain.operations import OperationRules
from iceprod_tasks.domain.requirements import DEFAULT_CEILING
from iceprod_tasks.domain.revocations import Revoked
from iceprod_tasks.storage.archives import Archives
from iceprod_tasks.storage.store import Store

_FORGET_SECONDS = 60.0
_ASKED_LATELY_SECONDS = 30.0

LOOKS_AT_ONCE = 8
"""Many may wait for output, and so many of them ask the database at the same time."""


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
        operations: what is said of operations, and of tasks with names outside.
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
    operations: OperationRules = field(default_factory=OperationRules)


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


class Askers:
    """Which machines have asked this process for work lately."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}

    def heard(self, host: str) -> bool:
        """Say that a machine asks; whether another one did lately."""
        now = time.monotonic()
        self._heard.pop(host, None)
        self._heard[host] = now
        while self._heard[oldest := next(iter(self._heard))] < now - _ASKED_LATELY_SECONDS:
            del self._heard[oldest]
        return len(self._heard) > 1


class Arrivals:
    """Word of output that this process has taken in, for who waits to read it."""

    def __init__(self) -> None:
        self._next: dict[str, asyncio.Future[None]] = {}

    def next(self, task_id: str) -> asyncio.Future[None]:
        """What is done when something of a task comes next, or the task changes."""
        waiting = self._next.get(task_id)
        if waiting is None:
            waiting = self._next[task_id] = asyncio.get_running_loop().create_future()
            # Nobody may be left who waits: what is done is forgotten by itself, and this after a minute.
            asyncio.get_running_loop().call_later(_FORGET_SECONDS, self._forget, task_id, waiting)
        return waiting

    def tell(self, task_id: str) -> None:
        """Say that something of a task has come."""
        waiting = self._next.pop(task_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _forget(self, task_id: str, waiting: 'asyncio.Future[None]') -> None:
        if self._next.get(task_id) is waiting:
            self.tell(task_id)


@dataclass(frozen=True, slots=True)
class Service:
    """The service as actions see it.

    Args:
        store: where everything is kept.
        archives: where datasets that are deleted leave their archives.
        limits: numbers that operators set.
        news: word from actions to the scheduler.
        drain: whether this process is on its way out.
        arrivals: word of output, to those who wait for it.
        askers: who asks for work.
        looks: at outputs, that readers who may wait take at once.
        revoked: tokens that are not believed any more.
        leadership: what this process knows of who leads.
        warnings: what an operator should know of the database; what can be lost comes first.
    """

    store: Store
    archives: Archives
    limits: Limits = field(default_factory=Limits)
    news: News = field(default_factory=News)
    drain: Drain = field(default_factory=Drain)
    arrivals: Arrivals = field(default_factory=Arrivals)
    askers: Askers = field(default_factory=Askers)
    looks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKS_AT_ONCE))
    revoked: Revoked = field(default_factory=Revoked)
    leadership: Leadership = field(default_factory=Leadership)
    warnings: Sequence[str] = ()
