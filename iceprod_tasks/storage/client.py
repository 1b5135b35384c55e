"""The connection to MongoDB, and the verbs that storage uses: with the driver's errors translated in one place."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.storage import POOL_SIZE
from iceprod_tasks.storage.driver import Client, client_of, session_of, settled
from iceprod_tasks.storage.driver import Session as Session
from iceprod_tasks.storage.driver import close as close
from iceprod_tasks.storage.durability import url_options
from iceprod_tasks.storage.outcomes import Duplicate as Duplicate
from iceprod_tasks.storage.outcomes import driver_errors as driver_errors
from iceprod_tasks.storage.outcomes import stored_beside_duplicates

Document = dict[str, Any]
Filter = Mapping[str, Any]
Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Sort = Sequence[tuple[str, int]]

ASCENDING = pymongo.ASCENDING
DESCENDING = pymongo.DESCENDING

_LONG_SECONDS = 60.0
_SHORT_SECONDS = 1.0

_DEFAULTS: Mapping[str, Any] = {
    'w': 'majority',
    'journal': True,
    'timeoutMS': 5000,
    'connectTimeoutMS': 1000,
    'serverSelectionTimeoutMS': 5000,
    'maxPoolSize': POOL_SIZE,
    'appname': 'iceprod_tasks',
}


def connect(url: str, driver: str = 'motor', **options: Any) -> Client:
    """A client whose every promise is a majority write, and which never waits without end.

    Args:
        url: connection string; what it says goes before what is set here. `check_durability` refuses what is weaker.
        driver: `motor` or `pymongo`.
        **options: in place of what is set here.

    Raises:
        CannotStart: the string is not a connection string, or says what cannot be.
    """
    said = url_options(url)
    try:
        defaults = {name: value for name, value in _DEFAULTS.items() if name.lower() not in said}
        return client_of(driver)(url, tz_aware=True, tzinfo=UTC, **{**defaults, **options})
    except (PyMongoError, ValueError) as error:
        raise CannotStart(f'MONGODB_URL cannot be used: {error}') from error


def utc_now() -> datetime:
    """This machine's clock, for what is not decided by time; leases use the primary's (`$$NOW`)."""
    return datetime.now(UTC)


class Collection:
    """One collection, with the verbs that storage needs.

    Args:
        raw: the driver's collection.
        variables: what the pipelines of its updates can use as `$$name`.
    """

    def __init__(self, raw: Any, variables: Mapping[str, Any] | None = None) -> None:
        self._raw = raw
        # What is said to every update is not said at all where there is nothing to say.
        self._let: dict[str, Any] = {'let': dict(variables)} if variables else {}

    @contextlib.asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """A block whose operations may take minutes: bulk changes and sums over a whole dataset.

        Such a block would also wait for minutes until a database that is gone comes back. So it begins with a question
        that waits for seconds only.
        """
        with driver_errors():
            await self._raw.database.command('ping')
        with pymongo.timeout(_LONG_SECONDS):
            yield

    @contextlib.asynccontextmanager
    async def haste(self) -> AsyncIterator[None]:
        """A block whose operations are not worth waiting for."""
        with pymongo.timeout(_SHORT_SECONDS):
            yield

    @contextlib.asynccontextmanager
    async def one_moment(self) -> AsyncIterator[Session]:
        """A block whose readings, with the session as `session`, all see the collection as it is at one moment.

        MongoDB remembers a moment for some minutes; a reading that takes longer breaks off. A standalone mongod has no
        such memory: there each reading sees what is there.

        Raises:
            Unavailable: the database does not answer.
        """
        with driver_errors():
            is_member = 'setName' in await self._raw.database.command('hello')
        if not is_member:
            yield None
            return
        async with session_of(self._raw.database.client, snapshot=True) as session:
            yield session

    async def is_writable(self) -> bool:
        """Whether there is a primary that says so itself."""
        with driver_errors():
            return bool((await self._raw.database.command('hello')).get('isWritablePrimary'))

    async def primary_time(self) -> datetime:
        """The primary's clock."""
        with driver_errors():
            time: datetime = (await self._raw.database.command('hello'))['localTime']
        # Answers to commands have times without a zone, whatever the client was told.
        return time.replace(tzinfo=UTC)

    async def find_one(self, where: Filter, projection: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """One document, or None."""
        with driver_errors():
            return await self._raw.find_one(where, projection, **options)

    async def find(
        self, where: Filter, projection: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[Document]:
        """All that match, read in batches as they are asked for."""
        cursor = self._raw.find(where, projection, **options)
        async for document in _reading(cursor):
            yield document

    async def all(self, where: Filter, projection: Mapping[str, Any] | None = None, **options: Any) -> list[Document]:
        """All that match, where it is known that they are few."""
        with driver_errors():
            found: list[Document] = await self._raw.find(where, projection, **options).to_list(None)
            return found

    async def aggregate(self, pipeline: Sequence[Mapping[str, Any]], **options: Any) -> AsyncIterator[Document]:
        """The results of a pipeline, read in batches."""
        with driver_errors():
            # Motor asks the database when the first result is read, PyMongo at once.
            cursor = await settled(self._raw.aggregate(pipeline, **options))
        async for document in _reading(cursor):
            yield document

    async def count(self, where: Filter, **options: Any) -> int:
        """How many match."""
        with driver_errors():
            return int(await self._raw.count_documents(where, **options))

    async def size(self) -> int:
        """About how many there are, at once."""
        with driver_errors():
            return int(await self._raw.estimated_document_count())

    async def insert_one(self, document: Document, **options: Any) -> None:
        """Store a new document.

        Raises:
            Duplicate: a unique index has its value already.
        """
        with driver_errors():
            await self._raw.insert_one(document, **options)

    async def insert_absent(self, documents: Sequence[Document]) -> int:
        """Store those that are not there yet.

        Returns:
            How many were stored now.
        """
        if not documents:
            return 0
        with driver_errors():
            try:
                result = await self._raw.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                return stored_beside_duplicates(error)
            return len(result.inserted_ids)

    async def update_one(self, where: Filter, update: Update, *, upsert: bool = False, **options: Any) -> int:
        """Change one document; how many matched.

        Raises:
            Duplicate: the change would break a unique index.
        """
        with driver_errors():
            options |= {'upsert': upsert, **self._let}
            try:
                return int((await self._raw.update_one(where, update, **options)).matched_count)
            except DuplicateKeyError:
                if not upsert:
                    raise
                # Two may insert at once; the slower one finds the other's document when it looks again.
                return int((await self._raw.update_one(where, update, **options)).matched_count)

    async def update_many(self, where: Filter, update: Update, **options: Any) -> int:
        """Change all that match; how many matched."""
        with driver_errors():
            return int((await self._raw.update_many(where, update, **self._let, **options)).matched_count)

    async def find_one_and_update(
        self, where: Filter, update: Update, projection: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Change one document and return it as it is then, or None.

        Raises:
            Duplicate: the change would break a unique index.
        """
        with driver_errors():
            found = await self._raw.find_one_and_update(
                where, update, projection, return_document=ReturnDocument.AFTER, **self._let, **options
            )
        return _projected(found, projection) if found and projection else found

    async def replace_one(self, where: Filter, document: Document) -> None:
        """Put a document in place of the one that matches, or store it."""
        with driver_errors():
            try:
                await self._raw.replace_one(where, document, upsert=True)
            except DuplicateKeyError:
                # As in `update_one`.
                await self._raw.replace_one(where, document, upsert=True)

    async def delete_many(self, where: Filter, **options: Any) -> int:
        """Remove all that match; how many there were."""
        with driver_errors():
            return int((await self._raw.delete_many(where, **options)).deleted_count)


def collection(client: Client, database: str, name: str) -> Collection:
    """A collection of the service's database, with times read as UTC."""
    return Collection(raw_collection(client, database, name))


def raw_collection(client: Client, database: str, name: str) -> Any:
    """The same as the driver has it."""
    options: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)
    return client[database].get_collection(name, codec_options=options)


async def create_indexes(client: Client, database: str, name: str, models: list[Any]) -> None:
    """Make a collection's indexes where they are missing; others are left alone.

    Raises:
        CannotStart: an index of that name exists with another definition.
    """
    try:
        with driver_errors(), pymongo.timeout(_LONG_SECONDS):
            await client[database][name].create_indexes(models)
    except OperationFailure as error:
        raise CannotStart(f'the indexes of {database}.{name} cannot be made: {error.details}') from error


def _projected(document: Document, projection: Mapping[str, Any]) -> Document:
    """What a projection of plain fields leaves of a document.

    MongoDB forgets it where a change was made, its answer was lost, and the driver has asked again.
    """
    if any(projection.values()):
        return {name: value for name, value in document.items() if projection.get(name)}
    return {name: value for name, value in document.items() if name not in projection}


async def _reading(cursor: Any) -> AsyncIterator[Document]:
    try:
        while True:
            with driver_errors():
                try:
                    document = await cursor.__anext__()
                except StopAsyncIteration:
                    return
            yield document
    finally:
        # Tells the database, of a cursor that was not read to its end; nothing else would end such a question.
        with pymongo.timeout(_SHORT_SECONDS):
            await cursor.close()
