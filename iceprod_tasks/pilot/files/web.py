"""Requests to servers of files, and what their answers mean; the one module of files that sends anything by itself."""

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2

from iceprod_tasks import __version__
from iceprod_tasks.client.errors import retry_after_seconds
from iceprod_tasks.pilot.files.errors import NotThere, Trouble, WrongEntry
from iceprod_tasks.pilot.files.rules import FileRules

Body = Callable[[], AsyncIterator[bytes]]

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})
_LATER = frozenset({408, 425, 429})
_MISSING = frozenset({404, 410})
_CODE_IN_XML = re.compile(rb'<Code>([A-Za-z0-9]{1,60})</Code>')


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    headers: Mapping[str, str]
    body: Body | None


class Web:
    """Connections to servers of files, opened when the first one is needed.

    Args:
        rules: how long to wait.
    """

    def __init__(self, rules: FileRules) -> None:
        self._timeout = httpx2.Timeout(rules.silence_seconds, connect=rules.connect_seconds, pool=None)
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None = None,
        *,
        pass_on: Collection[int] = (),
    ) -> AsyncIterator[httpx2.Response]:
        """Ask, follow a few redirects, and give the answer, whose body has not come yet.

        Args:
            method: the HTTP method.
            url: where.
            headers: further ones.
            body: makes the body, again for each request.
            pass_on: statuses that are no error here.

        Raises:
            NotThere: the server has no such file.
            WrongEntry: it refuses, or leads where we do not go.
            Trouble: it fails, or the connection broke; also while the answer is read.
        """
        try:
            response = await self._follow(httpx2.URL(url), _Asked(method, headers, body), pass_on)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx2.InvalidURL as error:
            raise WrongEntry(f'no good URL: {error}') from error
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise WrongEntry(f'no good URL: {error}') from error
        except httpx2.RequestError as error:
            raise Trouble(f'{type(error).__name__}: {error}'.rstrip(': ')) from error

    async def _follow(self, url: httpx2.URL, asked: _Asked, pass_on: Collection[int]) -> httpx2.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            response = await self._send(url, asked)
            if response.is_success or response.status_code in pass_on:
                return response
            try:
                if response.status_code not in _REDIRECTS or 'Location' not in response.headers:
                    raise await _meaning(response)
                if asked.method != 'GET' and response.status_code not in _SAME_METHOD:
                    raise WrongEntry(f'the server answers {response.status_code} to an upload')
            finally:
                await response.aclose()
            url = next_place(url, response.headers['Location'])
        raise WrongEntry(f'more than {_MOST_REDIRECTS} redirects')

    async def _send(self, url: httpx2.URL, asked: _Asked) -> httpx2.Response:
        if self._http is None:
            self._http = httpx2.AsyncClient(
                timeout=self._timeout, headers={'User-Agent': f'iceprod-tasks/{__version__}', 'Accept': '*/*'}
            )
        # Compressed on the way, the bytes would have other places than in the file.
        headers = {'Accept-Encoding': 'identity', **asked.headers}
        content = asked.body() if asked.body else None
        request = self._http.build_request(asked.method, url, headers=headers, content=content)
        return await self._http.send(request, stream=True, follow_redirects=False)


def next_place(url: httpx2.URL, location: str) -> httpx2.URL:
    """Where a redirect leads; a user and a password in the URL stay behind, unless it is the same server.

    Raises:
        WrongEntry: it leads from https to http, or out of the web.
    """
    following = url.join(location)
    if following.scheme not in {'http', 'https'} or not following.host:
        raise WrongEntry(f'the server leads to {following.scheme}:')
    if url.scheme == 'https' and following.scheme != 'https':
        raise WrongEntry('the server leads from https to http')
    return following


async def _meaning(response: httpx2.Response) -> Exception:
    """The error that an answer stands for."""
    code = response.status_code
    words = f'{code} {response.reason_phrase}'.strip()
    async for piece in response.aiter_raw():
        # Only S3 says more in a form that is known; the first piece has it.
        if found := _CODE_IN_XML.search(piece):
            words = f'{words} ({found[1].decode()})'
        break
    if code in _MISSING:
        return NotThere(f'it is not there: {words}')
    if code >= 500 or code in _LATER:
        wait_seconds = retry_after_seconds(response.headers.get('Retry-After', ''))
        return Trouble(f'the server answers {words}', wait_seconds=wait_seconds)
    return WrongEntry(f'the server answers {words}')
