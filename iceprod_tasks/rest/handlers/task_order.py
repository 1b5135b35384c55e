"""Which tasks come next, and why."""

from iceprod_tasks.actions.rank import rank
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import PEOPLE, Route

_SHOWN_TASKS = 10


class TaskOrderHandler(Handler):
    """The tasks that come next."""

    async def get(self) -> None:
        """List the next tasks in the order in which they would be handed out if they all fitted.

        Queued tasks come first, then waiting ones, each the best first. A user sees tasks of datasets that they may
        read.

        Params (optional):
            limit: how many, 1 to 100; 10 when absent
            dataset_id: of this dataset only; a user needs read permission on it

        Returns:
            dict: {'tasks': [task]}, each with task_id, dataset_id, name, job_index, task_index, status, priority, and
            factors: numbers that add up to the priority, or null when the task keeps a priority of its own
        """
        limit = self.integer('limit')
        number = _SHOWN_TASKS if limit is None else limit
        self.answer({'tasks': await rank(self.service, self.caller, number, self.argument('dataset_id'))})


ROUTES = (Route(r'/task_order', TaskOrderHandler, {'get': PEOPLE}),)
