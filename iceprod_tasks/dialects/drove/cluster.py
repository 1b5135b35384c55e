"""The cluster: whether it answers, what there is of it, what has happened, and maintenance."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.maintain import is_on, set_maintenance
from iceprod_tasks.actions.named import count_named, time_of_names
from iceprod_tasks.dialects.drove import specs
from iceprod_tasks.dialects.drove.envelope import Violations
from iceprod_tasks.dialects.drove.executors import amounts, executors, state_of, tags_of
from iceprod_tasks.dialects.drove.handler import READ, WRITE, DroveHandler
from iceprod_tasks.dialects.drove.names import SYSTEM
from iceprod_tasks.dialects.drove.translate import milliseconds
from iceprod_tasks.domain.requirements import TAGGED, fits
from iceprod_tasks.rest.routing import Route, in_lane

_INSTANCES_AT_MOST = 10_000


class PingHandler(DroveHandler):
    """Whether this service leads: nobody else answers with 200."""

    async def get(self) -> None:
        """Say so.

        Returns:
            dict: `data` is 'pong'
        """
        self.succeed('pong')


class ClusterHandler(DroveHandler):
    """The cluster as numbers."""

    async def get(self) -> None:
        """Read them.

        Returns:
            dict: `data` has leader, state, how many executors, applications and active tasks, cores and MB
        """
        found = (await executors(self.service, self.caller)).values()
        each = [amounts(pilot) for pilot in found]
        total = {
            name: sum(one[name] for one in each) for name in ('freeCores', 'usedCores', 'freeMemory', 'usedMemory')
        }
        apps, active_apps, active = await count_named(self.service, SYSTEM)
        self.succeed({
            'leader': self.service.leadership.name,
            'state': _state(is_on=await is_on(self.service)),
            'numExecutors': len(each),
            'numApplications': apps,
            'numActiveApplications': active_apps,
            'numActiveTasks': active,
            'numLocalServices': 0,
            'numActiveLocalServices': 0,
            **total,
            'totalCores': total['freeCores'] + total['usedCores'],
            'totalMemory': total['freeMemory'] + total['usedMemory'],
        })  # fmt: skip


class EndpointsHandler(DroveHandler):
    """Where applications can be reached: there are none."""

    async def get(self) -> None:
        """List them.

        Returns:
            dict: `data` is an empty list
        """
        self.succeed([])


class _MaintenanceHandler(DroveHandler):
    """What begins and ends maintenance."""

    sets: bool

    async def post(self) -> None:
        """Begin or end it. While it goes on operations are refused, and no task is lost or forgotten.

        Returns:
            dict: `data` has `state` and `updated`
        """
        await set_maintenance(self.service, self.caller, is_on=self.sets)
        now = await time_of_names(self.service)
        self.succeed({'state': _state(is_on=self.sets), 'updated': milliseconds(now)})


class MaintenanceSetHandler(_MaintenanceHandler):
    """Maintenance begins."""

    sets = True


class MaintenanceUnsetHandler(_MaintenanceHandler):
    """Maintenance ends."""

    sets = False


class SimulationHandler(DroveHandler):
    """Which executors would take tasks."""

    only_reads = True

    async def post(self) -> None:
        """Say which executors have room now for tasks like one; nothing is placed.

        Params (optional):
            detail: true lists them

        Body args (json):
            spec (dict): of the task
            numInstances (int): (optional) how many of them, 1 unless told
            placementPolicy (dict): (optional) in place of that of the task

        Returns:
            dict: `data` has `requested`, `placed`, `errors` (texts), and `placements`
        """
        body = self.given()
        spec = body.get('spec')
        if not isinstance(spec, dict):
            raise Violations(['spec must not be null'])
        policy = body.get('placementPolicy')
        wanted = specs.task_spec(spec if policy is None else {**spec, 'placementPolicy': policy})
        number = body.get('numInstances', 1)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _INSTANCES_AT_MOST:
            raise Violations([f'numInstances must be from 1 to {_INSTANCES_AT_MOST}'])
        needs = dict(wanted.requirements) | ({'container': True} if wanted.work.image else {})
        placed = _placed(await executors(self.service, self.caller), needs, number)
        missing = number - len(placed)
        errors = [f'{missing} of {number} find no executor that has room and fits'] if missing else []
        told = {'requested': number, 'placed': len(placed), 'errors': errors}
        self.succeed({**told, 'placements': placed if self.boolean('detail') else []})


def _placed(found: Mapping[str, Any], needs: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    for name, pilot in found.items():
        offer = pilot.get('resources') or {}
        if state_of(pilot) != 'ACTIVE' or not fits(needs, {**offer, TAGGED: tags_of(pilot)}):
            continue
        room = amounts(pilot)['freeCores'] // max(1, int(offer.get('cpu') or 1))
        place = {'executorId': name, 'hostname': pilot.get('host') or '', 'port': 0, 'executorState': 'ACTIVE'}
        placed += [place] * max(0, min(room, number - len(placed)))
    return placed


def _state(*, is_on: bool) -> str:
    return 'MAINTENANCE' if is_on else 'NORMAL'


ROUTES = (
    Route(r'/apis/v1/ping', PingHandler, {'get': READ}),
    Route(r'/apis/v1/cluster', ClusterHandler, {'get': READ}),
    Route(r'/apis/v1/endpoints', EndpointsHandler, {'get': READ}),
    Route(r'/apis/v1/cluster/maintenance/set', MaintenanceSetHandler, {'post': WRITE}),
    Route(r'/apis/v1/cluster/maintenance/unset', MaintenanceUnsetHandler, {'post': WRITE}),
    Route(r'/apis/v1/cluster/placement/simulate', SimulationHandler, {'post': in_lane('read', READ)}, bulk=True),
)
