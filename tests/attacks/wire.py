"""Raw HTTP over a socket: bytes out, and answers in that are read by the letter of the standard."""

import contextlib
import re
import socket
import time
from dataclasses import dataclass

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) ([A-Za-z ()'-]*)")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\x20-\x7e]*)")
_QUIET_SECONDS = 0.1


class BrokenAnswer(Exception):
    """The answer is no well-formed HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Args:
        status: its code.
        reason: its phrase.
        headers: in order, names in lower case.
        body: without the framing of chunks.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, None when absent."""
        return next((value for each, value in self.headers if each == name), None)


def exchange(port: int, request: bytes, *, head_only: bool, wanted: int, patience_seconds: float) -> list[Answer]:
    """Send bytes on a connection of their own, and read all answers that come.

    Args:
        port: of the service, on loopback.
        request: what is sent.
        head_only: whether answers have no bodies, being to HEAD.
        wanted: so many answers are waited for; what comes soon after them is read as well.
        patience_seconds: how long each of them may take.

    Raises:
        BrokenAnswer: what came is no HTTP.
    """
    with socket.create_connection(('127.0.0.1', port), timeout=patience_seconds) as connection:
        # An answer may have come before all was sent.
        with contextlib.suppress(OSError):
            connection.sendall(request)
        return _read_all(connection, head_only, wanted, patience_seconds)


def _read_all(connection: socket.socket, head_only: bool, wanted: int, patience_seconds: float) -> list[Answer]:
    received = b''
    answers: list[Answer] = []
    end = time.monotonic() + patience_seconds
    while True:
        quiet = _QUIET_SECONDS if len(answers) >= wanted else max(0.01, end - time.monotonic())
        connection.settimeout(quiet)
        try:
            piece = connection.recv(1 << 20)
        except OSError:
            break
        if not piece:
            break
        received += piece
        answers, _ = parse(received, head_only)
    answers, rest = parse(received, head_only)
    if rest:
        raise BrokenAnswer(f'{len(rest)} bytes are no whole answer: {rest[:80]!r}')
    return answers


def parse(received: bytes, head_only: bool) -> tuple[list[Answer], bytes]:
    """The whole answers in what was received, and what is left over."""
    answers: list[Answer] = []
    while received:
        head, gap, rest = received.partition(b'\r\n\r\n')
        if not gap:
            break
        status, reason, headers = _head(head)
        body, rest, whole = _body(headers, rest, bodiless=head_only or status < 200 or status in (204, 304))
        if not whole:
            break
        received = rest
        if status >= 200:
            answers.append(Answer(status, reason, headers, body))
    return answers, received


def _head(head: bytes) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    start, *lines = head.split(b'\r\n')
    status = _STATUS_LINE.fullmatch(start)
    if status is None:
        raise BrokenAnswer(f'no status line: {start[:80]!r}')
    headers = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BrokenAnswer(f'no header: {line[:80]!r}')
        headers.append((header[1].decode().lower(), header[2].decode().strip()))
    return int(status[1]), status[2].decode(), tuple(headers)


def _body(headers: tuple[tuple[str, str], ...], rest: bytes, *, bodiless: bool) -> tuple[bytes, bytes, bool]:
    named = dict(headers)
    if bodiless:
        return b'', rest, True
    if named.get('transfer-encoding') == 'chunked':
        return _chunks(rest)
    length = int(named.get('content-length', '0'))
    return rest[:length], rest[length:], len(rest) >= length


def _chunks(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b''
    while True:
        size, gap, rest = rest.partition(b'\r\n')
        if not gap:
            return body, b'', False
        length = int(size, 16)
        if len(rest) < length + 2:
            return body, b'', False
        body, rest = body + rest[:length], rest[length + 2 :]
        if not length:
            return body, rest, True
