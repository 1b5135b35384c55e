"""Permit: may this caller read or write this dataset, and touch this task?

Whoever may not is told the same as whoever asks for what does not exist.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import BeingDeleted, NotPermitted

Access = Literal['read', 'write']

Own = Literal['claim', 'task', 'dataset', 'named', 'entry']
"""What must be a pilot's own, where it is nothing else but a pilot:

claim
: the claim on the task in the path, or the last one; looked at in the very update that the request asks for.

task
: the same, looked at before.

dataset
: an open claim on a task of the dataset, or of the dataset of the job.

named
: the last claim on the task that the body names.

entry
: the entry, made with a token of the same subject.
"""

_CHECKED_BEFORE = ('task', 'dataset')


async def enter(
    service: Service, caller: Caller, place: Mapping[str, str], access: Access | None, own: Own | None
) -> None:
    """Refuse a caller that may not use a route at this place.

    Args:
        service: the service.
        caller: who asks, with the roles that the route accepts.
        place: the ids in the path: dataset_id, task_id or job_id.
        access: what the dataset must grant to a user; that of the task or job where the path has no dataset.
        own: what must be a pilot's own.

    Raises:
        NotPermitted: none of the caller's roles opens the place.
    """
    if caller.operates:
        return
    if 'user' in caller.roles and (access is None or await _grants(service, caller, place, access)):
        return
    if 'pilot' in caller.roles and (own not in _CHECKED_BEFORE or await _holds(service, caller, place, own)):
        return
    raise NotPermitted


async def check(service: Service, caller: Caller, dataset_id: str, access: Access) -> None:
    """Refuse a caller that the dataset's record does not name; admin and system pass without a record.

    Args:
        service: the service.
        caller: who asks, with the roles that the route accepts.
        dataset_id: of the dataset.
        access: what is asked for.

    Raises:
        NotPermitted: the record is missing or does not name the caller.
    """
    await enter(service, caller, {'dataset_id': dataset_id}, access, 'dataset')


async def check_named(service: Service, caller: Caller, task_id: Any, dataset_id: Any) -> None:
    """Refuse to store something about a task for a pilot that has not claimed it.

    Args:
        service: the service.
        caller: who asks.
        task_id: of the task; None where the caller names none.
        dataset_id: said to be the task's; None where nothing is said.

    Raises:
        NotPermitted: the caller is bound to its claims, and the last one on the task is not its own, or the task is not
            of this dataset.
    """
    if not caller.is_bound:
        return
    task = await service.store.claims.last_of(caller.name, task_id) if task_id else None
    if task is None or dataset_id not in (None, task['dataset_id']):
        raise NotPermitted


def check_record(record: Mapping[str, Any], username: str, groups: Sequence[str], access: str) -> None:
    """Refuse a user whom a dataset's record does not name.

    Args:
        record: who may read and write a dataset.
        username: of the user.
        groups: of the user.
        access: `read` or `write`; others are known to no record.

    Raises:
        NotPermitted: it does not name the user.
    """
    if f'{access}_groups' not in record:
        raise NotPermitted('role not found')
    if username not in record[f'{access}_users'] and not set(groups) & set(record[f'{access}_groups']):
        raise NotPermitted


async def check_kept(service: Service, dataset_id: str) -> None:
    """Refuse to change a dataset that is being deleted; one without a record may be changed.

    Raises:
        BeingDeleted: it is.
    """
    if await service.store.datasets.is_deleting(dataset_id):
        raise BeingDeleted


async def _grants(service: Service, caller: Caller, place: Mapping[str, str], access: Access) -> bool:
    record = await service.store.datasets.access(await _dataset_of(service, place))
    if record is None:
        return False
    try:
        check_record(record, caller.name, caller.groups, access)
    except NotPermitted:
        return False
    return True


async def _holds(service: Service, caller: Caller, place: Mapping[str, str], own: Own | None) -> bool:
    if own == 'task':
        return await service.store.claims.last_of(caller.name, place['task_id']) is not None
    return await service.store.claims.any_of(caller.name, await _dataset_of(service, place))


async def _dataset_of(service: Service, place: Mapping[str, str]) -> str:
    """The dataset of a place; '' when there is no such task or job.

    It is looked for all the same: who asks shall not learn from the time it takes what there is.
    """
    if 'dataset_id' in place:
        return place['dataset_id']
    if 'task_id' in place:
        found = await service.store.tasks.get(place['task_id'], keys=('dataset_id',))
    else:
        found = await service.store.jobs.get(place['job_id'])
    return str(found['dataset_id']) if found is not None else ''
