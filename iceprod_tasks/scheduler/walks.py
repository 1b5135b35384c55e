"""Walks over the tasks of datasets whose base has changed, a bounded portion at a time.

Where a walk stands is known to this process only. Losing it does no harm: the dataset's versions say that a walk is
due, and a task that has its priority already is not written again. So walks of several processes do not disturb each
other either.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.priorities import priority

# With 1000, claims had to wait for 100 ms at times; with 250, a walk took nearly twice as long.
_TASKS_AT_ONCE = 500
_TASKS_A_TURN = 5000


@dataclass(slots=True)
class _Walk:
    """Where a walk stands.

    Args:
        version: of the base that it began with.
        began: the `_id` behind which it began; None for the first task.
        after: the `_id` behind which it goes on.
        around: whether it has come to the end and goes on from the first task.
    """

    version: int
    began: Any = None
    after: Any = None
    around: bool = False

    def turn_to(self, version: int) -> None:
        """Begin anew where it stands: with a base that changes often, the last tasks have their turn too."""
        if version != self.version:
            self.version, self.began, self.around = version, self.after, False

    def step(self, last: Any) -> bool:
        """Go on behind a task, or None when there is none left on this way; whether the walk is through."""
        if last is not None:
            self.after = last
            return False
        through = self.around or self.began is None
        self.after, self.around = None, True
        return through


class Walks:
    """The walks of this process.

    Args:
        service: what they work with.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._walks: dict[str, _Walk] = {}

    async def go_on(self) -> int:
        """Look at some thousands of tasks; how many priorities were changed or walks ended."""
        behind = {each['dataset_id']: each async for each in self._service.store.weights.behind()}
        self._walks = {dataset_id: walk for dataset_id, walk in self._walks.items() if dataset_id in behind}
        for dataset_id, dataset in behind.items():
            self._walks.setdefault(dataset_id, _Walk(dataset['base_version'])).turn_to(dataset['base_version'])
        changed = 0
        for _ in range(_TASKS_A_TURN // _TASKS_AT_ONCE):
            if not self._walks:
                break
            # One portion each, so that small datasets do not wait for large ones.
            dataset_id = next(iter(self._walks))
            walk = self._walks.pop(dataset_id)
            written, through = await self._portion(walk, behind[dataset_id])
            changed += written
            if through:
                changed += await self._service.store.weights.applied(dataset_id, walk.version)
            else:
                self._walks[dataset_id] = walk
            await asyncio.sleep(0)
        return changed

    async def _portion(self, walk: _Walk, dataset: Mapping[str, Any]) -> tuple[int, bool]:
        """Rewrite the next tasks; how many, and whether the walk is through."""
        weights, dataset_id, base = self._service.store.weights, dataset['dataset_id'], dataset['base_priority']
        until = walk.began if walk.around else None
        tasks = await weights.tasks(dataset_id, walk.after, until, _TASKS_AT_ONCE)
        stale = [
            task['_id']
            for task in tasks
            if task.get('weighed') and task['priority'] != priority(base, task['priority_offset'])
        ]
        written = 0
        if stale:
            written = await weights.rewrite(stale, base)
            # Another process may have been through with a newer base before this was written.
            await weights.written_with(dataset_id, base)
        last = tasks[-1]['_id'] if len(tasks) == _TASKS_AT_ONCE else None
        return written, walk.step(last)
