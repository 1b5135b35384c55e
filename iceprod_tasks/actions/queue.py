"""Queue: waiting tasks become queued, the best first."""

from collections.abc import Sequence
from typing import Any

from iceprod_tasks.actions.portions import side_by_side, slices
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.storage.tasks import PORTION
from iceprod_tasks.storage.transitions import Note

_AT_ONCE = 1000
_BOTH = (True, False)


async def queue(service: Service, caller: Caller, number: int, origin: Origin) -> int:
    """Queue waiting tasks by priority, passing over those that something holds back.

    Args:
        service: the service.
        caller: who asks.
        number: how many at the most; below 1 queues none.
        origin: of the request; where some of its tasks may have been queued before, those count.

    Returns:
        How many were queued.
    """
    queueing, note = service.store.queueing, Note(who=caller.name, request=origin.request)
    queued = await queueing.queued_by(origin.request) if origin.again else 0

    async def portion(some: Sequence[Any]) -> None:
        nonlocal queued
        done = await queueing.queue(some, note)
        queued += done

    while queued < number:
        signatures = await queueing.signatures(managed=_BOTH)
        best = await queueing.best(signatures, min(number - queued, _AT_ONCE), managed=_BOTH)
        if not best:
            break
        await side_by_side(slices(best, PORTION), portion)
    return queued
