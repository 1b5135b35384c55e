"""Asking for work: every slot asks once, and of those that found none a single one goes on asking."""

import asyncio
import itertools
import logging
import math

from iceprod_tasks.client import AsyncClient, Gone, NoWork, Retry, ServerError, new_claim_id
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.plan import Plan
from iceprod_tasks.pilot.waiting import pause, within
from iceprod_tasks.pilot.warden import clock

log = logging.getLogger(__name__)

LAST_ANSWER_SECONDS = 10.0
POLL_SECONDS_UNTIL_EMPTY = 2.0


class Line:
    """Where the idle slots of a pilot stand: the first polls, the others wait behind it.

    Args:
        client: the way to the service.
        plan: the pilot's orders.
        stop: set when the pilot was told to stop.
        closed: set when it shall take no more tasks; by a stop as well.
    """

    def __init__(self, client: AsyncClient, plan: Plan, stop: asyncio.Event, closed: asyncio.Event) -> None:
        self._client = client.retrying(None)
        self._plan = plan
        self._stop = stop
        self.closed = closed
        self._front = asyncio.Lock()
        longest_seconds = min(plan.poll_seconds, POLL_SECONDS_UNTIL_EMPTY) if plan.until_empty else plan.poll_seconds
        self._polling = Retry(seconds=None, longest_seconds=longest_seconds)
        self._mending = Retry(seconds=None)
        self._at_work: set[str] = set()
        self._idle_since = clock()

    async def claim(self, slot: str) -> Hold | None:
        """The next task for a slot; None when the slot shall end.

        Args:
            slot: the slot's name.

        Raises:
            ClientError: the service will not have this pilot.
        """
        self._at_work.discard(slot)
        if not self._at_work:
            self._idle_since = clock()
        try:
            hold = await within(self._next(slot), self.closed, LAST_ANSWER_SECONDS)
            if hold is not None:
                self._at_work.add(slot)
            return hold
        except TimeoutError:
            log.warning('%s: no answer to the last question for work', slot)
            return None

    async def _next(self, slot: str) -> Hold | None:
        if self.closed.is_set():
            return None
        answer: Hold | NoWork | None = await self._ask(slot)
        if self._go_on(answer):
            answer = await self._stand_in_line(slot)
        return answer if isinstance(answer, Hold) else None

    async def _stand_in_line(self, slot: str) -> Hold | NoWork | None:
        # Who waited behind another that found work asks at once: there may be more.
        somebody_polls = self._front.locked()
        async with self._front:
            if not somebody_polls:
                await self._rest(0)
            for attempt in itertools.count(1):
                if self.closed.is_set():
                    break
                answer = await self._ask(slot)
                if not self._go_on(answer):
                    return answer
                await self._rest(attempt)
        return None

    def _go_on(self, answer: Hold | NoWork | None) -> bool:
        if not isinstance(answer, NoWork) or (self._plan.until_empty and answer.left == 0):
            return False
        return self._patience() > 0

    def _patience(self) -> float:
        """How many seconds the pilot may still be without work; as long as a slot works, it is not."""
        if self._plan.idle_seconds is None or self._at_work:
            return math.inf
        return self._idle_since + self._plan.idle_seconds - clock()

    async def _rest(self, attempt: int) -> None:
        await pause(self.closed, min(self._polling.delay(attempt) or 0.0, max(0.0, self._patience())))

    async def _ask(self, slot: str) -> Hold | NoWork:
        """One question, repeated under the same claim id until its answer is known."""
        # A repeated question may be answered with the lease of the first one.
        claim_id, asked_at = new_claim_id(), clock()
        attempt = 0
        while True:
            try:
                claim = await self._client.claim(
                    self._plan.offer.requirements(),
                    claim_id=claim_id,
                    lease_seconds=self._plan.lease_seconds,
                    site=self._plan.offer.site,
                    pilot=slot,
                    host=self._plan.host,
                )
                return Hold(
                    self._client, claim, asked_at, heartbeat_seconds=self._plan.heartbeat_seconds, stop=self._stop
                )
            except NoWork as answer:
                return answer
            except Gone:
                claim_id, asked_at = new_claim_id(), clock()
            except ServerError as error:
                log.warning('%s: claim: %s; asking again', slot, error, extra={'action': 'claim'})
            await asyncio.sleep(self._mending.delay(attempt) or 0.0)
            attempt += 1
