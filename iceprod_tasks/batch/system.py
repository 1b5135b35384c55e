"""What a batch system is for the supervisor, and what can go wrong with one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


class BatchTrouble(Exception):
    """A command of the batch system failed; whether it did something is not known."""


class NothingDone(BatchTrouble):
    """A command of the batch system was never started."""


State = Literal['pending', 'running', 'ended']


@dataclass(frozen=True, slots=True)
class Pilot:
    """A pilot as the batch system lists it.

    Args:
        id: the batch system's.
        tag: of the command that has submitted it; '' when that is not to be seen.
        state: ended ones are listed for a while, or not at all.
    """

    id: str
    tag: str
    state: State


class BatchSystem(Protocol):
    """Where pilots run. The list of it is all that is known of them."""

    async def pilots(self) -> list[Pilot]:
        """Those of this supervisor's name.

        Raises:
            BatchTrouble: there is no list that can be trusted.
        """

    async def submit(self, number: int, tag: str) -> None:
        """Submit pilots, all or none of them.

        Args:
            number: how many, from 1 to `AT_ONCE`.
            tag: by which they can be found in the list.

        Raises:
            NothingDone: none was submitted.
            BatchTrouble: they may be submitted or not.
        """

    async def cancel(self, ids: Sequence[str], *, running: bool) -> None:
        """Cancel pilots, as far as they have not ended.

        Args:
            ids: of the pilots.
            running: also those that run by now.

        Raises:
            BatchTrouble: some may not be cancelled.
        """

    def shown(self, number: int) -> str:
        """What would be submitted, for people to read; the token is not in it."""


AT_ONCE = 100
"""Pilots that one command submits or cancels at the most."""
