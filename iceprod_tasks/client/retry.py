"""How long to wait before asking again, and when to give up."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """Full jitter under a bound that doubles: many clients that failed together do not come back together.

    Args:
        seconds: once this long has passed, or would have, nothing is tried again; None never gives up.
        first_seconds: the longest first delay.
        longest_seconds: the bound stops growing here.
    """

    seconds: float | None = 60.0
    first_seconds: float = 0.2
    longest_seconds: float = 10.0

    def delay(self, attempt: int, spent_seconds: float = 0.0, at_least_seconds: float = 0.0) -> float | None:
        """The wait before the next attempt.

        Args:
            attempt: how many attempts failed before this one, from 0.
            spent_seconds: the time since the first attempt began.
            at_least_seconds: what the service asked for; the jitter comes on top.

        Returns:
            Seconds, or None when it is time to give up.
        """
        # 2 ** 32 times any first delay is past any bound; more would overflow for a pilot that waits for weeks.
        bound = min(self.longest_seconds, self.first_seconds * 2 ** min(attempt, 32))
        delay = at_least_seconds + random.uniform(0, bound)  # noqa: S311 - jitter is no secret
        if self.seconds is not None and spent_seconds + delay > self.seconds:
            return None
        return delay
