"""Portions: changes of a hundred thousand tasks, a few hundred at a time, with room between them for pilots."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TypeVar

T = TypeVar('T')

WORKERS = 2
"""While one portion waits for the majority, the other is worked on."""

_QUICK_SECONDS_A_TASK = 0.00008
"""What a task takes where the database has time for it, and pilots claim as well."""


def slices(items: Sequence[T], size: int) -> Generator[Sequence[T], None, None]:
    """Items in pieces of a size, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def side_by_side(
    portions: Generator[Sequence[T], None, None], one: Callable[[Sequence[T]], Awaitable[None]]
) -> None:
    """Go through portions, a few at once, with a rest after each.

    Args:
        portions: what to go through; after a failure no more is begun.
        one: does what is to be done to one of them.

    Raises:
        Exception: what the first one has raised that failed, once all that were begun have ended.
    """

    async def work() -> None:
        try:
            for portion in portions:
                began = time.monotonic()
                await one(portion)
                await rest(began, len(portion))
        finally:
            portions.close()

    ends = await asyncio.gather(*(work() for _ in range(WORKERS)), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end


async def rest(began: float, tasks: int) -> None:
    """Leave the database to pilots after a portion: for as long as it took more than it should.

    A database that answers quickly is asked again at once, and one that has too much to do is left alone half of the
    time.

    Args:
        began: when the portion was begun, by the monotonic clock.
        tasks: how many there were in it.
    """
    await asyncio.sleep(max(0.0, time.monotonic() - began - _QUICK_SECONDS_A_TASK * tasks))
