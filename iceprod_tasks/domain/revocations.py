"""Revocations: tokens that are not believed any more, although they are signed and not over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from iceprod_tasks.domain.callers import Proof

Kind = Literal['token_id', 'user']
"""What is revoked: one token, or all tokens of a name."""


class Revoked:
    """All revocations that a process knows; they are never taken back.

    One of a token is of its id. One of a user is of all tokens of that name which were made until then.
    """

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self._users: dict[str, float] = {}
        self.newest: datetime | None = None
        """When the last one was made that is known here."""

    def add(self, revocation: Mapping[str, Any]) -> None:
        """Know of one more; once more does no harm.

        Args:
            revocation: `token_id` or `user`, and when it was made (`revoked`).
        """
        made: datetime = revocation['revoked']
        if 'user' in revocation:
            name = revocation['user']
            self._users[name] = max(made.timestamp(), self._users.get(name, 0.0))
        else:
            self._tokens.add(revocation['token_id'])
        self.newest = made if self.newest is None else max(made, self.newest)

    def holds(self, proof: Proof) -> bool:
        """Whether the token of a caller is revoked."""
        return proof.token_id in self._tokens or proof.issued <= self._users.get(proof.caller.name, -1.0)
