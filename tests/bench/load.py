"""One process of load for the overload benchmark: pilots, readers or heartbeats on many connections.

Reads what to do from the command line as JSON, and prints what came of it as JSON. It speaks HTTP by hand, so that it
takes little of the processor that the service under test shares with it.
"""

import asyncio
import dataclasses
import json
import os
import random
import secrets
import sys
import time
from collections import Counter
from typing import Any

REFUSED = (429, 503)
NICENESS = 15
WARM_SECONDS = 5.0
"""Connections are made, and queues fill; what is done meanwhile does not count."""


@dataclasses.dataclass
class Load:
    """What one process does.

    Args:
        kind: `pilots`, `readers` or `heartbeats`.
        port: of the service.
        token: sent with each request.
        count: how many of them there are, each with a connection.
        seconds: how long they go on, once they have begun.
        patient: whether they do what `Retry-After` says.
        paths: what readers read, each of them one path.
        held: claims that heartbeats are for: task id and claim id.
    """

    kind: str
    port: int
    token: str
    count: int
    seconds: float
    patient: bool = True
    paths: list[str] = dataclasses.field(default_factory=list)
    held: list[tuple[str, str]] = dataclasses.field(default_factory=list)


class Client:
    """One connection that stays open, opened again when it is closed."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.statuses: Counter[int] = Counter()

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, float]:
        """One request: the status, the body unless it is a stream, and the seconds of Retry-After."""
        text = b'' if body is None else json.dumps(body).encode()
        head = (
            f'{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._load.token}\r\n'
            f'Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n'
        )
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection('127.0.0.1', self._load.port)
            reader, writer = self._streams
            writer.write(head.encode() + text)
            status, answer, after = await _answer(reader)
        except (OSError, EOFError):
            status, answer, after = 0, b'', 0.1
            self._close()
        self.statuses[status] += 1
        return status, answer, after

    async def until_served(self, method: str, path: str, body: object, end: float) -> tuple[int, bytes]:
        """Ask until the answer is no refusal, or time is over."""
        while True:
            status, answer, after = await self.ask(method, path, body)
            if status not in (*REFUSED, 0) or time.monotonic() >= end:
                return status, answer
            if self._load.patient:
                await asyncio.sleep(after + random.uniform(0, 0.5))

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, float]:
    head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').lower()
    headers = dict(line.split(': ', 1) for line in head.split('\r\n')[1:] if ': ' in line)
    body = b''
    if 'content-length' in headers:
        body = await reader.readexactly(int(headers['content-length']))
    elif headers.get('transfer-encoding') == 'chunked':
        while size := int(await reader.readuntil(b'\r\n'), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    return int(head.split(' ', 2)[1]), body, float(headers.get('retry-after', '0'))


class Work:
    """What all of one process do, and what came of it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._begin = time.monotonic() + WARM_SECONDS
        self._end = self._begin + load.seconds
        self.done = 0
        self.ever_done = 0
        self.waits: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def run(self) -> dict[str, Any]:
        """Do it until time is over."""
        one = {'pilots': self._pilot, 'readers': self._reader, 'heartbeats': self._heart}[self._load.kind]
        clients = [Client(self._load) for _ in range(self._load.count)]
        await asyncio.gather(*(one(client, number) for number, client in enumerate(clients)))
        for client in clients:
            self.statuses += client.statuses
        self.waits.sort()
        return {
            'kind': self._load.kind,
            'done': self.done,
            'ever_done': self.ever_done,
            'waits': self.waits,
            'statuses': dict(self.statuses),
        }

    async def _pilot(self, client: Client, number: int) -> None:
        """Claim and complete, over and over."""
        while time.monotonic() < self._end:
            claim_id = secrets.token_hex(16)
            offer = {'requirements': {'cpu': 1, 'memory': 4}, 'claim_id': claim_id, 'pilot': f'bench-{number}'}
            began = time.monotonic()
            status, answer = await client.until_served('POST', '/task_actions/process', offer, self._end)
            if status != 200:
                await asyncio.sleep(0.05)
                continue
            self.waits.append(time.monotonic() - began)
            path = f'/tasks/{json.loads(answer)["task_id"]}/task_actions/complete'
            # A report is repeated beyond the end: what was claimed is work that must not be lost.
            status, _ = await client.until_served('POST', path, {'claim_id': claim_id}, self._end + 30)
            self.ever_done += status == 200
            self.done += status == 200 and self._begin <= time.monotonic() < self._end

    async def _reader(self, client: Client, number: int) -> None:
        """Read the same over and over."""
        path = self._load.paths[number % len(self._load.paths)]
        while time.monotonic() < self._end:
            began = time.monotonic()
            status, _ = await client.until_served('GET', path, None, self._end)
            if status == 200:
                self.waits.append(time.monotonic() - began)
                self.done += time.monotonic() >= self._begin

    async def _heart(self, client: Client, number: int) -> None:
        """A heartbeat a second for one of the claims that are held."""
        task_id, claim_id = self._load.held[number]
        await asyncio.sleep(random.random())
        while time.monotonic() < self._end:
            began = time.monotonic()
            path = f'/tasks/{task_id}/task_actions/heartbeat'
            status, _ = await client.until_served('POST', path, {'claim_id': claim_id}, self._end + 30)
            self.waits.append(time.monotonic() - began)
            self.done += status == 200
            await asyncio.sleep(1)


if __name__ == '__main__':
    os.nice(NICENESS)
    print(json.dumps(asyncio.run(Work(Load(**json.loads(sys.argv[1]))).run())))
