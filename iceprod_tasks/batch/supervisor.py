"""The supervisor: looks at the demand and at its pilots, submits or cancels some, rests, and looks again.

What it knows of its pilots is the batch system's list, so that one that is started again goes on where the last one
was. A command that may have submitted something counts as if it had, until the list shows what it did.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from iceprod_tasks.batch.decision import Bounds, Change, Pilots, decide, rest_seconds, tasks_for
from iceprod_tasks.batch.system import AT_ONCE, BatchSystem, BatchTrouble, NothingDone, Pilot
from iceprod_tasks.client import AsyncClient, Overloaded, ServerError, Unreachable
from iceprod_tasks.domain.requirements import Requirements

log = logging.getLogger(__name__)

TROUBLES = (BatchTrouble, Unreachable, ServerError, Overloaded)
"""What passes, or may: a round that meets with it is given up, and the next one comes later."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a supervisor was told.

    Args:
        bounds: of the number of pilots.
        offer: what each slot of a pilot offers.
        every_seconds: between two rounds, when all is well.
        shortest_life_seconds: no pilot that works ends sooner than this after it was submitted.
        starting_seconds: how long a pilot that runs may take before it asks for work.
        settle_seconds: after this long, what is not in the list was not submitted.
        cancel_at_end: whether pilots are cancelled when the supervisor is told to end.
    """

    bounds: Bounds
    offer: Requirements
    every_seconds: float = 30.0
    shortest_life_seconds: float = 60.0
    starting_seconds: float = 60.0
    settle_seconds: float = 120.0
    cancel_at_end: bool = False


@dataclass(slots=True)
class _Memory:
    """What the list does not say.

    Args:
        unknown: by the tag of a command whose outcome is not known: how many pilots, and until when to look for them.
        running_since: when a pilot was first seen running.
        submitted: when the commands were given whose pilots have not lived for long yet.
        short_lives: how many times in a row pilots have ended at once.
    """

    unknown: dict[str, tuple[int, float]] = field(default_factory=dict)
    running_since: dict[str, float] = field(default_factory=dict)
    submitted: dict[str, float] = field(default_factory=dict)
    short_lives: int = 0


class Supervisor:
    """Keeps pilots in a batch system.

    Args:
        client: the way to the service.
        system: the batch system.
        orders: what it was told.
    """

    def __init__(self, client: AsyncClient, system: BatchSystem, orders: Orders) -> None:
        self._client = client
        self._system = system
        self._orders = orders
        self._memory = _Memory()

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until told to stop; a command that is under way then is waited for.

        Args:
            stop: set when it is to end.

        Raises:
            ClientError: the service will not have it.
        """
        failures = 0
        while not stop.is_set():
            try:
                await self.round(stop)
                failures = 0
            except TROUBLES as error:
                failures += 1
                log.warning('nothing more is done in this round: %s', error)
            rest = rest_seconds(self._orders.every_seconds, max(failures, self._memory.short_lives))
            if rest > self._orders.every_seconds:
                log.info('the next round is in %.0f s', rest)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), rest)
        if self._orders.cancel_at_end:
            await self.cancel_all()

    async def round(self, stop: asyncio.Event | None = None) -> Change:
        """Look once, and do what is to be done; what that was.

        Args:
            stop: once it is set, no further command is begun.

        Raises:
            BatchTrouble: a command failed; what follows it was not done.
            ClientError: the demand is not known; nothing was done.
        """
        listed, change = await self.look()
        if change.cancel:
            # The last ones would run last.
            last = [pilot for pilot in listed if pilot.state == 'pending'][-change.cancel :]
            for pilot in last:
                self._memory.submitted.pop(pilot.tag, None)
            await self._system.cancel([pilot.id for pilot in last], running=False)
        left = change.submit
        while left and not (stop and stop.is_set()):
            number = min(left, AT_ONCE)
            await self._submit(number)
            left -= number
        return change

    async def look(self) -> tuple[Sequence[Pilot], Change]:
        """The pilots that there are, and what is to be done; nothing is."""
        began = time.monotonic()
        listed = await self._system.pilots()
        self._learn(listed, began)
        tasks = tasks_for(await self._client.task_demand(), self._orders.offer)
        pilots = self._counted(listed, began)
        change = decide(tasks, pilots, self._orders.bounds)
        if change.submit and self._memory.short_lives:
            change = Change(submit=1)
        log.info('%d tasks wait; %s; %s', tasks, pilots, change)
        return listed, change

    async def cancel_all(self) -> None:
        """Cancel all pilots, those that run as well; what fails is said in the log."""
        try:
            ids = [pilot.id for pilot in await self._system.pilots() if pilot.state != 'ended']
            await self._system.cancel(ids, running=True)
        except BatchTrouble as error:
            log.error('pilots are left: %s', error)

    async def _submit(self, number: int) -> None:
        tag = secrets.token_hex(8)
        try:
            await self._system.submit(number, tag)
        except NothingDone:
            raise
        except BatchTrouble:
            self._memory.unknown[tag] = number, time.monotonic() + self._orders.settle_seconds
            raise
        # Even where nobody knows what came of it, that is soon to be seen in the list.
        self._memory.submitted[tag] = time.monotonic()

    def _learn(self, listed: Sequence[Pilot], began: float) -> None:
        """Take in a list that was begun at a certain time."""
        memory, tags = self._memory, {pilot.tag for pilot in listed}
        memory.unknown = {
            tag: (number, until) for tag, (number, until) in memory.unknown.items() if tag not in tags and began < until
        }
        running = {pilot.id for pilot in listed if pilot.state == 'running'}
        memory.running_since = {each: memory.running_since.get(each, began) for each in running}
        alive = {pilot.tag for pilot in listed if pilot.state != 'ended'}
        short = [tag for tag, when in memory.submitted.items() if tag not in alive]
        grown_old = {
            tag for tag, when in memory.submitted.items() if began - when >= self._orders.shortest_life_seconds
        }
        if any(tag not in grown_old for tag in short):
            memory.short_lives += 1
            log.error('pilots have ended as soon as they began; what they said is in their logs')
        elif grown_old:
            memory.short_lives = 0
        memory.submitted = {
            tag: when for tag, when in memory.submitted.items() if tag in alive and tag not in grown_old
        }

    def _counted(self, listed: Sequence[Pilot], now: float) -> Pilots:
        since = self._memory.running_since
        starting = sum(now - when < self._orders.starting_seconds for when in since.values())
        return Pilots(
            busy=len(since) - starting,
            starting=starting,
            pending=sum(pilot.state == 'pending' for pilot in listed),
            unknown=sum(number for number, _ in self._memory.unknown.values()),
        )
