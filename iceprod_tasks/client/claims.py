"""What pilots do: claim a task, keep it by heartbeats, and report how it went."""

import secrets
from collections.abc import Sequence
from typing import Any, Literal, Unpack, cast

from iceprod_tasks.client.asking import Asking, part
from iceprod_tasks.client.claim_documents import Claim, Heartbeat, Note, PastPhase, Report, ReportAction, ReportResult
from iceprod_tasks.client.documents import Phase, Requirements, Resources, Steps, TaskDocument
from iceprod_tasks.client.errors import ServerError


class Claims(Asking):
    """The verbs of pilots."""

    async def claim(
        self,
        requirements: Requirements,
        *,
        claim_id: str = '',
        lease_seconds: float | None = None,
        site: str = '',
        pilot: str = '',
        host: str = '',
    ) -> Claim:
        """Ask for a task that fits an offer.

        Args:
            requirements: the offer.
            claim_id: 32 hex digits; the same id gets the same answer. A new one by default.
            lease_seconds: how long the claim holds without a word; the service's default when None.
            site: where the task is going to run.
            pilot: who asks, for people.
            host: the machine; tasks that failed there are left to others while they ask.

        Raises:
            NoWork: nothing queued fits.
            Gone: this claim id has had its task.
        """
        claim_id = claim_id or new_claim_id()
        asked = _asked(requirements, claim_id, lease_seconds, site, pilot, host)
        return _claim(await self._post('/task_actions/process', asked, repeatable=True), claim_id)

    async def claim_many(
        self,
        requirements: Requirements,
        number: int,
        *,
        claim_id: str = '',
        lease_seconds: float | None = None,
        site: str = '',
        pilot: str = '',
    ) -> list[Claim]:
        """Ask for several tasks that fit an offer at once.

        Args:
            requirements: the offer, for each of them.
            number: how many at the most, up to 1000.
            claim_id: 32 hex digits; the same id gets the same answer. A new one by default.
            lease_seconds: how long each claim holds without a word; the service's default when None.
            site: where the tasks are going to run.
            pilot: who asks, for people.

        Returns:
            At least one claim; fewer than asked for when no more tasks that fit are queued.

        Raises:
            NoWork: nothing queued fits.
            Gone: this claim id has had its tasks.
        """
        asked = _asked(requirements, claim_id or new_claim_id(), lease_seconds, site, pilot) | {'num_tasks': number}
        answer = await self._post('/task_actions/process', asked, repeatable=True)
        try:
            return [_claim(task, task['claim_id']) for task in answer['tasks']]
        except (KeyError, TypeError) as error:
            raise ServerError('the answer to a claim is not a list of claimed tasks') from error

    async def heartbeat(
        self,
        claim: Claim,
        *,
        progress: Steps | None = None,
        phase: Phase | Literal[''] = '',
        resources: Resources | None = None,
        phases: Sequence[PastPhase] = (),
        messages: Sequence[Note] = (),
    ) -> Heartbeat:
        """Say that the task is being worked on, so that its lease begins anew.

        Args:
            claim: the claim.
            progress: steps done, of how many.
            phase: what is being done.
            resources: what the attempt has used so far.
            phases: those gone through since the last heartbeat.
            messages: what the task says, at most 100 of them; a repeated one does no harm.

        Returns:
            Whether to go on, and when to come again. The lease counts from before this was called.

        Raises:
            Conflict: the claim is lost; its work is to be dropped.
            NotFound: the task is gone.
        """
        said = {'claim_id': claim.claim_id, 'epoch': claim.epoch} | {
            name: value
            for name, value in (
                ('progress', progress),
                ('phase', phase),
                ('resources', resources),
                ('phases', list(phases) or None),
                ('messages', list(messages) or None),
            )
            if value not in ('', None)
        }
        answer = await self._post(f'/tasks/{part(claim.task_id)}/task_actions/heartbeat', said, repeatable=True)
        if not isinstance(answer, dict) or not Heartbeat.__required_keys__ <= answer.keys():
            raise ServerError('the answer to a heartbeat is not one')
        return cast(Heartbeat, answer)

    async def complete(self, claim: Claim, **report: Unpack[Report]) -> None:
        """Report that the task is done.

        Raises:
            Conflict: the claim is lost.
        """
        await self._report(claim, 'complete', report)

    async def reset(self, claim: Claim, **report: Unpack[Report]) -> None:
        """Report that this attempt failed; the task may be tried again.

        Raises:
            Conflict: the claim is lost.
        """
        await self._report(claim, 'reset', report)

    async def fail(self, claim: Claim, **report: Unpack[Report]) -> None:
        """Report that the task cannot succeed.

        Raises:
            Conflict: the claim is lost.
        """
        await self._report(claim, 'failed', report)

    async def report_many(self, reports: Sequence[tuple[Claim, ReportAction, Report]]) -> list[ReportResult]:
        """Report on several tasks at once; each report is taken or refused by itself.

        Args:
            reports: up to 1000: the claim, `complete`, `reset`, `failed` or `hand_back`, and what is reported.

        Returns:
            For each in its place the task's id and a code: 200, or that of the error which it alone would have got.
        """
        body = {
            'reports': [
                {'task_id': claim.task_id, 'action': action, 'claim_id': claim.claim_id, 'epoch': claim.epoch, **report}
                for claim, action, report in reports
            ]
        }
        answer = await self._post('/task_actions/report', body, repeatable=True)
        try:
            return cast(list[ReportResult], answer['results'])
        except (KeyError, TypeError) as error:
            raise ServerError('the answer to reports has no results') from error

    async def hand_back(self, claim: Claim, *, reason: str = '', site: str = '') -> None:
        """Give a task back unharmed: no failure is counted.

        Raises:
            Conflict: the claim is lost.
        """
        given: Report = {'reason': reason, 'site': site}
        await self._report(claim, 'hand_back', given)

    async def _report(self, claim: Claim, action: str, report: Report) -> None:
        body = {'claim_id': claim.claim_id, 'epoch': claim.epoch, **report}
        await self._post(f'/tasks/{part(claim.task_id)}/task_actions/{action}', body, repeatable=True)


def _asked(
    requirements: Requirements, claim_id: str, lease_seconds: float | None, site: str, pilot: str, host: str = ''
) -> dict[str, Any]:
    body = {
        'requirements': requirements,
        'claim_id': claim_id,
        'lease_seconds': lease_seconds,
        'site': site,
        'pilot': pilot,
        'host': host,
    }
    return {key: value for key, value in body.items() if value not in ('', None)}


def _claim(answer: Any, claim_id: str) -> Claim:
    try:
        task = cast(TaskDocument, answer)
        return Claim(task, task.get('claim_id', claim_id), task['epoch'])
    except (KeyError, AttributeError) as error:
        raise ServerError('the answer to a claim is not a claimed task') from error


def new_claim_id() -> str:
    """128 random bits in hex: the name of one claim, made by who asks for it."""
    return secrets.token_hex(16)
