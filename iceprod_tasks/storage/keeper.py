"""The database that a service runs on: the one it is told of, or a private mongod that is brought back when it dies."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded

log = logging.getLogger('iceprod_tasks.storage')

_MONGOD_BACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Database:
    """Where the data are.

    Args:
        url: the connection string.
        place: words for people.
    """

    url: str
    place: str


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Database]:
    """A database for as long as the block lasts.

    Raises:
        CannotStart: the private mongod does not come up.
    """
    if settings.mongodb_url:
        yield Database(settings.mongodb_url, f'MongoDB, database {settings.mongodb_database}')
        return
    folder = settings.data_dir / 'mongod'
    mongod = await embedded.start(folder, driver=settings.mongodb_driver)
    keeper = asyncio.create_task(_keep(mongod, settings.mongodb_driver))
    try:
        yield Database(mongod.url, str(folder))
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(mongod: embedded.EmbeddedMongod, driver: str) -> None:
    """Bring the embedded mongod back whenever it dies, on the same port; end it when cancelled."""
    try:
        while True:
            code = await mongod.wait()
            log.error('mongod ended with %d; starting it again', code, extra={'action': 'mongod'})
            try:
                mongod = await embedded.start(mongod.folder, port=mongod.port, driver=driver)
            except CannotStart as error:
                log.error('%s', error, extra={'action': 'mongod'})
                await asyncio.sleep(_MONGOD_BACK_SECONDS)
    finally:
        await asyncio.shield(mongod.stop())
