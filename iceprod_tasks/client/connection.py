"""One request and its answer: HTTP, JSON and the retries; the one module that sends anything."""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx2
import orjson

from iceprod_tasks import __version__
from iceprod_tasks.client.errors import ClientError, ServerError, Unreachable, error_of
from iceprod_tasks.client.retry import Retry

log = logging.getLogger(__name__)

COME_BACK_LATER = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Args:
        method: the HTTP method.
        path: the route's path with its values quoted, from the slash on.
        repeatable: whether the same request twice has the effect of one.
        body: what goes as JSON; None sends no body.
        query: the query's parameters.
        silence_seconds: how long the service may be silent over this one; as over others when None.
        idempotency_key: by which the service knows the request again, so that it can be repeated; '' for none.
        form: the fields of a form, which go in place of a body.
    """

    method: str
    path: str
    repeatable: bool = True
    body: object = None
    query: Mapping[str, str | int] | None = None
    silence_seconds: float | None = None
    idempotency_key: str = ''
    form: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON of a successful answer, and the address of the next page when there is one."""

    document: Any
    next_page: str | None


class Connection:
    """A pool of connections to one service.

    Args:
        server: the service's address, for example `http://127.0.0.1:8080`.
        token: the bearer token; empty sends none.
        timeout_seconds: the longest silence while connecting, sending or reading.
        transport: stands in for the network in tests.

    Raises:
        ValueError: the address is not one of HTTP, or the token not one that can be sent.
    """

    def __init__(
        self, server: str, token: str, timeout_seconds: float, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._server = _checked(server)
        headers = {'User-Agent': f'iceprod-tasks/{__version__}', 'Accept': 'application/json'}
        if token:
            if not (token.isascii() and token.isprintable()):
                raise ValueError('not a token: it has characters that cannot be sent')
            headers['Authorization'] = f'Bearer {token}'
        self._timeout_seconds = timeout_seconds
        self._http = httpx2.AsyncClient(headers=headers, transport=transport)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def ask(self, request: Request, retry: Retry) -> Answer:
        """Send a request, again where that is safe and may help.

        Raises:
            ClientError: the answer is an error, or there is none.
        """
        response = await self._response(request, retry)
        return Answer(_document_in(response), response.links.get('next', {}).get('url'))

    async def stream(self, request: Request, retry: Retry) -> AsyncIterator[bytes]:
        """Send a request, again until the answer begins, and give what it brings piece by piece.

        Raises:
            ClientError: the answer is an error, is cut off, or there is none.
        """
        response = await self._response(request, retry, stream=True)
        try:
            async for piece in response.aiter_bytes():
                yield piece
        except httpx2.RequestError as error:
            raise Unreachable(_words(error), sent=True) from error
        finally:
            await response.aclose()

    async def _response(self, request: Request, retry: Retry, *, stream: bool = False) -> httpx2.Response:
        started = time.monotonic()
        for attempt in itertools.count():
            try:
                return await self._send(request, stream=stream)
            except ClientError as error:
                if not worth_repeating(request, error):
                    raise
                delay = retry.delay(attempt, time.monotonic() - started, error.retry_after_seconds)
                if delay is None:
                    raise
                # One line a request: a service that is down for an hour must not fill the log.
                level = logging.DEBUG if attempt else logging.WARNING
                log.log(level, '%s %s: %s; trying again', request.method, request.path, error)
            await asyncio.sleep(delay)
        raise AssertionError('unreachable')

    async def _send(self, request: Request, *, stream: bool) -> httpx2.Response:
        content, headers = _content_of(request)
        if request.idempotency_key:
            headers['Idempotency-Key'] = request.idempotency_key
        asked = self._http.build_request(
            request.method,
            self._server + request.path,
            content=content,
            headers=headers,
            params=request.query,
            # Only the answer may take long: a service that cannot be reached is not waited for.
            timeout=httpx2.Timeout(self._timeout_seconds, read=request.silence_seconds or self._timeout_seconds),
        )
        try:
            response = await self._http.send(asked, stream=stream)
            if not response.is_success:
                await response.aread()
                raise error_of(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Unreachable(_words(error), sent=False) from error
        except httpx2.RequestError as error:
            raise Unreachable(_words(error), sent=True) from error
        return response


def _checked(server: str) -> str:
    try:
        url = httpx2.URL(server)
    except httpx2.InvalidURL as error:
        raise ValueError(f'not the address of a service: {server!r}') from error
    is_port = url.port is None or 0 < url.port < 2**16
    if url.scheme not in {'http', 'https'} or not url.host or not is_port or url.query or url.fragment:
        raise ValueError(f'not the address of a service: {server!r}')
    return server.rstrip('/')


def _content_of(request: Request) -> tuple[bytes | None, dict[str, str]]:
    if request.form is not None:
        return urlencode(request.form).encode(), {'Content-Type': 'application/x-www-form-urlencoded'}
    if request.body is not None:
        return orjson.dumps(request.body), {'Content-Type': 'application/json'}
    return None, {}


def worth_repeating(request: Request, error: ClientError) -> bool:
    """Whether another try does no harm, and may help."""
    if isinstance(error, Unreachable):
        return request.repeatable or not error.sent
    return request.repeatable and error.code in COME_BACK_LATER


def _document_in(response: httpx2.Response) -> Any:
    if not response.content:
        return None
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise ServerError('the answer is not JSON', code=response.status_code) from error


def _words(error: httpx2.RequestError) -> str:
    """Timeouts carry no text of their own; their class says which one it was."""
    return f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
