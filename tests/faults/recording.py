"""The recording side of the history: a journal, and a network that writes every request and its answer there."""

import itertools
import json
import os
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

_ON_A_TASK = re.compile(r'/tasks/(?P<task_id>\w+)/task_actions/(?P<what>\w+)')
_KEPT = ('task_id', 'claim_id', 'epoch')


class Journal:
    """A file of JSON lines, each with its time; what was written stays when the process is killed.

    Args:
        folder: where the file goes.
        name: of it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._numbers = itertools.count()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / f'{name}.ndjson', flags, 0o600)

    def new_id(self) -> str:
        """A name for what will have a second line."""
        return f'{self._name}-{os.getpid()}-{next(self._numbers)}'

    def write(self, kind: str, **more: Any) -> None:
        """Add a line."""
        line = {'type': kind, 'at': time.monotonic_ns(), **more}
        os.write(self._file, json.dumps(line).encode() + b'\n')


class RecordingNetwork(httpx2.AsyncBaseTransport):
    """Sends each request to one of several equal services, records it, and loses some answers after the write.

    Args:
        journal: where to.
        who: the process that asks.
        servers: their addresses.
        chance: decides which service is asked and which answer is lost.
        drop: how much of the answers to changes is lost, from 0 to 1.
    """

    def __init__(
        self, journal: Journal, who: str, servers: Sequence[str], chance: random.Random, drop: float = 0.0
    ) -> None:
        self._journal = journal
        self._who = who
        self._servers = [httpx2.URL(server) for server in servers]
        self._chance = chance
        self._drop = drop
        self._http = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, record it, perhaps lose its answer."""
        name = self._journal.new_id()
        asked = _asked(request)
        self._journal.write('invoke', id=name, who=self._who, asked=asked)
        dropped = request.method == 'POST' and self._chance.random() < self._drop
        try:
            response = await self._send(request)
        except BaseException as error:
            self._journal.write('info', id=name, answer={'why': repr(error)})
            raise
        answer = {'status': response.status_code, **_answered(asked['what'], response)}
        if dropped:
            self._journal.write('info', id=name, answer={'status': response.status_code, 'dropped': True})
            raise httpx2.ReadError('the answer was dropped', request=request)
        self._journal.write(_outcome(response), id=name, answer=answer)
        return response

    async def aclose(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        servers = self._chance.sample(self._servers, k=len(self._servers))
        for server in servers:
            request.url = request.url.copy_with(host=server.host, port=server.port)
            request.headers['Host'] = f'{server.host}:{server.port}'
            try:
                response = await self._http.handle_async_request(request)
                await response.aread()
                return response
            except httpx2.ConnectError:
                if server is servers[-1]:
                    raise
        raise AssertionError('there are no services')


def _asked(request: httpx2.Request) -> dict[str, Any]:
    path = request.url.path
    if path == '/task_actions/process':
        return {'what': 'claim', 'claim_id': json.loads(request.content).get('claim_id', '')}
    if path == '/datasets' and request.method == 'POST':
        return {'what': 'submit'}
    if found := _ON_A_TASK.fullmatch(path):
        body = json.loads(request.content)
        return {**found.groupdict(), 'claim_id': body.get('claim_id', ''), 'epoch': body.get('epoch', 0)}
    return {'what': f'{request.method} {path}'}


def _answered(what: str, response: httpx2.Response) -> dict[str, Any]:
    if not response.is_success:
        return {'why': response.text[:200]}
    if what == 'claim':
        task = response.json()
        return {'task_id': task['task_id'], 'epoch': task['epoch']}
    if what == 'submit':
        return {'dataset_id': response.json()['result'].rpartition('/')[2]}
    return {}


def _outcome(response: httpx2.Response) -> str:
    if response.is_success:
        return 'ok'
    return 'fail' if response.is_client_error else 'info'
