"""Transactions: writes to several documents that land together, or not at all.

Those of a process go one after the other, in one session of its own. So somebody else can end one that hangs, by the
session's id: a process that is stopped in the middle of its own would hold what it has touched for a minute.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from iceprod_tasks.domain.errors import NoTransactions, Unavailable
from iceprod_tasks.storage.driver import Client, Session, begin, settled
from iceprod_tasks.storage.outcomes import driver_errors

log = logging.getLogger('iceprod_tasks.storage')

T = TypeVar('T')
Work = Callable[[Session], Awaitable[T]]
"""What is done in a transaction, with verbs that get its session as `session`. It may be called several times."""

_TRY_SECONDS = 5.0
_REST_SECONDS = (0.005, 0.05)
"""The shortest and the longest rest before another try: those that met each other do not meet again."""
_NOT_ON_STANDALONE = 20
_NOTHING_DONE = 'TransientTransactionError'
_NOBODY_KNOWS = 'UnknownTransactionCommitResult'


class Transactions:
    """The transactions of this process.

    Args:
        client: the driver's.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._session: Session = None
        self._turn = asyncio.Lock()

    async def session_id(self) -> Any:
        """By which `end_those_of` knows this process."""
        return (await self._opened()).session_id['id']

    async def run(self, work: Work[T]) -> T:
        """Do something wholly or not at all. It is done to its end even when the caller is cancelled.

        What met another writer is tried again for some seconds, a commit without an answer likewise: MongoDB commits
        once, however often it is asked. An error of `work` takes back all that it wrote.

        Args:
            work: what is done; nothing of it counts but what it does with the session.

        Returns:
            What `work` came to in the try that landed.

        Raises:
            Unavailable: it did not get through; or nobody knows, so a repeat has to do no harm.
            NoTransactions: the database is a standalone mongod.
        """
        doing = asyncio.ensure_future(self._in_turn(work))
        doing.add_done_callback(_hear)
        return await asyncio.shield(doing)

    async def end_those_of(self, session_ids: Sequence[Any]) -> None:
        """End the transactions that are open in sessions of the same database user, and take back what they wrote."""
        try:
            with driver_errors():
                await self._client.admin.command('killSessions', [{'id': each} for each in session_ids])
        except OperationFailure as error:
            # They end by themselves after a minute.
            log.warning('open transactions cannot be ended: %s', error, extra={'action': 'lead'})

    async def close(self) -> None:
        """End the session; what is under way comes to its end before."""
        async with self._turn:
            if self._session is not None:
                await self._session.end_session()
                self._session = None

    async def _opened(self) -> Session:
        if self._session is None:
            session = await settled(self._client.start_session())
            # Two may have come here at once. One that was never used is known to nobody.
            self._session = self._session or session
        return self._session

    async def _in_turn(self, work: Work[T]) -> T:
        async with self._turn:
            end = time.monotonic() + _TRY_SECONDS
            session = await self._opened()
            with pymongo.timeout(_TRY_SECONDS):
                while True:
                    try:
                        return await _once(session, work, end)
                    except Unavailable as error:
                        if not _labelled(error, _NOTHING_DONE) or time.monotonic() > end:
                            raise
                    await asyncio.sleep(random.uniform(*_REST_SECONDS))  # noqa: S311 - no secret


async def _once(session: Session, work: Work[T], end: float) -> T:
    await begin(session)
    try:
        result = await work(session)
    except OperationFailure as error:
        await _take_back(session)
        if error.code == _NOT_ON_STANDALONE:
            raise NoTransactions from error
        raise
    except BaseException:
        await _take_back(session)
        raise
    await _commit(session, end)
    return result


async def _take_back(session: Session) -> None:
    # What cannot be taken back now is when the session begins its next one, or a minute later by the database.
    try:
        await session.abort_transaction()
    except PyMongoError as error:
        log.info('a transaction is not taken back yet: %s', error, extra={'action': 'transaction'})


async def _commit(session: Session, end: float) -> None:
    while True:
        try:
            with driver_errors():
                await session.commit_transaction()
            return
        except Unavailable as error:
            if not _labelled(error, _NOBODY_KNOWS) or time.monotonic() > end:
                raise
        await asyncio.sleep(_REST_SECONDS[1])


def _labelled(error: Unavailable, label: str) -> bool:
    return isinstance(error.__cause__, PyMongoError) and error.__cause__.has_error_label(label)


def _hear(done: 'asyncio.Future[Any]') -> None:
    # Whoever was cancelled does not; asyncio would complain of that.
    if not done.cancelled():
        done.exception()
