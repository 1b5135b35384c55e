"""`iceprod-tasks` with one part of the protocol taken out, so that the checker can show that it bites.

    python -m tests.faults.weakened MODE serve ...

The parts are replaced from outside, before the service starts; the product knows nothing of this.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from iceprod_tasks.actions import claim
from iceprod_tasks.actions.claim import ClaimRequest
from iceprod_tasks.actions.service import Service
from iceprod_tasks.cli.main import main
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.tasks import Task, new_id
from iceprod_tasks.storage import client, closings, tallies


def without_claim_id() -> None:
    """Each request for a task gets a claim id of the service's own, a repeated one another."""
    asked_with_an_id = claim.claim

    @functools.wraps(asked_with_an_id)
    async def asked(service: Service, caller: Caller, request: ClaimRequest) -> Task:
        return await asked_with_an_id(service, caller, replace(request, claim_id=request.claim_id and new_id()))

    claim.claim = asked


def without_fencing() -> None:
    """A report is taken whoever has the task."""

    def held_by_anybody(task_id: str, claim_id: str, epoch: int | None) -> dict[str, Any]:
        return {'task_id': task_id, 'status': 'processing'}

    def each_held_by_anybody(held: Sequence[closings.Held]) -> dict[str, Any]:
        return {'task_id': {'$in': [each.task_id for each in held]}, 'status': 'processing'}

    closings.held_by = held_by_anybody
    closings._each_held = each_held_by_anybody


def without_majority() -> None:
    """A write is acknowledged as soon as the primary has it in memory."""
    client._DEFAULTS = {**client._DEFAULTS, 'w': 1, 'journal': False}


def without_lease() -> None:
    """A claim holds until its pilot says otherwise."""
    claim._lease = lambda service, asked_seconds: None


def without_recount() -> None:
    """Numbers that were counted once are believed, also when changes may have been missed."""
    tallies.Tallies.forget = _nothing  # type: ignore[method-assign]
    tallies._REST_SECONDS = 0.0


def _nothing(_: tallies.Tallies) -> None:
    pass


MODES: dict[str, Callable[[], None]] = {
    'claim-id': without_claim_id,
    'fencing': without_fencing,
    'majority': without_majority,
    'lease': without_lease,
    'recount': without_recount,
}

if __name__ == '__main__':
    MODES[sys.argv.pop(1)]()
    main()
