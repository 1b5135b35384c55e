"""Those who are compared: each a service on a database of the one mongod, with auth and majority writes.

`iceprod` and `fireworks` are the real packages, in environments of their own that `scripts/bench` makes on demand.
"""

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import time
import urllib.request
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import jwt
from pymongo import IndexModel

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.storage.indexes import models
from tests.bench import cpu
from tests.journeys.commands import COMMAND, ROOT

SECRET = 'a secret for the benchmark, of more than 32 bytes'
_UP_SECONDS = 60.0

_ICEPROD = """
import asyncio, iceprod.common.mongo as mongo
class Majority(mongo.AsyncMongoClient):
    def __init__(self, url, **options):
        super().__init__(url, **{**options, 'w': 'majority', 'journal': True})
mongo.AsyncMongoClient = Majority
from iceprod.rest.server import Server
async def main():
    server = Server()
    await server.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""
"""IceProd's own server; its setting for the write concern takes numbers only."""


@dataclass
class Up:
    """A service that is up.

    Args:
        port: where it listens.
        token: that opens it.
        pids: of it and its children.
        database: that it uses.
        dialect: of `pairs`.
        status: of tasks that it gives out.
    """

    port: int
    token: str
    pids: list[int]
    database: str
    dialect: str
    status: str

    def cpu_seconds(self) -> float:
        """Time of the processor that it has used so far."""
        return cpu.seconds_of(self.pids)

    def http(self) -> httpx2.AsyncClient:
        """A client for what pilots do not ask."""
        headers = {'Authorization': f'Bearer {self.token}'}
        return httpx2.AsyncClient(base_url=f'http://127.0.0.1:{self.port}', headers=headers, timeout=300)


@dataclass(frozen=True)
class Contender:
    """One of those who are compared.

    Args:
        name: in tables.
        command: that starts it; `{port}`, `{url}` and `{database}` are put in.
        environment: beside the own one; likewise.
        dialect: of `pairs`.
        database: the database that it uses, where it does not let itself be told.
        status: of tasks that it gives out.
        model: a task of its own form; ours where it is None.
        indexes: of tasks.
        path: that is answered once it is up.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    dialect: str = 'ours'
    database: str = ''
    status: str = 'queued'
    model: Mapping[str, Any] | None = None
    indexes: Sequence[IndexModel] = ()
    path: str = '/healthz'

    @property
    def is_ours(self) -> bool:
        """Whether it is this service."""
        return self.name.startswith('ours')

    @contextlib.asynccontextmanager
    async def up(self, url: str, database: str, tree: str = '') -> AsyncIterator[Up]:
        """Start it on a database, and end it afterwards.

        Args:
            url: of mongod.
            database: its name.
            tree: a checkout whose service is measured instead of that of this one.
        """
        port = _free_port()
        words = {'port': str(port), 'url': url, 'database': database}
        root = tree if tree and self.is_ours else str(ROOT)
        own = {name: value.format(**words) for name, value in self.environment.items()}
        # What others are told to import is no affair of IceProd's.
        environment = {**os.environ, 'PYTHONPATH': '' if self.dialect == 'iceprod' else root, **own}
        process = await asyncio.create_subprocess_exec(
            *(part.format(**words) if '{' in part and '\n' not in part else part for part in self.command),
            env=environment, cwd=root, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await asyncio.to_thread(_wait_for, f'http://127.0.0.1:{port}{self.path}', process)
            pids = cpu.processes_of(process.pid)
            yield Up(port, self._token(), pids, database, self.dialect, self.status)
        finally:
            await _end(process)

    def _token(self) -> str:
        if self.dialect == 'iceprod':
            now, roles = int(time.time()), {'iceprod': {'roles': ['iceprod-system']}}
            claims = {'iss': 'IceProd', 'sub': 'bench', 'iat': now, 'nbf': now, 'exp': now + 86400}
            with warnings.catch_warnings(action='ignore'):
                # The key of its test mode is six bytes long.
                return jwt.encode({**claims, 'resource_access': roles}, 'secret', algorithm='HS512')
        return Tokens(SECRET).mint('bench', ['system'], [], 86400)


def ours(driver: str, processes: int = 1) -> Contender:
    """This service."""
    command = (*COMMAND, 'serve', '--no-scheduler', '--rate-limit', '0')
    name = f'ours, {driver}' + (f', {processes} processes' if processes > 1 else '')
    environment = {
        'MONGODB_URL': '{url}', 'MONGODB_DATABASE': '{database}', 'MONGODB_DRIVER': driver, 'PORT': '{port}',
        'TOKEN_SECRET': SECRET, 'LOG_LEVEL': 'INFO',
    }  # fmt: skip
    more = ('--processes', str(processes)) if processes > 1 else ()
    return Contender(name, (*command, *more), environment, indexes=models('tasks'))


UPSTREAM_TASK: Mapping[str, Any] = {
    'status_changed': '2026-01-01T00:00:00.000001', 'failures': 0, 'evictions': 0, 'walltime': 0.0, 'walltime_err': 0.0,
    'walltime_err_n': 0, 'site': '', 'instance_id': '',
}  # fmt: skip
"""What IceProd keeps of a task beside what it is given."""

UPSTREAM_INDEXES = (
    IndexModel('task_id', name='task_id_index', unique=True),
    IndexModel('dataset_id', name='dataset_id_index'),
    IndexModel('job_id', name='job_id_index'),
    IndexModel('status', name='status_index'),
    IndexModel([('status', 1), ('priority', -1)], name='priority_index'),
)
"""What IceProd makes for tasks when it starts. It answers before they are there, so they are made before it starts."""

ONE_FILTER = Contender(
    'one filter, same stack',
    (sys.executable, '-m', 'tests.bench.one_filter', '{url}', '{database}', '{port}', SECRET),
    model=UPSTREAM_TASK,
    indexes=UPSTREAM_INDEXES,
    path='/',
)


def iceprod(python: str) -> Contender:
    """IceProd 3.2.43.

    Args:
        python: the command of an interpreter that has it, as words of a shell.
    """
    environment = {'HOST': '127.0.0.1', 'PORT': '{port}', 'DB_URL': '{url}', 'CI_TESTING': '1', 'OPENID_URL': ''}
    return Contender(
        'IceProd 3.2.43', (*shlex.split(python), '-c', _ICEPROD), environment, 'iceprod', 'tasks', 'waiting',
        UPSTREAM_TASK, UPSTREAM_INDEXES,
    )  # fmt: skip


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


def _wait_for(address: str, process: asyncio.subprocess.Process) -> None:
    end = time.monotonic() + _UP_SECONDS
    while time.monotonic() < end and process.returncode is None:
        try:
            urllib.request.urlopen(address, timeout=1)
        except urllib.request.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f'nobody answers at {address}')


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])
