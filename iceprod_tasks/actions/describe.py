"""Describe: read tasks, datasets, jobs, counts and statistics."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import NEEDED, listed, shown
from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.jobs import JOB_STATUSES
from iceprod_tasks.domain.retention import expires
from iceprod_tasks.domain.statuses import STATUSES, in_order
from iceprod_tasks.domain.tasks import SORTABLE, Task
from iceprod_tasks.storage.jobs import of_dataset
from iceprod_tasks.storage.listing import Selection, cursor_after, page
from iceprod_tasks.storage.readable import Choice

PAGE_AT_MOST = 10_000
"""Tasks that a page with a cursor can have; a longer list is streamed."""

_NOT_LISTED = ('log', 'messages')


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked of a list of tasks.

    Args:
        selection: which tasks.
        keys: fields to show; all but the log when empty.
        sort: (field, direction) pairs; the selection's own order when empty. Fields that cannot be sorted by are
            left out.
        limit: how many, 0 for all.
        after: the cursor behind which to go on.
    """

    selection: Selection = field(default_factory=Selection)
    keys: Sequence[str] = ()
    sort: Sequence[tuple[str, int]] = ()
    limit: int = 0
    after: str = ''


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing.

    Args:
        tasks: its tasks.
        following: the cursor of the next page; '' when this is the last one, or the list is streamed whole.
    """

    tasks: AsyncIterator[Task]
    following: str = ''


async def list_tasks(service: Service, caller: Caller, asked: Listing) -> Page:
    """A page of tasks when a limit of at most `PAGE_AT_MOST` is given, else all of them as a stream.

    Raises:
        InvalidRequest: the cursor does not belong to this listing.
    """
    sort = [(name, direction) for name, direction in asked.sort if name in SORTABLE] or list(asked.selection.order)
    fields = [*asked.keys, *(name for name, _ in sort)] if asked.keys else []
    paged = 0 < asked.limit <= PAGE_AT_MOST
    found = service.store.tasks.select(
        page(asked.selection, sort, asked.after),
        keys=fields,
        sort=sort,
        # One more than asked for shows whether there is another page.
        limit=asked.limit + 1 if paged else asked.limit,
        without=_NOT_LISTED,
        still=not paged,
    )
    if not paged:
        return Page(_shown(found, caller, asked.keys))
    tasks = [task async for task in found]
    following = cursor_after(tasks[asked.limit - 1], sort) if len(tasks) > asked.limit else ''
    return Page(_shown(_each(tasks[: asked.limit]), caller, asked.keys), following)


async def read_task(
    service: Service, caller: Caller, task_id: str, *, dataset_id: str | None = None, keys: Sequence[str] = ()
) -> Task:
    """One task.

    Args:
        service: the service.
        caller: who asks.
        task_id: of the task.
        dataset_id: only if the task belongs to this dataset.
        keys: fields to show; all when empty.

    Raises:
        NotFound: there is no such task.
    """
    task = await service.store.tasks.get(task_id, dataset_id, [*keys, *NEEDED] if keys else ())
    if task is None:
        raise NotFound('Task not found')
    whole = shown(task, caller)
    return {key: whole[key] for key in keys if key in whole} if keys else whole


async def count_tasks(service: Service, dataset_id: str | None = None) -> dict[str, int]:
    """Tasks a status: of a dataset those that occur, of the whole service all statuses."""
    counts = await service.store.counts.by_status(dataset_id)
    if dataset_id is None:
        return {status: counts.get(status, 0) for status in STATUSES}
    return in_order(counts.items())


async def count_names(service: Service, dataset_id: str) -> dict[str, dict[str, int]]:
    """Tasks a name and status."""
    names = await service.store.counts.by_name_and_status(dataset_id)
    return {name: in_order(counts.items()) for name, counts in names.items()}


async def summarize(service: Service, dataset_id: str) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """All statuses in their order, each with the ids of a dataset's tasks, as they are at one moment."""
    async with aclosing(service.store.counts.ids_by_status(dataset_id)) as groups:
        async for status, ids in groups:
            yield status, ids


async def statistics(service: Service, dataset_id: str) -> dict[str, dict[str, Any]]:
    """Wall times of the complete tasks of each name, in hours, and how much of the time was not wasted."""
    names = await service.store.counts.walltimes(dataset_id)
    for stats in names.values():
        spent = stats['total_hrs'] + stats['total_err_hrs']
        stats['efficiency'] = stats['total_hrs'] / spent if spent else 0.0
    return names


def list_datasets(
    service: Service, caller: Caller, choice: Choice, keys: Sequence[str] = ()
) -> AsyncIterator[dict[str, Any]]:
    """Those of some datasets that the caller may read, oldest first."""
    fields = [*keys, 'dataset_id'] if keys else []
    if caller.operates:
        return service.store.datasets.select(choice.where, keys=fields)
    return service.store.datasets.readable(choice.where, caller.name, caller.groups, fields)


async def summarize_datasets(service: Service, caller: Caller) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """The statuses of datasets, each with the ids of those that the caller may read."""
    for status in DATASET_STATUSES:
        found = list_datasets(service, caller, Choice(statuses=(status,)), ('dataset_id',))
        yield status, _each_id(found, 'dataset_id')


async def read_dataset(service: Service, dataset_id: str) -> dict[str, Any]:
    """One dataset, and when its retention is over.

    Raises:
        NotFound: there is no such dataset.
    """
    dataset = await service.store.datasets.get(dataset_id)
    if dataset is None:
        raise NotFound('Dataset not found')
    return {**dataset, 'expires': expires(dataset, service.limits.retention_days)}


async def read_config(service: Service, dataset_id: str) -> dict[str, Any]:
    """The config of a dataset, as it was given but for the dataset's id.

    Raises:
        NotFound: it has none.
    """
    config = await service.store.datasets.config(dataset_id)
    if config is None:
        raise NotFound('Config not found')
    return {key: value for key, value in config.items() if key != 'dataset_id'}


async def read_job(service: Service, job_id: str, *, dataset_id: str | None = None) -> dict[str, Any]:
    """One job.

    Raises:
        NotFound: there is no such job.
    """
    job = await service.store.jobs.get(job_id, dataset_id)
    if job is None:
        raise NotFound('Job not found')
    return job


def list_jobs(
    service: Service,
    dataset_id: str,
    *,
    statuses: Sequence[str] | None = None,
    job_index: int | None = None,
    keys: Sequence[str] = (),
) -> AsyncIterator[dict[str, Any]]:
    """The jobs of a dataset, by place; those in some statuses oldest first."""
    fields = [*keys, 'job_id'] if keys else []
    return _without_id(service.store.jobs.select(of_dataset(dataset_id, statuses, job_index), keys=fields))


async def count_jobs(service: Service, dataset_id: str) -> dict[str, int]:
    """Jobs a status, those that occur."""
    counts = await service.store.counts.jobs_by_status(dataset_id)
    return {status: counts[status] for status in JOB_STATUSES if status in counts}


async def summarize_jobs(service: Service, dataset_id: str) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """The statuses of jobs, each with the ids of a dataset's jobs."""
    for status in JOB_STATUSES:
        yield status, _each_id(service.store.jobs.ids_by_status(dataset_id, status), 'job_id')


async def _each_id(documents: AsyncIterator[dict[str, Any]], key: str) -> AsyncIterator[str]:
    async for document in documents:
        yield document[key]


async def _shown(tasks: AsyncIterator[Task], caller: Caller, keys: Sequence[str]) -> AsyncIterator[Task]:
    async for task in tasks:
        del task['_id']
        yield listed({key: task[key] for key in keys if key in task} if keys else task, caller)


async def _each(tasks: Sequence[Task]) -> AsyncIterator[Task]:
    for task in tasks:
        yield task


async def _without_id(documents: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    async for document in documents:
        document.pop('_id', None)
        yield document
