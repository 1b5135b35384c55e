"""What all verbs of the client stand on: a request and its answer, a list in pages, a stream of bytes."""

import copy
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2

from iceprod_tasks.client.connection import Answer, Connection, Request
from iceprod_tasks.client.retry import Retry

Document = dict[str, Any]
Query = Mapping[str, str | int]

LONGEST_SILENCE_SECONDS = 3600.0
"""How long a service may be silent over what takes long: an action on a million tasks takes minutes."""


class Asking:
    """A connection to one service, and how patient its user is; `AsyncClient` adds the verbs.

    Args:
        server: the service's address, for example `http://127.0.0.1:8080`.
        token: the bearer token; empty sends none.
        timeout_seconds: the longest silence of the service in one attempt.
        retry_seconds: how long to go on repeating a request; None for ever, 0 not at all.
        transport: an `httpx2` transport in place of the network.

    Raises:
        ValueError: the address is not one of HTTP.
    """

    def __init__(
        self,
        server: str,
        token: str = '',
        *,
        timeout_seconds: float = 30.0,
        retry_seconds: float | None = 60.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = Connection(server, token, timeout_seconds, transport)
        self._retry = Retry(seconds=retry_seconds)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    def retrying(self, seconds: float | None) -> Self:
        """The same client on the same connections, more or less patient.

        Args:
            seconds: how long to go on repeating a request; None for ever.
        """
        other = copy.copy(self)
        other._retry = replace(self._retry, seconds=seconds)
        return other

    async def _ask(self, request: Request) -> Answer:
        return await self._connection.ask(request, self._retry)

    async def _get(self, path: str, query: Query | None = None) -> Any:
        return (await self._ask(Request('GET', path, query=query))).document

    async def _put(self, path: str, body: object) -> None:
        await self._ask(Request('PUT', path, body=body))

    async def _patch(self, path: str, body: object) -> Document:
        answer = await self._ask(Request('PATCH', path, body=body))
        return cast(Document, answer.document)

    async def _delete(self, path: str) -> None:
        await self._ask(Request('DELETE', path))

    async def _post(self, path: str, body: object, *, repeatable: bool = False) -> Any:
        return (await self._ask(Request('POST', path, repeatable=repeatable, body=body))).document

    async def _once(self, path: str, body: object, *, key: str = '', silence_seconds: float | None = None) -> Any:
        """The answer to a POST that the service carries out once, however often it is sent: it has a key."""
        request = Request(
            'POST', path, body=body, silence_seconds=silence_seconds, idempotency_key=key or new_idempotency_key()
        )
        return (await self._ask(request)).document

    async def _pages(self, path: str, query: Query) -> AsyncIterator[Any]:
        """The documents of a list's pages, each asked for when it is needed."""
        wanted: Query | None = query
        while wanted is not None:
            answer = await self._ask(Request('GET', path, query=wanted))
            yield answer.document
            # Only the cursor is taken from the link: the token goes to no address but the one it was given for.
            wanted = dict(parse_qsl(urlsplit(answer.next_page).query)) if answer.next_page else None

    def _bytes(self, path: str) -> AsyncIterator[bytes]:
        return self._connection.stream(Request('GET', path, silence_seconds=LONGEST_SILENCE_SECONDS), self._retry)


def new_idempotency_key() -> str:
    """128 random bits in hex: the name of one request, made by who sends it."""
    return secrets.token_hex(16)


def part(text: str) -> str:
    """A value as a part of a path, which it cannot leave."""
    return quote(text, safe='')


def in_dataset(dataset_id: str) -> str:
    """The beginning of paths of a dataset's routes; of those of the whole service where there is no id."""
    return f'/datasets/{part(dataset_id)}' if dataset_id else ''


def query_of(**lists: Iterable[str]) -> dict[str, str | int]:
    """Lists of words as a query has them; those that are empty are left out."""
    joined = {name: '|'.join(words) for name, words in lists.items()}
    return {name: words for name, words in joined.items() if words}
