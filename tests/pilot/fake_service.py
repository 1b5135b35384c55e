"""A stand-in for the service that speaks the wire contract of pilots, with a script of troubles."""

import asyncio
import base64
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from iceprod_tasks.pilot.warden import clock

Trouble = tuple[int, dict[str, Any]]


@dataclass
class FakeService:
    """Tasks wait in `queued`; what pilots said is in `claims` and `reports`.

    A trouble in `troubles['claim'|'config'|'report'|'heartbeat']` is answered in place of the truth, once each.
    While it is `away`, it answers no heartbeat, config or report at all.
    """

    tasks: list[dict[str, Any]] = field(default_factory=list)
    config: Any = field(default_factory=lambda: {'tasks': []})
    claims: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    troubles: dict[str, deque[Trouble]] = field(default_factory=lambda: defaultdict(deque))
    url: str = ''
    left: int = 0
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    beats: list[dict[str, Any]] = field(default_factory=list)
    orders: dict[str, Trouble] = field(default_factory=dict)
    """What heartbeats for a task are answered; to go on, if nothing else is said."""
    lease_seconds: float = 300
    again_in: float = 10
    claims_take_seconds: float = 0
    heartbeats_take_seconds: float = 0
    claimed_at: list[float] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    node_results: list[dict[str, Any]] = field(default_factory=list)
    pilots: list[dict[str, Any]] = field(default_factory=list)
    drain: Any = None
    away_for_pilots: bool = False
    away: bool = False
    unheard: int = 0

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

    def add_work(self, *command: str, **work: Any) -> None:
        """Queue a task that carries its work with it."""
        self.add_index(len(self.tasks))
        self.tasks[-1]['work'] = {'command': list(command), **work}

    def claim(self, body: dict[str, Any]) -> Trouble:
        """The answer to a claim; the same one to the same claim id."""
        self.claims.append(body)
        self.claimed_at.append(clock())
        if self.troubles['claim']:
            return self.troubles['claim'].popleft()
        claim_id = body['claim_id']
        if claim_id not in self.held:
            if not self.tasks:
                return 404, {'code': 404, 'error': 'Task not found', 'left': self.left}
            lease = {'claim_id': claim_id, 'lease_seconds': body.get('lease_seconds', self.lease_seconds)}
            self.held[claim_id] = {**self.tasks.pop(0), **lease}
        return 200, self.held[claim_id]

    def report(self, task_id: str, action: str, body: dict[str, Any]) -> Trouble:
        """The answer to a report."""
        self.reports.append({'task_id': task_id, 'action': action, **body})
        if self.troubles['report']:
            return self.troubles['report'].popleft()
        self.left -= 1
        return 200, {}

    def heartbeat(self, task_id: str, body: dict[str, Any]) -> Trouble:
        """The answer to a heartbeat."""
        self.beats.append({'task_id': task_id, 'when': clock(), **body})
        if self.troubles['heartbeat']:
            return self.troubles['heartbeat'].popleft()
        lease_seconds = self.held[body['claim_id']]['lease_seconds']
        go_on = {'action': 'continue', 'why': '', 'again_in': self.again_in, 'orders': []}
        return self.orders.get(task_id, (200, {**go_on, 'lease_seconds': lease_seconds}))

    def printed(self, task_id: str, action: str, body: dict[str, Any]) -> Trouble:
        """The answer to some output, or to results of nodes."""
        if self.troubles[action]:
            return self.troubles[action].popleft()
        (self.outputs if action == 'output' else self.node_results).append({'task_id': task_id, **body})
        return 200, {}

    def output(self, task_id: str, stream: str = 'stdout') -> bytes:
        """What has come of a stream; what has not come is NUL."""
        found = bytearray()
        for sent in self.outputs:
            for piece in sent['pieces'] if sent['task_id'] == task_id else ():
                if piece['stream'] == stream:
                    data = base64.b64decode(piece['data'])
                    found.extend(bytes(max(0, piece['offset'] + len(data) - len(found))))
                    found[piece['offset'] : piece['offset'] + len(data)] = data
        return bytes(found)

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

    def _cut(self) -> bool:
        """Hang up while the service is away."""
        if self.service.away:
            self.service.unheard += 1
            self.detach().close()
        return self.service.away

    def data_received(self, chunk: bytes) -> None:
        """Nothing is streamed."""


class _Claim(_Handler):
    async def post(self) -> None:
        answer = self.service.claim(json.loads(self.request.body))
        await asyncio.sleep(self.service.claims_take_seconds)
        self._send(answer)


class _Action(_Handler):
    async def post(self, task_id: str, action: str) -> None:
        body = json.loads(self.request.body)
        if self._cut():
            return
        if action in ('output', 'nodes'):
            self._send(self.service.printed(task_id, action, body))
            return
        if action != 'heartbeat':
            self._send(self.service.report(task_id, action, body))
            return
        answer = self.service.heartbeat(task_id, body)
        await asyncio.sleep(self.service.heartbeats_take_seconds)
        self._send(answer)


class _Pilots(_Handler):
    async def post(self, _: str = '') -> None:
        if self.service.away_for_pilots:
            self._send((404, {'code': 404, 'error': 'no such route'}))
        elif not self._cut():
            self.service.pilots.append(json.loads(self.request.body))
            self._send((201, {'result': 'p1'}))

    async def patch(self, _: str) -> None:
        if not self._cut():
            self.service.pilots.append(json.loads(self.request.body))
            self._send((200, {**self.service.pilots[-1], 'drain': self.service.drain}))

    async def delete(self, _: str) -> None:
        self.service.pilots.append({'state': 'gone'})
        self._send((200, {}))


class _Files(_Handler):
    def get(self, task_id: str) -> None:
        if not self._cut():
            troubles = self.service.troubles['files']
            self._send(troubles.popleft() if troubles else (200, {'files': self.service.files.get(task_id, [])}))


class _Config(_Handler):
    def get(self, dataset_id: str) -> None:
        if self._cut():
            return
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
            ('/tasks/([^/]+)/task_actions/([^/]+)', _Action, given),
            ('/pilots', _Pilots, given),
            ('/pilots/([^/]+)', _Pilots, given),
            ('/datasets/[^/]+/files/([^/]+)', _Files, given),
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
