"""The tasks collection: reading, creating and moving tasks. Claims have a module of their own."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from iceprod_tasks.domain.statuses import ACTIVE, STATUSES, Transition
from iceprod_tasks.storage.admission import UNFINISHED as UNFINISHED
from iceprod_tasks.storage.client import Collection, Document, Duplicate, Filter
from iceprod_tasks.storage.kinds import UNSIGNED, Kinds
from iceprod_tasks.storage.transitions import Note, guard, untouched, update

PORTION = 300
"""Tasks changed by one update: more would keep claims waiting."""

_HIDDEN = {'_id': False}
_READ_AT_ONCE = 500
_NAMED_AT_ONCE = 10_000
_SIGNATURES_A_PASS = 200


class Tasks:
    """Tasks as documents.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds

    async def add(self, task: Document) -> None:
        """Store a new task; one with this id stays as it is."""
        with suppress(Duplicate):
            await self._tasks.insert_one(await self._admitted(task))
        self._kinds.forget()

    async def add_absent(self, tasks: Sequence[Document]) -> int:
        """Store those tasks that are not there yet; how many were stored."""
        async with self._tasks.patience():
            return await self._tasks.insert_absent([await self._admitted(task) for task in tasks])

    async def _admitted(self, task: Mapping[str, Any]) -> Document:
        return {**task, 'signature': await self._kinds.admission.admitted(task['signature'])}

    async def get(self, task_id: str, dataset_id: str | None = None, keys: Sequence[str] = ()) -> Document | None:
        """One task.

        Args:
            task_id: its id.
            dataset_id: only if it belongs to this dataset.
            keys: fields to read; all when empty.
        """
        found: Document | None = await self._tasks.find_one(_one(task_id, dataset_id), projection(keys))
        return found

    async def find_in_job(self, dataset_id: str, job_index: int, name: str) -> str | None:
        """The id of the task with this place in a dataset."""
        where = {'dataset_id': dataset_id, 'job_index': job_index, 'name': name}
        found = await self._tasks.find_one(where, {'_id': False, 'task_id': True})
        return found['task_id'] if found else None

    def select(
        self,
        where: Filter,
        *,
        keys: Sequence[str] = (),
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        without: Sequence[str] = (),
        still: bool = False,
    ) -> AsyncIterator[Document]:
        """Tasks one after the other, a batch in memory at a time.

        Args:
            where: a filter made by this folder.
            keys: fields to read; all when empty.
            sort: order; insertion order when empty.
            limit: how many at the most, 0 for all.
            without: fields to leave out when `keys` is empty.
            still: whether they are read as they are at one moment, so that one which moves is neither missing nor
                there twice.
        """
        fields: Document = dict.fromkeys(keys, True) or dict.fromkeys(without, False)
        options = {'sort': [*sort, ('_id', 1)], 'limit': limit, 'batch_size': _READ_AT_ONCE, 'allow_disk_use': True}
        return (self._still if still else self._tasks.find)(where, fields or None, **options)

    async def _still(self, where: Filter, fields: Document | None, **options: Any) -> AsyncIterator[Document]:
        async with self._tasks.one_moment() as session:
            async for task in self._tasks.find(where, fields, session=session, **options):
                yield task

    async def patch(self, task_id: str, changes: Mapping[str, Any], transition: Transition | None, note: Note) -> Any:
        """Set fields of a task, and its status where a transition is given, in one update.

        Returns:
            The task after it, None when there is none.
        """
        where = {'task_id': task_id}
        if 'signature' in changes:
            changes = await self._admitted(changes)
        if transition is None:
            fields: Document = {name: {'$literal': value} for name, value in changes.items()}
            change = [{'$set': {**fields, 'updated': '$$NOW'}}]
        else:
            change = update(transition, Note(note.who, note.why, sets=changes))
        task = await self._tasks.find_one_and_update(where, change, projection=_HIDDEN)
        self._kinds.forget()
        return task

    async def move_one(self, transition: Transition, note: Note, task_id: str, dataset_id: str | None = None) -> int:
        """Carry out a transition on one task, if it may; 1 if it did, else 0."""
        where = {**_one(task_id, dataset_id), **guard(transition)}
        moved = await self._tasks.update_one(where, update(transition, note))
        self._kinds.forget_after(transition)
        return moved

    async def move_many(
        self, transition: Transition, note: Note, task_ids: Sequence[str], dataset_id: str | None = None
    ) -> int:
        """Carry out a transition on those of some tasks that may, by one update; how many did."""
        # Left to itself, MongoDB sometimes reads all tasks of a status instead.
        where = {**among(task_ids, dataset_id), **untouched(note)}
        return await self._move(transition, note, where, hint='task_id')

    async def going_on(self, task_ids: Sequence[str], dataset_id: str | None = None) -> list[Document]:
        """The jobs that have records and active tasks among some: job_id and dataset_id of each."""
        where = {**among(task_ids, dataset_id), 'managed': True, 'status': {'$in': sorted(ACTIVE)}}
        job = {'$group': {'_id': {'job_id': '$job_id', 'dataset_id': '$dataset_id'}}}
        return [row['_id'] async for row in self._tasks.aggregate([{'$match': where}, job], hint='task_id')]

    async def move_all(self, transition: Transition, note: Note, where: Filter) -> int:
        """Carry out a transition on all tasks of a filter that may; how many did."""
        return await self._move(transition, note, where)

    async def _move(self, transition: Transition, note: Note, where: Filter, **options: Any) -> int:
        change = update(transition, note)
        async with self._tasks.patience():
            moved = await self._tasks.update_many({'$and': [guard(transition), where]}, change, **options)
        self._kinds.forget_after(transition)
        return moved

    async def exists(self, where: Filter) -> bool:
        """Whether any task matches."""
        return await self._tasks.find_one(where, {'_id': True}) is not None

    async def named(self, task_ids: Iterable[str], keys: Sequence[str]) -> dict[str, Document]:
        """Some fields of those of some tasks that exist, by their ids; see `named`."""
        return await named(self._tasks, task_ids, keys)

    async def nodes(self, task_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """The dataset and the name of those of some tasks that exist."""
        found = await self.named(task_ids, ('dataset_id', 'name'))
        return {task_id: (task['dataset_id'], task['name']) for task_id, task in found.items()}

    async def processing(self, task_ids: Sequence[str]) -> set[str]:
        """Those of some tasks that are being worked on."""
        found: set[str] = set()
        for start in range(0, len(task_ids), _READ_AT_ONCE):
            where = {**among(task_ids[start : start + _READ_AT_ONCE]), 'status': 'processing'}
            tasks = self._tasks.find(where, projection(('task_id',)), hint='task_id')
            found |= {task['task_id'] async for task in tasks}
        return found

    async def set_requirements(
        self, where: Filter, values: Mapping[str, Any], signatures: Mapping[str, str]
    ) -> AsyncGenerator[int, None]:
        """Set requirements of many tasks in portions, of each in one update; a claim sees a task before or after it.

        Args:
            where: which tasks: those with a name in a dataset.
            values: requirements to set; others stay.
            signatures: the new signature for each old one; a task with another one gets none for now.

        Yields:
            How many tasks of a portion matched, or more.
        """
        admitted = {old: await self._kinds.admission.admitted(new) for old, new in signatures.items()}
        merged = {'$mergeObjects': ['$requirements', {'$literal': dict(values)}]}
        async with aclosing(self._by_place(where)) as some_ids:
            async for ids in some_ids:
                changed = 0
                for among, some in _passes(admitted, values):
                    branches = [
                        {'case': {'$eq': ['$signature', old]}, 'then': {'$literal': new}} for old, new in some.items()
                    ]
                    signed: Any = {'$switch': {'branches': branches, 'default': UNSIGNED}} if branches else UNSIGNED
                    change = [{'$set': {'requirements': merged, 'signature': signed, 'updated': '$$NOW'}}]
                    these = {**where, **among, '_id': {'$in': ids}}
                    async with self._tasks.patience():
                        changed += await self._tasks.update_many(these, change, hint='_id_')
                self._kinds.forget()
                yield changed

    async def _by_place(self, where: Filter) -> AsyncGenerator[list[Any], None]:
        """The `_id`s of a dataset's tasks in portions: in an order that nothing changes, so that none is missed."""
        order = [('job_index', 1), ('name', 1), ('_id', 1)]
        found = self._tasks.find(where, {'_id': True}, sort=order, hint='dataset_job_name', batch_size=PORTION)
        ids: list[Any] = []
        async for task in found:
            ids.append(task['_id'])
            if len(ids) == PORTION:
                yield ids
                ids = []
        if ids:
            yield ids

    async def kinds(self, where: Filter, at_most: int) -> dict[str, Document]:
        """The distinct requirements among tasks: signature to requirements of one of them.

        Args:
            where: which tasks.
            at_most: signatures to find, those of most tasks first.
        """
        pipeline: list[Document] = [
            {'$match': where},
            {'$group': {'_id': '$signature', 'requirements': {'$first': '$requirements'}, 'tasks': {'$sum': 1}}},
            {'$sort': {'tasks': -1}},
            {'$limit': at_most},
        ]
        async with self._tasks.patience():
            found = self._tasks.aggregate(pipeline, allowDiskUse=True)
            return {each['_id']: each['requirements'] async for each in found}

    async def unsigned(self) -> AsyncIterator[Document]:
        """Unfinished tasks without a signature, found by index: task_id and requirements of each."""
        for where in UNFINISHED:
            found = self._tasks.find({**where, 'signature': UNSIGNED}, projection(('task_id', 'requirements')))
            async for task in found:
                yield task

    async def resign(self, task_id: str, requirements: Mapping[str, Any], signature: str) -> int:
        """Give a task the signature of its requirements, unless they changed meanwhile."""
        where = {'task_id': task_id, 'requirements': requirements}
        signed = await self._tasks.update_one(where, {'$set': {'signature': signature}})
        self._kinds.forget()
        return signed


async def named(tasks: Collection, task_ids: Iterable[str], keys: Sequence[str]) -> dict[str, Document]:
    """Those of some tasks that exist, by their ids.

    Args:
        tasks: the collection `tasks`.
        task_ids: however many.
        keys: fields to read beside task_id.
    """
    wanted = sorted(set(task_ids))
    found: dict[str, Document] = {}
    for start in range(0, len(wanted), _NAMED_AT_ONCE):
        where = among(wanted[start : start + _NAMED_AT_ONCE])
        async for task in tasks.find(where, projection(('task_id', *keys)), batch_size=_NAMED_AT_ONCE):
            found[task['task_id']] = task
    return found


def _passes(signatures: Mapping[str, str], values: Mapping[str, Any]) -> list[tuple[Document, Mapping[str, str]]]:
    """In which parts to set requirements: filters, and old to new signatures for what they match.

    All at once where the signatures are few; each of many would be compared with each task's. Tasks that come to
    another signature meanwhile are left for the end. Met twice, a task is the same as met once.
    """
    if len(signatures) <= _SIGNATURES_A_PASS:
        return [({}, signatures)]
    names = list(signatures)
    parts = [names[start : start + _SIGNATURES_A_PASS] for start in range(0, len(names), _SIGNATURES_A_PASS)]
    left: Document = {'$or': [{f'requirements.{key}': {'$ne': value}} for key, value in values.items()]}
    return [*(({'signature': {'$in': part}}, {old: signatures[old] for old in part}) for part in parts), (left, {})]


def projection(keys: Sequence[str]) -> Document:
    """What to read of a task."""
    return {**dict.fromkeys(keys, True), '_id': False}


def _one(task_id: str, dataset_id: str | None) -> Document:
    return {'task_id': task_id} if dataset_id is None else {'task_id': task_id, 'dataset_id': dataset_id}


def in_dataset(dataset_id: str, statuses: Sequence[str] = STATUSES, **equal: Any) -> Document:
    """The filter of a dataset's tasks.

    All statuses are named even when none is left out: so the index on (dataset_id, status, _id) gives the order too.
    """
    return {'dataset_id': dataset_id, 'status': {'$in': list(statuses)}, **equal}


def among(task_ids: Sequence[str], dataset_id: str | None = None) -> Document:
    """The filter of tasks by their ids, held to one dataset where one is given."""
    where: Document = {'task_id': {'$in': list(task_ids)}}
    return where if dataset_id is None else {**where, 'dataset_id': dataset_id}
