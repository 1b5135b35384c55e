"""Users and groups, and how much each counts beside the others."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DEFAULT_USER_PRIORITY = 0.5
"""Of a user whom nobody has given another one; from 0 to 1."""

DEFAULT_GROUP_PRIORITIES: Mapping[str, float] = MappingProxyType(
    {'admin': 1.0, 'simprod': 0.5, 'filtering': 0.9, 'users': 0.8}
)
"""Of the groups that every service knows; from 0 to 1."""


def new_user(username: str, priority: float = DEFAULT_USER_PRIORITY) -> dict[str, Any]:
    """A user as first stored."""
    return {'username': username, 'priority': priority}
