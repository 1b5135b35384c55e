"""Tallies: numbers of tasks that are counted once, and kept right by all that changes from then on.

A tally is in the memory of a process, and made when somebody asks for it: one snapshot of the tasks is counted by an
index, and every change after the moment of the snapshot is added, from the database's own record of changes. So no
write path counts anything, nothing has to be flushed, and a crash loses nothing that the next start does not count
anew. What the record cannot tell, as what kind of task was removed, makes all tallies be forgotten, and counted again
when they are asked for.

An answer has all that was acknowledged before it was asked for in this process, and what other processes wrote up to a
tenth of a second before: a mark is written, and waited for in the record of changes.

docs/counts.md tells why the numbers are exact.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.storage.cancelling import end
from iceprod_tasks.storage.changes import Changes, as_of, changes, now
from iceprod_tasks.storage.client import Collection, Document, utc_now
from iceprod_tasks.storage.driver import Client, close
from iceprod_tasks.storage.tally import Tally, Unknown, nameless, step_of
from iceprod_tasks.storage.together import Together

log = logging.getLogger('iceprod_tasks.tallies')

_KEPT_AT_MOST = 1000
_IDLE_SECONDS = 600.0
_LONGEST_WAIT_SECONDS = 5.0
_LONGEST_COUNT_SECONDS = 60.0
_REST_SECONDS = 5.0
_FRESH_SECONDS = 0.1
_GATHER_SECONDS = 0.1
_MANY = 500

_TASKS, _MARKS = 'tasks', 'marks'
_UPDATED = '$updateDescription.updatedFields'
_OF_INTEREST: list[Document] = [
    {
        '$match': {
            # What happens to all of them is told of the database, and one that takes their place by its own name.
            '$and': [{'$or': [{'ns.coll': {'$in': [_TASKS, _MARKS, None]}}, {'to.coll': _TASKS}]}],
            '$or': [
                {'operationType': {'$ne': 'update'}},
                {'ns.coll': _MARKS},
                {'updateDescription.updatedFields.status': {'$exists': True}},
                {'updateDescription.updatedFields.name': {'$exists': True}},
            ],
        }
    },
    {
        '$project': {
            'operationType': True, 'ns.coll': True, 'clusterTime': True, 'documentKey': True,
            **{name: f'$fullDocument.{name}' for name in ('dataset_id', 'name', 'status', 'task_index')},
            'to': f'{_UPDATED}.status', 'was': f'{_UPDATED}.was', 'renamed': f'{_UPDATED}.name',
            'number': {'$ifNull': [f'{_UPDATED}.number', '$fullDocument.number']},
        }
    },
]  # fmt: skip

Key = tuple[str, ...]
"""What is counted: all tasks, those of a dataset, or those of a dataset by name."""


class Tallies:
    """The tallies of a process.

    Args:
        client: makes the client by which changes are followed, at the first question.
        database: name of the database.
        marks: the collection `marks`.
    """

    def __init__(self, client: Callable[[], Client], database: str, marks: Collection) -> None:
        self._make_client = client
        self._client: Client = None
        self._database = database
        self._marks = marks
        self._name = secrets.token_hex(8)
        self._number = 0
        self._reached = 0
        self._passed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._gaps = 0
        self._tallies: OrderedDict[Key, Tally] = OrderedDict()
        self._following: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._no_sooner = 0.0
        self._asked = 0.0
        self._writes = 0
        self._caught_up_writes = -1
        self._caught_up_at = 0.0
        self._catching_up: Together[None, None] = Together(self._catch_up, at_most=100_000)
        self._counting: Together[Key, Tally] = Together(self._count, at_most=100_000)
        self.fresh_seconds = _FRESH_SECONDS

    def wrote(self) -> None:
        """Say that this process has changed tasks, or may have."""
        self._writes += 1

    async def by_status(self, dataset_id: str | None = None) -> dict[str, int] | None:
        """Tasks a status, of a dataset or of all; None when that cannot be told now."""
        tally = await self._tally(('all',) if dataset_id is None else ('dataset', dataset_id))
        if tally is None:
            return None
        return {status: number for (_, status), number in tally.numbers.items() if number}

    async def by_name_and_status(self, dataset_id: str) -> dict[str, dict[str, int]] | None:
        """Tasks a status for each name of a dataset, in the order of their task_index; None when not known now."""
        tally = await self._tally(('names', dataset_id))
        if tally is None:
            return None
        names: dict[str, dict[str, int]] = {}
        for name in sorted(tally.places, key=lambda name: (tally.places[name], name)):
            found = {status: number for status in STATUSES if (number := tally.numbers[name, status])}
            if found:
                names[name] = found
        return names

    def forget(self) -> None:
        """Have all counted anew."""
        self._tallies.clear()

    async def close(self) -> None:
        """End it."""
        if self._following is not None:
            await end(self._following)
        if self._client is not None:
            await close(self._client)

    async def _tally(self, key: Key) -> Tally | None:
        self._asked = time.monotonic()
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                if not await self._followed():
                    return None
                tally = self._tallies.get(key)
                if tally is not None and tally.pending is None:
                    await self._be_up_to_date()
            # It may have been forgotten meanwhile.
            if self._tallies.get(key) is not tally or tally is None or tally.pending is not None:
                async with asyncio.timeout(_LONGEST_COUNT_SECONDS):
                    tally = await self._counting.ask(key, key)
        except (TimeoutError, Unavailable):
            return None
        if key in self._tallies:
            self._tallies.move_to_end(key)
        return tally

    async def _be_up_to_date(self) -> None:
        """Wait for all that this process has written, and for others unless that was done a moment ago."""
        recent = time.monotonic() - self._caught_up_at < self.fresh_seconds
        if not recent or self._caught_up_writes != self._writes:
            await self._catching_up.ask('mark', None)

    async def _catch_up(self, askers: Sequence[None]) -> Sequence[None]:
        writes, began, gaps = self._writes, time.monotonic(), self._gaps
        self._number = number = self._number + 1
        self._wanted.set()
        await self._marks.update_one({'_id': self._name}, {'$set': {'number': number, 'when': utc_now()}}, upsert=True)
        while self._reached < number:
            if self._gaps != gaps:
                # The mark may be in what is missing: nobody would ever hear of it.
                raise Unavailable
            self._passed.clear()
            await self._passed.wait()
        self._caught_up_writes, self._caught_up_at = writes, began
        return askers

    async def _count(self, askers: Sequence[Key]) -> list[Tally | Exception]:
        """Make a tally: what comes while it is counted waits in it."""
        key = askers[0]
        tally = self._tallies[key] = Tally()
        if len(self._tallies) > _KEPT_AT_MOST:
            self._tallies.popitem(last=False)
        try:
            moment = await now(self._client, self._database)
            rows = await as_of(self._client, self._database, _TASKS, _counted(key), moment)
            if not tally.begin(rows, moment) and self._tallies.get(key) is tally:
                # What it has is right for this answer: all that had happened when it was asked for is in it.
                del self._tallies[key]
        except BaseException:
            if self._tallies.get(key) is tally:
                del self._tallies[key]
            raise
        return [tally] * len(askers)

    # Following

    async def _followed(self) -> bool:
        """Whether changes are followed; that is begun where it is not."""
        if self._following is None or self._following.done():
            if time.monotonic() < self._no_sooner:
                return False
            self._begun.clear()
            self._following = asyncio.create_task(self._follow())
        await self._begun.wait()
        return not self._following.done()

    async def _follow(self) -> None:
        try:
            if self._client is None:
                self._client = self._make_client()
            async with changes(self._client, self._database, _OF_INTEREST) as stream:
                self._begun.set()
                while time.monotonic() - self._asked < _IDLE_SECONDS:
                    heard = await self._next(stream)
                    for change in heard:
                        self._hear(change)
                    if len(heard) < _MANY:
                        await self._gather()
        except Unavailable as error:
            self._no_sooner = time.monotonic() + _REST_SECONDS
            log.info('counting by the database again: %s', error.__cause__ or error, extra={'action': 'tallies'})
        finally:
            self._gaps += 1
            self.forget()
            self._begun.set()
            self._passed.set()

    async def _gather(self) -> None:
        """Let changes gather: to be told each of them alone costs more than all else. Whoever waits is not kept."""
        if self._reached < self._number:
            return
        self._wanted.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._wanted.wait()

    async def _next(self, stream: Changes) -> list[Document]:
        return await stream.next()

    def _hear(self, change: Document) -> None:
        kind, collection = change['operationType'], (change.get('ns') or {}).get('coll')
        if collection == _MARKS:
            if change.get('documentKey', {}).get('_id') == self._name and change.get('number') is not None:
                self._reached = max(self._reached, change['number'])
                self._passed.set()
            return
        step = step_of(change) if kind in ('insert', 'update') and 'renamed' not in change else None
        if step is None:
            unknown = Unknown(change['clusterTime'])
            for key in [key for key, tally in self._tallies.items() if not tally.add(unknown)]:
                del self._tallies[key]
            return
        keys: tuple[Key, ...] = (('all',), ('dataset', step.dataset_id), ('names', step.dataset_id))
        for key in keys:
            tally = self._tallies.get(key)
            if tally is not None:
                tally.add(step if key[0] == 'names' else nameless(step))


def _counted(key: Key) -> list[Document]:
    """The pipeline that counts, from an index where there is one."""
    where: Document = {} if key[0] == 'all' else {'dataset_id': key[1]}
    if key[0] != 'names':
        # Sorting first lets MongoDB group straight from the index on status.
        group: Document = {'_id': {'status': '$status'}, 'count': {'$sum': 1}, 'place': {'$min': 0}}
        return [{'$match': where}, {'$sort': {'status': 1}}, {'$group': group}]
    by = {'_id': {'name': '$name', 'status': '$status'}, 'count': {'$sum': 1}, 'place': {'$min': '$task_index'}}
    return [{'$match': where}, {'$group': by}]


class WatchedCollection(Collection):
    """The collection `tasks`, which tells the tallies of this process when it is written to.

    Args:
        raw: the driver's collection.
        tallies: that are told.
        variables: as for all collections.
    """

    def __init__(self, raw: Any, tallies: Tallies, variables: Mapping[str, Any] | None = None) -> None:
        super().__init__(raw, variables)
        self._tallies = tallies


def _told(name: str) -> Callable[..., Any]:
    verb = getattr(Collection, name)

    async def told(self: WatchedCollection, *arguments: Any, **options: Any) -> Any:
        try:
            return await verb(self, *arguments, **options)
        finally:
            # Also where nobody knows whether it was done.
            self._tallies.wrote()

    told.__name__, told.__doc__ = name, verb.__doc__
    return told


for _verb in (
    'insert_one', 'insert_absent', 'update_one', 'update_many', 'find_one_and_update', 'replace_one',
    'delete_many',
):  # fmt: skip
    setattr(WatchedCollection, _verb, _told(_verb))
