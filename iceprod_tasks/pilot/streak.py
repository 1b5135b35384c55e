"""A streak of failures: a machine on which everything fails at once must not go through a whole queue.

One such machine asks for work more often than all the others together, as it is done so quickly: a black hole.
"""

BLACK_HOLE_FAILURES = 5
QUICK_SECONDS = 60.0


class Streak:
    """The quick failures of a pilot since its last success.

    Args:
        limit: so many make a black hole; 0 for never.
        quick_seconds: a task that fails sooner fails quickly.

    Attributes:
        failures: how many there are.
    """

    def __init__(self, limit: int = BLACK_HOLE_FAILURES, quick_seconds: float = QUICK_SECONDS) -> None:
        self._limit = limit
        self._quick_seconds = quick_seconds
        self.failures = 0

    def succeed(self) -> None:
        """Say that a task is complete."""
        self.failures = 0

    def fail(self, seconds: float) -> None:
        """Say that a task has failed, or could not even be tried.

        Args:
            seconds: from its claim on. What failed after a long while says little about the machine.
        """
        if seconds < self._quick_seconds:
            self.failures += 1

    @property
    def is_black_hole(self) -> bool:
        """Whether the pilot should take no more tasks."""
        return 0 < self._limit <= self.failures

    @property
    def words(self) -> str:
        """Why, for people."""
        return f'{self.failures} tasks have failed here within {self._quick_seconds:g} s each, and none was complete'
