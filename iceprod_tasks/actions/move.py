"""Move: set the status of tasks by hand, one or many, and change their fields."""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.portions import side_by_side, slices
from iceprod_tasks.actions.reopen import reopen
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import shown
from iceprod_tasks.domain.errors import IllegalTransition, InvalidRequest, NotFound
from iceprod_tasks.domain.signatures import signature
from iceprod_tasks.domain.statuses import ACTIVE, Transition, set_status
from iceprod_tasks.domain.tasks import IDENTITY, SERVICE_FIELDS, Task
from iceprod_tasks.storage.tasks import among
from iceprod_tasks.storage.transitions import Note, touched

_LOOKED_AT_ONCE = 5000
_MOVED_AT_ONCE = 1000
"""Each portion waits for the majority: of smaller ones there are too many, of larger ones each takes too long."""


async def move_task(
    service: Service, caller: Caller, task_id: str, status: str, *, dataset_id: str | None = None
) -> None:
    """Set the status of one task.

    Args:
        service: the service.
        caller: who asks; users are held to a few targets.
        task_id: of the task.
        status: the new status.
        dataset_id: only if the task belongs to this dataset.

    Raises:
        NotFound: there is no such task.
        IllegalTransition: this caller may not do that.
    """
    transition = _transition(caller, status)
    if not await service.store.tasks.move_one(transition, _note(caller), task_id, dataset_id):
        if not await service.store.tasks.exists(among([task_id], dataset_id)):
            raise NotFound('Task not found')
        raise IllegalTransition(f'the task is complete; you may not make it {status}')
    await _follow(service, [task_id], status)


async def move_tasks(
    service: Service,
    caller: Caller,
    task_ids: Sequence[str],
    status: str,
    *,
    dataset_id: str | None = None,
    request: str = '',
) -> None:
    """Set the status of many tasks; those that are unknown, or of another dataset, are passed over.

    Args:
        service: the service.
        caller: who asks; users are held to a few targets.
        task_ids: of the tasks.
        status: the new status.
        dataset_id: only those of this dataset.
        request: name of the request where it may be worked on again; it moves no task twice.

    Raises:
        NotFound: none of the tasks exists here.
        IllegalTransition: this caller may not do that with any of them.
    """
    transition, note = _transition(caller, status), _note(caller, request)
    tasks = service.store.tasks
    moved = 0

    async def portion(some: Sequence[str]) -> None:
        nonlocal moved
        done = await tasks.move_many(transition, note, some, dataset_id)
        if request and done < len(some):
            # What was moved before a crash may not have been followed.
            done += await tasks.exists({**among(some, dataset_id), **touched(request)})
        if done:
            await _follow(service, some, status, dataset_id)
        moved += done

    await side_by_side(slices(task_ids, _MOVED_AT_ONCE), portion)
    if not moved:
        for some in slices(task_ids, _LOOKED_AT_ONCE):
            if await tasks.exists(among(some, dataset_id)):
                raise IllegalTransition(f'the tasks are complete; you may not make them {status}')
        raise NotFound('Tasks not found')


async def patch_task(service: Service, caller: Caller, task_id: str, changes: Mapping[str, Any]) -> Task:
    """Merge fields into a task; a status among them is set as `move_task` does.

    Returns:
        The task after it.

    Raises:
        InvalidRequest: a field cannot be changed by anybody.
        NotFound: there is no such task.
    """
    if not changes:
        raise InvalidRequest('Missing update data')
    for key in changes:
        if key in SERVICE_FIELDS or key in IDENTITY:
            raise InvalidRequest(f'key {key} cannot be changed')
    fields = dict(changes)
    transition = _transition(caller, fields.pop('status')) if 'status' in fields else None
    if 'priority' in fields:
        # Whoever says a priority means it: it is not computed any more.
        fields['weighed'] = False
    if 'requirements' in fields:
        fields['signature'] = signature(fields['requirements'])
    task: Task | None = await service.store.tasks.patch(task_id, fields, transition, _note(caller))
    if task is None:
        raise NotFound('Task not found')
    if transition is not None:
        await _follow(service, [task_id], transition.target)
    return shown(task, caller)


def _transition(caller: Caller, status: str) -> Transition:
    transition = set_status(status, free=caller.operates)
    if transition is None:
        raise IllegalTransition(f'users of a dataset may not make tasks {status}')
    return transition


def _note(caller: Caller, request: str = '') -> Note:
    return Note(who=caller.name, why='set by hand', request=request)


async def _follow(service: Service, task_ids: Sequence[str], status: str, dataset_id: str | None = None) -> None:
    """Let jobs and datasets go on when their tasks do, and the scheduler know."""
    if status in ACTIVE:
        await reopen(service, await service.store.tasks.going_on(task_ids, dataset_id))
    service.news.stirred()
