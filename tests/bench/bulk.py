"""What changes of a hundred thousand tasks cost pilots: bulk status, bulk requirements, queueing.

One service in a process of its own, with a coroutine in it that ticks and notes how long the event loop did not come
round; pilots in another process, that yields to the service as if it were on other machines. Phases without a change
and with one alternate, so that the machine's noise shows in both.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pymongo

from iceprod_tasks.cli.serve import run
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded
from tests.bench.load import NICENESS, Client, Load
from tests.journeys.commands import ROOT

SECRET = 'a secret for benches, of more than 32 bytes'
DATABASE = 'bench'
TICK_SECONDS = 0.002
REST_SECONDS = 4.0


async def serve(url: str) -> None:
    """The service, until somebody ends it; each line asked for says how long the loop was held since the last one."""
    settings = Settings(token_secret=SECRET, port=0, mongodb_database=DATABASE, rate_limit=0)
    async with running(settings, url, Tokens(SECRET)) as up:
        print(up.port, flush=True)
        held = Held()
        ticking = asyncio.create_task(held.tick())
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(held.take()), flush=True)
        ticking.cancel()


class Held:
    """How long the event loop was held at the most, by the clock and by the CPU time of its thread."""

    def __init__(self) -> None:
        self._most = (0.0, 0.0)

    async def tick(self) -> None:
        """Look all the time."""
        while True:
            clock, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_SECONDS)
            late, busy = time.perf_counter() - clock - TICK_SECONDS, time.thread_time() - used
            self._most = (max(self._most[0], late), max(self._most[1], busy))

    def take(self) -> tuple[float, float]:
        """Since the last time, in ms."""
        most, self._most = self._most, (0.0, 0.0)
        return 1000 * most[0], 1000 * most[1]


async def fly(load: Load) -> None:
    """Pilots that claim and complete; a line of waits in seconds for each line that is asked for."""
    os.nice(NICENESS)
    waits: list[float] = []

    async def pilot(number: int) -> None:
        client = Client(load)
        while True:
            claim_id = secrets.token_hex(16)
            offer = {'requirements': {'cpu': 1, 'memory': 4}, 'claim_id': claim_id, 'pilot': f'bench-{number}'}
            began = time.monotonic()
            status, answer, _ = await client.ask('POST', '/task_actions/process', offer)
            if status != 200:
                print('claim', status, file=sys.stderr)
                await asyncio.sleep(0.05)
                continue
            waits.append(time.monotonic() - began)
            path = f'/tasks/{json.loads(answer)["task_id"]}/task_actions/complete'
            await client.ask('POST', path, {'claim_id': claim_id})

    flying = [asyncio.create_task(pilot(number)) for number in range(load.count)]
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(waits), flush=True)
        waits.clear()
    for each in flying:
        each.cancel()


class Child:
    """A process of this bench that answers a line with a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *arguments: str) -> 'Child':
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, '-m', 'tests.bench.bulk', *arguments, stdin=pipe, stdout=pipe, cwd=ROOT, limit=2**26
            )
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def line(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())

    async def ask(self) -> Any:
        """What it says to a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(b'\n')
        return await self.line()

    async def end(self) -> None:
        """End it."""
        self._process.kill()
        await self._process.wait()


class Bench:
    """A service, pilots, and somebody who changes many tasks at once."""

    def __init__(self, url: str, service: Child, arguments: argparse.Namespace) -> None:
        children = psutil.Process().children(recursive=True)
        mongod = next(each for each in children if each.name().startswith('mongod'))
        self._processes = (mongod, psutil.Process(service.pid))
        self._database = pymongo.MongoClient[dict[str, Any]](url)[DATABASE]
        self._arguments = arguments
        self._ids: list[str] = []

    def _cpu_seconds(self) -> list[float]:
        """CPU time used so far by mongod, and by the service."""
        times = [process.cpu_times() for process in self._processes]
        return [each.user + each.system for each in times]

    def prepare(self) -> None:
        """Tasks to change, and tasks for pilots."""
        now = datetime.now(UTC)
        common = {'job_id': 'j', 'task_index': 0, 'depends': []}
        for name, count, needs in (('large', self._arguments.tasks, {'gpu': 1}), ('small', self._arguments.own, {})):
            status = 'suspended' if name == 'large' else 'queued'
            given = {**common, 'dataset_id': name, 'name': name, 'requirements': needs, 'status': status}
            for start in range(0, count, 5000):
                tasks = [
                    new_task({**given, 'job_index': place, 'priority': random.random()}, new_id(), now, managed=False)
                    for place in range(start, min(count, start + 5000))
                ]
                self._database.tasks.insert_many(tasks)
                self._ids += [task['task_id'] for task in tasks] if name == 'large' else []
        if self._arguments.shuffled:
            random.shuffle(self._ids)

    async def run(self, port: int, service: Child) -> None:
        """All phases."""
        client = Client(Load('changes', port, Tokens(SECRET).mint('bench', ['admin'], [], 36000), 1, 0))
        load = Load('pilots', port, Tokens(SECRET).mint('pilot', ['system'], [], 36000), self._arguments.pilots, 0)
        pilots = await Child.start('fly', json.dumps(dataclasses.asdict(load)))
        try:
            for _ in range(self._arguments.rounds):
                for name, change in self._changes(client).items():
                    await self._phase('no change', lambda: asyncio.sleep(REST_SECONDS), pilots, service)
                    await self._phase(name, change, pilots, service)
        finally:
            await pilots.end()

    def _changes(self, client: Client) -> dict[str, Callable[[], Awaitable[Any]]]:
        here, ids = '/datasets/large/task_actions', {'tasks': self._ids}
        unknown = {'tasks': [*(new_id() for _ in self._ids[1:]), self._ids[0]]}

        def ask(method: str, path: str, body: Any) -> Callable[[], Awaitable[Any]]:
            async def change() -> None:
                status, answer, _ = await client.ask(method, path, body)
                assert status == 200, (path, status, answer)

            return change

        return {
            'to waiting': ask('POST', '/task_actions/bulk_status/waiting', ids),
            'queue 1000': ask('POST', '/task_actions/queue', {'num_tasks': 1000}),
            'to queued': ask('POST', f'{here}/bulk_status/queued', ids),
            'needs': ask('PATCH', f'{here}/bulk_requirements/large', {'memory': random.randrange(1000)}),
            'to suspended': ask('POST', f'{here}/bulk_status/suspended', ids),
            'unknown ids': ask('POST', f'{here}/bulk_status/failed', unknown),
        }

    async def _phase(self, name: str, change: Callable[[], Awaitable[Any]], pilots: Child, service: Child) -> None:
        await pilots.ask()
        await service.ask()
        before, began = self._cpu_seconds(), time.perf_counter()
        await change()
        took = time.perf_counter() - began
        mongod, own = (after - each for after, each in zip(self._cpu_seconds(), before, strict=True))
        waits = sorted(1000 * each for each in await pilots.ask()) or [float('nan')]
        late, busy = await service.ask()
        print(
            f'{name:13} {took:6.2f} s  {len(waits) / took:5.0f} claims/s  p50 {statistics.median(waits):5.1f} ms  '
            f'p99 {waits[int(0.99 * len(waits))]:5.1f} ms  max {waits[-1]:5.1f} ms  '
            f'loop held {late:5.1f} ms, busy {busy:5.1f} ms  CPU: mongod {mongod:5.2f} s, service {own:5.2f} s',
            flush=True,
        )


async def measure(arguments: argparse.Namespace) -> None:
    """Run all."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        mongod = await embedded.start(Path(folder), cache_gb=1)
        try:
            service = await Child.start('serve', mongod.url)
            port = await service.line()
            bench = Bench(mongod.url, service, arguments)
            bench.prepare()
            await bench.run(port, service)
            await service.end()
        finally:
            await mongod.stop()


def main() -> None:
    """Read the arguments and run."""
    if sys.argv[1:2] == ['serve']:
        run(Settings(log_level='WARNING'), serve(sys.argv[2]))
    elif sys.argv[1:2] == ['fly']:
        asyncio.run(fly(Load(**json.loads(sys.argv[2]))))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument('--tasks', type=int, default=100_000, help='tasks to change')
        parser.add_argument('--own', type=int, default=60_000, help='tasks for pilots')
        parser.add_argument('--pilots', type=int, default=8, help='pilots that claim at once')
        parser.add_argument('--shuffled', action='store_true', help='name the tasks in no order')
        parser.add_argument('--rounds', type=int, default=1, help='times to do all')
        asyncio.run(measure(parser.parse_args()))


if __name__ == '__main__':
    main()
