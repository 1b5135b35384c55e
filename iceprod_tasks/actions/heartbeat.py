"""Heartbeat: a pilot says that it is at work, and hears whether it is to go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import NEEDED, is_past, may_be_of
from iceprod_tasks.domain.errors import ClaimLost, NotYours, TaskGone
from iceprod_tasks.domain.messages import checked
from iceprod_tasks.domain.tasks import Task
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.closings import claimed_by, held_by

_HEARTBEATS_A_LEASE = 3
"""So many can be missed, less one, before the lease is over."""


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """What a pilot says of a task it is at work on.

    Args:
        claim_id: of its claim.
        epoch: of its claim, where it sends one.
        steps: completed and total, where it knows them.
        phase: what it is doing, where it says so.
        phases: what it has done since it was last heard, and when.
        resources: what was used so far: cpu, gpu (counts), memory, disk (GB), time (hours).
        messages: what the task says of itself, each with a `message_id`, by which it is known when it comes again.
    """

    claim_id: str
    epoch: int | None = None
    steps: Mapping[str, int] | None = None
    phase: str | None = None
    phases: Sequence[tuple[str, datetime]] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = ()

    @property
    def says(self) -> dict[str, Any]:
        """The fields of the task that it sets; what it does not speak of stays."""
        said = {'steps': self.steps, 'phase': self.phase, 'resources_used': self.resources}
        return {name: value for name, value in said.items() if value}

    @property
    def gone_through(self) -> list[dict[str, Any]]:
        """The phases to remember, the last one among them."""
        phases = [{'phase': phase, 'when': when} for phase, when in self.phases]
        if self.phase and self.phase not in [each['phase'] for each in phases]:
            phases.append({'phase': self.phase, 'when': utc_now()})
        return phases


@dataclass(frozen=True, slots=True)
class Orders:
    """What a pilot is told.

    Args:
        action: whether to go on.
        why: why not.
        again_in_seconds: when to come again at the latest.
        lease_seconds: how long the claim holds from now on.
    """

    action: Literal['continue', 'stop']
    why: str
    again_in_seconds: float
    lease_seconds: float


async def heartbeat(service: Service, caller: Caller, task_id: str, sign: SignOfLife) -> Orders:
    """Let the lease of a claim begin anew.

    As long as nobody has taken the task, this is so after the end of the lease as well. A claim that has no lease gets
    the service's own: its pilot has shown that it knows of heartbeats.

    Raises:
        InvalidRequest: the fields of a message do not go together.
        TaskGone: there is no such task.
        ClaimLost: the task is not this claim's; nothing has changed.
        NotYours: to a pilot, the same where it has not claimed the task, and where there is none.
    """
    own = service.limits.lease_seconds
    where = {**held_by(task_id, sign.claim_id, sign.epoch), **(claimed_by(caller.name) if caller.is_bound else {})}
    messages = [{**checked(message), 'who': caller.name} for message in sign.messages]
    task = await service.store.claims.heartbeat(where, sign.says, sign.gone_through, messages, own)
    if task is None:
        raise await _refusal(service, caller, task_id, sign.claim_id)
    lease_seconds = task['lease_seconds'] or own
    # Less than the lease when it is to stop.
    left_seconds = (task['lease_until'] - task['heartbeat_at']).total_seconds()
    again_in_seconds = min(lease_seconds / _HEARTBEATS_A_LEASE, service.limits.heartbeat_seconds)
    why = _words(task['stop']['then'], task['stop']) if task.get('stop') else ''
    holds_seconds = max(0.0, min(lease_seconds, left_seconds))
    return Orders('stop' if why else 'continue', why, again_in_seconds, holds_seconds)


async def _refusal(service: Service, caller: Caller, task_id: str, claim_id: str) -> TaskGone | ClaimLost | NotYours:
    task = await service.store.tasks.get(task_id, keys=(*NEEDED, 'log'))
    if caller.is_bound and (task is None or not (may_be_of(task, caller) or is_past(task, claim_id))):
        return NotYours()
    return TaskGone() if task is None else ClaimLost(_end_of(task, claim_id))


def _end_of(task: Task, claim_id: str) -> str:
    """How a claim ended, in words for people."""
    for entry in reversed(task['log']):
        if entry['claim'] == claim_id and entry['from'] == 'processing' != entry['to']:
            return _words(entry['transition'], entry)
    return f'the claim does not hold the task, which is {task["status"]}'


def _words(what: str, entry: Mapping[str, Any]) -> str:
    return f'{what} by {entry["who"]}: {entry["why"]}'.removesuffix(': ')
