"""Messages: whoever works on a task says how far it is and what there is to know; others read it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import NEEDED, may_be_of
from iceprod_tasks.domain.errors import InvalidRequest, NotFound, NotPermitted, StaleClaim
from iceprod_tasks.domain.messages import checked, of_report, shown
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage.messages import Choice, Speaker

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Under:
    """The claim that somebody speaks under.

    Args:
        claim_id: of the claim; '' where none is named.
        epoch: of the claim, where one is sent.
    """

    claim_id: str = ''
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """How far a task is.

    Args:
        completed: steps done; None where that is not said.
        total: steps in all; None where that is not said.
        add: steps done since the last word.
    """

    completed: int | None = None
    total: int | None = None
    add: int | None = None


async def add_message(service: Service, caller: Caller, task_id: str, given: Mapping[str, Any], under: Under) -> str:
    """Leave a message on a task.

    Args:
        service: the service.
        caller: who says it; a pilot must hold the task.
        task_id: of the task.
        given: the message, with its `message_id` where it is to be told from the same one sent again.
        under: the claim that must hold the task, where one is named.

    Returns:
        The id of the message.

    Raises:
        InvalidRequest: its fields do not go together.
        NotPermitted: the caller is a pilot, and the task is not its own.
        NotFound: there is no such task.
        StaleClaim: the claim does not hold the task.
    """
    message = {'message_id': new_id(), **checked(given), 'who': caller.name}
    if not await service.store.messages.add(_speaker(caller, task_id, under), [message]):
        raise await _refusal(service, caller, task_id)
    return str(message['message_id'])


async def set_progress(service: Service, caller: Caller, task_id: str, steps: Steps, under: Under) -> dict[str, int]:
    """Say how far a task is; what is not said stays as it is.

    Args:
        service: the service.
        caller: who says it; a pilot must hold the task.
        task_id: of the task.
        steps: how far.
        under: the claim that must hold the task, where one is named.

    Returns:
        The task's steps after it: `completed` and `total`.

    Raises:
        InvalidRequest: nothing is said, or both how many steps are done and how many more.
        NotPermitted: the caller is a pilot, and the task is not its own.
        NotFound: there is no such task.
        StaleClaim: the claim does not hold the task.
    """
    if steps == Steps():
        raise InvalidRequest('progress needs "completed", "total" or "add"')
    if steps.completed is not None and steps.add is not None:
        raise InvalidRequest('progress takes "completed" or "add", not both')
    after = await service.store.messages.progress(
        _speaker(caller, task_id, under), completed=steps.completed, total=steps.total, add=steps.add or 0
    )
    if after is None:
        raise await _refusal(service, caller, task_id)
    return after


async def read_messages(service: Service, task_id: str, choice: Choice) -> tuple[list[Message], int]:
    """The messages of a task, oldest first; those of reports with all that the report brought.

    Args:
        service: the service.
        task_id: of the task.
        choice: which of them.

    Returns:
        The messages, and how many more the task has had that made room for others.

    Raises:
        NotFound: there is no such task.
    """
    task = await service.store.messages.told(task_id)
    if task is None:
        raise NotFound('Task not found')
    kept = task.get('messages') or []
    wanted = [message for message in kept if choice.has(message)]
    # Outputs are long: who follows a task does not read those again and again that it has seen.
    seen = [message.get('message_id', '') for message in kept if not choice.has(message)]
    reports = {report['message_id']: report for report in await service.store.messages.reports(task_id, seen)}
    told = [shown(task_id, message, reports.pop(message.get('message_id', ''), None)) for message in wanted]
    dropped = (task.get('message_count') or 0) - len(kept)
    if not dropped:
        # What is left are reports that the release before has taken: it has left nothing in the task.
        told += [shown(task_id, _of_old(report)) for report in reports.values() if choice.has(report)]
        told.sort(key=lambda message: message['when'])
    return told[: choice.limit or None], dropped


async def list_messages(service: Service, dataset_id: str, choice: Choice) -> AsyncIterator[Message]:
    """The messages of all tasks of a dataset, oldest first, as the tasks have them."""
    async for message in service.store.messages.of_dataset(dataset_id, choice):
        yield shown(message['task_id'], message)


def _of_old(report: Mapping[str, Any]) -> Message:
    return {**report, **of_report(report['mtype'], report, report['action'])}


def _speaker(caller: Caller, task_id: str, under: Under) -> Speaker:
    return Speaker(task_id, under.claim_id, under.epoch, caller.name if caller.is_bound else None)


async def _refusal(service: Service, caller: Caller, task_id: str) -> NotPermitted | NotFound | StaleClaim:
    task = await service.store.tasks.get(task_id, keys=NEEDED)
    if caller.is_bound and (task is None or not may_be_of(task, caller)):
        return NotPermitted()
    return NotFound('Task not found') if task is None else StaleClaim()
