"""Waiting that ends when something else happens, such as that the pilot is told to stop."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

Answer = TypeVar('Answer')


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


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, and wake up at once when the pilot is told to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
