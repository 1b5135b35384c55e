"""Waits until tasks have ended, and shows them meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence

from iceprod_tasks.client import NotFound
from iceprod_tasks.client.task_records import TaskRecord
from iceprod_tasks.client.vappio import Vappio

log = logging.getLogger(__name__)

Look = Callable[[], Awaitable[list[TaskRecord]]]

_ENDED = frozenset({'completed', 'failed'})


def rhythm(first_seconds: float = 1.0, longest_seconds: float = 5.0) -> Iterator[float]:
    """The seconds between two looks, without end: 1, 2, 4, and then 5.

    Args:
        first_seconds: after the first look; each one later is twice as long.
        longest_seconds: no wait is longer.
    """
    seconds = first_seconds
    while True:
        yield min(seconds, longest_seconds)
        seconds = min(2 * seconds, longest_seconds)


def look_at(service: Vappio, names: Sequence[str]) -> Look:
    """How tasks are read that are named: a request each.

    Args:
        service: that is asked.
        names: as the user gave them, which the service may show in another way; one may come several times.
    """

    async def look() -> list[TaskRecord]:
        return [await service.task(name) for name in names]

    return look


def look_again_at(service: Vappio, tasks: Sequence[TaskRecord]) -> Look:
    """How tasks are read again that a listing had: by one more listing. Those that came later are left out.

    Args:
        service: that is asked.
        tasks: of the first listing.
    """

    async def look() -> list[TaskRecord]:
        found = {task['name']: task for task in await service.tasks()}
        for task in tasks:
            if task['name'] not in found:
                raise NotFound(f'there is no task {task["name"]} any more')
        return [found[task['name']] for task in tasks]

    return look


async def wait(
    tasks: list[TaskRecord], look: Look, show: Callable[[list[TaskRecord]], None], pauses: Iterator[float]
) -> list[TaskRecord]:
    """The tasks once all of them have ended, well or not.

    Args:
        tasks: as they are now.
        look: reads the same tasks again.
        show: is given the tasks of each look after which some have not ended.
        pauses: seconds between the looks.

    Raises:
        ClientError: the service cannot be asked any more.
    """
    while not all(task['state'] in _ENDED for task in tasks):
        show(tasks)
        seconds = next(pauses)
        log.debug('some tasks have not ended; looking again in %.1f s', seconds)
        await asyncio.sleep(seconds)
        tasks = await look()
    return tasks
