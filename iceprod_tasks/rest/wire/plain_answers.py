"""Answers that no handler gives: to what is no request, comes too slowly, or on one connection too many."""

import http
import random

from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.answer_headers import ALL, REQUEST_ID, request_id_of

_RETRY_AFTER_SECONDS = (1, 3)
"""The shortest and the longest; who is refused together does not come back together."""


def refusal(status: int, error: str) -> bytes:
    """An error in the form that all routes have, head and body, after which the connection is closed.

    Args:
        status: of HTTP.
        error: the reason.
    """
    body = bodies.render({'code': status, 'error': error})
    headers = {**ALL, REQUEST_ID: request_id_of(None), 'Connection': 'close', 'Content-Length': str(len(body))}
    if status == 503:
        headers['Retry-After'] = str(random.randint(*_RETRY_AFTER_SECONDS))  # noqa: S311 - no secret
    lines = [f'HTTP/1.1 {status} {http.HTTPStatus(status).phrase}']
    lines += [f'{name}: {value}' for name, value in headers.items()]
    return '\r\n'.join([*lines, '', '']).encode('ascii') + body
