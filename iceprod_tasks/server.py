"""Puts the service together: settings, database, actions, REST, scheduler; and takes it apart again."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from iceprod_tasks.actions.service import Limits, Service
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.rest.application import make_application
from iceprod_tasks.rest.auth import Tokens
from iceprod_tasks.rest.body_limit import BodyLimit
from iceprod_tasks.scheduler.rescue import Rescue
from iceprod_tasks.scheduler.retention import Retention
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded
from iceprod_tasks.storage.archives import Archives
from iceprod_tasks.storage.store import Store

log = logging.getLogger('iceprod_tasks.server')

_FINISH_SECONDS = 10.0
_MONGOD_BACK_SECONDS = 1.0


def limits(settings: Settings) -> Limits:
    """The settings that actions work with."""
    return Limits(
        lease_seconds=settings.lease_seconds,
        lease_bounds_seconds=settings.lease_bounds_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        requirements_ceiling=settings.requirements_ceiling,
        queue_depth=settings.queue_depth,
        max_failures=settings.max_failures,
        max_evictions=settings.max_evictions,
        retry_delay_seconds=settings.retry_delay_seconds,
        stop_grace_seconds=settings.stop_grace_seconds,
        unleased_grace_seconds=settings.unleased_grace_seconds,
        retention_days=settings.retention_days,
        idempotency_hours=settings.idempotency_hours,
    )


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run the service until SIGTERM or SIGINT.

    Args:
        settings: how.
        announce: told once, in a line, where the service is and where its data are.

    Raises:
        CannotStart: something is in the way; the text says what to mend.
    """
    stopped = _stop_signal()
    tokens = Tokens(settings.secret())
    async with _database(settings) as (url, place), running(settings, url, tokens) as up:
        announce(f'iceprod-tasks serves http://{settings.host}:{up.port}, data in {place}')
        await stopped.wait()
        log.info('stopping', extra={'action': 'stop'})


@dataclass(frozen=True, slots=True)
class Running:
    """A service that is up.

    Args:
        port: where it listens.
        service: what its actions work with.
    """

    port: int
    service: Service


@contextlib.asynccontextmanager
async def running(settings: Settings, mongodb_url: str, tokens: Tokens) -> AsyncIterator[Running]:
    """The service on a database that is there.

    Raises:
        CannotStart: the database is not fit, or the port is taken.
    """
    store = Store(mongodb_url, settings.mongodb_database)
    try:
        await store.prepare(allow_weak_durability=settings.allow_weak_durability)
        service = Service(store, Archives(settings.archives), limits(settings))
        application = make_application(service, tokens)
        limit = settings.body_limit_bytes
        server = HTTPServer(BodyLimit(application, limit), max_body_size=limit, idle_connection_timeout=600)
        port = _listen(server, settings)
        timers = (Scheduler(service), Rescue(service), Retention(service)) if settings.scheduler else ()
        chores = [asyncio.create_task(timer.run()) for timer in timers]
        try:
            yield Running(port, service)
        finally:
            server.stop()
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await application.finish(_FINISH_SECONDS)
            await server.close_all_connections()
    finally:
        store.close()


def _listen(server: HTTPServer, settings: Settings) -> int:
    try:
        sockets = bind_sockets(settings.port, settings.host)
    except (OSError, UnicodeError) as error:
        raise CannotStart(f'cannot listen on {settings.host} port {settings.port}: {error}') from error
    server.add_sockets(sockets)
    return int(sockets[0].getsockname()[1])


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """The connection string of the database, and words for where it is."""
    if settings.mongodb_url:
        yield settings.mongodb_url, f'MongoDB, database {settings.mongodb_database}'
        return
    folder = settings.data_dir / 'mongod'
    mongod = await embedded.start(folder)
    keeper = asyncio.create_task(_keep(mongod))
    try:
        yield mongod.url, str(folder)
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(mongod: embedded.EmbeddedMongod) -> None:
    """Bring the embedded mongod back whenever it dies, on the same port; end it when cancelled."""
    try:
        while True:
            code = await mongod.wait()
            log.error('mongod ended with %d; starting it again', code, extra={'action': 'mongod'})
            try:
                mongod = await embedded.start(mongod.folder, port=mongod.port)
            except CannotStart as error:
                log.error('%s', error, extra={'action': 'mongod'})
                await asyncio.sleep(_MONGOD_BACK_SECONDS)
    finally:
        await asyncio.shield(mongod.stop())


def _stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped
