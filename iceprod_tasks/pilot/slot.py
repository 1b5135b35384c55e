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
    Overloaded,
    Report,
    Retry,
    ServerError,
    Unreachable,
)
from iceprod_tasks.pilot.command import WrongConfig, command_of
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.line import Line
from iceprod_tasks.pilot.plan import Plan
from iceprod_tasks.pilot.process import MachineTrouble
from iceprod_tasks.pilot.run import Ending, Outcome, Runner, called_off
from iceprod_tasks.pilot.waiting import pause, within

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
        runner: what runs its commands.
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
        runner: Runner,
        stop: asyncio.Event,
    ) -> None:
        self._name = name
        self._client = client.retrying(REPORT_RETRY_SECONDS)
        self._plan = plan
        self._environment = environment
        self._line = line
        self._runner = runner
        self._stop = stop
        self._recovery = Retry(seconds=None, first_seconds=1.0, longest_seconds=60.0)

    async def work(self) -> None:
        """Work until the line says that it is over.

        Raises:
            ClientError: the service will not have this pilot.
        """
        troubles = 0
        while (hold := await self._line.claim(self._name)) is not None:
            log.info('%s: claimed %s', self._name, _words(hold.claim), extra={'action': 'claim'})
            # The heartbeats go on until the report is heard, so that work that is done is not done again elsewhere.
            async with hold:
                try:
                    ending = await self._attempt(hold)
                    troubles = 0
                except MachineTrouble as error:
                    # Handed back and claimed again at once, every task would come by here: rest before the next one.
                    ending = Ending(Outcome.HANDED_BACK, f'the machine cannot run it: {error}')
                    troubles += 1
                except Exception as error:
                    log.exception('%s: %s', self._name, _words(hold.claim))
                    ending = Ending(Outcome.RESET, f'the pilot failed: {error!r}')
                    troubles += 1
                await self._report(hold.claim, ending)
            if troubles:
                await pause(self._stop, self._recovery.delay(troubles) or 0.0)

    async def _attempt(self, hold: Hold) -> Ending:
        try:
            await within(hold.sure.wait(), hold.ended, 0)
            config = await within(self._client.config(hold.claim.dataset_id), hold.ended, 0)
            command = command_of(config, hold.claim, self._environment)
        except TimeoutError:
            return Ending(*called_off(hold))
        except (Unreachable, ServerError, Overloaded) as error:
            return Ending(Outcome.RESET, f'the config did not come: {error}')
        except ClientError as error:
            return Ending(Outcome.FAILED, f'the config cannot be read: {error}')
        except WrongConfig as error:
            return Ending(Outcome.FAILED, str(error))
        try:
            folder = Folder.make(self._plan.workdir)
        except OSError as error:
            raise MachineTrouble(str(error)) from error
        try:
            return await self._runner.run(command, folder, hold)
        finally:
            await asyncio.to_thread(folder.close if self._plan.keep_workdirs else folder.remove)

    async def _report(self, claim: Claim, ending: Ending) -> None:
        """Tell the service; what it does not want, or cannot be told, is dropped with a line in the log."""
        words = f'{self._name}: {ending.outcome.value} {_words(claim)}'
        if ending.outcome is Outcome.DROPPED:
            log.warning('%s: %s', words, ending.reason, extra={'action': 'drop'})
            return
        try:
            await within(self._send(claim, ending), self._stop, LAST_REPORT_SECONDS)
        except TimeoutError:
            log.warning('%s: no answer to the report; its lease will end', words, extra={'action': 'report'})
        except (Conflict, NotPermitted) as error:
            log.warning('%s: not ours any more: %s', words, error, extra={'action': 'report'})
        except ClientError as error:
            log.error('%s: the report was lost: %s', words, error, extra={'action': 'report'})
        else:
            log.info('%s%s', words, ending.reason and f': {ending.reason}', extra={'action': 'report'})

    async def _send(self, claim: Claim, ending: Ending) -> None:
        # What the system said may hold file names that are no UTF-8.
        reason = ending.reason.encode(errors='replace').decode()[:LONGEST_REASON]
        site = self._plan.offer.site
        if ending.outcome is Outcome.HANDED_BACK:
            await self._client.hand_back(claim, reason=reason, site=site)
            return
        send = {
            Outcome.COMPLETE: self._client.complete,
            Outcome.RESET: self._client.reset,
            Outcome.FAILED: self._client.fail,
        }[ending.outcome]
        report: Report = {**ending.report, 'site': site, 'reason': reason}
        await send(claim, **report)


def _words(claim: Claim) -> str:
    return f'{claim.task_id} ({claim.name} of job {claim.task.get("job_index", "?")}, epoch {claim.epoch})'
