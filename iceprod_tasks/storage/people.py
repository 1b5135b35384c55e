"""Users and groups: who has submitted datasets, and the priority of each."""

import contextlib
from collections.abc import AsyncIterator

from iceprod_tasks.domain.errors import Conflict
from iceprod_tasks.domain.people import DEFAULT_GROUP_PRIORITIES, new_user
from iceprod_tasks.storage.client import Collection, Document, Duplicate, Session

_HIDDEN = {'_id': False}


class People:
    """Users and groups as documents.

    Args:
        users: the collection `users`.
        groups: the collection `groups`; only those that somebody gave a priority.
    """

    def __init__(self, users: Collection, groups: Collection) -> None:
        self._users = users
        self._groups = groups

    async def add(self, user: Document) -> None:
        """Store a new user.

        Raises:
            Conflict: the name is taken.
        """
        try:
            await self._users.insert_one(user)
        except Duplicate:
            raise Conflict('duplicate username') from None

    async def register(self, username: str, session: Session = None) -> None:
        """Make sure that a user is known; one who is known already stays as they are."""
        new = new_user(username)
        # Two first submissions at once may both try to insert; one of them is told that the other has.
        with contextlib.suppress(Duplicate):
            await self._users.update_one({'username': username}, {'$setOnInsert': new}, upsert=True, session=session)

    async def get(self, username: str) -> Document | None:
        """One user."""
        found: Document | None = await self._users.find_one({'username': username}, _HIDDEN)
        return found

    def select(self) -> AsyncIterator[Document]:
        """All users by name, one after the other."""
        return self._users.find({}, _HIDDEN, sort=[('username', 1)], batch_size=1000)

    async def remove(self, username: str) -> None:
        """Forget a user."""
        await self._users.delete_many({'username': username})

    async def set_user_priority(self, username: str, priority: float) -> int:
        """Set how much a user counts; 1 if the user is known, else 0."""
        return await self._users.update_one({'username': username}, {'$set': {'priority': priority}})

    async def set_group_priority(self, name: str, priority: float) -> None:
        """Set how much a group counts."""
        await self._groups.replace_one({'name': name}, {'name': name, 'priority': priority})

    async def user_priorities(self) -> dict[str, float]:
        """How much each known user counts."""
        return {user['username']: user['priority'] async for user in self.select()}

    async def group_priorities(self) -> dict[str, float]:
        """How much each group counts: those that every service knows, then others by name."""
        given = self._groups.find({}, _HIDDEN, sort=[('name', 1)])
        return {**DEFAULT_GROUP_PRIORITIES, **{group['name']: group['priority'] async for group in given}}
