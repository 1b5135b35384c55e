"""The base of every handler: who asks, may they, what do they say, and how errors look."""

import asyncio
import logging
import random
import uuid
from asyncio import Future
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from iceprod_tasks.actions import permit
from iceprod_tasks.domain import errors
from iceprod_tasks.rest import bodies, lanes, long_bodies
from iceprod_tasks.rest.admitted import Admitted
from iceprod_tasks.rest.answer_headers import AnswerHeaders
from iceprod_tasks.rest.arguments import Arguments
from iceprod_tasks.rest.content_type import JSON, BodyType, check_content_type
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.rates import Rates
from iceprod_tasks.rest.repeating import Repeating

log = logging.getLogger('iceprod_tasks.rest')

STATUS_OF_ERROR: Mapping[type[errors.IceprodTasksError], int] = {
    errors.InvalidRequest: 400,
    errors.NotLeader: 400,
    errors.InMaintenance: 400,
    errors.NotAuthenticated: 401,
    errors.NotPermitted: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.ClaimOver: 410,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.Overloaded: 429,
    errors.Unavailable: 503,
}
"""The HTTP status of each error; a class that is not named has its nearest base's."""

RETRY_AFTER_SECONDS = (1, 3)
"""The shortest and the longest; who is refused together does not come back together."""
_FLUSH_BYTES = 64 * 1024


def status_of(error: BaseException | None, otherwise: int = 500) -> int:
    """The HTTP status of an error.

    Args:
        error: any.
        otherwise: that of one which is none of ours.
    """
    return next((STATUS_OF_ERROR[base] for base in type(error).__mro__ if base in STATUS_OF_ERROR), otherwise)


class Handler(Arguments, Repeating, Admitted, AnswerHeaders):
    """What all handlers share."""

    body_type: BodyType = JSON
    only_reads = False
    """Whether even its POST changes nothing, and is not in the audit log."""

    def initialize(self, **handler_cfg: Any) -> None:
        """Take what the route table passes on.

        Args:
            **handler_cfg: `service`, `identities`, `lanes` and `rates` of the application, `access`, `keyed` and
                the readable path (`route`) of the route.
        """
        self.service = handler_cfg.get('service')  # type: ignore[assignment]
        self.identities: Identities = handler_cfg.get('identities')  # type: ignore[assignment]
        self.lanes = handler_cfg.get('lanes')  # type: ignore[assignment]
        self.rates: Rates = handler_cfg.get('rates')  # type: ignore[assignment]
        self.access: Mapping[str, Any] = handler_cfg.get('access', {})
        self._keyed: str = handler_cfg.get('keyed', '')
        self.route: str = handler_cfg.get('route', '')
        self.understood: Mapping[str, Any] = {}

    async def prepare(self) -> None:
        """Find out who asks, and whether they may; a request with a key is answered here.

        Raises:
            NotAuthenticated: no valid token.
            NotPermitted: none of the caller's roles is accepted here, the dataset does not name the user, or it is not
                the pilot's own.
            BeingDeleted: the request would change a dataset that is being deleted.
            InvalidRequest: the key is none, or the path or the query is not what they may be.
            Draining: it would begin something, and this process is stopping.
            Busy: too many pilots ask at once.
            Overloaded: too many others ask at once, or this caller too often.
            UnsupportedMediaType: the body is not JSON, or not a form where that is what the route takes.
            TooLarge: so is the body, which has not been read.
        """
        method = (self.request.method or '').lower()
        access = self.access.get(method)
        if access is None:
            if self.answer_preflight(self.access):
                return
            raise HTTPError(405)
        if self.refusal is not None:
            raise self.refusal
        self._check_drain(access)
        self.check_arguments()
        if self.request.body:
            check_content_type(self.request.headers, self.body_type)
        lane = access.lane or lanes.BY_METHOD[method]
        if not access.roles:
            await self.admit(lane)
            return
        caller = await self.identities.caller(self.request.headers.get('Authorization'), basic=access.basic)
        await self.rates.take(caller)
        self.caller = caller.within(access.roles)
        if not self.caller.roles:
            raise errors.NotPermitted
        # Not before it is known who asks: tokens that take long to check must not keep pilots out.
        await self.admit(lane)
        self._check_drain(access)
        await self.check_service()
        await permit.enter(self.service, self.caller, self.path_kwargs, access.dataset, access.own)
        key = self.key() if method == self._keyed else None
        if key is None:
            await self._check_kept(access)
        else:
            await self.once(key, lambda: self._work(method, access))

    async def check_service(self) -> None:
        """Refuse what this service may not answer at the moment; nothing, on most routes."""

    def _check_drain(self, access: Any) -> None:
        if access.new_work and self.service.drain.begun:
            raise errors.Draining

    async def _check_kept(self, access: Any) -> None:
        if access.dataset == 'write' and not access.while_deleting:
            await permit.check_kept(self.service, self.path_kwargs['dataset_id'])

    async def _work(self, method: str, access: Any) -> None:
        """What the request asks for, done here and not by Tornado: its answer is kept before it is sent."""
        await self._check_kept(access)
        await getattr(self, method)(*self.path_args, **self.path_kwargs)

    def body(self, schema: str, *, optional: bool = False, free_keys: tuple[str, ...] = ()) -> dict[str, Any]:
        """The request's body.

        Args:
            schema: name of the schema that it must fit.
            optional: whether no body at all is the same as an empty object.
            free_keys: members whose keys have a language of their own.

        Raises:
            InvalidRequest: it is no JSON object, or does not fit.
        """
        if optional and not self.request.body:
            return {}
        body = bodies.parse(self.request.body)
        bodies.check(body, schema)
        bodies.check_keys({key: value for key, value in body.items() if key not in free_keys})
        self.understood = body
        return body

    async def long_body(self, schema: str, *, optional: bool = False) -> dict[str, Any]:
        """The same; however long it is, others have turns meanwhile."""
        if len(self.request.body) < long_bodies.LONG_BYTES:
            return self.body(schema, optional=optional)
        self.understood = body = await long_bodies.read(self.request.body, schema)
        return body

    def answer(self, value: Any, status: int = 200) -> None:
        """Answer with JSON; it is sent when the method returns."""
        self.set_status(status)
        self.say(bodies.render(value))

    async def stream(self, pieces: AsyncIterator[bytes]) -> None:
        """End the request with pieces of JSON, written as the client takes them."""
        buffer = bytearray()
        began = asyncio.get_running_loop().time()
        try:
            async for piece in pieces:
                buffer += piece
                if len(buffer) >= _FLUSH_BYTES:
                    self.write(bytes(buffer))
                    buffer.clear()
                    await self.flush()
                # A client that takes all at once would leave no turn to anybody else.
                began = await self.lanes.give_way(began)
            await self.finish(bytes(buffer))
        except StreamClosedError:
            log.info('client went away', extra={'action': 'stream'})

    async def as_list(self, name: str, documents: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
        """The pieces of `{name: [document, ...]}`."""
        separator = b'{' + bodies.render(name) + b':['
        async for document in documents:
            yield separator + bodies.render(document)
            separator = b','
        yield b']}' if separator == b',' else separator + b']}'

    async def as_dict(self, documents: AsyncIterator[Mapping[str, Any]], key: str) -> AsyncIterator[bytes]:
        """The pieces of `{id: document, ...}`, with the id that each document has under `key`."""
        separator = b'{'
        async for document in documents:
            yield separator + bodies.render(document[key]) + b':' + bodies.render(document)
            separator = b','
        yield b'}' if separator == b',' else b'{}'

    async def as_lines(self, documents: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
        """The documents, each on a line of its own."""
        async for document in documents:
            yield bodies.render(document) + b'\n'

    async def as_groups(self, groups: AsyncIterator[tuple[str, AsyncIterator[str]]]) -> AsyncIterator[bytes]:
        """The pieces of `{name: [id, ...], ...}`; a group without ids is left out."""
        opening = b'{'
        async for name, ids in groups:
            separator = opening + bodies.render(name) + b':['
            async for each in ids:
                yield separator + bodies.render(each)
                separator = b','
            if separator == b',':
                yield b']'
                opening = b','
        yield b'}' if opening == b',' else b'{}'

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with an error; its class decides the status."""
        error = kwargs.get('exc_info', (None, None, None))[1]
        status = status_of(error, status_code)
        if self._headers_written and self.request.connection is not None:
            # Half an answer is out: only a broken connection tells the client that the rest is missing.
            cast(Any, self.request.connection).stream.close()
            self.set_status(status)
            self._log()
            return
        super().send_error(status, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The body of every error: its code, its reason, and what more the error tells."""
        error = kwargs.get('exc_info', (None, None, None))[1]
        body: dict[str, Any] = {'code': status_code, 'error': self._reason}
        if isinstance(error, errors.IceprodTasksError):
            body |= {'error': str(error), **error.details}
        elif status_code >= 500:
            error_id = uuid.uuid4().hex
            log.error('request failed: %s', error_id, exc_info=error, extra={'action': 'error'})
            body['error'] = f'Internal error {error_id}'
        if status_code in (429, 503):
            self.set_header('Retry-After', str(random.randint(*RETRY_AFTER_SECONDS)))  # noqa: S311 - no secret
        if status_code == 405:
            self.set_allow(self.access)
        if status_code == 401:
            self.set_header('WWW-Authenticate', self.challenge())
        self.finish(bodies.render(self.refused(body)))

    def refused(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body of an error in the words of those who use this route.

        Args:
            body: `code`, `error` and what more the error tells.
        """
        return body

    def challenge(self) -> str:
        """How whoever asks can say who they are."""
        access = self.access.get((self.request.method or '').lower())
        return 'Basic realm="iceprod-tasks", charset="UTF-8"' if access is not None and access.basic else 'Bearer'

    def flush(self, include_footers: bool = False) -> Future[None]:  # noqa: FBT001, FBT002
        """Send what there is; a client of a process that is stopping is told to come again on another connection."""
        if self.service is not None and self.service.drain.begun and not self._headers_written:
            self.set_header('Connection', 'close')
        return super().flush(include_footers)

    def log_exception(self, *exc_info: Any) -> None:
        """Nothing here: errors of ours are answers, and unexpected ones are logged with the id that was answered."""


class NotFoundHandler(Handler):
    """Every path that is no route."""

    async def prepare(self) -> None:
        """Answer 404.

        Raises:
            NotFound: always.
        """
        raise errors.NotFound

    def send_error(self, status_code: int = 404, **_: Any) -> None:
        """Answer 404 to methods that nobody knows, too: Tornado refuses them by itself, before `prepare`."""
        super().send_error(status_code, exc_info=(errors.NotFound, errors.NotFound(), None))
