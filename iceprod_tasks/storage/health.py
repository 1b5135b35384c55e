"""Can the database be used now? A cheap look, and not more often than once a second, however many ask."""

import asyncio
import logging
import time

from pymongo.errors import PyMongoError

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.storage.client import Collection
from iceprod_tasks.storage.schema import Schema

log = logging.getLogger('iceprod_tasks.storage')

_FRESH_SECONDS = 1.0


class Health:
    """Looks at the database.

    Args:
        collection: any collection of it.
        schema: which releases may work on it.
    """

    def __init__(self, collection: Collection, schema: Schema) -> None:
        self._collection = collection
        self._schema = schema
        self._looked: float | None = None
        self._why = ''
        self._lock = asyncio.Lock()

    async def why_not(self) -> str:
        """Words for why the database cannot be used; empty when it can."""
        async with self._lock:
            if self._looked is None or time.monotonic() - self._looked > _FRESH_SECONDS:
                self._why = await self._look()
                self._looked = time.monotonic()
            return self._why

    async def _look(self) -> str:
        try:
            async with self._collection.haste():
                if not await self._collection.is_writable():
                    return 'the database has no primary'
                return await self._schema.too_new()
        except Unavailable:
            return 'the database does not answer'
        except PyMongoError as error:
            log.warning('the database refuses a look at it: %s', error, extra={'action': 'ready'})
            return 'the database refuses the service'
