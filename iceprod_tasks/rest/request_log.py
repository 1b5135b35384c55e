"""What the log says of each request: one line, and one in the audit log if it was to change something."""

import logging
from typing import TYPE_CHECKING, Any

from iceprod_tasks.rest import audit

if TYPE_CHECKING:
    from iceprod_tasks.rest.handler import Handler

log = logging.getLogger('iceprod_tasks.access')

NO_ROUTE = '-'
_LONGEST_METHOD = 20


def log_request(handler: 'Handler') -> None:
    """Write the lines of a request that is answered.

    Its URL is not in them: a query can have anything in it.

    Args:
        handler: what answered.
    """
    status = handler.get_status()
    method = (handler.request.method or '')[:_LONGEST_METHOD]
    said: dict[str, Any] = {
        'method': method,
        'route': handler.route or NO_ROUTE,
        'status': status,
        'actor': audit.name_of(handler),
        'request_id': getattr(handler, 'request_id', ''),
    }
    took_ms = round(1000 * handler.request.request_time(), 1)
    level = logging.WARNING if status >= 500 else logging.INFO
    log.log(level, '%s %s %d', method, said['route'], status, extra={'action': 'request', **said, 'ms': took_ms})
    audit.record(handler, said)
