"""The native REST API as one Tornado application."""

from collections.abc import Collection, Sequence
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.rest.body_room import BodyRoom
from iceprod_tasks.rest.handler import NotFoundHandler
from iceprod_tasks.rest.handlers import (
    actions,
    datasets,
    health,
    history,
    jobs,
    leader,
    logs,
    outputs,
    pilots,
    retention,
    revocations,
    task_demand,
    task_order,
    task_stats,
    tasks,
    tokens,
    users,
)
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.lanes import Lanes
from iceprod_tasks.rest.rates import Rates
from iceprod_tasks.rest.reception import Reception
from iceprod_tasks.rest.request_log import log_request
from iceprod_tasks.rest.routing import Route, specs

DEFAULT_BODY_LIMITS_BYTES = (2**20, 2**23)


def make_application(
    service: Service,
    identities: Identities,
    *,
    rate_limit: float = 0,
    body_limits_bytes: tuple[int, int] = DEFAULT_BODY_LIMITS_BYTES,
    cors_origins: Collection[str] = (),
    dialects: Sequence[Route] = (),
) -> Reception:
    """Put the routes together.

    Args:
        service: what the actions work with.
        identities: finds out who asks.
        rate_limit: requests a second of one caller; 0 for no limit.
        body_limits_bytes: the longest body of ordinary routes, and of those for bulk requests.
        cors_origins: whose pages may use it in a browser.
        dialects: routes that stand above the native ones and speak as other services do.

    Raises:
        ValueError: a route has no rule for who may use it.
    """
    handler_cfg: dict[str, Any] = {
        'service': service,
        'identities': identities,
        'lanes': Lanes(),
        'rates': Rates(rate_limit),
    }
    routes: list[Any] = [
        *tasks.setup(handler_cfg)['routes'],
        *specs((*datasets.ROUTES, *jobs.ROUTES, *actions.ROUTES, *retention.ROUTES, *users.ROUTES), handler_cfg),
        *specs((*logs.ROUTES, *task_stats.ROUTES, *pilots.ROUTES, *task_order.ROUTES), handler_cfg),
        *specs((*task_demand.ROUTES, *history.ROUTES, *outputs.ROUTES, *health.ROUTES, *leader.ROUTES), handler_cfg),
        *specs((*tokens.ROUTES, *revocations.ROUTES, *dialects), handler_cfg),
    ]
    return Reception(
        routes,
        default_handler_class=NotFoundHandler,
        log_function=log_request,
        default_handler_args=handler_cfg,
        body_limits_bytes=body_limits_bytes,
        body_room=BodyRoom(),
        cors_origins=cors_origins,
    )
