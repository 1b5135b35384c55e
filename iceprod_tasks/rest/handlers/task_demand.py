"""What waits to be run, for those who start pilots."""

from iceprod_tasks.actions.demand import demand
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import PILOTS, Route


class TaskDemandHandler(Handler):
    """What the tasks need that are to be run."""

    async def get(self) -> None:
        """Count the tasks that are to be run, by what they need.

        Tasks that run already are left out, and so are those that wait for others. Numbers of waiting and of queued
        tasks end at 1000: that many or more.

        Returns:
            dict: {'demand': [kind]}, each with requirements, the least that any of its tasks needs, or null where they
            may need anything; and the numbers waiting, queued, and unmade: described by a config and not made yet
        """
        self.answer({'demand': await demand(self.service)})


ROUTES = (Route(r'/task_demand', TaskDemandHandler, {'get': PILOTS}),)
