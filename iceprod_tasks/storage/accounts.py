"""Accounts and the hashes of their passwords."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from iceprod_tasks.domain.errors import Conflict
from iceprod_tasks.storage.client import Collection, Document, Duplicate, utc_now

_SHOWN = {'_id': False, 'password': False}


class Accounts:
    """Accounts as documents.

    Args:
        collection: the collection `accounts`.
    """

    def __init__(self, collection: Collection) -> None:
        self._accounts = collection

    async def add(self, account: Mapping[str, Any]) -> None:
        """Store a new account.

        Raises:
            Conflict: the name is taken.
        """
        try:
            # The name is the id as well: a database that no service has prepared has no other unique index.
            await self._accounts.insert_one({'_id': account['name'], **account})
        except Duplicate:
            raise Conflict(f'there is an account {account["name"]} already') from None

    async def get(self, name: str) -> Document | None:
        """One account with the hash of its password."""
        found: Document | None = await self._accounts.find_one({'name': name}, {'_id': False})
        return found

    def select(self) -> AsyncIterator[Document]:
        """All accounts by name, without hashes."""
        return self._accounts.find({}, _SHOWN, sort=[('name', 1)], batch_size=1000)

    async def set_password(self, name: str, password: Mapping[str, Any]) -> int:
        """Put a hash in place of the one before; 1 if there is such an account, else 0."""
        return await self._accounts.update_one(
            {'name': name}, {'$set': {'password': dict(password), 'changed': utc_now()}}
        )

    async def remove(self, name: str) -> int:
        """Remove an account; 1 if there was one, else 0."""
        return await self._accounts.delete_many({'name': name})
