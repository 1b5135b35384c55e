"""Puts the service together: settings, database, actions, REST, dialects, scheduler; and takes it apart again."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from tornado.netutil import bind_sockets

from iceprod_tasks.actions.leadership import Leadership
from iceprod_tasks.actions.service import Limits, Service
from iceprod_tasks.dialects.drove import handlers as drove
from iceprod_tasks.dialects.vappio import handlers as vappio
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.rest.application import make_application
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.identity.openid import OpenId
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.rest.wire.descriptors import allow_connections
from iceprod_tasks.rest.wire.draining_server import DrainingServer
from iceprod_tasks.scheduler.campaign import Campaign
from iceprod_tasks.scheduler.operations import Operations
from iceprod_tasks.scheduler.rescue import Rescue
from iceprod_tasks.scheduler.retention import Retention
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.settings import Settings
from iceprod_tasks.stopping import Stopping
from iceprod_tasks.storage import cancelling
from iceprod_tasks.storage.archives import Archives
from iceprod_tasks.storage.keeper import database
from iceprod_tasks.storage.store import Store

log = logging.getLogger('iceprod_tasks.server')

_BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted."""
_EVERYWHERE = ('', '0.0.0.0', '::')  # noqa: S104 - nothing is bound by it


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
        operations=settings.operation_rules,
    )


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Run the service in this process until SIGTERM or SIGINT.

    Args:
        settings: how.
        announce: told in a line where the service is and where its data are, and in one each what can be lost.

    Raises:
        CannotStart: something is in the way; the text says what to mend.
    """
    stopping = Stopping()
    tokens = Tokens(settings.secret())
    async with database(settings) as data, running(settings, data.url, tokens) as up:
        for line in announcement(settings, up.port, data.place, up.service.warnings):
            announce(line)
        await stopping.wait()


def announcement(settings: Settings, port: int, place: str, warnings: Sequence[str]) -> list[str]:
    """What a service that is up tells whoever started it."""
    first = f'iceprod-tasks serves http://{settings.host}:{port}, data in {place}'
    return [*(f'iceprod-tasks warns: {warning}' for warning in warnings), first]


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
async def running(
    settings: Settings, mongodb_url: str, tokens: Tokens, sockets: list[socket.socket] | None = None
) -> AsyncIterator[Running]:
    """The service on a database that is there. At the end of the block it is drained.

    Args:
        settings: how.
        mongodb_url: where the database is.
        tokens: the service's own.
        sockets: what it listens on; made from the settings when absent.

    Raises:
        CannotStart: the database is not fit, or the port is taken.
    """
    async with contextlib.AsyncExitStack() as ends:
        database_name, driver = settings.mongodb_database, settings.mongodb_driver
        store = Store(mongodb_url, database_name, driver, messages_at_most=settings.max_messages)
        ends.push_async_callback(store.close)
        warnings = await store.prepare(allow_weak_durability=settings.allow_weak_durability)
        for warning in warnings:
            log.warning('%s', warning, extra={'action': 'durability'})
        sockets = sockets or listen(settings)
        ends.callback(_close, sockets)
        leadership = Leadership(advertised(settings, port_of(sockets)), settings.leader_lease_seconds)
        archives = Archives(settings.archives)
        service = Service(store, archives, limits(settings), leadership=leadership, warnings=warnings)
        identities = Identities(tokens, service, OpenId(settings) if settings.openid_url else None)
        await ends.enter_async_context(identities.kept())
        application = make_application(
            service,
            identities,
            rate_limit=settings.rate_limit,
            body_limits_bytes=settings.body_limits_bytes,
            cors_origins=settings.cors_origins,
            dialects=(*vappio.routes(settings), *drove.ROUTES),
        )
        server = DrainingServer(application, max_connections=_max_connections(settings))
        campaign = Campaign(service)
        await campaign.turn()
        server.add_sockets(sockets)
        _tell_what_it_runs_on(settings)
        timers = (Scheduler(service), Rescue(service), Retention(service)) if settings.scheduler else ()
        chores = [asyncio.create_task(timer.run()) for timer in (campaign, Operations(service), *timers)]
        try:
            yield Running(port_of(sockets), service)
        finally:
            service.drain.begin()
            for chore in chores:
                chore.cancel()
            # A load balancer has to see that we are not ready before it finds nobody there.
            await asyncio.sleep(settings.drain_notice_seconds)
            server.stop_listening()
            await _finish(server, chores, settings.drain_seconds)


def _tell_what_it_runs_on(settings: Settings) -> None:
    loop = type(asyncio.get_running_loop()).__module__.partition('.')[0]
    text = 'the database is asked by %s, in an event loop of %s'
    log.info(text, settings.mongodb_driver, loop, extra={'action': 'start'})


def _max_connections(settings: Settings) -> int:
    possible = allow_connections(settings.max_connections)
    if possible < settings.max_connections:
        text = 'the limit on open files (ulimit -n) allows no more than %d connections'
        log.warning(text, possible, extra={'action': 'limits'})
    return possible


async def _finish(server: DrainingServer, chores: list[asyncio.Task[None]], timeout_seconds: float) -> None:
    """Let requests, and chores that are cancelled, end what they are at, but not for longer than some seconds."""
    end = time.monotonic() + timeout_seconds
    if broken_off := await server.finish(timeout_seconds):
        log.warning('%d requests took too long and are broken off', broken_off, extra={'action': 'stop'})
    if chores:
        await asyncio.wait(chores, timeout=max(0.0, end - time.monotonic()))
    # Once more: now they are broken off.
    await cancelling.end(*chores)


def listen(settings: Settings) -> list[socket.socket]:
    """Sockets that listen on the host and port of the settings.

    Raises:
        CannotStart: the port is taken, or the host is none of this machine's.
    """
    try:
        return bind_sockets(settings.port, settings.host, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise CannotStart(f'cannot listen on {settings.host} port {settings.port}: {error}') from error


def advertised(settings: Settings, port: int) -> str:
    """The address by which others know the service: the one set, else where it listens."""
    host = socket.gethostname() if settings.host in _EVERYWHERE else settings.host
    return settings.advertise.rstrip('/') or f'http://{f"[{host}]" if ":" in host else host}:{port}'


def _close(sockets: Sequence[socket.socket]) -> None:
    for listener in sockets:
        listener.close()


def port_of(sockets: Sequence[socket.socket]) -> int:
    """The port that sockets listen on."""
    return int(sockets[0].getsockname()[1])
