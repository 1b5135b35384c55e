"""Actions on many tasks, in portions: which of them an action leads on, how many there are, and the moving itself.

A portion is found by index and moved by one guarded update; claims and reports go on between two portions, and what
one of them has changed meanwhile no longer matches the guard.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.actions import Action
from iceprod_tasks.domain.statuses import TRANSITIONS, Transition, order
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.tasks import PORTION
from iceprod_tasks.storage.transitions import Note, Stop, untouched, update

_OF_DATASET = 'dataset_status'
_IDS_A_SCOPE = 2000
_JOBS_A_SCOPE = 200
_LEASED = {'lease_until': {'$ne': None}}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which tasks an action is about.

    Args:
        where: their filter.
        hint: the index that leads to them.
        task_ids: their ids, where it is about tasks named one by one.
    """

    where: Filter
    hint: str = _OF_DATASET
    task_ids: Sequence[str] = ()


def scopes(
    dataset_id: str,
    task_ids: Sequence[str] | None = None,
    job_ids: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> list[Scope]:
    """Tasks of a dataset in scopes that one query can hold.

    Args:
        dataset_id: of the dataset.
        task_ids: these tasks only.
        job_ids: the tasks of these jobs only; used when there are no task_ids.
        names: only tasks with one of these names.
    """
    whole: Document = {'dataset_id': dataset_id} | ({} if names is None else {'name': {'$in': list(names)}})
    if task_ids is not None:
        return [Scope({**whole, 'task_id': {'$in': some}}, 'task_id', some) for some in _split(task_ids, _IDS_A_SCOPE)]
    if job_ids is not None:
        return [Scope({**whole, 'job_id': {'$in': some}}, 'job_id') for some in _split(job_ids, _JOBS_A_SCOPE)]
    return [Scope(whole)]


@dataclass(frozen=True, slots=True)
class Part:
    """Tasks that an action leads on in one way.

    Args:
        statuses: in which they are.
        where: what else is so of them.
        transition: the row that carries it out.
        note: what goes with it.
    """

    statuses: Sequence[str]
    transition: Transition
    note: Note
    where: Document = field(default_factory=dict)

    def match(self, scope: Scope, status: str | None = None) -> Document:
        """The filter of its tasks within a scope, of one status where one is given."""
        kept = {**scope.where, **self.where, **untouched(self.note)}
        return {**kept, 'status': {'$in': list(self.statuses)} if status is None else status}


def parts(action: Action, note: Note, grace_seconds: float, before: datetime | None) -> list[Part]:
    """An action as what it does to tasks of different kinds.

    Args:
        action: the action.
        note: who asks, and why.
        grace_seconds: how long a pilot has to stop what it runs.
        before: leave alone what has changed its status since; None where what has been moved stays moved.
    """
    older: Document = {} if before is None else {'status_changed': {'$lt': before}}
    # In the order in which tasks go on: one that does while an action is under way is met further on.
    sources = sorted(action.sources, key=order)
    at_rest = [status for status in sources if not (action.stops and status == 'processing')]
    found = [Part(at_rest, action.transition, note, older)]
    if action.forgives:
        counted = sorted(action.satisfied & action.transition.sources)
        found.append(Part(counted, action.transition, note, {**older, 'failures': {'$gt': 0}}))
    if action.stops:
        asked = replace(note, stop=Stop(action.name, grace_seconds))
        weaker = {'stop.then': {'$nin': sorted({action.name, 'cancel'})}}
        found.append(Part(['processing'], action.transition, note, {'lease_until': None}))
        found.append(Part(['processing'], TRANSITIONS['stop asked'], asked, {**_LEASED, **weaker}))
    if action.withdraws:
        withdrawn = replace(note, sets={'stop': None})
        asked_to: Document = {'stop.then': action.withdraws}
        found.append(Part(['processing'], TRANSITIONS['stop withdrawn'], withdrawn, asked_to))
    return found


class Moves:
    """Moves tasks by actions.

    Args:
        tasks: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, tasks: Collection, kinds: Kinds) -> None:
        self._tasks = tasks
        self._kinds = kinds

    async def now(self) -> datetime:
        """The primary's clock."""
        return await self._tasks.primary_time()

    async def count_statuses(self, scope: Scope) -> dict[str, int]:
        """The tasks of a scope a status."""
        pipeline: list[Document] = [
            {'$match': scope.where},
            # Sorting first lets MongoDB group straight from the index of a dataset.
            *([{'$sort': {'status': 1}}] if scope.hint == _OF_DATASET else []),
            {'$group': {'_id': '$status', 'count': {'$sum': 1}}},
        ]
        async with self._tasks.patience():
            rows = self._tasks.aggregate(pipeline, hint=scope.hint)
            return {row['_id']: row['count'] async for row in rows}

    async def count(self, scope: Scope, part: Part) -> int:
        """The tasks of a scope that belong to a part."""
        async with self._tasks.patience():
            return await self._tasks.count(part.match(scope), hint=scope.hint)

    async def some(self, scope: Scope, statuses: Sequence[str], limit: int) -> list[Document]:
        """Some tasks of a scope in some statuses: task_id and status."""
        where = {**scope.where, 'status': {'$in': list(statuses)}}
        fields = {'_id': False, 'task_id': True, 'status': True}
        return [task async for task in self._tasks.find(where, fields, limit=limit, hint=scope.hint)]

    async def missing(self, scope: Scope) -> list[str]:
        """Those of a scope's task ids that no task of it has."""
        found = self._tasks.find(scope.where, {'_id': False, 'task_id': True}, batch_size=5000, hint=scope.hint)
        known = {task['task_id'] async for task in found}
        return [task_id for task_id in scope.task_ids if task_id not in known]

    async def portion(
        self, scope: Scope, part: Part, status: str, after: Any, limit: int | None = None
    ) -> list[Document]:
        """The next tasks of a part in a status, behind an `_id` where one is given: `_id`, task_id and job_id."""
        where = part.match(scope, status) | ({} if after is None else {'_id': {'$gt': after}})
        fields = {'task_id': True, 'job_id': True}
        found = self._tasks.find(where, fields, sort=[('_id', 1)], limit=limit or PORTION, hint=scope.hint)
        return [task async for task in found]

    async def move(self, scope: Scope, part: Part, portion: Sequence[Document]) -> int:
        """Move those tasks of a portion that still belong to the part; how many there were."""
        where = part.match(scope) | {'_id': {'$in': [task['_id'] for task in portion]}}
        async with self._tasks.patience():
            moved = await self._tasks.update_many(where, update(part.transition, part.note), hint='_id_')
        self._kinds.forget_after(part.transition)
        return moved


def _split(ids: Sequence[str], size: int) -> list[list[str]]:
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]
