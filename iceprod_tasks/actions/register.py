"""Register: pilots and grids enter what they say about themselves, and others read it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from iceprod_tasks.actions.lead import write_as_leader
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain import pilots
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NotFound, NotPermitted
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.storage.client import utc_now


async def register_pilot(service: Service, caller: Caller, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new pilot; its id."""
    pilot = pilots.new_pilot(given, origin.new_id(), origin.began, caller.name)
    await service.store.pilots.add(pilot)
    return str(pilot['pilot_id'])


async def register_grid(service: Service, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new grid; its id."""
    grid = pilots.new_grid(given, origin.new_id(), origin.began)
    await service.store.grids.add(grid)
    return str(grid['grid_id'])


def list_pilots(
    service: Service, caller: Caller, equal: Mapping[str, str], keys: Sequence[str] = ()
) -> AsyncIterator[dict[str, Any]]:
    """The pilots with some values that the caller may read, oldest first.

    Args:
        service: the service.
        caller: who asks; a pilot sees its own entries.
        equal: field to value.
        keys: fields to show beside pilot_id; all when empty.
    """
    return service.store.pilots.select({**equal, **_own(caller)}, [*keys, 'pilot_id'] if keys else [])


async def live_pilots(service: Service, caller: Caller, seconds: float) -> list[dict[str, Any]]:
    """The pilots that were heard of in the last seconds and that the caller may read, oldest first."""
    since = utc_now() - timedelta(seconds=seconds)
    return [pilot async for pilot in list_pilots(service, caller, {}) if pilot['last_update'] >= since]


def list_grids(service: Service) -> AsyncIterator[dict[str, Any]]:
    """All grids, oldest first."""
    return service.store.grids.select({})


async def read_pilot(service: Service, caller: Caller, pilot_id: str) -> dict[str, Any]:
    """One pilot.

    Raises:
        NotFound: there is no such pilot.
        NotPermitted: the caller is a pilot, and has no such entry.
    """
    return _pilot(caller, await service.store.pilots.get(pilot_id, _own(caller)))


async def read_grid(service: Service, grid_id: str) -> dict[str, Any]:
    """One grid.

    Raises:
        NotFound: there is no such grid.
    """
    return _grid(await service.store.grids.get(grid_id))


async def update_pilot(service: Service, caller: Caller, pilot_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge fields into a pilot, which also is its sign of life.

    Returns:
        The pilot after it.

    Raises:
        InvalidRequest: there is nothing to change, or a field cannot be changed.
        NotFound: there is no such pilot.
        NotPermitted: the caller is a pilot, and has no such entry.
    """
    return _pilot(caller, await service.store.pilots.patch(pilot_id, pilots.pilot_changes(given), _own(caller)))


async def drain_pilot(service: Service, caller: Caller, pilot_id: str, why: str, *, drain: bool) -> dict[str, Any]:
    """Order a pilot to take no more tasks, end what it runs and leave; or take the order back.

    It hears of it with its next sign of life. Programs that know nothing of such orders go on.

    Args:
        service: the service.
        caller: who orders it.
        pilot_id: of the pilot.
        why: in words for people.
        drain: False takes the order back.

    Returns:
        The pilot after it.

    Raises:
        NotFound: there is no such pilot.
    """
    order = pilots.drain_order(caller.name, why, utc_now()) if drain else None
    return _pilot(caller, await service.store.pilots.set_drain(pilot_id, order))


async def drain_as_leader(service: Service, caller: Caller, pilot_id: str, why: str, *, drain: bool) -> bool:
    """The same as `drain_pilot`, by the leader alone; whether there is such a pilot.

    Raises:
        NotLeader: another service leads.
    """
    order = pilots.drain_order(caller.name, why, utc_now()) if drain else None
    found = await write_as_leader(service, lambda session: service.store.pilots.set_drain(pilot_id, order, session))
    return found is not None


async def update_grid(service: Service, grid_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge fields into a grid.

    Returns:
        The grid after it.

    Raises:
        InvalidRequest: there is nothing to change, or a field cannot be changed.
        NotFound: there is no such grid.
    """
    return _grid(await service.store.grids.patch(grid_id, pilots.grid_changes(given)))


async def unregister_pilot(service: Service, caller: Caller, pilot_id: str) -> None:
    """Remove a pilot.

    Raises:
        NotFound: there is no such pilot.
        NotPermitted: the caller is a pilot, and has no such entry.
    """
    if not await service.store.pilots.remove(pilot_id, _own(caller)):
        raise _no_pilot(caller)


def _own(caller: Caller) -> dict[str, str]:
    """What is so of the entries of pilots that a caller may touch."""
    return {'registered_by': caller.name} if caller.is_bound else {}


def _pilot(caller: Caller, entry: dict[str, Any] | None) -> dict[str, Any]:
    if entry is None:
        raise _no_pilot(caller)
    return entry


def _no_pilot(caller: Caller) -> NotFound | NotPermitted:
    return NotPermitted() if caller.is_bound else NotFound('Pilot not found')


def _grid(entry: dict[str, Any] | None) -> dict[str, Any]:
    if entry is None:
        raise NotFound('Grid not found')
    return entry
