"""Claim: the best queued task that fits a pilot's offer becomes that pilot's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.actions.materialize import unmade
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import for_claimant
from iceprod_tasks.domain.errors import ClaimOver, InvalidRequest, NoWork
from iceprod_tasks.domain.tasks import Task, new_id
from iceprod_tasks.storage.claims import Wanted
from iceprod_tasks.storage.client import Duplicate
from iceprod_tasks.storage.transitions import Claim, Note


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a pilot asks with.

    Args:
        wanted: its offer and conditions.
        claim_id: made by the pilot and the same at each retry; '' for pilots that make none.
        lease_seconds: the lease it would like, None for the service's own.
        pilot: how it calls itself.
        site: where it runs.
    """

    wanted: Wanted
    claim_id: str = ''
    lease_seconds: float | None = None
    pilot: str = ''
    site: str = ''


async def claim(service: Service, caller: Caller, request: ClaimRequest) -> Task:
    """Hand out the best queued task that fits.

    The same claim id gets the same answer again, however often a pilot has to repeat its request.

    Returns:
        The task as claimed, without the ids of earlier claims.

    Raises:
        NoWork: nothing that fits is queued.
        ClaimOver: the claim id was used before, and its claim has ended, or is that of another pilot.
        InvalidRequest: the lease is out of bounds.
    """
    by_pilot = bool(request.claim_id)
    lease_seconds = _lease(service, request.lease_seconds) if by_pilot else None
    opened = Claim(request.claim_id or new_id(), lease_seconds, request.pilot, request.site, caller.name)
    try:
        task = await service.store.claims.open(request.wanted, opened, Note(who=request.pilot or caller.name))
    except Duplicate:
        task = None
    if task is None and by_pilot:
        task = await _given_before(service, caller, request.claim_id)
    if task is None:
        offer = request.wanted.offer
        # In datasets that have ended, idle tasks wait for what will not come by itself: no pilot need wait with them.
        stuck = not await service.store.datasets.any_goes_on()
        raise NoWork(await service.store.claims.left(offer, stuck=stuck) + await unmade(service, offer))
    return for_claimant(task)


async def _given_before(service: Service, caller: Caller, claim_id: str) -> Task | None:
    subject = caller.name if caller.is_bound else None
    task = await service.store.claims.replay(claim_id, service.limits.lease_seconds, subject)
    if task is None:
        # Of another pilot's claim this one learns no more than that it needs a new id.
        if subject is not None and await service.store.claims.is_used(claim_id):
            raise ClaimOver
        return None
    if task['claim_id'] != claim_id or task['status'] != 'processing':
        raise ClaimOver
    return task


def _lease(service: Service, asked_seconds: float | None) -> float:
    shortest, longest = service.limits.lease_bounds_seconds
    if asked_seconds is None:
        return service.limits.lease_seconds
    if not shortest <= asked_seconds <= longest:
        raise InvalidRequest(f'lease_seconds must be between {shortest:g} and {longest:g}')
    return asked_seconds


def site_of(offer: Mapping[str, Any], site: str) -> str:
    """Where a pilot runs, by its own word or by the site it offers."""
    offered = offer.get('site')
    return site or (offered if isinstance(offered, str) else '')
