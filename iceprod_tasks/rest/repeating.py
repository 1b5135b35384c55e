"""`Idempotency-Key`: a request that carries one is worked on once, and each repeat of it gets the first answer."""

import re
from collections.abc import Awaitable, Callable

from tornado.web import RequestHandler

from iceprod_tasks.actions import remember
from iceprod_tasks.actions.remember import Answer
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.origins import Origin

HEADER = 'Idempotency-Key'
REPLAYED = 'Idempotency-Replayed'
"""The header of an answer that was given before."""

_VISIBLE = re.compile(r'[!-~]{1,255}')


class Repeating(RequestHandler):
    """A handler that knows repeats by their keys."""

    service: Service
    caller: Caller
    _origin: Origin | None = None
    said: bytes = b''
    """The answer's body, unless it is a stream."""

    @property
    def origin(self) -> Origin:
        """Where the ids and the time of what this request makes come from."""
        if self._origin is None:
            self._origin = remember.fresh_origin()
        return self._origin

    def key(self) -> str | None:
        """The key of the request, None when it has none.

        Raises:
            InvalidRequest: it is no key.
        """
        keys: list[str] = self.request.headers.get_list(HEADER)
        if not keys:
            return None
        if len(keys) > 1 or not _VISIBLE.fullmatch(keys[0]):
            raise InvalidRequest(f'{HEADER} must be 1 to 255 visible ASCII characters')
        return keys[0]

    def say(self, body: bytes) -> None:
        """Answer with a text; it is sent when the method returns."""
        self.said = body
        self.write(body)

    async def once(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work of this request unless it has been done, and end it with the first answer.

        Args:
            key: of the request.
            work: what it asks for; ends with `say`.

        Raises:
            KeyReused: the key is that of another request of the same caller and route.
            UnderWay: the same request is being worked on.
        """

        async def from_origin(origin: Origin) -> Answer:
            self._origin = origin
            await work()
            return Answer(self.said, {'status': self.get_status(), 'location': self._headers.get('Location')})

        answer, replayed = await remember.remember(self.service, self._asked(key), from_origin)
        # First and later answers go the same way, so that they are the same.
        self.clear()
        self.set_status(answer.head['status'])
        if answer.head['location']:
            self.set_header('Location', answer.head['location'])
        if replayed:
            self.set_header(REPLAYED, 'true')
        await self.finish(answer.body)

    def _asked(self, key: str) -> remember.Request:
        method, path, query = self.request.method or '', self.request.path, self.request.query
        scope = (self.caller.name, ' '.join(sorted(self.caller.roles)), method, path, key)
        return remember.Request(scope, query.encode() + b'\n' + self.request.body)
