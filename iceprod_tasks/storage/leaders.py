"""Who leads: one lease document, and writes that land only in the term of whoever makes them.

All times are the primary's. A term begins in one update whose guard is that the one before is over, so two holders
never have the same term. A fenced write is a transaction that touches the lease document: either it lands before the
next term begins, or it meets that and lands never, however long its process was stopped in between.
"""

from typing import Any, TypeVar

from iceprod_tasks.domain.errors import NotLeader, Unavailable
from iceprod_tasks.domain.terms import Term
from iceprod_tasks.storage.client import Collection, Document, Duplicate, Session
from iceprod_tasks.storage.transactions import Transactions, Work

T = TypeVar('T')

_LEASE = {'_id': 'operations'}
_FIELDS = {'holder': True, 'term': True, 'until': True}
# What is missing comes before every time: where no lease was ever given, it is over.
_OVER = {'$lte': ['$until', '$$NOW']}
_GOES_ON = {'$gt': ['$until', '$$NOW']}
_SESSIONS_AT_MOST = 100
"""More processes than one service has; those that have ended since fall out."""


class Leaders:
    """The lease of who leads the operations.

    Args:
        collection: the collection `leaders`.
        transactions: of this process.
    """

    def __init__(self, collection: Collection, transactions: Transactions) -> None:
        self._leaders = collection
        self._transactions = transactions
        self._signed: tuple[str, int] | None = None

    async def take(self, holder: str, lease_seconds: float) -> Term:
        """Renew the lease if it is the holder's, begin the next term if it is over, else leave it alone.

        Args:
            holder: who asks.
            lease_seconds: how long it then holds.

        Returns:
            The term as it is now, whosoever it is.

        Raises:
            Unavailable: the database does not answer soon.
        """
        update = _taken(holder, lease_seconds, await self._transactions.session_id())
        try:
            return await self._take(holder, update)
        except Unavailable:
            if not await self._end_late_writes():
                raise
        return await self._take(holder, update)

    async def current(self) -> Term | None:
        """The term that goes on; None when nobody leads."""
        found = await self._leaders.find_one({**_LEASE, '$expr': _GOES_ON}, _FIELDS)
        return _term(found) if found else None

    async def fenced(self, holder: str, term: int, work: Work[T]) -> T:
        """Write as the leader: what is written lands only if the term is the holder's in that moment.

        Fenced writes of a service go one after the other, some hundred a second. `work` may be called several times,
        and where the answer is `Unavailable` it may have landed: it has to write what a repeat finds, by ids or guards
        that come from the request.

        Args:
            holder: who writes.
            term: the number of its term.
            work: writes, with the session that it is called with.

        Returns:
            What `work` came to.

        Raises:
            NotLeader: the term is over, or was never the holder's; nothing was written.
            Unavailable: it did not get through, or nobody knows whether it did.
            NoTransactions: the database is a standalone mongod.
        """
        guard = {**_LEASE, 'holder': holder, 'term': term, '$expr': _GOES_ON}

        async def guarded(session: Session) -> T:
            if not await self._leaders.update_one(guard, {'$inc': {'writes': 1}}, session=session):
                raise NotLeader
            return await work(session)

        try:
            await self._sign(holder, term)
            return await self._transactions.run(guarded)
        except NotLeader:
            now = await self.current()
            raise NotLeader(now.holder if now else '') from None

    async def _take(self, holder: str, update: list[Document]) -> Term:
        async with self._leaders.haste():
            try:
                found = await self._leaders.find_one_and_update(_LEASE, update, _FIELDS, upsert=True)
            except Duplicate:
                # The first of all were two.
                found = await self._leaders.find_one_and_update(_LEASE, update, _FIELDS)
        term = _term(found)
        if term.holder == holder:
            self._signed = holder, term.number
        return term

    async def _end_late_writes(self) -> bool:
        """End what keeps an update from a lease that is over: fenced writes of processes that hang.

        Returns:
            Whether it is over.
        """
        async with self._leaders.haste():
            found = await self._leaders.find_one({**_LEASE, '$expr': _OVER}, {'sessions': True})
            if found:
                await self._transactions.end_those_of(found['sessions'])
        return bool(found)

    async def _sign(self, holder: str, term: int) -> None:
        """Have the session of this process in the lease before it holds anything that others wait for."""
        if self._signed == (holder, term):
            return
        sessions = {'sessions': await self._transactions.session_id()}
        if not await self._leaders.update_one({**_LEASE, 'holder': holder, 'term': term}, {'$addToSet': sessions}):
            raise NotLeader
        self._signed = holder, term


def _taken(holder: str, lease_seconds: float, session_id: Any) -> list[Document]:
    name, until = {'$literal': holder}, {'$add': ['$$NOW', round(lease_seconds * 1000)]}
    others = {'$filter': {'input': '$sessions', 'cond': {'$ne': ['$$this', session_id]}}}
    sessions = {'$slice': [{'$concatArrays': [others, [session_id]]}, -_SESSIONS_AT_MOST]}

    def either(over: Any, mine: Any, field: str) -> Document:
        renewed = {'case': {'$eq': ['$holder', name]}, 'then': mine}
        return {'$switch': {'branches': [{'case': _OVER, 'then': over}, renewed], 'default': field}}

    return [
        {
            '$set': {
                'holder': either(name, name, '$holder'),
                'term': either({'$add': [{'$ifNull': ['$term', 0]}, 1]}, '$term', '$term'),
                # Never earlier than before: another process of the service may count on a longer lease.
                'until': either(until, {'$max': ['$until', until]}, '$until'),
                'sessions': either([session_id], sessions, '$sessions'),
            }
        }
    ]


def _term(found: Document) -> Term:
    return Term(found['holder'], int(found['term']), found['until'])
