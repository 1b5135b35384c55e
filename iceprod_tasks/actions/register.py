"""Register: pilots and grids enter what they say about themselves, and others read it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain import pilots
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.origins import Origin


async def register_pilot(service: Service, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new pilot; its id."""
    pilot = pilots.new_pilot(given, origin.new_id(), origin.began)
    await service.store.pilots.add(pilot)
    return str(pilot['pilot_id'])


async def register_grid(service: Service, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new grid; its id."""
    grid = pilots.new_grid(given, origin.new_id(), origin.began)
    await service.store.grids.add(grid)
    return str(grid['grid_id'])


def list_pilots(service: Service, equal: Mapping[str, str], keys: Sequence[str] = ()) -> AsyncIterator[dict[str, Any]]:
    """The pilots with some values, oldest first.

    Args:
        service: the service.
        equal: field to value.
        keys: fields to show beside pilot_id; all when empty.
    """
    return service.store.pilots.select(equal, [*keys, 'pilot_id'] if keys else [])


def list_grids(service: Service) -> AsyncIterator[dict[str, Any]]:
    """All grids, oldest first."""
    return service.store.grids.select({})


async def read_pilot(service: Service, pilot_id: str) -> dict[str, Any]:
    """One pilot.

    Raises:
        NotFound: there is no such pilot.
    """
    return _found(await service.store.pilots.get(pilot_id), 'Pilot')


async def read_grid(service: Service, grid_id: str) -> dict[str, Any]:
    """One grid.

    Raises:
        NotFound: there is no such grid.
    """
    return _found(await service.store.grids.get(grid_id), 'Grid')


async def update_pilot(service: Service, pilot_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge fields into a pilot, which also is its sign of life.

    Returns:
        The pilot after it.

    Raises:
        InvalidRequest: there is nothing to change, or a field cannot be changed.
        NotFound: there is no such pilot.
    """
    return _found(await service.store.pilots.patch(pilot_id, pilots.pilot_changes(given)), 'Pilot')


async def update_grid(service: Service, grid_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge fields into a grid.

    Returns:
        The grid after it.

    Raises:
        InvalidRequest: there is nothing to change, or a field cannot be changed.
        NotFound: there is no such grid.
    """
    return _found(await service.store.grids.patch(grid_id, pilots.grid_changes(given)), 'Grid')


async def unregister_pilot(service: Service, pilot_id: str) -> None:
    """Remove a pilot.

    Raises:
        NotFound: there is no such pilot.
    """
    if not await service.store.pilots.remove(pilot_id):
        raise NotFound('Pilot not found')


def _found(entry: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    if entry is None:
        raise NotFound(f'{kind} not found')
    return entry
