"""Portions: changes of a hundred thousand tasks, a few hundred at a time, with room between them for pilots."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar('T')

_QUICK_SECONDS = 0.025
"""What a portion takes where the database has time for it, and pilots claim as well."""


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Items in pieces of a size, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


async def rest(began: float) -> None:
    """Leave the database to pilots after a portion: for as long as it took more than it should.

    A database that answers quickly is asked again at once, and one that has too much to do is left alone half of the
    time.

    Args:
        began: when the portion was begun, by the monotonic clock.
    """
    await asyncio.sleep(max(0.0, time.monotonic() - began - _QUICK_SECONDS))
