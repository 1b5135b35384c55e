"""Moving tasks that are named one by one, a portion at a time, so that it is known which of them moved, and from where.

A portion is read first. Then its tasks of each status are moved by one update, guarded by exactly that status. Where it
matches as many as were read, all is known. Else some of them were moved by others in between: what the update has left
its mark on is ours, and the rest is read again.
"""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from iceprod_tasks.domain.statuses import Transition
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.transitions import Note, guard, touched, untouched, update

PORTION = 300
"""Tasks moved by one update: more would keep claims waiting."""

_PASSES = 3
_READ = dict.fromkeys(('task_id', 'dataset_id', 'job_id', 'name', 'status', 'managed'), True)
# Whether there are any decides the target of some transitions.
_ONE_DEPENDENCY = {'depends': {'$slice': 1}}


class Move(NamedTuple):
    """One kind of move: of the tasks with a name in a dataset, from a status to another or the same one."""

    dataset_id: str
    name: str
    source: str
    target: str


@dataclass(slots=True)
class Moved:
    """What has been moved.

    Args:
        tasks: task_id, dataset_id, job_id, name and managed of each, and status, which is the one it had before.
        kinds: how many there are of each kind of move.
    """

    tasks: list[Document] = field(default_factory=list)
    kinds: Counter[Move] = field(default_factory=Counter)


async def move(
    tasks: Collection, transition: Transition, note: Note, task_ids: Sequence[str], dataset_id: str | None = None
) -> Moved:
    """Carry out a transition on those of some tasks that may.

    Args:
        tasks: the collection `tasks`.
        transition: a row of the table.
        note: what goes with it; a request that it names moves no task twice.
        task_ids: of the tasks, a portion of them.
        dataset_id: only those of this dataset.
    """
    moving = _Moving(tasks, transition, note, dataset_id)
    left = list(task_ids)
    for _ in range(_PASSES):
        left = await moving.guarded(left)
        if not left:
            return moving.moved
    await moving.unguarded(left)
    return moving.moved


class _Moving:
    def __init__(self, tasks: Collection, transition: Transition, note: Note, dataset_id: str | None) -> None:
        self._tasks = tasks
        self._transition = transition
        # Who has moved a task shows in its log; so a move that nobody will repeat has a name too.
        self._note = note if note.request else replace(note, request=secrets.token_hex(6))
        self._change = update(transition, self._note)
        self._within: Document = {} if dataset_id is None else {'dataset_id': dataset_id}
        self._mine = touched(self._note.request)
        self.moved = Moved()

    async def guarded(self, task_ids: list[str]) -> list[str]:
        """Move tasks, each group by its status; the ids of those that somebody else has moved meanwhile."""
        groups: dict[str, list[Document]] = defaultdict(list)
        for task in await self._find(self._movable(task_ids), _READ, hint='task_id'):
            groups[task['status']].append(task)
        lost: list[str] = []
        for status, group in groups.items():
            among = {'_id': {'$in': [task['_id'] for task in group]}}
            count = await self._update({**among, 'status': status, **untouched(self._note)}, hint='_id_')
            if count == len(group):
                self._add(group)
            else:
                ours = {task['_id'] for task in await self._find({**among, **self._mine}, {'_id': True}, hint='_id_')}
                self._add(task for task in group if task['_id'] in ours)
                lost += [task['task_id'] for task in group if task['_id'] not in ours]
        return lost

    async def unguarded(self, task_ids: list[str]) -> None:
        """Move tasks whatever status they have by then, which their logs tell afterwards."""
        await self._update(self._movable(task_ids), hint='task_id')
        entry = {**_READ, 'log': {'$elemMatch': {'request': self._note.request}}}
        found = await self._find({'task_id': {'$in': task_ids}, **self._mine}, entry, hint='task_id')
        self._add({**task, 'status': task['log'][0]['from']} for task in found)

    def _movable(self, task_ids: list[str]) -> Document:
        return {**guard(self._transition), 'task_id': {'$in': task_ids}, **self._within, **untouched(self._note)}

    def _add(self, tasks: Iterable[Document]) -> None:
        for task in tasks:
            self.moved.tasks.append(task)
            target = self._target(task)
            self.moved.kinds[Move(task['dataset_id'], task['name'], task['status'], target)] += 1

    def _target(self, task: Document) -> str:
        blocked = self._transition.blocked_target
        return blocked if blocked is not None and task.get('depends') else self._transition.target

    async def _find(self, where: Document, fields: Document, hint: str) -> list[Document]:
        if self._transition.blocked_target is not None:
            fields = {**fields, **_ONE_DEPENDENCY}
        return [task async for task in self._tasks.find(where, fields, hint=hint)]

    async def _update(self, where: Document, hint: str) -> int:
        async with self._tasks.patience():
            return await self._tasks.update_many(where, self._change, hint=hint)
