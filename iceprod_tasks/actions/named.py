"""Named: reading tasks by the names that clients of another service have given them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from iceprod_tasks.actions.create_work import External
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.tasks import Task

_LOOK_SECONDS = 0.5
"""How often somebody who waits looks for what other processes have done."""


async def find_named(service: Service, external: External) -> Task | None:
    """The task of a name, without its messages; None where there is none."""
    return await service.store.operated.find(external.document())


async def wait_named(
    service: Service, external: External, is_it: Callable[[Task], bool], wait_seconds: float
) -> Task | None:
    """The same, once something is so of it, or after some seconds.

    Args:
        service: the service.
        external: the task's name.
        is_it: whether that is so.
        wait_seconds: for how long to wait.
    """
    until = time.monotonic() + wait_seconds
    while True:
        found = await find_named(service, external)
        left_seconds = until - time.monotonic()
        if found is None or is_it(found) or left_seconds <= 0 or service.drain.begun:
            return found
        await asyncio.wait([service.arrivals.next(found['task_id'])], timeout=min(left_seconds, _LOOK_SECONDS))


def active_named(service: Service, system: str, app: str | None = None) -> AsyncIterator[Task]:
    """The tasks with names of a system that have not ended, those of one application where it is given."""
    return service.store.operated.active(system, app)


def running_named(service: Service, system: str) -> AsyncIterator[Task]:
    """The tasks with names of a system that pilots hold."""
    return service.store.operated.running(system)


def changed_named(service: Service, system: str, since_ms: int) -> AsyncIterator[Task]:
    """The tasks with names of a system that have changed since a time, in ms since 1970; the last one first."""
    return service.store.operated.changed(system, since_ms)


async def count_named(service: Service, system: str) -> tuple[int, int, int]:
    """How many applications have tasks, how many have some that have not ended, and how many such tasks there are."""
    return await service.store.operated.sizes(system)


async def time_of_names(service: Service) -> datetime:
    """The clock by which such tasks are timed."""
    return await service.store.operations.primary_time()
