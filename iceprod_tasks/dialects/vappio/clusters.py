"""Other clusters: a request that is for one is passed on to the service that operators have named, and no further."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import httpx2
import orjson

from iceprod_tasks import __version__
from iceprod_tasks.addresses import LOCAL
from iceprod_tasks.dialects.vappio.forms import FIELD
from iceprod_tasks.dialects.vappio.translate import Failure
from iceprod_tasks.rest.bodies import render

log = logging.getLogger('iceprod_tasks.clusters')

PATH = '/vappio/task_ws.py'

_PATIENCE_SECONDS = 10.0
_LONGEST_BYTES = 64 * 1024 * 1024
_AT_ONCE = 500
_SHOWN_CHARACTERS = 100
_HEADERS = {'Accept': 'application/json', 'Accept-Encoding': 'identity', 'User-Agent': f'iceprod-tasks/{__version__}'}


class Clusters:
    """The clusters that there are.

    Args:
        own: the name of this one, beside `local`.
        addresses: of the services of others, by name.
        share_tokens: whether they get the token of whoever asks.
    """

    def __init__(
        self, own: str = LOCAL, addresses: Mapping[str, str] | None = None, *, share_tokens: bool = False
    ) -> None:
        self._own = own
        self._addresses = addresses or {}
        self._share_tokens = share_tokens
        # Made once: reading the certificates of this machine takes a moment. A connection that was kept may be dead.
        self._http = (
            httpx2.AsyncClient(
                headers=_HEADERS,
                timeout=_PATIENCE_SECONDS,
                follow_redirects=False,
                limits=httpx2.Limits(max_keepalive_connections=0),
            )
            if self._addresses
            else None
        )

    def is_here(self, name: str) -> bool:
        """Whether a cluster is this one."""
        return name in (LOCAL, self._own)

    def check(self, name: str) -> None:
        """Refuse to ask a cluster that is not listed.

        Raises:
            Failure: it is not.
        """
        if name not in self._addresses:
            raise Failure(f'Unknown cluster: {name[:_SHOWN_CHARACTERS]}', 'ClusterNotFoundError')

    async def ask(self, name: str, asked: Mapping[str, Any], authorization: str | None) -> list[bytes]:
        """Pass a request on, once, as one for the cluster that is asked.

        Args:
            name: of the cluster; one that is listed.
            asked: the whole object that came.
            authorization: the header that came; sent only if tokens are shared.

        Returns:
            Each task that it knows of, as JSON text.

        Raises:
            Failure: it answers with one, or in time with nothing that could be understood.
        """
        local = {key: LOCAL for key in ('cluster', 'name') if key in asked}
        headers = {'Authorization': authorization} if self._share_tokens and authorization else {}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                status, text = await self._exchange(name, render({**asked, **local}).decode(), headers)
        except (TimeoutError, httpx2.TimeoutException):
            raise Failure('Timed out waiting for response') from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = f'{type(error).__name__}: {error}'
            log.warning('cluster %s cannot be asked: %s', name, why, extra={'action': 'forward'})
            raise Failure(f'cluster {name} does not answer') from None
        return await _rendered(name, _data_of(name, status, text))

    async def _exchange(self, name: str, text: str, headers: Mapping[str, str]) -> tuple[int, bytearray]:
        url = f'{self._addresses[name]}{PATH}'
        answer = bytearray()
        assert self._http is not None  # noqa: S101 - there are addresses
        async with self._http.stream('POST', url, data={FIELD: text}, headers=headers) as response:
            async for piece in response.aiter_raw():
                answer += piece
                if len(answer) > _LONGEST_BYTES:
                    raise Failure(f'the answer of cluster {name} is too long')
        return response.status_code, answer


def _data_of(name: str, status: int, text: bytearray) -> list[Any]:
    """What a cluster knows of tasks, by its answer.

    Raises:
        Failure: the answer is one, or is none.
    """
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        said = None
    match said:
        case {'success': True, 'data': [*tasks]} if status == 200:
            return tasks
        case {'success': False, 'data': {'msg': str(msg), **more}}:
            raise Failure(msg, _text(more, 'name'), _text(more, 'stacktrace'))
    raise Failure(f'cluster {name} answers what cannot be understood (HTTP {status})')


def _text(data: Mapping[Any, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ''


async def _rendered(name: str, tasks: list[Any]) -> list[bytes]:
    texts: list[bytes] = []
    for place, task in enumerate(tasks):
        if place % _AT_ONCE == 0:
            # Others have a turn.
            await asyncio.sleep(0)
        try:
            if not isinstance(task, dict):
                raise TypeError
            texts.append(render(task))
        except TypeError:
            # So orjson calls what is too deep, too.
            raise Failure(f'cluster {name} answers what cannot be understood') from None
    return texts
