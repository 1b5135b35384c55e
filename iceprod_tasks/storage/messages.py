"""Messages of tasks, in the tasks themselves, and how far these are; and the whole of what reports brought beside."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.messages import MESSAGE_TYPES, STEPS_AT_MOST
from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.closings import claimed_by, held_by
from iceprod_tasks.storage.message_updates import SAID, appended_once

_TOLD = {'_id': False, 'task_id': True, 'messages': True, 'message_count': True}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whoever says something of a task.

    Args:
        task_id: of the task.
        claim_id: of the claim that must hold it; '' where none is named.
        epoch: of the claim; None where that is not said.
        subject: whose claim must hold it; None for whoever needs none.
    """

    task_id: str
    claim_id: str = ''
    epoch: int | None = None
    subject: str | None = None

    @property
    def where(self) -> Document:
        """The filter of the task, as long as this speaker may say something of it."""
        held = held_by(self.task_id, self.claim_id, self.epoch)
        where = held if self.claim_id else {'task_id': self.task_id}
        return where if self.subject is None else {**where, 'status': 'processing', **claimed_by(self.subject)}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages.

    Args:
        after: later than this; None for all.
        types: of these types.
        limit: how many, the oldest ones; those of the same time as the last one come with it. 0 for all.
    """

    after: datetime | None = None
    types: Sequence[str] = MESSAGE_TYPES
    limit: int = 0

    def has(self, message: Mapping[str, Any]) -> bool:
        """Whether a message is one of them, however many there are."""
        return message['mtype'] in self.types and (self.after is None or message['when'] > self.after)


class Messages:
    """Messages of tasks.

    Args:
        tasks: the collection `tasks`.
        reports: the collection `messages`: of each report what it brought, by the id of the message that it left.
    """

    def __init__(self, tasks: Collection, reports: Collection) -> None:
        self._tasks = tasks
        self._reports = reports

    async def add(self, speaker: Speaker, messages: Sequence[Document]) -> bool:
        """Give a task some messages; those that it has already, by their ids, stay as they are.

        Args:
            speaker: whose they are.
            messages: of each `message_id` and `mtype`, and what belongs to its type.

        Returns:
            Whether there is such a task.
        """
        pipeline = [{'$set': {SAID: _literal(list(messages)), 'updated': '$$NOW'}}, *appended_once()]
        return bool(await self._tasks.update_one(speaker.where, pipeline))

    async def progress(
        self, speaker: Speaker, *, completed: int | None, total: int | None, add: int = 0
    ) -> Document | None:
        """Say how far a task is.

        Args:
            speaker: who says it.
            completed: steps done; None leaves them.
            total: steps in all; None leaves them.
            add: steps done since.

        Returns:
            The steps after it; None when there is no such task.
        """
        done = {'$ifNull': ['$steps.completed', 0]} if completed is None else completed
        steps = {
            'completed': {'$min': [{'$add': [done, add]}, STEPS_AT_MOST]},
            'total': {'$ifNull': ['$steps.total', 1]} if total is None else total,
        }
        change = [{'$set': {'steps': steps, 'updated': '$$NOW'}}]
        task = await self._tasks.find_one_and_update(speaker.where, change, {'_id': False, 'steps': True})
        return None if task is None else dict(task['steps'])

    async def told(self, task_id: str) -> Document | None:
        """The messages of a task, oldest first, and how many it has had; None when there is no such task."""
        found: Document | None = await self._tasks.find_one({'task_id': task_id}, _TOLD)
        return found

    async def of_dataset(self, dataset_id: str, choice: Choice) -> AsyncIterator[Document]:
        """The messages of a dataset's tasks, oldest first, each with the id of its task as `task_id`."""
        wanted: Document = {'messages.mtype': {'$in': list(choice.types)}}
        since: Document = {} if choice.after is None else {'messages.when': {'$gt': choice.after}}
        newer: Document = {} if choice.after is None else {'message_at': {'$gt': choice.after}}
        pipeline: list[Document] = [
            {'$match': {'dataset_id': dataset_id, 'message_count': {'$gt': 0}, **newer}},
            {'$project': {'_id': False, 'task_id': True, 'messages': True}},
            {'$unwind': '$messages'},
            {'$match': {**wanted, **since}},
            {'$replaceRoot': {'newRoot': {'$mergeObjects': ['$messages', {'task_id': '$task_id'}]}}},
            *_first(choice.limit),
            {'$sort': {'when': 1, 'task_id': 1}},
        ]
        async with self._tasks.patience():
            found = self._tasks.aggregate(pipeline, hint='dataset_status', allowDiskUse=True)
            async for message in found:
                yield message

    async def put_report(self, report: Document) -> None:
        """Keep what a report brought; the same one again changes nothing."""
        fields: Document = {name: {'$ifNull': ['$' + name, {'$literal': value}]} for name, value in report.items()}
        change = [{'$set': {**fields, 'when': {'$ifNull': ['$when', '$$NOW']}}}]
        await self._reports.update_one({'message_id': report['message_id']}, change, upsert=True)

    async def last_words(self, task_id: str, epoch: int | None = None) -> Document | None:
        """The epoch, stdout and stderr of the last report on a task that has any of these two.

        Args:
            task_id: of the task.
            epoch: of the attempt; None for the last one that has said something.
        """
        where: Document = {'task_id': task_id, '$or': [{'stdout': {'$gt': ''}}, {'stderr': {'$gt': ''}}]}
        if epoch is not None:
            where['epoch'] = epoch
        fields = {'_id': False, 'epoch': True, 'stdout': True, 'stderr': True}
        found: Document | None = await self._reports.find_one(where, fields, sort=[('when', -1)])
        return found

    async def reports(self, task_id: str, without: Sequence[str]) -> list[Document]:
        """What the reports on a task brought, oldest first, but for those that left some messages."""
        where = {'task_id': task_id, 'message_id': {'$nin': list(without)}}
        return await self._reports.all(where, {'_id': False}, sort=[('when', 1), ('_id', 1)])


def _first(limit: int) -> list[Document]:
    """The stages that leave the oldest messages, and those that are as old as the last of them."""
    if not limit:
        return []
    # With `$limit` alone a reader who goes on behind the last time would miss the others of that time.
    rank = {'$setWindowFields': {'sortBy': {'when': 1}, 'output': {'__rank': {'$rank': {}}}}}
    return [rank, {'$match': {'__rank': {'$lte': limit}}}, {'$unset': '__rank'}]


def _literal(value: Any) -> Mapping[str, Any]:
    return {'$literal': value}
