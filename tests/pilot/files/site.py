"""A web server with files, which can break in the ways that servers and networks do."""

import contextlib
import hashlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DATE = 'Sat, 01 Aug 2026 10:00:00 GMT'


@dataclass
class Site:
    """What the server has and does.

    Args:
        files: contents by path.
        cuts: after so many bytes of the body the next answers, or the next uploads, end; one for each.
        ranges: whether it knows ranges.
        version: how it tells what a file is: by an `etag`, a `weak` one, a `date`, or not at all.
        any_range: whether it sends ranges of whatever file it has now.
        says: statuses and headers of the next answers, instead of the file.
        redirects: where paths lead.
        slow_bytes: so many bytes a tenth of a second; 0 is at once.
        asked: method, path and headers of all requests.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    version: str = 'etag'
    any_range: bool = False
    says: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    redirects: dict[str, tuple[int, str]] = field(default_factory=dict)
    slow_bytes: int = 0
    change_after_cut: bytes | None = None
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ''
    busy: int = 0

    def header(self, name: str) -> list[str | None]:
        """The values of a header, of all requests."""
        return [headers.get(name.lower()) for _, _, headers in self.asked]


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """A running server."""
    state = Site()

    class Handler(_Handler):
        site = state

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
    thread.start()
    state.url = f'http://127.0.0.1:{server.server_port}'
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self._said():
            return
        data = self.site.files.get(self.path)
        if data is None:
            self._answer(404)
            return
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        version = {
            'etag': {'ETag': etag}, 'weak': {'ETag': f'W/{etag}'}, 'date': {'Last-Modified': DATE}, '': {},
        }[self.site.version]  # fmt: skip
        start, status = 0, 200
        wanted = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        if wanted and self.site.ranges and (self.site.any_range or self.headers.get('If-Range') in version.values()):
            start, status = int(wanted[1]), 206
        headers = dict(version)
        if status == 206:
            headers['Content-Range'] = f'bytes {start}-{len(data) - 1}/{len(data)}'
        self._send(status, headers, data[start:])

    def do_PUT(self) -> None:
        length = int(self.headers['Content-Length'])
        cut = self.site.cuts.pop(0) if self.site.cuts else None
        if cut is not None:
            self.rfile.read(min(cut, length))
            self.site.asked.append(('PUT', self.path, {key.lower(): value for key, value in self.headers.items()}))
            self._break()
            return
        data = self.rfile.read(length)
        if self._said():
            return
        self.site.files[self.path] = data
        self._answer(201)

    def _said(self) -> bool:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.site.asked.append((self.command, self.path, headers))
        if self.path in self.site.redirects:
            status, where = self.site.redirects[self.path]
            self._answer(status, {'Location': where})
            return True
        if self.site.says:
            self._answer(*self.site.says.pop(0))
            return True
        return False

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {'Content-Length': '0', **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in {'Content-Length': str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.site.cuts.pop(0) if self.site.cuts else None
        self.site.busy += 1
        with contextlib.suppress(OSError):
            self._write(data if cut is None else data[:cut])
        self.site.busy -= 1
        if cut is not None:
            if self.site.change_after_cut is not None:
                self.site.files[self.path] = self.site.change_after_cut
            self._break()

    def _write(self, data: bytes) -> None:
        step = self.site.slow_bytes or len(data) or 1
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            if self.site.slow_bytes:
                time.sleep(0.1)

    def _break(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
