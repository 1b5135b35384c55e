"""Where the ids and the time of what a request makes come from: a request that is worked on again makes the same."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Origin:
    """The origin of what one request makes.

    Args:
        seed: the ids are made from it; nobody can guess it.
        began: when the request was first worked on, UTC; what it makes is dated with it.
        request: a name of the request that no other has; '' for one that nobody will repeat.
        again: whether some or all of the work may have been done before.
    """

    seed: str
    began: datetime
    request: str = ''
    again: bool = False
    _made: int = 0

    def new_id(self) -> str:
        """The next id: 32 hex characters, those of a seed are always the same, and look like random ones."""
        self._made += 1
        digest = hashlib.sha256(f'{self.seed}:{self._made}'.encode()).digest()
        return uuid.UUID(bytes=digest[:16], version=4).hex
