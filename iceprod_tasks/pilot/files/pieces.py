"""Blocking work in threads, in pieces so short that a cancelled transfer is over with the one that is under way."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec('Given')
Made = TypeVar('Made')

BLOCK_BYTES = 1024 * 1024
"""How much of a file is in memory at once."""

_LAST_PIECE_SECONDS = 5.0


async def in_thread(work: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs) -> Made:
    """Do a short piece of blocking work.

    Whoever is cancelled meanwhile waits for its end, or a file could be closed and its number be another file's while
    the thread still writes to it. A disk that does not answer at all is not waited for.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working], timeout=_LAST_PIECE_SECONDS)
        if working.done() and not working.cancelled():
            # Looked at, so that nobody complains that nobody has.
            working.exception()
        raise
