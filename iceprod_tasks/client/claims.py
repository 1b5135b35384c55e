"""What pilots do: claim a task, keep it by heartbeats, and report how it went."""

import secrets
from typing import Literal, Unpack, cast

from iceprod_tasks.client.asking import Asking, part
from iceprod_tasks.client.documents import Claim, Heartbeat, Phase, Report, Requirements, Resources, Steps, TaskDocument
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
    ) -> Claim:
        """Ask for a task that fits an offer.

        Args:
            requirements: the offer.
            claim_id: 32 hex digits; the same id gets the same answer. A new one by default.
            lease_seconds: how long the claim holds without a word; the service's default when None.
            site: where the task is going to run.
            pilot: who asks, for people.

        Raises:
            NoWork: nothing queued fits.
            Gone: this claim id has had its task.
        """
        claim_id = claim_id or new_claim_id()
        body = {
            'requirements': requirements,
            'claim_id': claim_id,
            'lease_seconds': lease_seconds,
            'site': site,
            'pilot': pilot,
        }
        asked = {key: value for key, value in body.items() if value not in ('', None)}
        task = cast(TaskDocument, await self._post('/task_actions/process', asked, repeatable=True))
        try:
            return Claim(task, task.get('claim_id', claim_id), task['epoch'])
        except (KeyError, AttributeError) as error:
            raise ServerError('the answer to a claim is not a claimed task') from error

    async def heartbeat(
        self,
        claim: Claim,
        *,
        progress: Steps | None = None,
        phase: Phase | Literal[''] = '',
        resources: Resources | None = None,
    ) -> Heartbeat:
        """Say that the task is being worked on, so that its lease begins anew.

        Args:
            claim: the claim.
            progress: steps done, of how many.
            phase: what is being done.
            resources: what the attempt has used so far.

        Returns:
            Whether to go on, and when to come again. The lease counts from before this was called.

        Raises:
            Conflict: the claim is lost; its work is to be dropped.
            NotFound: the task is gone.
        """
        said = {'claim_id': claim.claim_id, 'epoch': claim.epoch} | {
            name: value
            for name, value in (('progress', progress), ('phase', phase), ('resources', resources))
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


def new_claim_id() -> str:
    """128 random bits in hex: the name of one claim, made by who asks for it."""
    return secrets.token_hex(16)
