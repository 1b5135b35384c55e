"""Who asks: a name, roles and groups."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

ROLES = ('admin', 'system', 'user', 'pilot')


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
