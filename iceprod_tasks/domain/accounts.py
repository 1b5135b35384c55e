"""Accounts: people and programs with a password, known to this service alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.callers import Caller, shared_groups
from iceprod_tasks.domain.errors import InvalidRequest

LONGEST_NAME = 128


def new_account(
    name: str, roles: Sequence[str], groups: Sequence[str], password: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """An account as first stored.

    Args:
        name: of the user or program.
        roles: some of `ROLES`.
        groups: names of groups.
        password: as `passwords.hashed` makes it.
        now: when.

    Raises:
        InvalidRequest: the name cannot be sent with a password.
    """
    if not 0 < len(name) <= LONGEST_NAME or ':' in name or not name.isprintable():
        raise InvalidRequest(f'a name has at most {LONGEST_NAME} characters that can be printed, and no colon')
    kept = {'roles': sorted(set(roles)), 'groups': sorted(set(groups))}
    return {'name': name, **kept, 'password': dict(password), 'created': now, 'changed': now}


def caller_of(account: Mapping[str, Any]) -> Caller:
    """Whom an account speaks for."""
    roles = frozenset(account['roles'])
    return Caller(account['name'], roles, (*account['groups'], *shared_groups(roles)))
