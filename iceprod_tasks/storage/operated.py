"""Tasks as operations see them: by their names outside, and written in transactions.

The guard of each update says what the task must be; a claim or a report that comes between makes MongoDB try the
transaction again, which then meets the task as it has become.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from iceprod_tasks.domain.operations import ENDED, UNCLAIMED
from iceprod_tasks.domain.signatures import signature
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.storage.client import Collection, Document, Session
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.transitions import Note, guard, update

BELONGINGS = ('files', 'messages', 'logs', 'task_stats', 'outputs', 'node_results')
"""The collections whose documents name their task."""

_HIDDEN = {'_id': False}
_READ_AT_ONCE = 500
_UNSEEN = {**_HIDDEN, **dict.fromkeys(('log', 'messages', 'was', 'claims'), False)}
_UNTOLD = {**_HIDDEN, **dict.fromkeys(('messages', 'was', 'claims'), False)}
_NAMED: Document = {'external.app': {'$exists': True}}
_CANCEL = TRANSITIONS['cancel']


class Operated:
    """Tasks that operations are about.

    Args:
        tasks: the collection `tasks`.
        belongings: the collections of `BELONGINGS`.
        kinds: of the tasks.
    """

    def __init__(self, tasks: Collection, belongings: Mapping[str, Collection], kinds: Kinds) -> None:
        self._tasks = tasks
        self._belongings = belongings
        self._kinds = kinds

    async def find(self, external: Mapping[str, str], session: Session = None) -> Document | None:
        """The task with a name outside: {system, app, id}; without its messages."""
        where = {f'external.{key}': external[key] for key in ('system', 'app', 'id')}
        found: Document | None = await self._tasks.find_one(where, _UNTOLD, session=session)
        return found

    def active(self, system: str, app: str | None = None) -> AsyncIterator[Document]:
        """The tasks with names of a system that have not ended, oldest first, a batch in memory at a time.

        Args:
            system: of the names.
            app: only those of this application.
        """
        where = {'external.system': system, 'status': {'$in': [*UNCLAIMED, 'processing']}}
        if app is not None:
            return self._tasks.find({**where, 'external.app': app}, _UNSEEN, hint='external', batch_size=_READ_AT_ONCE)
        # The system says that it has an app, too; MongoDB cannot know that.
        return self._tasks.find({**where, **_NAMED}, _UNSEEN, hint='named_by_status', batch_size=_READ_AT_ONCE)

    def changed(self, system: str, since_ms: int) -> AsyncIterator[Document]:
        """The tasks with names of a system that have changed since a time, the last one first.

        Args:
            system: of the names.
            since_ms: milliseconds since 1970.
        """
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        where = {'external.system': system, **_NAMED, 'updated': {'$gte': since}}
        order = {'sort': [('updated', -1)], 'hint': 'named_by_update'}
        return self._tasks.find(where, _UNTOLD, batch_size=_READ_AT_ONCE, **order)

    async def sizes(self, system: str) -> tuple[int, int, int]:
        """How many applications have tasks, how many have some that have not ended, and how many such tasks are."""
        active = {'$cond': [{'$in': ['$status', list(ENDED)]}, 0, 1]}
        pipeline: list[Document] = [
            {'$match': {'external.system': system, **_NAMED}},
            {'$group': {'_id': '$external.app', 'active': {'$sum': active}}},
        ]
        found = [row['active'] async for row in self._tasks.aggregate(pipeline, hint='external')]
        return len(found), sum(map(bool, found)), sum(found)

    def running(self, system: str) -> AsyncIterator[Document]:
        """The tasks with names of a system that pilots hold, a batch in memory at a time."""
        where = {'external.system': system, **_NAMED, 'status': 'processing'}
        return self._tasks.find(where, _UNSEEN, hint='named_by_status', batch_size=_READ_AT_ONCE)

    async def admitted(self, task: Document) -> Document:
        """A new task with the signature under which it may be queued; see `Admission`."""
        return {**task, 'signature': await self._kinds.admission.admitted(task['signature'])}

    async def add(self, task: Document, session: Session) -> None:
        """Store a new task, which is `admitted`.

        Raises:
            Duplicate: another one has its name.
        """
        # The driver puts an `_id` into what it stores; a transaction that is tried again must not find that.
        await self._tasks.insert_one(dict(task), session=session)
        self._kinds.forget()

    async def cancel(self, task_id: str, note: Note, session: Session, *, epoch: int | None = None) -> int:
        """Cancel a task that nobody holds by a lease; 1 if it was.

        Args:
            task_id: of the task.
            note: what goes with it.
            session: of the transaction.
            epoch: only while it has had no claim since this one.
        """
        free = {'$or': [{'status': {'$in': list(UNCLAIMED)}}, {'lease_until': None}]}
        same = {} if epoch is None else {'epoch': epoch}
        where = {'task_id': task_id, **guard(_CANCEL), **free, **same}
        return await self._tasks.update_one(where, update(_CANCEL, note), session=session)

    async def ask_to_stop(self, task_id: str, note: Note, session: Session) -> int:
        """Have the pilot that holds a task asked to stop, unless it is; 1 if it is now.

        Args:
            task_id: of the task.
            note: what goes with it, a `stop` too.
            session: of the transaction.
        """
        held = {'status': 'processing', 'lease_until': {'$ne': None}, 'stop.then': {'$ne': 'cancel'}}
        where = {'task_id': task_id, **held}
        return await self._tasks.update_one(where, update(TRANSITIONS['stop asked'], note), session=session)

    async def states(self, task_ids: Sequence[str], session: Session = None) -> dict[str, Document]:
        """The status and the epoch of those of some tasks that exist."""
        fields = {**_HIDDEN, 'task_id': True, 'status': True, 'epoch': True}
        found = await self._tasks.all({'task_id': {'$in': list(task_ids)}}, fields, hint='task_id', session=session)
        return {task['task_id']: task for task in found}

    async def once_claimed(self, after: Any, limit: int) -> list[Document]:
        """Tasks that wait for another claim after one that has ended, behind an `_id`."""
        where = {**_NAMED, 'status': {'$in': ['waiting', 'queued']}, 'epoch': {'$gt': 0}}
        where |= {} if after is None else {'_id': {'$gt': after}}
        fields = {'task_id': True, 'external': True, 'epoch': True}
        return await self._tasks.all(where, fields, sort=[('_id', 1)], limit=limit, hint='named_by_status')

    async def boxed(self, seconds: float, limit: int) -> list[Document]:
        """Tasks that have been queued for some seconds and want a pilot with containers: task_id and requirements."""
        since = {'$lte': ['$status_changed', {'$subtract': ['$$NOW', round(seconds * 1000)]}]}
        where = {**_NAMED, 'status': 'queued', 'requirements.container': True, '$expr': since}
        fields = {**_HIDDEN, 'task_id': True, 'requirements': True}
        return await self._tasks.all(where, fields, limit=limit, hint='named_by_status')

    async def to_forget(self, keep_seconds: float, limit: int) -> list[Document]:
        """Tasks that have ended for so long that nobody has to know of them any more, on the primary's clock.

        Args:
            keep_seconds: how long those are kept that say nothing of it.
            limit: how many at the most.
        """
        kept_ms = {'$multiply': [{'$ifNull': ['$keep_seconds', keep_seconds]}, 1000]}
        over = {'$lte': ['$status_changed', {'$subtract': ['$$NOW', kept_ms]}]}
        where = {**_NAMED, 'status': {'$in': list(ENDED)}, '$expr': over}
        return await self._tasks.all(where, _HIDDEN, limit=limit, hint='named_by_status')

    async def unbox(self, task_id: str, requirements: Mapping[str, Any], session: Session) -> int:
        """Give a task that waits other requirements; 1 if it still does."""
        signed = {
            'requirements': dict(requirements),
            'signature': await self._kinds.admission.admitted(signature(requirements)),
        }
        where = {'task_id': task_id, 'status': 'queued'}
        changed = [{'$set': {**{name: {'$literal': value} for name, value in signed.items()}, 'updated': '$$NOW'}}]
        done = await self._tasks.update_one(where, changed, session=session)
        self._kinds.forget()
        return done

    async def remove(self, task: Mapping[str, Any], session: Session) -> int:
        """Remove a task that has ended, and what it has left elsewhere; 1 if there was one."""
        where = {'task_id': task['task_id'], 'status': {'$in': list(ENDED)}}
        if not await self._tasks.delete_many(where, session=session):
            return 0
        for part in self._belongings.values():
            await part.delete_many({'dataset_id': task['dataset_id'], 'task_id': task['task_id']}, session=session)
        return 1
