"""What can go wrong between a program and the service, in one tree.

ClientError                 the service's answer is not the one asked for
├── BadRequest         400  the service does not understand the request
├── NotAuthenticated   401  no token, or one that is not valid (any more)
├── NotPermitted       403  the token's owner may not do this
├── NotFound           404  there is no such thing
│   └── NoWork              nothing queued fits the offer; `left` says how much is unfinished
├── Conflict           409  the claim is lost, or the status does not allow it
├── Gone               410  this claim id was answered before, and that claim has ended
├── TooLarge           413  more than the service takes in one request
├── Overloaded         429  too many requests; `retry_after_seconds` says when to come back
├── ServerError        5xx  the service failed, or answered something that is not its language
└── Unreachable             no answer at all: refused, cut or timed out

Each carries `code`, `reason` and `body`, so a program can show what the service said.
"""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import orjson

LONGEST_RETRY_AFTER_SECONDS = 300.0


class ClientError(Exception):
    """The service's answer is not the one asked for.

    Args:
        reason: the service's words, or ours when it said nothing.
        code: the HTTP status; 0 without an answer.
        body: the JSON object of the answer; empty when there is none.
        retry_after_seconds: how long the service asks to wait; 0 when it does not say.
    """

    def __init__(
        self, reason: str, *, code: int = 0, body: Mapping[str, Any] | None = None, retry_after_seconds: float = 0.0
    ) -> None:
        super().__init__(f'{reason} ({code})' if code else reason)
        self.reason = reason
        self.code = code
        self.body: Mapping[str, Any] = body or {}
        self.retry_after_seconds = retry_after_seconds


class BadRequest(ClientError):
    """The service does not understand the request."""


class NotAuthenticated(ClientError):
    """There is no token, or one that is not valid."""


class NotPermitted(ClientError):
    """The token's owner may not do this."""


class NotFound(ClientError):
    """There is no such thing."""


class NoWork(NotFound):
    """Nothing queued fits the offer."""

    @property
    def left(self) -> int:
        """Unfinished tasks that fit the offer, queued or not; 0 tells a pilot that it may go."""
        return int(self.body['left'])


class Conflict(ClientError):
    """The claim is lost, or the status does not allow it."""


class Gone(ClientError):
    """This claim id was answered before, and that claim has ended."""


class TooLarge(ClientError):
    """The request is larger than the service takes."""


class Overloaded(ClientError):
    """There are too many requests at the moment."""


class ServerError(ClientError):
    """The service failed, or answered something that is not its language."""


class Unreachable(ClientError):
    """There is no answer: the connection was refused, cut, or timed out.

    Args:
        reason: what happened on the way.
        sent: whether the service may have received the request; False is a promise that it has not.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


BY_CODE: Mapping[int, type[ClientError]] = {
    400: BadRequest,
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    429: Overloaded,
}


def error_of(response: httpx2.Response) -> ClientError:
    """The exception that stands for an answer that is not a success."""
    body = _object_in(response)
    code = response.status_code
    if code == 404 and type(body.get('left')) is int:
        kind: type[ClientError] = NoWork
    else:
        kind = ServerError if code >= 500 else BY_CODE.get(code, ClientError)
    return kind(
        str(body.get('error') or response.reason_phrase or 'no reason given'),
        code=code,
        body=body,
        retry_after_seconds=retry_after_seconds(response.headers.get('Retry-After', '')),
    )


def _object_in(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def retry_after_seconds(header: str) -> float:
    """The seconds a Retry-After header asks for; a date is told from a number, and anything else is ignored."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else 0.0
