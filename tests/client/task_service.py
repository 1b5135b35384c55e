"""A small service that describes tasks, over real HTTP: it answers as it is told, and notes what it was asked."""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

Reply = tuple[int, bytes] | None
"""A status and a body; None cuts the connection."""


def a_task(name: str = 'tagData-1291329692.91', state: str = 'running', **fields: Any) -> dict[str, Any]:
    """A task as the web service has it, with all its fields."""
    return {
        'name': name, 'tType': 'tagData', 'state': state, 'completedTasks': 0, 'numTasks': 1,
        'timestamp': 1291329693.5, 'messages': [], **fields,
    }  # fmt: skip


def good(data: Any) -> Reply:
    """The envelope of a success."""
    return 200, json.dumps({'success': True, 'data': data}).encode()


def bad(msg: str, name: str = '', status: int = 200) -> Reply:
    """The envelope of a failure."""
    return status, json.dumps({'success': False, 'data': {'msg': msg, 'name': name, 'stacktrace': ''}}).encode()


@dataclass
class Asked:
    """A request: where it went, what its form had, who sent it."""

    path: str
    kind: str
    token: str | None
    form: list[tuple[str, str]]

    @property
    def wanted(self) -> Any:
        """The JSON of the field `request`."""
        return json.loads(dict(self.form)['request'])


@dataclass
class TaskService:
    """Use it as a context manager.

    Args:
        tasks: that it describes.
        script: the next replies, in place of what the tasks would make.
        before: called before each request but the first, one after the other: time goes by.
    """

    tasks: list[dict[str, Any]] = field(default_factory=list)
    script: list[Reply] = field(default_factory=list)
    before: list[Callable[[], None]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    retry_after: str = ''
    port: int = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    def start(self) -> None:
        """Begin, or begin again on the same port."""
        self._server = _Server(('127.0.0.1', self.port), _handler_of(self))
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Be gone, with all connections; harmless when it is."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def change(self, name: str, **fields: Any) -> None:
        """Let a task go on."""
        next(task for task in self.tasks if task['name'] == name).update(fields)

    def reply(self, asked: Asked) -> Reply:
        if self.asked and self.before:
            self.before.pop(0)()
        self.asked.append(asked)
        if self.script:
            return self.script.pop(0)
        if 'task_name' not in asked.wanted:
            return good(self.tasks)
        found = [task for task in self.tasks if task['name'] == asked.wanted['task_name']]
        return good(found) if found else bad('no such task', 'vappio.tasks.persist.TaskDoesNotExistError')


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error of ours."""


def _handler_of(service: TaskService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers['Content-Length'])).decode()
            form = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
            kind, token = self.headers['Content-Type'], self.headers['Authorization']
            reply = service.reply(Asked(self.path, kind, token, form))
            if reply is None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, body = reply
            self.send_response(status)
            self.send_header('Content-Length', str(len(body)))
            if service.retry_after:
                self.send_header('Retry-After', service.retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
