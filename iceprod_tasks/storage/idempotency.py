"""Keys of requests that may be repeated: who is at work on each, and what the first one was answered.

Everything that decides is one update of a key's document, on the primary's clock. MongoDB removes the documents by a
TTL index some time after they expire.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iceprod_tasks.storage.client import Collection, Document, Duplicate

LEASE_SECONDS = 30.0
"""How long a key stays in the hands of a process that gives no sign of life."""

_MS = 1000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Key:
    """A key as `take` finds or makes it.

    Args:
        name: of the key.
        content: the digest of what the first request asked for.
        seed: for the ids of what the request makes.
        began: when the request was first worked on.
        owner: who is at work on it; '' for nobody.
        tries: how many have been at work on it.
        answer: what the first request was answered; None while it has no answer.
    """

    name: str
    content: str
    seed: str
    began: datetime
    owner: str
    tries: int
    answer: Mapping[str, Any] | None


class Keys:
    """Keys as documents.

    Args:
        collection: the collection `idempotency_keys`.
    """

    def __init__(self, collection: Collection) -> None:
        self._keys = collection

    async def take(self, name: str, content: str, owner: str, *, kept_hours: float) -> Key:
        """Take a key in hand, unless it has an answer, is in other hands, or is that of another request.

        A repeat writes as well (`asked`): a plain read could show what a failover takes back.

        Args:
            name: of the key.
            content: the digest of what is asked for.
            owner: who asks, also the seed of a new key.
            kept_hours: how long it is kept.

        Returns:
            The key after it.
        """
        new = {'$eq': [{'$type': '$seed'}, 'missing']}
        left = {
            '$and': [
                {'$eq': ['$content', content]},
                {'$eq': [{'$type': '$answer'}, 'missing']},
                {'$lte': ['$until', '$$NOW']},
            ]
        }
        mine = {'$or': [new, left]}
        change = {
            'content': {'$ifNull': ['$content', content]},
            'seed': {'$ifNull': ['$seed', owner]},
            'began': {'$ifNull': ['$began', '$$NOW']},
            'owner': {'$cond': [mine, owner, '$owner']},
            'until': {'$cond': [mine, _from_now(LEASE_SECONDS * _MS), '$until']},
            'expires': {'$cond': [mine, _from_now(kept_hours * _HOUR_MS), '$expires']},
            'tries': {'$add': [{'$ifNull': ['$tries', 0]}, {'$cond': [mine, 1, 0]}]},
            'asked': {'$add': [{'$ifNull': ['$asked', 0]}, 1]},
        }
        try:
            found = await self._keys.find_one_and_update({'_id': name}, [{'$set': change}], upsert=True)
        except Duplicate:
            # Of two first requests at once, MongoDB may tell one that the other has made the document.
            found = await self._keys.find_one_and_update({'_id': name}, [{'$set': change}], upsert=True)
        return Key(
            name, found['content'], found['seed'], found['began'], found['owner'], found['tries'], found.get('answer')
        )

    async def hold(self, name: str, owner: str) -> int:
        """Hold on to a key for longer; 0 when it is in other hands."""
        return await self._change(name, owner, {'until': _from_now(LEASE_SECONDS * _MS)})

    async def answer(self, name: str, owner: str, answer: Document, *, kept_hours: float) -> int:
        """Keep the answer of a key's request; 0 when it is in other hands."""
        kept = {'answer': {'$literal': answer}, 'owner': '', 'expires': _from_now(kept_hours * _HOUR_MS)}
        return await self._change(name, owner, kept)

    async def put_down(self, name: str, owner: str) -> int:
        """Leave a key without an answer to whoever comes next; 0 when it is in other hands."""
        async with self._keys.haste():
            return await self._change(name, owner, {'owner': '', 'until': '$$NOW'})

    async def forget(self, name: str, owner: str) -> int:
        """Remove the key of a request that has changed nothing; 0 when it is in other hands."""
        return await self._keys.delete_many({'_id': name, 'owner': owner})

    async def _change(self, name: str, owner: str, fields: Document) -> int:
        return await self._keys.update_one({'_id': name, 'owner': owner}, [{'$set': fields}])


def _from_now(milliseconds: float) -> Document:
    return {'$add': ['$$NOW', round(milliseconds)]}
