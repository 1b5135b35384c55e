"""Executors: our pilots, as clients of Drove see them. One that is told to take no more tasks is on the blacklist."""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.named import running_named
from iceprod_tasks.actions.register import drain_as_leader, live_pilots
from iceprod_tasks.actions.service import Service
from iceprod_tasks.dialects.drove.envelope import Violations
from iceprod_tasks.dialects.drove.handler import READ, WRITE, DroveHandler
from iceprod_tasks.dialects.drove.names import SYSTEM
from iceprod_tasks.dialects.drove.translate import BYTES_A_GB, BYTES_A_MB, executor_id, milliseconds, task_info
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.requirements import TAGGED
from iceprod_tasks.rest.routing import Route, in_lane

ALIVE_SECONDS = 90.0
"""A pilot that was not heard of for longer is not shown: it has missed at least two signs of life."""

_EXECUTOR = '(?P<executor>[A-Za-z0-9_.-]{1,255})'
_CORES_AT_MOST = 65_536
_MEMORY_GB_AT_MOST = 1_000_000_000.0
"""More is no machine, and cores are listed one by one."""
_WHY = 'blacklisted'

Pilot = Mapping[str, Any]


async def executors(service: Service, caller: Caller) -> dict[str, Pilot]:
    """The pilots that were heard of lately, by the id that clients of Drove know.

    Args:
        service: the service.
        caller: who asks.
    """
    # The newest of a name takes the place of one that the same pilot had before.
    return {id_of(pilot): pilot for pilot in await live_pilots(service, caller, ALIVE_SECONDS)}


def id_of(pilot: Pilot) -> str:
    """The id of the executor that a pilot is."""
    return executor_id(str(pilot.get('name') or ''), slots=False) or str(pilot['pilot_id'])


def state_of(pilot: Pilot) -> str:
    """Whether it takes tasks."""
    if pilot.get('drain') is None and pilot.get('state') != 'draining':
        return 'ACTIVE'
    return 'BLACKLIST_REQUESTED' if pilot.get('tasks') else 'BLACKLISTED'


def amounts(pilot: Pilot) -> dict[str, int]:
    """Its cores and its memory in MB, free and used."""
    there, claimed = pilot.get('resources_available') or {}, pilot.get('resources_claimed') or {}
    cores, used_cores = (int(_number(each, 'cpu', _CORES_AT_MOST)) for each in (there, claimed))
    memory, used_memory = (
        int(_number(each, 'memory', _MEMORY_GB_AT_MOST) * BYTES_A_GB / BYTES_A_MB) for each in (there, claimed)
    )
    return {
        'freeCores': max(0, cores - used_cores),
        'usedCores': used_cores,
        'freeMemory': max(0, memory - used_memory),
        'usedMemory': used_memory,
    }


def tags_of(pilot: Pilot) -> list[str]:
    """The words by which tasks choose it."""
    offered = (pilot.get('resources') or {}).get(TAGGED)
    return [str(each) for each in offered] if isinstance(offered, list) else []


class ExecutorsHandler(DroveHandler):
    """All executors."""

    async def get(self) -> None:
        """List them.

        Returns:
            dict: `data` is a list of their ids, hosts, free and used cores and MB, tags and states
        """
        found = await executors(self.service, self.caller)
        self.succeed([
            {
                'executorId': name,
                'hostname': pilot.get('host') or '',
                'port': 0,
                'transportType': 'HTTP',
                **amounts(pilot),
                'tags': tags_of(pilot),
                'state': state_of(pilot),
            }
            for name, pilot in found.items()
        ])  # fmt: skip


class ExecutorHandler(DroveHandler):
    """A single executor."""

    async def get(self, executor: str) -> None:
        """Read it, and the tasks that it runs.

        Args:
            executor (str): its id

        Returns:
            dict: `data` is what is known of it; FAILED with HTTP 200 where there is none
        """
        pilot = (await executors(self.service, self.caller)).get(executor)
        if pilot is None:
            self.fail(f'No such executor {executor}')
            return
        running = running_named(self.service, SYSTEM)
        tasks = [task async for task in running if executor_id(task['pilot']) == executor]
        self.succeed({
            'hostname': pilot.get('host') or '',
            'port': 0,
            'transportType': 'HTTP',
            'updated': milliseconds(pilot['last_update']),
            'state': {'executorId': executor, **_numbered(amounts(pilot))},
            'instances': [],
            'tasks': [task_info(task, secrets=self.sees_secrets) for task in tasks],
            'serviceInstances': [],
            'tags': tags_of(pilot),
            'executorState': state_of(pilot),
            'blacklisted': state_of(pilot) != 'ACTIVE',
        })  # fmt: skip


class _ListHandler(DroveHandler):
    """What changes whether executors take tasks."""

    drains: bool

    async def post(self) -> None:
        """Change it for some executors; what they run goes on.

        Params:
            id: of an executor; repeatable, as often as a query may have arguments

        Returns:
            dict: `data` has `successful` and `failed`, ids
        """
        names = list(dict.fromkeys(self.get_query_arguments('id')))
        if not names:
            raise Violations(['id must be there'])
        found = await executors(self.service, self.caller)
        changed = [name for name in names if name in found and await self._change(str(found[name]['pilot_id']))]
        failed = [name for name in names if name not in changed]
        self.succeed({'successful': changed, 'failed': failed, 'message': _told(changed, failed)})

    async def _change(self, pilot_id: str) -> bool:
        return await drain_as_leader(self.service, self.caller, pilot_id, _WHY, drain=self.drains)


class BlacklistHandler(_ListHandler):
    """Executors that are to take no more tasks."""

    drains = True


class UnblacklistHandler(_ListHandler):
    """Executors that are to take tasks again, as long as they have not left."""

    drains = False


def _told(changed: Sequence[str], failed: Sequence[str]) -> str:
    return f'{len(changed)} changed' + (f', {len(failed)} not found' if failed else '')


def _numbered(amount: Mapping[str, int]) -> dict[str, Any]:
    """Cores by number, and memory, of the one NUMA node that we know of."""
    used, free = amount['usedCores'], amount['freeCores']
    return {
        'cpus': {'freeCores': {'0': list(range(used, used + free))}, 'usedCores': {'0': list(range(used))}},
        'memory': {'freeMemory': {'0': amount['freeMemory']}, 'usedMemory': {'0': amount['usedMemory']}},
    }


def _number(values: Mapping[str, Any], name: str, at_most: float) -> float:
    """A number of those that a pilot says of itself, within what can be shown."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return min(max(float(value), 0.0), at_most)


ROUTES = (
    Route(r'/apis/v1/cluster/executors', ExecutorsHandler, {'get': in_lane('list', READ)}),
    Route(r'/apis/v1/cluster/executors/blacklist', BlacklistHandler, {'post': WRITE}),
    Route(r'/apis/v1/cluster/executors/unblacklist', UnblacklistHandler, {'post': WRITE}),
    Route(rf'/apis/v1/cluster/executors/{_EXECUTOR}', ExecutorHandler, {'get': READ}),
)
