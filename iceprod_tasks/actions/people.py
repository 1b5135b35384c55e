"""People: users and groups come, go, and are given priorities."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import NotFound, NotPermitted
from iceprod_tasks.domain.people import new_user

_OF_DATASETS = 'dataset_id'
"""The one attribute that permissions are kept for."""


def list_users(service: Service) -> AsyncIterator[dict[str, Any]]:
    """All users by name."""
    return service.store.people.select()


async def read_user(service: Service, username: str) -> dict[str, Any]:
    """One user.

    Raises:
        NotFound: nobody has this name.
    """
    user = await service.store.people.get(username)
    if user is None:
        raise NotFound('User not found')
    return user


async def add_user(service: Service, username: str, priority: float) -> None:
    """Make a user known before the first dataset does.

    Raises:
        Conflict: the name is taken.
    """
    await service.store.people.add(new_user(username, priority))


async def remove_user(service: Service, username: str) -> None:
    """Forget a user. The user's datasets stay, and another one makes the user known again."""
    await service.store.people.remove(username)


async def prefer_user(service: Service, username: str, priority: float) -> None:
    """Set how much a user counts, from 0 to 1.

    Raises:
        NotFound: nobody has this name.
    """
    if not await service.store.people.set_user_priority(username, priority):
        raise NotFound('User not found')
    service.news.reweigh()


async def list_groups(service: Service) -> list[dict[str, Any]]:
    """The groups that have a priority."""
    priorities = await service.store.people.group_priorities()
    return [{'name': name, 'priority': priority} for name, priority in priorities.items()]


async def prefer_group(service: Service, name: str, priority: float) -> None:
    """Set how much a group counts, from 0 to 1; a group that nobody knew is known from then on."""
    await service.store.people.set_group_priority(name, priority)
    service.news.reweigh()


async def vouch(service: Service, attribute: tuple[str, str], role: str, username: str, groups: Sequence[str]) -> None:
    """Tell another program whether a user may read or write a dataset; it has checked who the user is.

    Args:
        service: the service.
        attribute: name and value of what is to be read or written; the name of datasets is `dataset_id`.
        role: `read` or `write`.
        username: of the user.
        groups: of the user.

    Raises:
        NotPermitted: the user may not, or there is no such thing.
    """
    name, value = attribute
    record = await service.store.datasets.access(value) if name == _OF_DATASETS else None
    if record is None:
        raise NotPermitted('attr not found')
    permit.check_record(record, username, groups, role)
