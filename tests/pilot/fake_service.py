"""A stand-in for the service that speaks the wire contract of pilots, with a script of troubles."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

Trouble = tuple[int, dict[str, Any]]


@dataclass
class FakeService:
    """Tasks wait in `queued`; what pilots said is in `claims` and `reports`.

    A trouble in `troubles['claim'|'config'|'report'|'look']` is answered in place of the truth, once each.
    """

    tasks: list[dict[str, Any]] = field(default_factory=list)
    config: Any = field(default_factory=lambda: {'tasks': []})
    claims: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    troubles: dict[str, deque[Trouble]] = field(default_factory=lambda: defaultdict(deque))
    url: str = ''
    left: int = 0
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    """What a look at a task that runs shows; one that is None is gone."""

    def add(self, command: Any, **config: Any) -> None:
        """Queue a task that runs a command."""
        index = len(self.config['tasks'])
        self.config['tasks'].append({'name': f'task{index}', 'command': command, **config})
        self.add_index(index)

    def add_index(self, index: int) -> None:
        """Queue a task of the config, there or not."""
        task = {'task_id': f't{index}', 'dataset_id': 'd1', 'job_id': 'j7', 'job_index': 7, 'task_index': index}
        self.tasks.append({**task, 'name': f'task{index}', 'failures': 2, 'epoch': 4, 'requirements': {}})
        self.left += 1

    def claim(self, body: dict[str, Any]) -> Trouble:
        """The answer to a claim; the same one to the same claim id."""
        self.claims.append(body)
        if self.troubles['claim']:
            return self.troubles['claim'].popleft()
        claim_id = body['claim_id']
        if claim_id not in self.held:
            if not self.tasks:
                return 404, {'code': 404, 'error': 'Task not found', 'left': self.left}
            self.held[claim_id] = {**self.tasks.pop(0), 'claim_id': claim_id}
        return 200, self.held[claim_id]

    def report(self, task_id: str, action: str, body: dict[str, Any]) -> Trouble:
        """The answer to a report."""
        self.reports.append({'task_id': task_id, 'action': action, **body})
        if self.troubles['report']:
            return self.troubles['report'].popleft()
        self.left -= 1
        return 200, {}

    def look(self, task_id: str) -> Trouble:
        """The answer to a look at a task."""
        if self.troubles['look']:
            return self.troubles['look'].popleft()
        if task_id in self.seen and self.seen[task_id] is None:
            return 404, {'code': 404, 'error': 'Task not found'}
        return 200, {'status': 'processing', 'epoch': 4, 'stop': None, **self.seen.get(task_id, {})}

    async def until(self, condition: Any, seconds: float = 60) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)


class _Handler(RequestHandler):
    service: FakeService

    def initialize(self, service: FakeService) -> None:
        self.service = service

    def _send(self, answer: Trouble) -> None:
        code, body = answer
        self.set_status(code)
        self.write(body if isinstance(body, dict) else json.dumps(body))

    def data_received(self, chunk: bytes) -> None:
        """Nothing is streamed."""


class _Claim(_Handler):
    def post(self) -> None:
        self._send(self.service.claim(json.loads(self.request.body)))


class _Task(_Handler):
    def get(self, task_id: str) -> None:
        self._send(self.service.look(task_id))


class _Report(_Handler):
    def post(self, task_id: str, action: str) -> None:
        self._send(self.service.report(task_id, action, json.loads(self.request.body)))


class _Config(_Handler):
    def get(self, dataset_id: str) -> None:
        troubles = self.service.troubles['config']
        self._send(troubles.popleft() if troubles else (200, self.service.config))


@asynccontextmanager
async def fake_service() -> AsyncIterator[FakeService]:
    """A running stand-in on a port of its own."""
    service = FakeService()
    given = {'service': service}
    application = Application(
        [
            ('/task_actions/process', _Claim, given),
            ('/tasks/([^/]+)', _Task, given),
            ('/tasks/([^/]+)/task_actions/([^/]+)', _Report, given),
            ('/config/([^/]+)', _Config, given),
        ],
        log_function=lambda handler: None,
    )
    server = HTTPServer(application, max_body_size=2**20)
    sockets = bind_sockets(0, '127.0.0.1')
    server.add_sockets(sockets)
    service.url = f'http://127.0.0.1:{sockets[0].getsockname()[1]}'
    try:
        yield service
    finally:
        server.stop()
        await server.close_all_connections()
