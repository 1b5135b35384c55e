"""Revoked tokens, for all processes to read.

MongoDB removes the revocation of a token by a TTL index some time after the token itself has ended.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from iceprod_tasks.domain.revocations import Kind
from iceprod_tasks.storage.client import Collection, Document

_HIDDEN = {'_id': False}
# Two that are made at about the same time may be seen in either order, and clocks of primaries differ.
_OVERLAP = timedelta(seconds=60)


class Revocations:
    """Revocations as documents.

    Args:
        collection: the collection `revocations`.
    """

    def __init__(self, collection: Collection) -> None:
        self._revocations = collection

    async def add(self, kind: Kind, value: str, by: str, expires: datetime | None = None) -> Document:
        """Revoke a token, or all of a user up to now, by the primary's clock.

        Args:
            kind: which of the two.
            value: the token's id or the user's name.
            by: who revokes it.
            expires: when the token ends by itself; None where nobody knows.

        Returns:
            The revocation.
        """
        fields: Document = {kind: {'$literal': value}, 'by': {'$literal': by}, 'revoked': '$$NOW'}
        if expires is not None:
            fields['expires'] = expires
        found: Document = await self._revocations.find_one_and_update(
            {'_id': f'{kind}:{value}'}, [{'$set': fields}], _HIDDEN, upsert=True
        )
        return found

    def select(self) -> AsyncIterator[Document]:
        """All of them, the oldest first."""
        return self._revocations.find({}, _HIDDEN, sort=[('revoked', 1)], batch_size=1000)

    def since(self, newest: datetime | None) -> AsyncIterator[Document]:
        """Those that somebody who knew all until a moment may not know yet; all of them when it is None."""
        if newest is None:
            return self.select()
        return self._revocations.find({'revoked': {'$gt': newest - _OVERLAP}}, _HIDDEN, batch_size=1000)
