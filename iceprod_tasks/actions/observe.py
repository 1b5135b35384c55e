"""Observe: tasks as they look from outside, one by either of its names, or all that the caller may read."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NotFound, NotPermitted, TooLarge
from iceprod_tasks.domain.task_names import read_name
from iceprod_tasks.domain.tasks import Task

EVERYBODY = Caller('', frozenset({'system'}))
"""Whoever asks where operators have opened the view of all tasks."""

_DATASETS_AT_ONCE = 1000


async def observe_one(service: Service, caller: Caller, name: str, dataset_id: str | None = None) -> Task:
    """One task.

    Args:
        service: the service.
        caller: who asks.
        name: its task_id, or the name that dialects show.
        dataset_id: only if the task belongs to this dataset.

    Returns:
        Its name, dataset_id, status, steps, updated, message_at, messages, as far as it has them, and its stamp.

    Raises:
        NotFound: there is no such task, or the caller may not read it.
    """
    task = await _find(service, name)
    if task is not None and dataset_id not in (None, task['dataset_id']):
        task = None
    # Who may not read a task learns nothing by the time that an answer takes.
    if not await _may_read(service, caller, task['dataset_id'] if task else '') or task is None:
        raise NotFound('Task not found')
    return task


async def observe_all(
    service: Service, caller: Caller, at_most: int, dataset_id: str | None = None
) -> AsyncIterator[Task]:
    """All tasks that the caller may read, oldest first; those that come meanwhile are left out.

    Args:
        service: the service.
        caller: who asks.
        at_most: how many there may be.
        dataset_id: of this dataset only.

    Returns:
        Tasks as `observe_one` returns them.

    Raises:
        NotFound: the caller may not read the dataset.
        TooLarge: there are more.
    """
    stamps = await _stamps(service, caller, at_most + 1, dataset_id)
    if len(stamps) > at_most:
        raise TooLarge(f'there are more than {at_most} tasks')
    return service.store.views.each(stamps)


async def _find(service: Service, name: str) -> Task | None:
    read = read_name(name)
    if read is None:
        return await service.store.views.by_id(name)
    task_type, stamp = read
    task = await service.store.views.by_stamp(stamp)
    return task if task is not None and task['name'] == task_type else None


async def _may_read(service: Service, caller: Caller, dataset_id: str) -> bool:
    try:
        await permit.enter(service, caller, {'dataset_id': dataset_id}, 'read', None)
    except NotPermitted:
        return False
    return True


async def _stamps(service: Service, caller: Caller, at_most: int, dataset_id: str | None) -> list[bytes]:
    if dataset_id is not None:
        if not await _may_read(service, caller, dataset_id):
            raise NotFound('Dataset not found')
        return await service.store.views.stamps(at_most, [dataset_id])
    if caller.operates:
        return await service.store.views.stamps(at_most)
    found: list[bytes] = []
    async with aclosing(_readable(service, caller)) as portions:
        async for dataset_ids in portions:
            found += await service.store.views.stamps(at_most - len(found), dataset_ids)
            if len(found) == at_most:
                break
    return found


async def _readable(service: Service, caller: Caller) -> AsyncGenerator[list[str], None]:
    """The datasets that a user may read, in portions."""
    portion: list[str] = []
    async for dataset in service.store.datasets.readable({}, caller.name, caller.groups, ['dataset_id']):
        portion.append(dataset['dataset_id'])
        if len(portion) == _DATASETS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion
