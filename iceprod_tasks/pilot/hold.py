"""A pilot's hold on a task that it has claimed: kept by heartbeats; ended by the service, by time or by the pilot."""

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable
from types import TracebackType
from typing import Self

from iceprod_tasks.client import (
    AsyncClient,
    BadRequest,
    Claim,
    ClientError,
    Conflict,
    Gone,
    Heartbeat,
    NotFound,
    NotPermitted,
    PastPhase,
    Phase,
    Resources,
    Retry,
    TooLarge,
)
from iceprod_tasks.pilot.said import Portion, Said
from iceprod_tasks.pilot.spool import Saying
from iceprod_tasks.pilot.waiting import pause
from iceprod_tasks.pilot.warden import clock

log = logging.getLogger(__name__)

LONGEST_ANSWER_SECONDS = 10.0
SHORTEST_REST_SECONDS = 0.05
# A sleep does not notice that the machine was suspended, so the end of a lease is not slept for at one go.
LONGEST_SLEEP_SECONDS = 1.0
NEWS_SECONDS = 0.5
"""So long phases are gathered before a heartbeat tells them; those of short tasks go with the report."""


class Hold:
    """Whether the work on a claimed task is to go on, and until when.

    The lease counts from the sending of the first question for the claim, or of the last heartbeat that was answered.
    The service counts from later, so whoever gets the task next cannot meet us. Used as a context manager it sends
    heartbeats and watches the time.

    Args:
        client: the way to the service.
        claim: the claim.
        asked_at: when it was asked for the first time, on the clock of leases.
        heartbeat_seconds: the longest rest before the first heartbeat; later ones as the service says.
        stop: set when the pilot was told to stop.

    Attributes:
        sure: set when it is known that the lease holds. It is not when the answer to the claim took long.
        ended: set when the work is to end.
        reason: why, for people.
        lost: whether the task is not ours any more: the work must be gone at once, and nobody wants a report.
        deadline: when the lease is over.
        phase: what is being done, for the service.
        resources: tells what was used so far, for the service.
    """

    def __init__(
        self, client: AsyncClient, claim: Claim, asked_at: float, *, heartbeat_seconds: float, stop: asyncio.Event
    ) -> None:
        now = clock()
        self.claim = claim
        self.sure, self.ended = asyncio.Event(), asyncio.Event()
        self.reason = ''
        self.lost = False
        self.phase: Phase = 'provisioning'
        self._untold: list[tuple[Phase, float]] = []
        self._said = Said((claim.task.get('steps') or {'total': 1})['total'])
        self._news, self._hurry, self._tried = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.resources: Callable[[], Resources | None] = lambda: None
        self._client = client.retrying(0)
        self._stop = stop
        self._lease_seconds = float(claim.task.get('lease_seconds') or math.inf)
        self.deadline = asked_at + self._lease_seconds
        self._first_rest_seconds = 0.0
        if now - asked_at < self._lease_seconds / 3:
            self.sure.set()
            self._first_rest_seconds = self._rest_seconds(heartbeat_seconds)
        self._tell: Callable[[float], None] | None = None
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        watches = (self._beat(), self._watch_the_time(), self._watch_the_pilot())
        self._watching = [asyncio.create_task(watch) for watch in watches]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in self._watching:
            watch.cancel()
        for result in await asyncio.gather(*self._watching, return_exceptions=True):
            if isinstance(result, Exception):
                log.error('%s: heartbeats broke off', self._words, exc_info=result)

    def enter(self, phase: Phase) -> None:
        """Go on to a phase; the service hears of it soon."""
        self.phase = phase
        self._untold.append((phase, clock()))
        self._news.set()

    def hear(self, saying: Saying) -> None:
        """Take up what the task says of itself; the service hears of it soon."""
        self._said.add(saying)
        self._news.set()

    async def pass_on(self, seconds: float) -> None:
        """Tell the service now what the task has said last, as long as the task is ours.

        Args:
            seconds: how long to try.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._said and not self.lost:
                    self._hurry.set()
                    self._tried.clear()
                    await self._tried.wait()
        except TimeoutError:
            log.warning('%s: the last of what it said could not be sent', self._words, extra={'action': 'messages'})
        if self._said.left_out:
            many = '%s: it said more than could be sent: %d messages were left out'
            log.warning(many, self._words, self._said.left_out, extra={'action': 'messages'})
        self._hurry.clear()

    @property
    def past_phases(self) -> list[PastPhase]:
        """The phases of which the service has not heard."""
        now = clock()
        return [{'phase': phase, 'seconds_ago': round(now - when, 3)} for phase, when in self._untold]

    def tell(self, work_until: Callable[[float], None]) -> None:
        """Have somebody told about the deadline, now and whenever it changes."""
        self._tell = work_until
        work_until(self.deadline)

    async def _beat(self) -> None:
        """Send heartbeats, for as long as the task is ours."""
        retry = Retry(seconds=None, longest_seconds=min(5.0, self._lease_seconds / 10))
        rest_seconds, unanswered = self._first_rest_seconds, 0
        while not self.lost:
            await self._rest(rest_seconds, heed_news=not unanswered)
            sent_at, told = clock(), len(self._untold)
            # What follows a heartbeat that failed carries nothing that it might have failed for: the lease comes first.
            portion = Portion() if unanswered else self._said.portion()
            try:
                answer = await self._answer(portion)
            except (ClientError, TimeoutError) as error:
                if _says_lost(error):
                    self._end(f'not ours any more: {error}', lost=True)
                if isinstance(error, BadRequest | TooLarge):
                    self._said.settle(portion)
                log.log(logging.DEBUG if unanswered else logging.WARNING, '%s: heartbeat: %s', self._words, _why(error))
                rest_seconds = retry.delay(unanswered) or 0.0
                unanswered += 1
            else:
                del self._untold[:told]
                self._said.settle(portion)
                self._heed(answer, sent_at)
                rest_seconds, unanswered = self._rest_seconds(answer['again_in']), 0
            self._tried.set()

    async def _answer(self, portion: Portion) -> Heartbeat:
        async with asyncio.timeout(min(LONGEST_ANSWER_SECONDS, self._lease_seconds / 3)):
            return await self._client.heartbeat(
                self.claim,
                progress=portion.steps,
                phase=self.phase,
                resources=self.resources(),
                phases=self.past_phases,
                messages=portion.messages,
            )

    async def _rest(self, seconds: float, *, heed_news: bool) -> None:
        """Rest before the next heartbeat, not for long where there is news. What is over at once needs none."""
        began = clock()
        if self._said:  # not all of it has gone with the last one
            self._news.set()
        if heed_news:
            await pause(self._news, seconds)
            left_seconds = seconds - (clock() - began)
            await pause(self._hurry, max(0.0, min(left_seconds, NEWS_SECONDS)))
        else:
            await asyncio.sleep(seconds)
        self._news.clear()  # all of it goes with the heartbeat that follows

    def _heed(self, answer: Heartbeat, sent_at: float) -> None:
        if self.lost:  # the answer came after the end of the lease
            return
        self._lease_seconds = answer['lease_seconds']
        self._work_until(sent_at + self._lease_seconds)
        self.sure.set()
        if answer['action'] == 'stop':
            self._end(f'asked to stop: {answer["why"]}')

    async def _watch_the_time(self) -> None:
        if not self.sure.is_set():
            # No work has begun. If the claim holds at all, it does no longer than this.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lease_seconds):
                    await self.sure.wait()
        while (left_seconds := self.deadline - clock()) > 0:
            await asyncio.sleep(min(left_seconds, LONGEST_SLEEP_SECONDS))
        self._end('the lease is over', lost=True)

    async def _watch_the_pilot(self) -> None:
        await self._stop.wait()
        self._end('the pilot was told to stop')

    def _end(self, reason: str, *, lost: bool = False) -> None:
        if self.lost or (self.ended.is_set() and not lost):
            return
        self.reason, self.lost = reason, lost
        if lost:
            self._tried.set()
            self._work_until(0.0)
        self.ended.set()

    def _work_until(self, deadline: float) -> None:
        self.deadline = deadline
        if self._tell is not None:
            self._tell(deadline)

    def _rest_seconds(self, asked_seconds: float) -> float:
        """As asked, but so that two more heartbeats fit into the lease; slots that began together drift apart."""
        longest_seconds = max(SHORTEST_REST_SECONDS, min(asked_seconds, self._lease_seconds / 3))
        return longest_seconds * random.uniform(0.8, 1.0)  # noqa: S311 - jitter is no secret

    @property
    def _words(self) -> str:
        return f'{self.claim.task_id} (epoch {self.claim.epoch})'


def _says_lost(error: Exception) -> bool:
    # A 403 or 404 without an order is no word on the task: that service knows no heartbeats, or is none of ours.
    return isinstance(error, Conflict | Gone) or (isinstance(error, NotFound | NotPermitted) and 'action' in error.body)


def _why(error: Exception) -> str:
    return str(error) or 'no answer in time'
