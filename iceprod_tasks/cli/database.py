"""The database that a command works on directly: the service's own, whether the service runs or not."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import click

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded
from iceprod_tasks.storage.store import Store

Command = Callable[..., Any]


def database_options(command: Command) -> Command:
    """`--mongodb-url`, `--mongodb-database` and `--data`, as `serve` has them."""
    url = click.option('--mongodb-url', help='Connection string; without one the private mongod.  [env: MONGODB_URL]')
    name = click.option(
        '--mongodb-database', help='Name of the database.  [env: MONGODB_DATABASE; default: iceprod_tasks]'
    )
    data = click.option('--data', 'data_dir', type=click.Path(path_type=Path), help='Folder of the private mongod.')
    return url(name(data(command)))


@contextlib.asynccontextmanager
async def open_store(settings: Settings, *, make: bool) -> AsyncIterator[Store]:
    """The database; a private mongod that does not run is started for the time.

    Args:
        settings: where it is.
        make: whether to make the data folder of a private mongod where there is none.

    Raises:
        CannotStart: there is no database.
    """
    async with contextlib.AsyncExitStack() as stack:
        store = Store(await _url(settings, stack, make=make), settings.mongodb_database, settings.mongodb_driver)
        stack.push_async_callback(store.close)
        yield store


async def _url(settings: Settings, stack: contextlib.AsyncExitStack, *, make: bool) -> str:
    if settings.mongodb_url:
        return settings.mongodb_url
    folder = settings.data_dir / 'mongod'
    if not make and not embedded.has_data(folder):
        raise CannotStart(f'there is no database in {folder}, and MONGODB_URL names none')
    running = embedded.url_of_running(folder)
    if running is None:
        mongod = await embedded.start(folder, driver=settings.mongodb_driver)
        stack.push_async_callback(mongod.stop)
        running = mongod.url
    return running
