"""The one module that knows which driver is in use: Motor, or PyMongo's own async client.

Both raise the same errors, take the same options, and keep `pymongo.timeout`. They differ in what has to be awaited,
and in what becomes of an operation whose caller is cancelled: Motor's goes on in its thread, PyMongo breaks it off and
closes the connection that it was on. To the caller the outcome is unknown either way.
"""

import contextlib
import inspect
import os
from collections.abc import AsyncIterator
from typing import Any

import pymongo
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from iceprod_tasks.storage import POOL_SIZE

Client = Any
"""The driver's client."""
Session = Any
"""The driver's session; verbs take it as `session`. None for none in particular."""


def client_of(driver: str) -> Client:
    """The class of a driver's clients.

    Args:
        driver: `motor` or `pymongo`. Motor is not loaded where the other one was chosen.
    """
    if driver == 'pymongo':
        return pymongo.AsyncMongoClient
    # Motor reads it once, when it is imported. Its own five threads a core would let slow reads stop claims.
    os.environ.setdefault('MOTOR_MAX_WORKERS', str(POOL_SIZE))
    from motor.motor_asyncio import AsyncIOMotorClient

    return AsyncIOMotorClient


async def settled(result: Any) -> Any:
    """What a call comes to, whether this driver has it awaited or not."""
    return await result if inspect.isawaitable(result) else result


async def close(client: Client) -> None:
    """End all connections of a client."""
    await settled(client.close())


@contextlib.asynccontextmanager
async def opened(driver: str, url: str, **options: Any) -> AsyncIterator[Client]:
    """A client for as long as the block lasts; of its own, with nothing said of how it writes."""
    client = client_of(driver)(url, **options)
    try:
        yield client
    finally:
        await close(client)


@contextlib.asynccontextmanager
async def session_of(client: Client, **options: Any) -> AsyncIterator[Session]:
    """A session for as long as the block lasts."""
    session = await settled(client.start_session(**options))
    try:
        yield session
    finally:
        await session.end_session()


async def begin(session: Session) -> None:
    """Begin a transaction: it reads the database as of one moment, and lands on the majority or not at all."""
    options = {'read_concern': ReadConcern('snapshot'), 'write_concern': WriteConcern('majority', j=True)}
    await settled(session.start_transaction(**options))
