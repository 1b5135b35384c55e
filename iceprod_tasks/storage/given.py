"""Given: what reports tell the scheduler of tasks that this process has given away, remembered, so as not to be read.

Nothing of it changes while a claim lasts, and whether the claim lasts is decided in the database.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

LEFT = ('task_id', 'job_id', 'dataset_id', 'status', 'managed', 'epoch', 'name')
"""What the scheduler has to know of a task after a report."""

_AT_MOST = 10_000


class Given:
    """The claims of this process that may still be open."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def keep(self, task: Mapping[str, Any]) -> None:
        """Remember a task that was given to a claim."""
        self._tasks[task['claim_id']] = {name: task.get(name) for name in LEFT}
        if len(self._tasks) > _AT_MOST:
            self._tasks.popitem(last=False)

    def take(self, claim_id: str, task_id: str, status: str) -> dict[str, Any] | None:
        """What is left of a task once its claim is closed; None where this process does not know.

        Args:
            claim_id: of the claim.
            task_id: of the task.
            status: that it has now.
        """
        task = self._tasks.pop(claim_id, None)
        return {**task, 'status': status} if task is not None and task['task_id'] == task_id else None
