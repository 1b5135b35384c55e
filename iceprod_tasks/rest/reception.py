"""Requests as they arrive: nobody sends more than the route takes, or much without being known, and all of it in time.

Tornado would read the body first and ask then, and would break off one that is too long with a bare 400.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream
from tornado.web import Application, RequestHandler

from iceprod_tasks.domain.errors import IceprodTasksError, TooLarge
from iceprod_tasks.rest.body_room import FREE_BYTES, BodyRoom
from iceprod_tasks.rest.handler import Handler

_SHORTEST_TIME_SECONDS = 20.0
_SLOWEST_BYTES_A_SECOND = 64 * 1024
_NO_LIMIT_BYTES = 2**62
"""Tornado's own limit must never be met before ours."""


class Reception(Application):
    """An application whose handlers, all of them `Handler`s, are asked before a long body is read."""

    def get_handler_delegate(  # type: ignore[override]
        self,
        request: HTTPServerRequest,
        target_class: type[RequestHandler],
        target_kwargs: dict[str, Any] | None = None,
        path_args: list[bytes] | None = None,
        path_kwargs: dict[str, bytes] | None = None,
    ) -> HTTPMessageDelegate:
        """Stand in for Tornado's, which reads all that comes."""

        def answer(refusal: IceprodTasksError | None) -> Awaitable[None]:
            handler = cast(Handler, target_class(self, request, **(target_kwargs or {})))
            handler.refusal = refusal
            transforms = [transform(request) for transform in self.transforms]
            return handler._execute(transforms, *(path_args or []), **(path_kwargs or {}))

        return _Arrival(request, target_kwargs or {}, self.settings, answer)


class _Arrival(HTTPMessageDelegate):
    """One request.

    Args:
        request: its head.
        route: what the handler is made with.
        settings: of the application: `body_limits_bytes`, of ordinary and bulk routes, and `body_room`.
        answer: lets a handler answer; with a refusal, if it is to say nothing else.
    """

    def __init__(
        self,
        request: HTTPServerRequest,
        route: Mapping[str, Any],
        settings: Mapping[str, Any],
        answer: Callable[[IceprodTasksError | None], Awaitable[None]],
    ) -> None:
        self._request = request
        self._route = route
        self._room: BodyRoom = settings['body_room']
        self._limit_bytes: int = settings['body_limits_bytes'][route.get('bulk', False)]
        self._answer_with = answer
        self._body = bytearray()
        self._is_known = False
        self._taken_bytes = 0

    def headers_received(self, _: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Awaitable[None] | None:
        announced_bytes = _announced_bytes(headers)
        connection: Any = self._request.connection
        connection.set_max_body_size(_NO_LIMIT_BYTES)
        # Most bodies come together with their head. For those no time need be kept.
        if announced_bytes is None or not _has_come(connection.stream, announced_bytes):
            longest_bytes = self._limit_bytes if announced_bytes is None else announced_bytes
            connection.set_body_timeout(_SHORTEST_TIME_SECONDS + longest_bytes / _SLOWEST_BYTES_A_SECOND)
        return None if (announced_bytes or 0) <= FREE_BYTES else self._refuse_unless(self._check(announced_bytes or 0))

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._body += chunk
        return None if len(self._body) <= FREE_BYTES else self._refuse_unless(self._let_in())

    def finish(self) -> None:
        self._request.body = bytes(self._body)
        self._body.clear()
        self._task = asyncio.ensure_future(self._answer(None))

    def on_connection_close(self) -> None:
        self._leave()

    async def _refuse_unless(self, good: Awaitable[None]) -> None:
        """Answer without reading on, if a check fails."""
        try:
            await good
        except IceprodTasksError as error:
            self._body.clear()
            # Closed with unread data in it, the connection would be reset, and the answer might be lost.
            connection: Any = self._request.connection
            connection.stream.lingers = True
            await self._answer(error)

    async def _check(self, size_bytes: int) -> None:
        """Whether a body may become so long.

        Raises:
            NotAuthenticated: no valid token.
            TooLarge: it is longer than the route takes.
        """
        if size_bytes > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        if not self._is_known:
            await self._check_caller()
            self._is_known = True

    async def _let_in(self) -> None:
        """Take room for what has come. What is only announced takes none, or announcing would keep others out.

        Raises:
            NotAuthenticated: no valid token.
            TooLarge: it is longer than the route takes.
            Unavailable: there is no room.
        """
        await self._check(len(self._body))
        self._room.take(len(self._body) - self._taken_bytes)
        self._taken_bytes = len(self._body)

    async def _check_caller(self) -> None:
        """Whether it is anybody that we know.

        Raises:
            NotAuthenticated: no valid token.
            TooLarge: there is nothing here that takes a long body.
        """
        access = self._route.get('access', {}).get((self._request.method or '').lower())
        if access is None or not access.roles:
            raise _too_large(FREE_BYTES)
        await self._route['identities'].caller(self._request.headers.get('Authorization'), basic=access.basic)

    async def _answer(self, refusal: IceprodTasksError | None) -> None:
        # A form is no body of ours, and costs much to take apart.
        self._request._parse_body = lambda: None  # type: ignore[method-assign]
        try:
            await self._answer_with(refusal)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._room.give_back(self._taken_bytes)
        self._taken_bytes = 0


def _announced_bytes(headers: HTTPHeaders) -> int | None:
    """How long a body will be, None where it will show; what is no number is Tornado's to refuse."""
    if 'Transfer-Encoding' in headers:
        return None
    length = headers.get('Content-Length', '0')
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else _NO_LIMIT_BYTES


def _has_come(stream: IOStream, size_bytes: int) -> bool:
    """Whether so much has come that Tornado has not read yet."""
    return stream._read_buffer_size >= size_bytes


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f'{TooLarge()}: a body has at most {limit_bytes} bytes')
