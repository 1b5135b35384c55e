"""Portions: something long, done piece by piece by a few workers at once."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar

T = TypeVar('T')

WORKERS = 2
"""While one waits for the majority, the other is served; more would keep claims waiting."""


def slices(items: Sequence[T], size: int) -> Generator[Sequence[T]]:
    """Items in pieces of a size, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def side_by_side(portions: Generator[Any], work: Callable[[], Awaitable[None]]) -> None:
    """Let a few workers take portions until there are no more.

    Args:
        portions: what they take from; when one of them fails, the others find no more there.
        work: one worker.

    Raises:
        Exception: what the first worker that failed has raised, once all have ended.
    """

    async def worker() -> None:
        try:
            await work()
        finally:
            portions.close()

    ends = await asyncio.gather(*(worker() for _ in range(WORKERS)), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
