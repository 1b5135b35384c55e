"""The native REST API as one Tornado application."""

import asyncio
import logging
import time
import weakref
from typing import Any

from tornado.web import Application, RequestHandler

from iceprod_tasks.actions.service import Service
from iceprod_tasks.rest.auth import Tokens
from iceprod_tasks.rest.handler import NotFoundHandler
from iceprod_tasks.rest.handlers import (
    actions,
    datasets,
    health,
    jobs,
    logs,
    pilots,
    retention,
    task_order,
    task_stats,
    tasks,
    users,
)
from iceprod_tasks.rest.routing import specs

log = logging.getLogger('iceprod_tasks.access')

_LOOK_SECONDS = 0.05


class NativeApplication(Application):
    """The application, knowing how many requests it is at."""

    def __init__(self, routes: list[Any]) -> None:
        super().__init__(routes, default_handler_class=NotFoundHandler, log_function=_log_request)
        self._at_work: weakref.WeakSet[RequestHandler] = weakref.WeakSet()

    def begin(self, handler: RequestHandler) -> None:
        """Say that a request is being worked on."""
        self._at_work.add(handler)

    def end(self, handler: RequestHandler) -> None:
        """Say that a request has been answered."""
        self._at_work.discard(handler)

    async def finish(self, timeout_seconds: float) -> None:
        """Wait until all requests are answered, but not longer than some seconds."""
        end = time.monotonic() + timeout_seconds
        while self._at_work and time.monotonic() < end:
            await asyncio.sleep(_LOOK_SECONDS)


def make_application(service: Service, tokens: Tokens) -> NativeApplication:
    """Put the routes together.

    Args:
        service: what the actions work with.
        tokens: checks who asks.

    Raises:
        ValueError: a route has no rule for who may use it.
    """
    handler_cfg: dict[str, Any] = {'service': service, 'tokens': tokens}
    routes: list[Any] = [
        *tasks.setup(handler_cfg)['routes'],
        *specs((*datasets.ROUTES, *jobs.ROUTES, *actions.ROUTES, *retention.ROUTES, *users.ROUTES), handler_cfg),
        *specs((*logs.ROUTES, *task_stats.ROUTES, *pilots.ROUTES, *task_order.ROUTES), handler_cfg),
        *specs(health.ROUTES, handler_cfg),
    ]
    return NativeApplication(routes)


def _log_request(handler: RequestHandler) -> None:
    """One line a request, with the class that answered and no part of the URL but its path's kind."""
    status = handler.get_status()
    level = logging.WARNING if status >= 500 else logging.DEBUG
    name, method = type(handler).__name__, handler.request.method
    log.log(level, '%s %s %d %.1f ms', method, name, status, 1000 * handler.request.request_time())
