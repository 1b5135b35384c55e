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
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import psutil

from iceprod_tasks.rest.identity.tokens import Tokens
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
        processes: it and its children.
        dialect: of `pairs`.
    """

    port: int
    token: str
    processes: list[psutil.Process]
    dialect: str = 'ours'

    def cpu_seconds(self) -> float:
        """Time of the processor that it has used so far."""
        times = [process.cpu_times() for process in self.processes]
        return sum(each.user + each.system for each in times)


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
        path: that is answered once it is up.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    dialect: str = 'ours'
    database: str = ''
    status: str = 'queued'
    path: str = '/healthz'

    @contextlib.asynccontextmanager
    async def up(self, url: str, database: str) -> AsyncIterator[Up]:
        """Start it on a database, and end it afterwards."""
        port = _free_port()
        words = {'port': str(port), 'url': url, 'database': database}
        environment = {**os.environ, **{name: value.format(**words) for name, value in self.environment.items()}}
        process = await asyncio.create_subprocess_exec(
            *(part.format(**words) if '{' in part and '\n' not in part else part for part in self.command),
            env=environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await asyncio.to_thread(_wait_for, f'http://127.0.0.1:{port}{self.path}', process)
            parent = psutil.Process(process.pid)
            yield Up(port, self._token(), [parent, *parent.children(recursive=True)], self.dialect)
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
    return Contender(name, (*command, *(('--processes', str(processes)) if processes > 1 else ())), environment)


ONE_FILTER = Contender(
    'one filter, same stack',
    (sys.executable, '-m', 'tests.bench.one_filter', '{url}', '{database}', '{port}', SECRET),
    path='/',
)


def iceprod(python: str) -> Contender:
    """IceProd 3.2.43.

    Args:
        python: the command of an interpreter that has it, as words of a shell.
    """
    environment = {'HOST': '127.0.0.1', 'PORT': '{port}', 'DB_URL': '{url}', 'CI_TESTING': '1', 'OPENID_URL': ''}
    return Contender(
        'IceProd 3.2.43', (*shlex.split(python), '-c', _ICEPROD), environment, 'iceprod', 'tasks', 'waiting'
    )


async def fireworks(python: Path, url: str, workers: int, seconds: float, database: str) -> dict[str, Any]:
    """FireWorks 2.1.4: pairs a second of some workers, each a process as its rocket launchers are.

    Returns:
        `done` and `seconds`, and the CPU of the workers, who are the service here, in seconds.
    """
    script = ROOT / 'tests' / 'bench' / 'fireworks_worker.py'
    prepare = await asyncio.create_subprocess_exec(str(python), str(script), url, database, 'fill', str(workers * 800))
    assert await prepare.wait() == 0
    running = [
        await asyncio.create_subprocess_exec(
            str(python), str(script), url, database, 'work', str(seconds), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(workers)
    ]
    said = [await each.communicate() for each in running]
    # It prints what it likes before.
    figures = [[float(word) for word in out.splitlines()[-1].split()] for out, _ in said]
    return {'done': sum(each[0] for each in figures), 'seconds': seconds, 'cpu': sum(each[1] for each in figures)}


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
