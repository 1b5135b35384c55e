"""What pilots and grids say about themselves."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from iceprod_tasks.storage.client import Collection, Document, Duplicate, Session

_HIDDEN = {'_id': False}


class Register:
    """Entries that programs make about themselves.

    Args:
        collection: where they are kept.
        key: the field with an entry's id.
    """

    def __init__(self, collection: Collection, key: str) -> None:
        self._entries = collection
        self.key = key

    async def add(self, entry: Document) -> None:
        """Store a new entry; one with this id stays as it is."""
        with suppress(Duplicate):
            await self._entries.insert_one(entry)

    async def get(self, entry_id: str, equal: Mapping[str, str] | None = None) -> Document | None:
        """One entry, if it has some values where these are given."""
        found: Document | None = await self._entries.find_one(self._one(entry_id, equal), _HIDDEN)
        return found

    def select(self, equal: Mapping[str, str], keys: Sequence[str] = ()) -> AsyncIterator[Document]:
        """The entries with some values, oldest first, a batch in memory at a time.

        Args:
            equal: field to value.
            keys: fields to read; all when empty.
        """
        fields = {**dict.fromkeys(keys, True), **_HIDDEN}
        return self._entries.find(equal, fields, sort=[('_id', 1)], batch_size=1000)

    async def patch(
        self, entry_id: str, changes: Mapping[str, Any], equal: Mapping[str, str] | None = None
    ) -> Document | None:
        """Set fields of an entry, and when that was; the entry after it, None when there is none with these values."""
        fields: Document = {name: {'$literal': value} for name, value in changes.items()}
        changed: Document | None = await self._entries.find_one_and_update(
            self._one(entry_id, equal), [{'$set': {**fields, 'last_update': '$$NOW'}}], projection=_HIDDEN
        )
        return changed

    async def remove(self, entry_id: str, equal: Mapping[str, str] | None = None) -> int:
        """Remove an entry; 1 if there was one with these values."""
        return await self._entries.delete_many(self._one(entry_id, equal))

    def _one(self, entry_id: str, equal: Mapping[str, str] | None) -> Document:
        return {**(equal or {}), self.key: entry_id}


class Pilots(Register):
    """The entries of pilots, with what chores do to them.

    Args:
        collection: the collection `pilots`.
    """

    def __init__(self, collection: Collection) -> None:
        super().__init__(collection, 'pilot_id')

    async def set_drain(
        self, pilot_id: str, order: Mapping[str, Any] | None, session: Session = None
    ) -> Document | None:
        """Order a pilot to take no more tasks, or take the order back; its entry after it, None when there is none."""
        changed: Document | None = await self._entries.find_one_and_update(
            {self.key: pilot_id}, {'$set': {'drain': order}}, projection=_HIDDEN, session=session
        )
        return changed

    async def remove_silent(self, time: datetime, limit: int) -> int:
        """Remove pilots that were last heard of before a time, a number of them at the most; how many there were."""
        where = {'last_update': {'$lt': time}}
        silent = self._entries.find(where, {'_id': True}, sort=[('last_update', 1)], limit=limit)
        # One that has spoken meanwhile stays.
        return await self._entries.delete_many({**where, '_id': {'$in': [each['_id'] async for each in silent]}})

    async def offers(self, offered: Mapping[str, Any], since: datetime) -> bool:
        """Whether a pilot that was heard of since a time, and takes tasks, offers some values."""
        where = {f'resources.{name}': value for name, value in offered.items()}
        return await self._entries.find_one({**where, 'last_update': {'$gte': since}, 'drain': None}) is not None

    async def portion(self, after: Any, limit: int) -> list[Document]:
        """The first pilots behind an `_id`: `_id`, tasks and last_update."""
        where: Document = {} if after is None else {'_id': {'$gt': after}}
        fields = {'tasks': True, 'last_update': True}
        return [pilot async for pilot in self._entries.find(where, fields, sort=[('_id', 1)], limit=limit)]

    async def drop_tasks(self, pilot: Mapping[str, Any], task_ids: Sequence[str]) -> int:
        """Take tasks out of a pilot's list, unless it has spoken since it was read; 1 if they were."""
        where = {'_id': pilot['_id'], 'last_update': pilot['last_update']}
        return await self._entries.update_one(where, {'$pull': {'tasks': {'$in': list(task_ids)}}})
