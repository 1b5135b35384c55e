"""What a process knows of who leads, without asking the database."""

import math
import time
from collections.abc import Callable

from iceprod_tasks.domain.terms import Term

_MARGIN = 0.1
"""The share of a lease by which a leader stops early: clocks of machines do not run quite alike."""
# It goes on while the machine is suspended, as the primary's does.
_CLOCK = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)


class Leadership:
    """Who leads, as far as this process has heard.

    Args:
        name: the advertised address of the service that this process is of.
        lease_seconds: how long a lease is good.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        name: str = '',
        lease_seconds: float = 10.0,
        clock: Callable[[], float] = lambda: time.clock_gettime(_CLOCK),
    ) -> None:
        self.name = name
        self.lease_seconds = lease_seconds
        self._clock = clock
        self._term: Term | None = None
        self._asked = -math.inf

    @property
    def is_leader(self) -> bool:
        """Whether this service leads now. A process that was stopped past its lease does not believe it any more."""
        return self.is_ours and self._clock() < self._asked + self.lease_seconds * (1 - _MARGIN)

    @property
    def is_ours(self) -> bool:
        """Whether this service had the last term that was heard of, be it over or not."""
        return self._term is not None and self._term.holder == self.name

    @property
    def number(self) -> int:
        """The number of the last term that was heard of; 0 for none."""
        return self._term.number if self._term else 0

    @property
    def leader(self) -> str:
        """The holder of that term; '' for none."""
        return self._term.holder if self._term else ''

    def now(self) -> float:
        """The time, for `heard`."""
        return self._clock()

    def heard(self, term: Term, asked: float) -> bool:
        """Take note of an answer about the lease.

        Args:
            term: as it is.
            asked: what `now` said before the question was sent: the lease was renewed after that, if it is ours.

        Returns:
            Whether the term is a new one.
        """
        # Answers to two questions may come in any order. The numbers do not order them: those of a database that was
        # restored from a backup begin again lower.
        if asked < self._asked:
            return False
        is_new = (term.holder, term.number) != (self.leader, self.number)
        self._term, self._asked = term, asked
        return is_new
