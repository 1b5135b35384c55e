"""Claim: the best queued tasks that fit a pilot's offer become that pilot's, one or a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from iceprod_tasks.actions.materialize import unmade
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import for_claimant
from iceprod_tasks.domain.errors import ClaimOver, InvalidRequest, NoWork
from iceprod_tasks.domain.tasks import Task, new_id
from iceprod_tasks.storage.client import Duplicate
from iceprod_tasks.storage.openings import Wanted
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
        host: the machine that it runs on; '' where it does not say.
    """

    wanted: Wanted
    claim_id: str = ''
    lease_seconds: float | None = None
    pilot: str = ''
    site: str = ''
    host: str = ''


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
    opened = _claims(service, caller, request, [request.claim_id or new_id()])
    try:
        tasks = await service.store.openings.open(await _wanted(service, request), opened, _note(caller, request))
    except Duplicate:
        tasks = []
    task = tasks[0] if tasks else None
    if task is None and by_pilot:
        task = await _given_before(service, caller, request.claim_id)
    if task is None:
        raise NoWork(await _left(service, request.wanted.offer))
    return for_claimant(task)


async def claim_batch(service: Service, caller: Caller, request: ClaimRequest, number: int) -> list[Task]:
    """Hand out the best queued tasks that fit, each with a claim of its own.

    The claim id of the k-th task is that of the request, a full stop and k, from 0 on. A repeated request gets those
    tasks again that it was given and still holds, and no others.

    Args:
        service: the service.
        caller: who asks.
        request: what it asks with.
        number: how many tasks at the most.

    Returns:
        The tasks as claimed, in the order of their claims.

    Raises:
        NoWork: nothing that fits is queued.
        ClaimOver: the claim id was used before, and all of its claims have ended, or are those of another pilot.
        InvalidRequest: the lease is out of bounds.
    """
    batch = request.claim_id or new_id()
    claim_ids = [f'{batch}.{place}' for place in range(number)]
    opened = _claims(service, caller, request, claim_ids)
    tasks: list[Task] = []
    # The first claim of a batch is never missing in it.
    repeated = bool(request.claim_id) and await service.store.claims.is_used(claim_ids[0])
    if not repeated:
        try:
            tasks = await service.store.openings.open(await _wanted(service, request), opened, _note(caller, request))
        except Duplicate:
            repeated = True
    if not tasks and request.claim_id:
        tasks = await _batch_given_before(service, caller, claim_ids)
    if not tasks:
        raise NoWork(await _left(service, request.wanted.offer))
    return [for_claimant(task) for task in tasks]


def _claims(service: Service, caller: Caller, request: ClaimRequest, claim_ids: Sequence[str]) -> list[Claim]:
    lease_seconds = _lease(service, request.lease_seconds) if request.claim_id else None
    return [Claim(each, lease_seconds, request.pilot, request.site, caller.name, request.host) for each in claim_ids]


async def _wanted(service: Service, request: ClaimRequest) -> Wanted:
    """What a pilot may have: what failed on its machine is left to others, if any ask."""
    if not request.host:
        return request.wanted
    others_ask = service.askers.heard(request.host)
    if others_ask and await service.store.avoided.has(request.host):
        return replace(request.wanted, not_failed_on=request.host)
    return request.wanted


def _note(caller: Caller, request: ClaimRequest) -> Note:
    return Note(who=request.pilot or caller.name)


async def _left(service: Service, offer: Mapping[str, Any]) -> int:
    # In datasets that have ended, idle tasks wait for what will not come by itself: no pilot need wait with them.
    stuck = not await service.store.datasets.any_goes_on()
    # What is not made yet comes first: what is made meanwhile is met among the tasks.
    to_be_made = await unmade(service, offer)
    return to_be_made + await service.store.claims.left(offer, stuck=stuck)


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


async def _batch_given_before(service: Service, caller: Caller, claim_ids: Sequence[str]) -> list[Task]:
    subject = caller.name if caller.is_bound else None
    tasks = await service.store.claims.replay_batch(claim_ids, service.limits.lease_seconds, subject)
    places = {claim_id: place for place, claim_id in enumerate(claim_ids)}
    held = [task for task in tasks if task['claim_id'] in places and task['status'] == 'processing']
    if not held and (tasks or await service.store.claims.is_used(claim_ids[0])):
        raise ClaimOver
    return sorted(held, key=lambda task: places[task['claim_id']])


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
