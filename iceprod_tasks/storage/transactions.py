"""Several changes as one: all of them are there, or none, whatever fails and whoever gives up in between.

A transaction that met another one, or a primary that went, is tried again by itself, and so is the word that ends it.
Both for as long as one operation may take; then it is as unknown as any write that was not answered.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from iceprod_tasks.storage.driver import Client, Session, begin, session_of
from iceprod_tasks.storage.outcomes import COMMIT_UNKNOWN, TRANSIENT, driver_errors

T = TypeVar('T')
Work = Callable[[Session], Awaitable[T]]

_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.25
_LET_GO_SECONDS = 1.0
_ILLEGAL = 20

_under_way: set[asyncio.Future[Any]] = set()


async def in_transaction(client: Client, work: Work[T]) -> T:
    """Carry out changes of which all are there in the end, or none.

    It goes on to its end when whoever asked for it is cancelled, as a single write does once it is sent. A standalone
    mongod has no transactions; there the work is done without one.

    Args:
        client: of the database; `Collection.client` has it.
        work: is given a session for the verbs (`session=`), which must all be of that client and come one after the
            other. It may be called several times, and should be short: what it has changed keeps others waiting.

    Returns:
        What the work has returned the last time.

    Raises:
        Unavailable: nobody knows whether the changes are there.
    """
    task = asyncio.ensure_future(_in_transaction(client, work))
    _under_way.add(task)
    task.add_done_callback(_ended)
    return await asyncio.shield(task)


def _ended(task: asyncio.Future[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        # Whoever asked may be gone; the error is theirs all the same.
        task.exception()


async def _in_transaction(client: Client, work: Work[T]) -> T:
    with driver_errors():
        try:
            async with session_of(client) as session:
                return await _tried(session, work, time.monotonic() + client.options.timeout)
        except OperationFailure as error:
            if error.code != _ILLEGAL or 'Transaction numbers' not in str(error):
                raise
        return await work(None)


async def _tried(session: Session, work: Work[T], end: float) -> T:
    """The transaction, again and again while it may succeed, until a moment of the monotonic clock."""
    pause_seconds = _FIRST_PAUSE_SECONDS
    while True:
        try:
            # Zero would mean without end.
            with pymongo.timeout(max(end - time.monotonic(), 0.001)):
                return await _once(session, work, end)
        except BaseException as error:
            await _let_go(session)
            if not _says(error, TRANSIENT) or time.monotonic() + pause_seconds > end:
                raise
        # Two that met would meet again if they waited for equally long.
        await asyncio.sleep(random.uniform(0, pause_seconds))  # noqa: S311
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


async def _once(session: Session, work: Work[T], end: float) -> T:
    await begin(session)
    result = await work(session)
    while True:
        try:
            await session.commit_transaction()
            return result
        except PyMongoError as error:
            if not _says(error, COMMIT_UNKNOWN) or time.monotonic() > end:
                raise
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)


async def _let_go(session: Session) -> None:
    """Have MongoDB forget what was changed; where this does not get through, others wait for it for up to a minute."""
    with contextlib.suppress(PyMongoError), pymongo.timeout(_LET_GO_SECONDS):
        if session.in_transaction:
            await session.abort_transaction()
        else:
            # It was asked to commit, after which the driver lets nobody abort; perhaps it has not heard of that.
            await session.client.admin.command({'killSessions': [session.session_id]})


def _says(error: BaseException, label: str) -> bool:
    """Whether an error of the driver has a label; verbs have made it one of ours."""
    cause = error if isinstance(error, PyMongoError) else error.__cause__
    return isinstance(cause, PyMongoError) and cause.has_error_label(label)
