"""A timer that is told to stop does so between two chores."""

import asyncio
import contextlib

from iceprod_tasks.scheduler.safely import safely


class Timer:
    """One chore and another one after it, and how far they are."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.go_on = asyncio.Event()

    async def first(self) -> int:
        self.done.append('begun')
        await self.go_on.wait()
        self.done.append('ended')
        return 1

    async def second(self) -> int:
        self.done.append('second')
        return 1

    async def run(self) -> None:
        await safely('first', self.first)
        await safely('second', self.second)


async def ended(task: 'asyncio.Task[None]') -> bool:
    async with asyncio.timeout(5):
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return task.cancelled()


async def test_a_chore_under_way_is_ended_and_the_next_one_not_begun() -> None:
    timer = Timer()
    task = asyncio.create_task(timer.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.sleep(0.05)
    before = list(timer.done)
    timer.go_on.set()

    assert await ended(task)
    assert (before, timer.done) == (['begun'], ['begun', 'ended'])


async def test_a_second_cancel_breaks_it_off() -> None:
    timer = Timer()
    task = asyncio.create_task(timer.run())
    await asyncio.sleep(0.05)

    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()

    assert await ended(task)
    assert timer.done == ['begun']
