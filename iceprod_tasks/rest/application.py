"""The native REST API as one Tornado application."""

from typing import Any

from tornado.web import Application

from iceprod_tasks.actions.service import Service
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
    revocations,
    task_order,
    task_stats,
    tasks,
    tokens,
    users,
)
from iceprod_tasks.rest.identities import Identities
from iceprod_tasks.rest.lanes import Lanes
from iceprod_tasks.rest.rates import Rates
from iceprod_tasks.rest.request_log import log_request
from iceprod_tasks.rest.routing import specs


def make_application(service: Service, identities: Identities, rate_limit: float = 0) -> Application:
    """Put the routes together.

    Args:
        service: what the actions work with.
        identities: finds out who asks.
        rate_limit: requests a second of one caller; 0 for no limit.

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
        *specs((*history.ROUTES, *health.ROUTES), handler_cfg),
        *specs((*tokens.ROUTES, *revocations.ROUTES), handler_cfg),
    ]
    return Application(
        routes, default_handler_class=NotFoundHandler, log_function=log_request, default_handler_args=handler_cfg
    )
