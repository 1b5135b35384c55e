"""Leases: how long a claim holds, and taking tasks from pilots whose time is over.

All times are the primary's. What is over is found by index, and taken by an update whose filter says once more that it
is: a heartbeat or a report may come between, and so may another process.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.statuses import TRANSITIONS, Transition
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.transitions import Note, update

PORTION = 300
"""Tasks taken by one update: more would keep claims waiting."""

_UNLEASED_AT_ONCE = 1000
_DEFAULT_HOURS = 1.0
_LONGEST_HOURS = 100_000.0
_TASK = dict.fromkeys(('task_id', 'job_id', 'dataset_id', 'managed'), True)

# The type keeps out tasks without a lease, which a bare comparison would take for over.
LEASE_OVER: Filter = {
    'status': 'processing',
    'lease_until': {'$type': 'date'},
    '$expr': {'$lte': ['$lease_until', '$$NOW']},
}
"""The filter of tasks whose lease is over."""

STOP_OVERDUE: Filter = {
    'status': 'processing',
    'stop.deadline': {'$exists': True},
    '$expr': {'$lte': ['$stop.deadline', '$$NOW']},
}
"""The filter of tasks that were asked to stop and have not done it in time."""

_UNLEASED: Document = {'status': 'processing', 'lease_until': None}


def renewed(lease_seconds: float) -> Document:
    """When the lease of a claim is over that is heard of now: never earlier than before.

    Work that was asked to stop gets no more time than that.

    Args:
        lease_seconds: the lease of a claim that has none of its own.
    """
    lease_ms = {'$multiply': [{'$ifNull': ['$lease_seconds', lease_seconds]}, 1000]}
    return {'$max': ['$lease_until', {'$min': [{'$add': ['$$NOW', lease_ms]}, '$stop.deadline']}]}


def silent(grace_seconds: float) -> Document:
    """The filter of tasks without a lease that had the time they need, and some more.

    Args:
        grace_seconds: how much more.
    """
    return {**_UNLEASED, '$expr': _silent(grace_seconds)}


def _silent(grace_seconds: float) -> Document:
    # Whatever stands there, this is a number: one odd task must not hold up all others.
    hours = {'$min': [{'$max': [{'$ifNull': ['$requirements.time', _DEFAULT_HOURS]}, 0]}, _LONGEST_HOURS]}
    allowed_ms = {'$add': [{'$multiply': [hours, 3_600_000]}, round(grace_seconds * 1000)]}
    return {'$lte': ['$status_changed', {'$subtract': ['$$NOW', allowed_ms]}]}


class Leases:
    """Takes tasks back.

    Args:
        tasks: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, tasks: Collection, kinds: Kinds) -> None:
        self._tasks = tasks
        self._kinds = kinds

    async def over(self, *, named: bool = True) -> list[Document]:
        """Tasks of `LEASE_OVER`, up to a portion, the longest over first.

        Args:
            named: those that operations are about, too.
        """
        where = LEASE_OVER if named else {**LEASE_OVER, 'external': None}
        found = self._tasks.find(where, _TASK, sort=[('lease_until', 1)], limit=PORTION, hint='lease_until')
        return [task async for task in found]

    async def overdue(self) -> list[Document]:
        """Tasks of `STOP_OVERDUE`, up to a portion."""
        return [task async for task in self._tasks.find(STOP_OVERDUE, _TASK, limit=PORTION, hint='stop')]

    async def silent(self, grace_seconds: float, after: Any) -> tuple[list[Document], Any]:
        """Tasks of `silent` among the next ones without a lease, behind an `_id`.

        Those that are over are not found by index: how long they may take is their own. So no more than a portion is
        looked at, and the next look goes on from there.

        Returns:
            The tasks; and the `_id` behind which the next look begins, None for the beginning.
        """
        where = _UNLEASED | ({} if after is None else {'_id': {'$gt': after}})
        fields = {**_TASK, 'silent': _silent(grace_seconds)}
        found = self._tasks.find(where, fields, sort=[('_id', 1)], limit=_UNLEASED_AT_ONCE, hint='unleased')
        seen = [task async for task in found]
        behind = seen[-1]['_id'] if len(seen) == _UNLEASED_AT_ONCE else None
        return [task for task in seen if task['silent']], behind

    async def take(self, tasks: Sequence[Mapping[str, Any]], transition: Transition, where: Filter, note: Note) -> int:
        """Carry out a transition on those of some tasks that it is still for.

        Args:
            tasks: the tasks.
            transition: a row of `fates`.
            where: its filter, and the one by which the tasks were found.
            note: what goes with it.

        Returns:
            How many there were.
        """
        among = {'_id': {'$in': [task['_id'] for task in tasks]}}
        taken = await self._tasks.update_many({'$and': [among, where]}, update(transition, note), hint='_id_')
        self._kinds.forget_after(transition)
        return taken


def fates(max_evictions: int) -> list[tuple[Transition, Document]]:
    """What becomes of tasks that are taken from their pilots: rows of the table, and of which tasks each is the one.

    Args:
        max_evictions: with so many a task is lost, unless it says a number of its own.
    """
    evictions = [{'$ifNull': ['$evictions', 0]}, {'$ifNull': ['$max_evictions', max_evictions]}]
    return [
        (TRANSITIONS['suspend'], {'stop.then': 'suspend'}),
        (TRANSITIONS['cancel'], {'stop.then': 'cancel'}),
        (TRANSITIONS['lose'], {'stop': None, '$expr': {'$gte': evictions}}),
        (TRANSITIONS['rescue'], {'stop': None, '$expr': {'$lt': evictions}}),
    ]
