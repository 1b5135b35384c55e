"""What a heartbeat costs beside a claim with its report, in requests a second and in CPU time.

One service on a private mongod. Phases of both kinds alternate, so that the machine's noise shows in both; CPU time is
the sum of the service's and of mongod's.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from iceprod_tasks.client import AsyncClient, Claim
from tests.journeys.commands import Commands

OFFER: Any = {'cpu': 1, 'memory': 4}
PHASE_SECONDS = 10.0

Round = Callable[[], Awaitable[object]]


async def phase(name: str, one: Round, pilots: int, service: psutil.Process) -> None:
    """Let pilots do the same over and over for a while, and print how it went."""
    waits_ms: list[float] = []
    end = time.perf_counter() + PHASE_SECONDS

    async def fly() -> None:
        while (began := time.perf_counter()) < end:
            await one()
            waits_ms.append(1000 * (time.perf_counter() - began))

    before = cpu_seconds(service)
    await asyncio.gather(*(fly() for _ in range(pilots)))
    used = cpu_seconds(service) - before
    waits_ms.sort()
    print(
        f'{name:14} {len(waits_ms) / PHASE_SECONDS:7.0f} /s  p50 {statistics.median(waits_ms):6.1f} ms  '
        f'p99 {waits_ms[int(0.99 * len(waits_ms))]:6.1f} ms  CPU {1000 * used / len(waits_ms):5.2f} ms each',
        flush=True,
    )


def cpu_seconds(service: psutil.Process) -> float:
    """CPU time used so far by a service and its mongod."""
    times = [process.cpu_times() for process in (service, *service.children(recursive=True))]
    return sum(each.user + each.system for each in times)


async def measure(client: AsyncClient, service: psutil.Process, arguments: argparse.Namespace) -> None:
    """Hold some tasks, and alternate heartbeats for them with claims and reports of others."""
    held = [await client.claim(OFFER, pilot='holder') for _ in range(arguments.held)]
    turn: Iterator[Claim] = itertools.cycle(held)

    async def beat() -> None:
        await client.heartbeat(next(turn), progress={'completed': 1, 'total': 2}, phase='running')

    async def claim_and_complete() -> None:
        await client.complete(await client.claim(OFFER, pilot='bench'))

    for _ in range(arguments.rounds):
        await phase('claim+complete', claim_and_complete, arguments.pilots, service)
        await phase('heartbeat', beat, arguments.pilots, service)
    for claim in held:
        await client.complete(claim)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', type=int, default=30_000, help='tasks of the dataset')
    parser.add_argument('--held', type=int, default=500, help='tasks that run and send heartbeats')
    parser.add_argument('--pilots', type=int, default=8, help='requests at once')
    parser.add_argument('--rounds', type=int, default=3, help='times to alternate')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Commands(Path(folder)) as commands:
        service = psutil.Process(commands.serve('--queue-depth', str(arguments.tasks)).pid)
        commands.environment['ICEPROD_TASKS_TOKEN'] = token = commands.token('admin')
        file = commands.folder / 'bench.json'
        config = {'version': 1, 'description': 'bench', 'tasks': [{'name': 'one', 'command': 'true'}]}
        file.write_text(json.dumps(config))
        dataset_id = commands.run('submit', str(file), '--jobs', str(arguments.tasks), timeout_seconds=600).strip()

        async def run() -> None:
            async with AsyncClient(commands.url, token, timeout_seconds=600) as client:
                while (await client.task_counts(dataset_id)).get('queued', 0) < arguments.tasks:
                    await asyncio.sleep(0.5)
                await measure(client, service, arguments)

        asyncio.run(run())


if __name__ == '__main__':
    main()
