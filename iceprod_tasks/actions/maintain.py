"""Maintain: no operations are accepted for a time, and nothing is decided about pilots that are not heard of."""

from iceprod_tasks.actions.lead import write_as_leader
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import InMaintenance

QUIET_SECONDS = 40.0
"""After maintenance was begun or ended, until pilots that were cut off have been heard of again."""


async def set_maintenance(service: Service, caller: Caller, *, is_on: bool) -> None:
    """Begin maintenance, or end it.

    Raises:
        NotLeader: another service leads.
    """
    now = await service.store.operations.primary_time()
    maintenance = service.store.maintenance
    await write_as_leader(service, lambda session: maintenance.put(caller.name, now, session, is_on=is_on))


async def is_on(service: Service) -> bool:
    """Whether maintenance goes on."""
    return (await service.store.maintenance.get()).is_on


async def is_quiet(service: Service) -> bool:
    """Whether maintenance goes on, or was begun or ended a moment ago."""
    word = await service.store.maintenance.get()
    return word.is_on or (word.seconds_ago is not None and word.seconds_ago < QUIET_SECONDS)


async def refuse_in_maintenance(service: Service) -> None:
    """Refuse operations while maintenance goes on.

    Raises:
        InMaintenance: it does.
    """
    if await is_on(service):
        raise InMaintenance
