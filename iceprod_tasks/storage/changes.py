"""All that changes in the database, told in its order, once it is on the majority; and how things stood at a moment."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pymongo.errors import OperationFailure

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.storage.driver import Client, session_of
from iceprod_tasks.storage.outcomes import driver_errors

Document = dict[str, Any]
Moment = Any
"""A moment on the database's own clock; later ones are greater."""

_AT_ONCE = 1000
_GROUPS_AT_ONCE = 1_000_000
_WAIT_MS = 2000
_LONGEST_COUNT_MS = 25_000


class Changes:
    """The changes of a database from a moment on. Nothing that has happened since is missing, nothing comes twice.

    Args:
        client: the driver's, with no limit on how long one operation takes: a quiet database has nothing to say.
        database: name of the database.
        session: of the client; all that is asked here belongs to it.
        cursor: number of the database's cursor.
    """

    def __init__(self, client: Client, database: str, session: Any, cursor: int, first: Sequence[Document]) -> None:
        self._client = client
        self._database = database
        self._session = session
        self._cursor = cursor
        self._first = list(first)

    async def next(self) -> list[Document]:
        """What has changed since the last call; empty when nothing does for two seconds.

        Raises:
            Unavailable: the end; what came between this and another beginning would be missing.
        """
        if self._first:
            first, self._first = self._first, []
            return first
        command = {
            'getMore': self._cursor, 'collection': '$cmd.aggregate', 'batchSize': _AT_ONCE, 'maxTimeMS': _WAIT_MS,
        }  # fmt: skip
        answer = await run(self._client, self._database, command, self._session)
        batch: list[Document] = answer['cursor']['nextBatch']
        return batch


@contextlib.asynccontextmanager
async def changes(client: Client, database: str, pipeline: Sequence[Mapping[str, Any]]) -> AsyncIterator[Changes]:
    """Follow a database from now on.

    Args:
        client: as for `Changes`.
        database: name of the database.
        pipeline: what is of interest in a change.

    Raises:
        Unavailable: the database does not answer, or tells no changes: it is not a replica set.
    """
    async with session_of(client) as session:
        stream = [{'$changeStream': {}}, *pipeline]
        command = {'aggregate': 1, 'pipeline': stream, 'cursor': {'batchSize': _AT_ONCE}, 'maxTimeMS': _WAIT_MS}
        cursor = (await run(client, database, command, session))['cursor']
        try:
            yield Changes(client, database, session, cursor['id'], cursor['firstBatch'])
        finally:
            with contextlib.suppress(Unavailable):
                await run(client, database, {'killCursors': '$cmd.aggregate', 'cursors': [cursor['id']]}, session)


async def now(client: Client, database: str) -> Moment:
    """This moment: all that has been acknowledged before is not later."""
    async with session_of(client) as session:
        return (await run(client, database, {'ping': 1}, session))['operationTime']


async def as_of(
    client: Client, database: str, collection: str, pipeline: Sequence[Mapping[str, Any]], moment: Moment
) -> list[Document]:
    """The results of a pipeline over a collection as it was at a moment.

    Args:
        client: the driver's.
        database: name of the database.
        collection: name of the collection.
        pipeline: whose results fit into memory.
        moment: not longer ago than some minutes.

    Raises:
        Unavailable: the database does not answer, or has no memory of the moment.
    """
    command = {
        'aggregate': collection, 'pipeline': list(pipeline), 'cursor': {'batchSize': _GROUPS_AT_ONCE},
        'allowDiskUse': True, 'readConcern': {'level': 'snapshot', 'atClusterTime': moment},
        'maxTimeMS': _LONGEST_COUNT_MS,
    }  # fmt: skip
    async with session_of(client) as session:
        cursor = (await run(client, database, command, session))['cursor']
        found: list[Document] = cursor['firstBatch']
        while cursor['id']:
            more = {'getMore': cursor['id'], 'collection': collection, 'batchSize': _GROUPS_AT_ONCE}
            cursor = (await run(client, database, more, session))['cursor']
            found += cursor['nextBatch']
    return found


async def run(client: Client, database: str, command: Mapping[str, Any], session: Any) -> Document:
    """Run a command as it stands.

    Raises:
        Unavailable: it was not done.
    """
    try:
        with driver_errors():
            answer: Document = await client[database].command(command, session=session)
    except OperationFailure as error:
        raise Unavailable from error
    return answer
