"""Waiting that ends when something else happens, such as that the pilot is told to stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar('Answer')
Another = TypeVar('Another')


async def within(asked: Awaitable[Answer], stop: asyncio.Event, seconds: float) -> Answer:
    """Wait for an answer as long as it takes, but not for long once a certain thing happens.

    Args:
        asked: what is waited for.
        stop: set when that thing happens.
        seconds: how much longer to wait from then on.

    Raises:
        TimeoutError: it has happened, and the answer did not come.
    """
    async with asyncio.timeout(None) as limit:

        async def shorten() -> None:
            await stop.wait()
            limit.reschedule(asyncio.get_running_loop().time() + seconds)

        watching = asyncio.create_task(shorten())
        try:
            return await asked
        finally:
            watching.cancel()


async def both(one: Coroutine[Any, Any, Answer], other: Coroutine[Any, Any, Another]) -> tuple[Answer, Another]:
    """Wait for two answers at the same time; when one cannot be had, the other is not waited for."""
    try:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(one), group.create_task(other)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    return first.result(), second.result()


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, and wake up at once when the pilot is told to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
