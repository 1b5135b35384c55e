"""Ends tasks that run until they are cancelled."""

import asyncio
from typing import Any

_AGAIN_SECONDS = 1.0


async def end(*tasks: 'asyncio.Task[Any]') -> None:
    """Cancel tasks until they have ended.

    Once need not be enough: `asyncio.wait_for` of Python 3.11, by which PyMongo sends each command, loses a
    cancellation that comes at the moment in which the wait is over. The task would go on, and whoever ends it would
    wait for ever.

    Args:
        tasks: whatever comes of them is of no interest.
    """
    while under_way := [task for task in tasks if not task.done()]:
        for task in under_way:
            task.cancel()
        await asyncio.wait(under_way, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
