"""Who asks: a name, roles and groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from iceprod_tasks.domain.datasets import SHARED_GROUP

ROLES = ('admin', 'system', 'user', 'pilot')

_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request.

    Args:
        name: of the user or program.
        roles: some of `ROLES`; within a request only those that its route accepts.
        groups: names of groups.
    """

    name: str
    roles: frozenset[str]
    groups: tuple[str, ...] = ()

    @property
    def operates(self) -> bool:
        """Whether the caller stands above the permissions of single datasets, and may set any status."""
        return not self.roles.isdisjoint({'admin', 'system'})

    @property
    def is_bound(self) -> bool:
        """Whether the caller is a pilot and no operator: it may touch what it has claimed, and nothing else."""
        return 'pilot' in self.roles and not self.operates

    def within(self, accepted: Iterable[str]) -> Self:
        """The same caller with only those roles that a route accepts."""
        return type(self)(self.name, self.roles & frozenset(accepted), self.groups)


def shared_groups(roles: Iterable[str]) -> tuple[str, ...]:
    """The groups that somebody is in by their roles alone."""
    return (SHARED_GROUP,) if 'user' in roles else ()


@dataclass(frozen=True, slots=True)
class Proof:
    """How a caller is known.

    Args:
        caller: who it is.
        token_id: of the token; '' where a password was shown.
        issued: when the token was made, in seconds since 1970.
        expires: when it ends, likewise; infinite for a password.
    """

    caller: Caller
    token_id: str
    issued: float
    expires: float


def is_name(name: str) -> bool:
    """Whether somebody can be called so: it is told from all other names, and a log can hold it."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()
