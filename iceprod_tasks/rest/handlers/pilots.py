"""Pilots and grids, as they describe themselves. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import register
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import ID, OPERATORS, PILOTS, REGISTERED, Route, in_lane

PILOT = rf'(?P<pilot_id>{ID})'
GRID = rf'(?P<grid_id>{ID})'
_FILTERS = ('queue_host', 'queue_version', 'host', 'version')


class MultiPilotsHandler(Handler):
    """All pilots."""

    async def get(self) -> None:
        """List them, oldest first. A pilot sees its own entries.

        Params (optional):
            queue_host, queue_version, host, version: with this value
            keys: fields to show beside pilot_id, with | between them; all when absent

        Returns:
            dict: {pilot_id: pilot}
        """
        equal = {name: value for name in _FILTERS if (value := self.argument(name))}
        found = register.list_pilots(self.service, self.caller, equal, self.keys())
        await self.stream(self.as_dict(found, 'pilot_id'))

    async def post(self) -> None:
        """Register a pilot. Claims do not need it.

        Body args (json):
            queue_host (str): where it was submitted
            queue_version (str): of the program that submitted it
            resources (dict): what was asked for it
            tasks (list), host, site, version, grid_queue_id (str): (optional)
            resources_available, resources_claimed (dict): (optional)

        Returns:
            dict: {'result': pilot_id}, with status 201
        """
        pilot_id = await register.register_pilot(self.service, self.caller, self.body('pilot'), self.origin)
        self.answer({'result': pilot_id}, 201)


class PilotsHandler(Handler):
    """A single pilot."""

    async def get(self, pilot_id: str) -> None:
        """Read it.

        Args:
            pilot_id (str): the pilot id

        Returns:
            dict: the pilot
        """
        self.answer(await register.read_pilot(self.service, self.caller, pilot_id))

    async def patch(self, pilot_id: str) -> None:
        """Merge fields into it, which also is its sign of life.

        Body: fields to set; all but pilot_id, registered_by, submit_date, last_update and drain.

        Args:
            pilot_id (str): the pilot id

        Returns:
            dict: the pilot after it
        """
        self.answer(await register.update_pilot(self.service, self.caller, pilot_id, self.body('pilot_patch')))

    async def delete(self, pilot_id: str) -> None:
        """Remove it.

        Args:
            pilot_id (str): the pilot id

        Returns:
            dict: empty
        """
        await register.unregister_pilot(self.service, self.caller, pilot_id)
        self.answer({})


class PilotsDrainHandler(Handler):
    """Whether a pilot takes tasks."""

    async def put(self, pilot_id: str) -> None:
        """Order it to take no more tasks, end what it runs and leave; or take the order back.

        Body args (json):
            drain (bool): false takes the order back
            reason (str): (optional) why

        Args:
            pilot_id (str): the pilot id

        Returns:
            dict: the pilot after it; `drain` has who, why and when
        """
        body = self.body('pilot_drain')
        why = body.get('reason', '')
        self.answer(await register.drain_pilot(self.service, self.caller, pilot_id, why, drain=body['drain']))


class MultiGridsHandler(Handler):
    """All grids: the programs that submit pilots to a batch system."""

    async def get(self) -> None:
        """List them, oldest first.

        Returns:
            dict: {grid_id: grid}
        """
        await self.stream(self.as_dict(register.list_grids(self.service), 'grid_id'))

    async def post(self) -> None:
        """Register a grid.

        Body args (json):
            host (str): where it runs
            queues (dict): name to kind
            version (str): of the program
            debug (bool): (optional)

        Returns:
            dict: {'result': grid_id}, with status 201
        """
        self.answer({'result': await register.register_grid(self.service, self.body('grid'), self.origin)}, 201)


class GridsHandler(Handler):
    """A single grid."""

    async def get(self, grid_id: str) -> None:
        """Read it.

        Args:
            grid_id (str): the grid id

        Returns:
            dict: the grid
        """
        self.answer(await register.read_grid(self.service, grid_id))

    async def patch(self, grid_id: str) -> None:
        """Merge fields into it.

        Body: fields to set; all but grid_id, start_date and last_update.

        Args:
            grid_id (str): the grid id

        Returns:
            dict: the grid after it
        """
        self.answer(await register.update_grid(self.service, grid_id, self.body('grid_patch')))


ROUTES = (
    Route(r'/pilots', MultiPilotsHandler, {'get': in_lane('list', REGISTERED), 'post': PILOTS}, keyed='post'),
    Route(rf'/pilots/{PILOT}', PilotsHandler, {'get': REGISTERED, 'patch': REGISTERED, 'delete': REGISTERED}),
    Route(rf'/pilots/{PILOT}/drain', PilotsDrainHandler, {'put': OPERATORS}),
    Route(r'/grids', MultiGridsHandler, {'get': OPERATORS, 'post': OPERATORS}, keyed='post'),
    Route(rf'/grids/{GRID}', GridsHandler, {'get': OPERATORS, 'patch': OPERATORS}),
)
