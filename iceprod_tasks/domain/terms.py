"""Terms: who leads, for how long. Each begins with a number that was never used before."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Term:
    """A time for which one service leads.

    Args:
        holder: the advertised address of the service; all its processes are one holder.
        number: greater than that of each term before.
        until: when it ends unless it is renewed, by the primary's clock.
    """

    holder: str
    number: int
    until: datetime
