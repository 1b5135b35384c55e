"""Keep logs: take them in, find them, throw them away."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.logs import new_log
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.storage.logs import LogSelection

_NOT_FOUND = 'Log not found'
_SHOWN = ('name', 'data', 'timestamp', 'task_id', 'dataset_id')


@dataclass(frozen=True, slots=True)
class TaskLogListing:
    """What is asked of the logs of a task.

    Args:
        newest_of_each_name: leave out those that a newer one of the same name has replaced.
        newest_first: the order.
        limit: how many, 0 for all.
        keys: fields to show; all when empty.
    """

    newest_of_each_name: bool = False
    newest_first: bool = True
    limit: int = 0
    keys: Sequence[str] = ()


async def keep_log(service: Service, caller: Caller, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a log. Its task and dataset need not exist, unless it comes from a pilot.

    Returns:
        The new log's id.

    Raises:
        NotPermitted: the caller is a pilot that has not claimed the log's task.
    """
    await permit.check_named(service, caller, given.get('task_id'), given.get('dataset_id'))
    log = new_log(given, origin.new_id(), origin.began)
    await service.store.logs.add(log)
    return str(log['log_id'])


async def read_log(service: Service, log_id: str, *, dataset_id: str | None = None) -> dict[str, Any]:
    """One log.

    Raises:
        NotFound: there is no such log, or it belongs to another dataset than the one given.
    """
    log = await service.store.logs.get(log_id, dataset_id)
    if log is None:
        raise NotFound(_NOT_FOUND)
    return log


def list_logs(
    service: Service, selection: LogSelection, *, limit: int = 0, keys: Sequence[str] = ()
) -> AsyncIterator[dict[str, Any]]:
    """Logs, oldest first.

    Args:
        service: the service.
        selection: which ones.
        limit: how many, 0 for all.
        keys: fields to show beside log_id; those that every log can have when empty.
    """
    return service.store.logs.select(selection, limit=limit, keys=[*(keys or _SHOWN), 'log_id'])


async def list_task_logs(
    service: Service, dataset_id: str, task_id: str, asked: TaskLogListing
) -> AsyncIterator[dict[str, Any]]:
    """The logs of a task.

    Raises:
        NotFound: there is none.
    """
    logs, order = service.store.logs, asked.newest_first
    selection = LogSelection(dataset_id=dataset_id, task_id=task_id)
    if asked.newest_of_each_name:
        newest = await logs.newest_by_name(selection, newest_first=order, limit=asked.limit)
        found = logs.among(newest, selection, keys=asked.keys, newest_first=order)
    else:
        found = logs.select(selection, keys=asked.keys, newest_first=order, limit=asked.limit)
    first = await anext(found, None)
    if first is None:
        raise NotFound(_NOT_FOUND)
    return _and_then(first, found)


async def throw_log(service: Service, log_id: str) -> None:
    """Remove a log, if it is there."""
    await service.store.logs.remove(log_id)


async def throw_task_logs(service: Service, dataset_id: str, task_id: str) -> None:
    """Remove all logs of a task."""
    await service.store.logs.remove_of_task(dataset_id, task_id)


async def _and_then(first: dict[str, Any], others: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    yield first
    async for each in others:
        yield each
