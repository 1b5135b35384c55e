"""One chore of a turn: what goes wrong with it is logged, and the others have their turn all the same.

A timer that is cancelled stops between two chores. One that is under way is ended first; only when the timer is
cancelled a second time, it is broken off.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from iceprod_tasks.domain.errors import Unavailable

log = logging.getLogger('iceprod_tasks.scheduler')


async def safely(action: str, chore: Callable[[], Awaitable[int]], level: int = logging.DEBUG) -> int:
    """Run a chore.

    Args:
        action: what the log calls it.
        chore: does it, and says how much it changed.
        level: of the line that says so.

    Returns:
        How much was changed; 0 when it failed.
    """
    try:
        changed = await _to_its_end(chore())
    except Unavailable as error:
        log.warning('%s: %s', action, error, extra={'action': action})
        return 0
    except Exception:
        log.exception('%s failed', action, extra={'action': action})
        return 0
    if changed:
        log.log(level, '%s: %d', action, changed, extra={'action': action})
    return changed


async def _to_its_end(chore: Awaitable[int]) -> int:
    work = asyncio.ensure_future(chore)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await work
        raise
