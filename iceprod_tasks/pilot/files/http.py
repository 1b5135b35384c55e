"""`http:` and `https:` names: ranges to go on where a download broke, PUT to upload."""

import re
from collections.abc import Awaitable, Callable

import httpx2

from iceprod_tasks.pilot.files.contents import Arrival, Departure
from iceprod_tasks.pilot.files.errors import Trouble
from iceprod_tasks.pilot.files.pieces import BLOCK_BYTES
from iceprod_tasks.pilot.files.web import Web

Address = Callable[[], Awaitable[str]]

_RANGE = re.compile(r'bytes (\d+)-\d+/(\d+|\*)')
_CHANGED = frozenset({412, 416})


class HttpFetch:
    """A file that is fetched from a server.

    Args:
        web: the connections.
        address: gives the URL, anew for each request.
        condition: the header that makes a range good for the same file only.
    """

    def __init__(self, web: Web, address: Address, condition: str = 'If-Range') -> None:
        self._web, self._address, self._condition = web, address, condition
        self._version: str | None = None
        self._size: int | None = None

    async def go(self, arrival: Arrival) -> None:
        """Bring what is missing, or all where the server cannot go on or has another file now."""
        if arrival.size and self._version is None:
            await arrival.begin_anew()
        headers = {}
        if arrival.size and self._version:
            headers = {'Range': f'bytes={arrival.size}-', self._condition: self._version}
        async with self._web.answer('GET', await self._address(), headers, pass_on=_CHANGED if headers else ()) as got:
            if got.status_code in _CHANGED:
                await self._changed(arrival)
            await self._begin(got, arrival)
            await _pour(got, arrival)
        if self._size is not None and arrival.size != self._size:
            raise Trouble(f'{arrival.size} bytes came of {self._size}')

    async def _begin(self, got: httpx2.Response, arrival: Arrival) -> None:
        if got.status_code == 206:
            placed = _RANGE.fullmatch(got.headers.get('Content-Range', ''))
            same = placed and int(placed[1]) == arrival.size and placed[2] in {'*', str(self._size)}
            if not same or _version(got) not in {None, self._version}:
                await self._changed(arrival)
            return
        if arrival.size:
            await arrival.begin_anew()
        self._version = _version(got)
        length = got.headers.get('Content-Length', '')
        self._size = int(length) if length.isdecimal() else None
        arrival.check_size(self._size or 0)

    async def _changed(self, arrival: Arrival) -> None:
        self._version = None
        await arrival.begin_anew()
        raise Trouble('the file has changed meanwhile')


class HttpSend:
    """A file that is sent to a server.

    Args:
        web: the connections.
        address: gives the URL, anew for each request.
    """

    def __init__(self, web: Web, address: Address) -> None:
        self._web, self._address = web, address

    async def go(self, departure: Departure) -> None:
        """Send all of it."""
        await put(self._web, await self._address(), departure, 0, departure.size)

    async def abandon(self) -> None:
        """What an interrupted PUT leaves is the server's business."""


async def put(web: Web, url: str, departure: Departure, start: int, end: int) -> str:
    """Send a part of a file by PUT.

    Returns:
        The ETag that the server gives it; empty without one.
    """
    headers = {'Content-Length': str(end - start)}
    async with web.answer('PUT', url, headers, lambda: departure.blocks(start, end)) as got:
        return str(got.headers.get('ETag', ''))


async def _pour(got: httpx2.Response, arrival: Arrival) -> None:
    block = bytearray()
    try:
        async for piece in got.aiter_raw():
            block += piece
            if len(block) >= BLOCK_BYTES:
                full, block = block, bytearray()
                await arrival.take(bytes(full))
    except httpx2.RequestError:
        # What has come before the connection broke need not come again.
        await arrival.take(bytes(block))
        raise
    await arrival.take(bytes(block))


def _version(got: httpx2.Response) -> str | None:
    """By what the same file is known again; a weak ETag may stand for other bytes."""
    etag = str(got.headers.get('ETag', ''))
    if etag and not etag.startswith('W/'):
        return etag
    return got.headers.get('Last-Modified') if not etag else None
