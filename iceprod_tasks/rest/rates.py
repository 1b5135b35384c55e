"""How many requests a second one caller may send: a bucket of permits a caller, which time fills again."""

import time
from collections.abc import Callable

from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import Overloaded
from iceprod_tasks.rest.lanes import hold_back

_BURST_SECONDS = 2.0
_KNOWN_AT_MOST = 10_000


class Rates:
    """The buckets of one process, by name and roles: a token that is minted anew is no new bucket.

    Args:
        per_second: requests a second of each caller, for any length of time; 0 for no limit.
        clock: seconds that never go back.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._full = max(1.0, per_second * _BURST_SECONDS)
        self._clock = clock
        self._buckets: dict[tuple[str, frozenset[str]], tuple[float, float]] = {}

    async def take(self, caller: Caller) -> None:
        """Take a permit for one request; a refusal takes a second.

        Raises:
            Overloaded: the caller has none left.
        """
        if not self._per_second:
            return
        now = self._clock()
        key = (caller.name, caller.roles)
        # Taken out and put back, it stands at the end: the first one is the one that was not used for longest.
        permits, then = self._buckets.pop(key, (self._full, now))
        permits = min(self._full, permits + (now - then) * self._per_second)
        self._buckets[key] = permits - 1 if permits >= 1 else permits, now
        if len(self._buckets) > _KNOWN_AT_MOST:
            self._buckets.pop(next(iter(self._buckets)))
        if permits < 1:
            await hold_back()
            raise Overloaded
