"""The headers of every answer: how it may be used, which request it answers, and who may read it in a browser."""

import functools
import random
import re
import time
from collections.abc import Collection

from tornado.httputil import HTTPHeaders, format_timestamp
from tornado.web import RequestHandler

from iceprod_tasks.domain.errors import IceprodTasksError

REQUEST_ID = 'X-Request-ID'
ALL = {
    'Content-Type': 'application/json; charset=utf-8',
    'Server': 'iceprod_tasks',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
}
"""JSON, from an unnamed version of us, never cached, and never taken for a page, a script or a picture."""

_PLAIN = re.compile(r'[A-Za-z0-9._-]{1,64}')
_MAY_SEND = f'Authorization, Content-Type, Idempotency-Key, {REQUEST_ID}'
_MAY_READ = f'Idempotency-Replayed, Location, Retry-After, {REQUEST_ID}'
_PREFLIGHT_SECONDS = 600


def request_id_of(given: str | None) -> str:
    """The id that a client gave its request, a new one where it gave none that can be used.

    Args:
        given: the header; it is echoed, and written to the log.
    """
    return given if given is not None and _PLAIN.fullmatch(given) else f'{random.getrandbits(128):032x}'


@functools.lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return format_timestamp(seconds)


class AnswerHeaders(RequestHandler):
    """A handler whose answers have them all."""

    request_id = ''
    refusal: IceprodTasksError | None = None
    """Why the body has not been read."""

    def clear(self) -> None:
        """Begin an answer; also one that takes the place of another.

        Tornado's own writes headers that are none of ours, and the date anew each time.
        """
        self.request_id = self.request_id or request_id_of(self.request.headers.get(REQUEST_ID))
        self._headers = HTTPHeaders(ALL)
        self._headers['Date'] = _date(int(time.time()))
        self._headers[REQUEST_ID] = self.request_id
        self._write_buffer = []
        self.set_status(200)
        self.set_default_headers()

    def set_default_headers(self) -> None:
        """Say what depends on the request."""
        if self.refusal is not None:
            self.set_header('Connection', 'close')
        if self._origins:
            self.set_header('Vary', 'Origin')
        if self._origin_is_listed():
            self.set_header('Access-Control-Allow-Origin', self.request.headers['Origin'])
            self.set_header('Access-Control-Expose-Headers', _MAY_READ)

    def compute_etag(self) -> None:
        """None: what must not be cached needs no mark to be found again by."""

    def set_allow(self, methods: Collection[str]) -> None:
        """Say which methods there are.

        Args:
            methods: of the route, in lower case.
        """
        options = {'OPTIONS'} if self._origins else set()
        self.set_header('Allow', ', '.join(sorted({method.upper() for method in methods} | options)))

    def answer_preflight(self, methods: Collection[str]) -> bool:
        """Answer a browser that asks whether a page of another origin may send a request.

        Args:
            methods: of the route, in lower case.

        Returns:
            Whether it was such a question, of an origin that is listed.
        """
        asks = self.request.method == 'OPTIONS' and 'Access-Control-Request-Method' in self.request.headers
        if not asks or not self._origin_is_listed():
            return False
        self.set_status(204)
        self.set_header('Access-Control-Allow-Methods', ', '.join(method.upper() for method in methods))
        self.set_header('Access-Control-Allow-Headers', _MAY_SEND)
        self.set_header('Access-Control-Max-Age', str(_PREFLIGHT_SECONDS))
        self.finish()
        return True

    @property
    def _origins(self) -> Collection[str]:
        origins: Collection[str] = self.application.settings.get('cors_origins', ())
        return origins

    def _origin_is_listed(self) -> bool:
        return self.request.headers.get('Origin', '') in self._origins
