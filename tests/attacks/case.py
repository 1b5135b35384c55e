"""A hostile request: how it is sent, and which answers are right."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HOST = 'service.example'
NOTHING = 0
"""Among the expected statuses: the connection is closed, or waits, without an answer."""
ANSWERED_PLAINLY = (400, NOTHING)
"""What is no HTTP, or no safe HTTP: a bare 400 and the end of the connection, or only that."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One request and what must come of it.

    In paths, headers, bodies and raw bytes `@name@` stands for something of the stage: an id, or a token.

    Args:
        name: of the case, unique in the corpus.
        expect: the statuses that are right; `NOTHING` for a connection without an answer.
        method: of the request.
        path: with the query.
        sender: one of the people of the stage; 'nobody' sends no token.
        body: text or bytes as they are, anything else as JSON.
        headers: beside the usual ones, and instead of those of the same name.
        raw: the bytes of the whole request, instead of all that.
        says: what the answer's body must have in it.
        silent: what must be nowhere in the answer.
        twin: whether the same request about things that do not exist must get the same answer.
        bare: whether an error may come without a body, from below the handlers.
        answers: how many answers come on the connection.
        then: a path that root reads afterwards, and what must stand there.
        patience_seconds: how long to wait for an answer.
    """

    name: str
    expect: tuple[int, ...]
    method: str = 'GET'
    path: str = '/healthz'
    sender: str = 'root'
    body: Any = None
    headers: Headers = ()
    raw: bytes | None = field(default=None, repr=False)
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    twin: bool = False
    bare: bool = False
    answers: int = 1
    then: tuple[str, str] | None = None
    patience_seconds: float = 5.0

    def request(self, known: Mapping[str, str], token: str | None) -> bytes:
        """The bytes of the request.

        Args:
            known: what the placeholders stand for.
            token: of the sender; None sends none.
        """
        if self.raw is not None:
            return filled(self.raw, known)
        body = _body(self.body, known)
        usual = {'Host': HOST, 'Connection': 'close'}
        if token is not None:
            usual['Authorization'] = f'Bearer {token}'
        if body is not None:
            usual |= {'Content-Type': 'application/json', 'Content-Length': str(len(body))}
        given = {name.lower() for name, _ in self.headers}
        # A header of ours that has no value is one left out.
        lines = [*((name, value) for name, value in usual.items() if name.lower() not in given)]
        lines += [(name, value) for name, value in self.headers if value != LEFT_OUT]
        head = ''.join(f'{name}: {value}\r\n' for name, value in lines)
        start = f'{self.method} {self.path} HTTP/1.1\r\n{head}\r\n'
        return filled(start.encode('latin-1'), known) + (body or b'')


LEFT_OUT = '\0left out'
"""The value of a usual header that is not sent."""


def filled(text: bytes, known: Mapping[str, str]) -> bytes:
    """A text with the things of the stage in place of their names."""
    return re.sub(rb'@(\w+)@', lambda name: known[name[1].decode()].encode(), text)


def _body(body: Any, known: Mapping[str, str]) -> bytes | None:
    if body is None:
        return None
    text = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    # Hostile bytes are left alone unless they name something.
    return filled(text, known) if re.search(rb'@[a-z]\w*@', text) and len(text) < 10_000 else text
