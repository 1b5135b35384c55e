"""Keep stats: the statistics that pilots send with each try of a task."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.logs import new_task_stat
from iceprod_tasks.domain.origins import Origin


@dataclass(frozen=True, slots=True)
class BulkListing:
    """What is asked of the statistics of a dataset.

    Args:
        last: only the newest of each task.
        after: not older than this.
        keys: fields to show; all when empty.
        at_once: how many are held in memory at the most.
    """

    last: bool = False
    after: datetime | None = None
    keys: Sequence[str] = ()
    at_once: int = 1000


async def keep_stats(service: Service, caller: Caller, task_id: str, stats: Mapping[str, Any], origin: Origin) -> str:
    """Store the statistics of a try. The task and its dataset need not exist, unless they come from a pilot.

    Returns:
        Their id.

    Raises:
        NotPermitted: the caller is a pilot that has not claimed the task, or the dataset is not the task's.
    """
    await permit.check_named(service, caller, task_id, stats['dataset_id'])
    stat = new_task_stat(origin.new_id(), task_id, stats, origin.began)
    await service.store.task_stats.add(stat)
    return str(stat['task_stat_id'])


async def read_stats(service: Service, dataset_id: str, task_id: str, task_stat_id: str) -> dict[str, Any]:
    """The statistics of one try.

    Raises:
        NotFound: the task has none of this id.
    """
    stat = await service.store.task_stats.get(dataset_id, task_id, task_stat_id)
    if stat is None:
        raise NotFound('Task stat not found')
    return stat


def list_stats(
    service: Service, dataset_id: str, task_id: str, *, last: bool = False, keys: Sequence[str] = ()
) -> AsyncIterator[dict[str, Any]]:
    """The statistics of a task, oldest first, or the newest alone.

    Args:
        service: the service.
        dataset_id: of the task's dataset.
        task_id: of the task.
        last: whether only the newest.
        keys: fields to show beside task_stat_id; all when empty.
    """
    shown = [*keys, 'task_stat_id'] if keys else []
    return service.store.task_stats.of_task(dataset_id, task_id, last=last, keys=shown)


async def list_bulk_stats(service: Service, dataset_id: str, asked: BulkListing) -> AsyncIterator[dict[str, Any]]:
    """The statistics of all tasks of a dataset, task by task, each oldest first."""
    read = [*asked.keys, 'task_id'] if asked.keys else []
    found = service.store.task_stats.of_dataset(dataset_id, after=asked.after, keys=read, at_once=asked.at_once)
    async for stat in _last_of_each_task(found) if asked.last else found:
        yield {key: stat[key] for key in asked.keys if key in stat} if asked.keys else stat


async def _last_of_each_task(stats: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    held = None
    async for stat in stats:
        if held is not None and held['task_id'] != stat['task_id']:
            yield held
        held = stat
    if held is not None:
        yield held
