"""How long claims wait while a large dataset is suspended and resumed.

One service on a private mongod; a dataset of tasks that need a GPU, and another one that the pilots of this benchmark
work on all the while, claim and complete in turn. Phases without an action stand between those with one, so that the
machine's noise shows in both.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from iceprod_tasks.client import ActionName, AsyncClient, NoWork
from tests.journeys.commands import Commands

ACTIONS: tuple[ActionName, ...] = ('suspend', 'resume')
OTHERS = 'others'
LARGE = 'large'
OFFER: Any = {'cpu': 1, 'gpu': 0, 'memory': 4}
REST_SECONDS = 10.0


class Pilots:
    """Pilots that claim and complete tasks until told to stop, and the waits of their claims in milliseconds."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._stop = asyncio.Event()
        self.waits_ms: list[float] = []

    async def fly(self) -> None:
        """One pilot."""
        while not self._stop.is_set():
            began = time.perf_counter()
            try:
                claim = await self._client.claim(OFFER, pilot='bench')
            except NoWork:
                # The scheduler has not filled the queue again: not a wait of the claim itself.
                await asyncio.sleep(0.05)
                continue
            self.waits_ms.append(1000 * (time.perf_counter() - began))
            await self._client.complete(claim)

    def stop(self) -> None:
        """Let them end their round."""
        self._stop.set()

    def report(self, phase: str, seconds: float) -> str:
        """The claims since the last report, in a line."""
        waits, self.waits_ms = sorted(self.waits_ms), []
        if not waits:
            return f'{phase:12} no claims'
        p99 = waits[min(len(waits) - 1, int(0.99 * len(waits)))]
        middle = statistics.median(waits)
        return (
            f'{phase:12} {seconds:6.1f} s  {len(waits):6} claims  '
            f'p50 {middle:6.1f} ms  p99 {p99:6.1f} ms  max {waits[-1]:6.1f} ms'
        )


async def measure(commands: Commands, token: str, arguments: argparse.Namespace) -> None:
    """Run the phases and print their figures."""
    large, others = (submit(commands, name, arguments) for name in (LARGE, OTHERS))
    async with AsyncClient(commands.url, token, timeout_seconds=600) as client:
        for dataset_id in (large, others):
            await until_made(client, dataset_id)
        pilots = Pilots(client)
        flying = [asyncio.create_task(pilots.fly()) for _ in range(arguments.pilots)]
        try:
            for action in ACTIONS * arguments.rounds:
                await asyncio.sleep(REST_SECONDS)
                print(pilots.report('no action', REST_SECONDS), flush=True)
                began = time.perf_counter()
                done = await client.act_on_dataset(large, action)
                seconds = time.perf_counter() - began
                print(pilots.report(action, seconds), f' {done["tasks"]["changed"]} tasks', flush=True)
        finally:
            pilots.stop()
            await asyncio.gather(*flying)
        await recount(client, large)


def submit(commands: Commands, name: str, arguments: argparse.Namespace) -> str:
    """A dataset of two tasks a job."""
    needs = {'gpu': 1} if name == LARGE else {'cpu': 1}
    tasks = [{'name': each, 'command': 'true', 'requirements': needs} for each in ('gen', 'sim')]
    file = commands.folder / f'{name}.json'
    file.write_text(json.dumps({'version': 1, 'description': name, 'tasks': tasks}))
    return commands.run('submit', str(file), '--jobs', str(arguments.tasks // 2), timeout_seconds=600).strip()


async def until_made(client: AsyncClient, dataset_id: str) -> None:
    """Wait for the scheduler."""
    dataset = await client.dataset(dataset_id)
    while sum((await client.task_counts(dataset_id)).values()) < dataset['tasks_submitted']:
        await asyncio.sleep(0.5)


async def recount(client: AsyncClient, dataset_id: str) -> None:
    """Compare the counts that the service gives with a count of its tasks, at a moment when none of them moves."""
    before: dict[str, int] = {}
    found: dict[str, int] = {}
    while True:
        counts = await client.task_counts(dataset_id)
        if counts == before:
            break
        listed = await client.dataset_tasks(dataset_id, keys=['status'])
        found = dict(Counter(str(task['status']) for task in listed.values()))
        before = counts
    print(f'counts {counts}; recounted {found}; equal: {counts == found}')


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', type=int, default=100_000, help='tasks of each of the two datasets')
    parser.add_argument('--pilots', type=int, default=4, help='pilots that claim at once')
    parser.add_argument('--rounds', type=int, default=2, help='times to suspend and resume')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Commands(Path(folder)) as commands:
        commands.serve()
        token = commands.token('admin')
        commands.environment['ICEPROD_TASKS_TOKEN'] = token
        asyncio.run(measure(commands, token, arguments))


if __name__ == '__main__':
    main()
