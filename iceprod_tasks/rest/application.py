"""The native REST API as one Tornado application."""

import logging
from collections.abc import Collection
from typing import Any

from tornado.web import RequestHandler

from iceprod_tasks.actions.service import Service
from iceprod_tasks.rest.auth import Tokens
from iceprod_tasks.rest.body_room import BodyRoom
from iceprod_tasks.rest.handler import NotFoundHandler
from iceprod_tasks.rest.handlers import (
    actions,
    datasets,
    health,
    history,
    jobs,
    logs,
    pilots,
    retention,
    task_order,
    task_stats,
    tasks,
    users,
)
from iceprod_tasks.rest.reception import Reception
from iceprod_tasks.rest.routing import specs

log = logging.getLogger('iceprod_tasks.access')

DEFAULT_BODY_LIMITS_BYTES = (2**20, 2**23)


def make_application(
    service: Service,
    tokens: Tokens,
    *,
    body_limits_bytes: tuple[int, int] = DEFAULT_BODY_LIMITS_BYTES,
    cors_origins: Collection[str] = (),
) -> Reception:
    """Put the routes together.

    Args:
        service: what the actions work with.
        tokens: checks who asks.
        body_limits_bytes: the longest body of ordinary routes, and of those for bulk requests.
        cors_origins: whose pages may use it in a browser.

    Raises:
        ValueError: a route has no rule for who may use it.
    """
    handler_cfg: dict[str, Any] = {'service': service, 'tokens': tokens}
    routes: list[Any] = [
        *tasks.setup(handler_cfg)['routes'],
        *specs((*datasets.ROUTES, *jobs.ROUTES, *actions.ROUTES, *retention.ROUTES, *users.ROUTES), handler_cfg),
        *specs((*logs.ROUTES, *task_stats.ROUTES, *pilots.ROUTES, *task_order.ROUTES), handler_cfg),
        *specs((*history.ROUTES, *health.ROUTES), handler_cfg),
    ]
    return Reception(
        routes,
        default_handler_class=NotFoundHandler,
        log_function=_log_request,
        default_handler_args=handler_cfg,
        body_limits_bytes=body_limits_bytes,
        body_room=BodyRoom(),
        cors_origins=cors_origins,
    )


def _log_request(handler: RequestHandler) -> None:
    """One line a request, with the class that answered and no part of the URL but its path's kind."""
    status = handler.get_status()
    level = logging.WARNING if status >= 500 else logging.DEBUG
    name, method = type(handler).__name__, handler.request.method
    log.log(level, '%s %s %d %.1f ms', method, name, status, 1000 * handler.request.request_time())
