"""One slot of a pilot: claim, run, report, and again."""

import asyncio
import logging
from collections.abc import Mapping

from iceprod_tasks.client import (
    AsyncClient,
    Claim,
    ClientError,
    Conflict,
    NotPermitted,
    Report,
    Retry,
)
from iceprod_tasks.pilot.attempt import Attempt, Tools
from iceprod_tasks.pilot.diary import Diary
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.line import Line
from iceprod_tasks.pilot.plan import Plan
from iceprod_tasks.pilot.process import MachineTrouble
from iceprod_tasks.pilot.run import Ending, Outcome
from iceprod_tasks.pilot.waiting import pause, within
from iceprod_tasks.pilot.warden import clock

log = logging.getLogger(__name__)

REPORT_RETRY_SECONDS = 1800.0
LAST_REPORT_SECONDS = 10.0
LONGEST_REASON = 1000


class Slot:
    """Runs one task at a time.

    Args:
        name: who it is, for people.
        client: the way to the service.
        plan: the pilot's orders.
        environment: what its tasks find in their environment.
        line: where it asks for work.
        tools: what it makes attempts with.
        diary: where the pilot keeps how its tasks ended.
        stop: set when the pilot was told to stop.
    """

    def __init__(
        self,
        name: str,
        client: AsyncClient,
        plan: Plan,
        *,
        environment: Mapping[str, str],
        line: Line,
        tools: Tools,
        diary: Diary,
        stop: asyncio.Event,
    ) -> None:
        self._name = name
        self._client = client.retrying(REPORT_RETRY_SECONDS)
        self._plan = plan
        self._environment = environment
        self._line = line
        self._tools = tools
        self._diary = diary
        self._stop = stop
        self._recovery = Retry(seconds=None, first_seconds=1.0, longest_seconds=60.0)

    async def work(self) -> None:
        """Work until the line says that it is over.

        Raises:
            ClientError: the service will not have this pilot.
        """
        while (hold := await self._line.claim(self._name)) is not None:
            log.info('%s: claimed %s', self._name, _words(hold.claim), extra={'action': 'claim'})
            # The heartbeats go on until the report is heard, so that work that is done is not done again elsewhere.
            async with hold:
                began = clock()
                self._diary.begin(self._name, hold)
                ending, at_fault = await self._ending(hold)
                await self._report(hold, ending)
            self._diary.end(self._name, ending, clock() - began, at_fault=at_fault)
            if rest := self._diary.streak.failures if at_fault else max(0, self._diary.streak.failures - 1):
                # Given back or failed at once, every task of the queue would come by here: rest before the next one.
                await pause(self._line.closed, self._recovery.delay(rest) or 0.0)

    async def _ending(self, hold: Hold) -> tuple[Ending, bool]:
        """What becomes of a claimed task, and whether this machine or the pilot is to blame for that."""
        try:
            return await Attempt(self._client, self._plan, self._environment, self._tools, hold).make(), False
        except MachineTrouble as error:
            return Ending(Outcome.HANDED_BACK, f'the machine cannot run it: {error}'), True
        except Exception as error:
            log.exception('%s: %s', self._name, _words(hold.claim))
            return Ending(Outcome.RESET, f'the pilot failed: {error!r}'), True

    async def _report(self, hold: Hold, ending: Ending) -> None:
        """Tell the service; what it does not want, or cannot be told, is dropped with a line in the log."""
        words = f'{self._name}: {ending.outcome.value} {_words(hold.claim)}'
        if ending.outcome is Outcome.DROPPED:
            log.warning('%s: %s', words, ending.reason, extra={'action': 'drop'})
            return
        try:
            await within(self._send(hold, ending), self._stop, LAST_REPORT_SECONDS)
        except TimeoutError:
            log.warning('%s: no answer to the report; its lease will end', words, extra={'action': 'report'})
        except (Conflict, NotPermitted) as error:
            log.warning('%s: not ours any more: %s', words, error, extra={'action': 'report'})
        except ClientError as error:
            log.error('%s: the report was lost: %s', words, error, extra={'action': 'report'})
        else:
            log.info('%s%s', words, ending.reason and f': {ending.reason}', extra={'action': 'report'})

    async def _send(self, hold: Hold, ending: Ending) -> None:
        # What the system said may hold file names that are no UTF-8.
        reason = ending.reason.encode(errors='replace').decode()[:LONGEST_REASON]
        site = self._plan.offer.site
        if ending.outcome is Outcome.HANDED_BACK:
            await self._client.hand_back(hold.claim, reason=reason, site=site)
            return
        send = {
            Outcome.COMPLETE: self._client.complete,
            Outcome.RESET: self._client.reset,
            Outcome.FAILED: self._client.fail,
        }[ending.outcome]
        report: Report = {**ending.report, 'site': site, 'reason': reason}
        if past := hold.past_phases:
            report['phases'] = past
        await send(hold.claim, **report)


def _words(claim: Claim) -> str:
    return f'{claim.task_id} ({claim.name} of job {claim.task.get("job_index", "?")}, epoch {claim.epoch})'
