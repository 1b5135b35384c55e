"""What a service does that is asked for ten times as much as it can.

One service on a private mongod. Rounds of phases, so that the machine's noise shows in all: as many pilots as it serves
at its best; ten times as many; those and hundreds of readers of long lists; pilots that do not mind `Retry-After`.
A pilot claims and completes without a pause. All the while claims that are held get heartbeats. Load comes from
processes that yield to the service, as if they were on other machines. Where other programs share the machine, the CPU
time of service and mongod for each task says more than the tasks in a second: both are printed.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from iceprod_tasks.client import AsyncClient
from tests.bench.heartbeats import cpu_seconds
from tests.bench.load import REFUSED, Load
from tests.journeys.commands import ROOT, Commands

LEASE_SECONDS = 300.0
OFFER: Any = {'cpu': 1, 'memory': 4}
MEGABYTE = 1024 * 1024


@dataclass
class Phase:
    """What is measured of one kind of load in all rounds.

    Args:
        name: for people.
        pilots: how many.
        readers: how many.
        patient: whether all of them do what `Retry-After` says.
    """

    name: str
    pilots: int
    readers: int = 0
    patient: bool = True
    goodput: list[float] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)
    lists: int = 0
    refused: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    grown: int = 0
    cpu_ms: list[float] = field(default_factory=list)


class Bench:
    """The service, and the load on it."""

    def __init__(self, commands: Commands, service: psutil.Process, arguments: argparse.Namespace) -> None:
        self._commands = commands
        self._service = service
        self._arguments = arguments
        self._held: list[tuple[str, str]] = []
        self._paths: list[str] = []
        self._idle = 0

    async def prepare(self) -> None:
        """Submit a dataset, wait until its tasks are queued, hold some."""
        file = self._commands.folder / 'bench.json'
        tasks = [{'name': 'one', 'command': 'true'}]
        file.write_text(json.dumps({'version': 1, 'description': 'bench', 'tasks': tasks}))
        self._commands.environment['ICEPROD_TASKS_TOKEN'] = token = self._commands.token('admin')
        jobs = str(self._arguments.tasks)
        dataset_id = self._commands.run('submit', str(file), '--jobs', jobs, timeout_seconds=600).strip()
        async with AsyncClient(self._commands.url, token, timeout_seconds=600) as client:
            while (await client.task_counts(dataset_id)).get('queued', 0) < self._arguments.tasks:
                await asyncio.sleep(0.5)
            held = [await client.claim(OFFER, pilot='holder') for _ in range(self._arguments.held)]
        self._held = [(claim.task_id, claim.claim_id) for claim in held]
        self._paths = [f'/datasets/{dataset_id}/tasks', f'/datasets/{dataset_id}/task_summaries/status', '/tasks']
        self._idle = self._service.memory_info().rss

    async def run(self, phase: Phase) -> None:
        """Put a phase's load on the service, and note what came of it."""
        seconds, half = self._arguments.seconds, phase.pilots // 2
        pilots = [half, phase.pilots - half] if phase.pilots > self._arguments.pilots else [phase.pilots]
        loads = [self._load('pilots', count, phase) for count in pilots]
        if phase.readers:
            loads.append(self._load('readers', phase.readers, phase))
        loads.append(self._load('heartbeats', len(self._held), phase))
        watching = asyncio.create_task(self._watch(phase))
        before = cpu_seconds(self._service)
        results = await asyncio.gather(*(self._start(load) for load in loads))
        watching.cancel()
        done = sum(each['done'] for each in results if each['kind'] == 'pilots')
        phase.goodput.append(done / seconds)
        phase.cpu_ms.append(1000 * (cpu_seconds(self._service) - before) / sum(each['ever_done'] for each in results))
        for each in results:
            waits = {'pilots': phase.claims, 'heartbeats': phase.beats}.get(each['kind'], [])
            waits += each['waits']
            phase.lists += each['done'] if each['kind'] == 'readers' else 0
            statuses = {int(status): count for status, count in each['statuses'].items()}
            phase.refused += sum(statuses.get(status, 0) for status in REFUSED)
            phase.odd.update({f'{each["kind"]} {s}': n for s, n in statuses.items() if s not in (200, *REFUSED)})

    def _load(self, kind: str, count: int, phase: Phase) -> Load:
        # Each process has a token of its own, as each site has; the rates are those of a service as it comes.
        role = 'admin' if kind == 'readers' else 'system'
        return Load(
            kind, self._commands.port, self._token(role, f'{kind}-{count}'), count, self._arguments.seconds,
            patient=phase.patient or kind == 'heartbeats', paths=self._paths, held=self._held,
        )  # fmt: skip

    def _token(self, role: str, name: str) -> str:
        return self._commands.run('token', '--role', role, '--user', name).strip()

    async def _start(self, load: Load) -> dict[str, Any]:
        command = (sys.executable, '-m', 'tests.bench.load', json.dumps(asdict(load)))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        out, _ = await process.communicate()
        result: dict[str, Any] = json.loads(out)
        return result

    async def _watch(self, phase: Phase) -> None:
        while True:
            phase.grown = max(phase.grown, self._service.memory_info().rss - self._idle)
            await asyncio.sleep(0.2)


def p99(waits: list[float]) -> float:
    """The wait that one of a hundred exceeds, in seconds."""
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else float('nan')


def report(phases: list[Phase], seconds: float) -> None:
    """Print a line a phase."""
    peak, least_ms = statistics.mean(phases[0].goodput), statistics.mean(phases[0].cpu_ms)
    for phase in phases:
        goodput, cpu_ms = statistics.mean(phase.goodput), statistics.mean(phase.cpu_ms)
        total_seconds = seconds * len(phase.goodput)
        print(
            f'{phase.name:28} {goodput:6.0f} tasks/s ({100 * goodput / peak:4.0f} %)  '
            f'CPU {cpu_ms:5.1f} ms a task ({100 * least_ms / cpu_ms:4.0f} % at equal CPU)  '
            f'claim p99 {p99(phase.claims):6.2f} s  heartbeat p50 {statistics.median(phase.beats):5.2f} s '
            f'p99 {p99(phase.beats):5.2f} s (a third of a lease: {LEASE_SECONDS / 3:.0f} s)  '
            f'lists {phase.lists / total_seconds:5.1f} /s  refused {phase.refused / total_seconds:6.0f} /s  '
            f'memory +{phase.grown / MEGABYTE:.0f} MB  others {dict(phase.odd)}',
            flush=True,
        )
        print(f'{"":28} rounds: {", ".join(f"{each:.0f}" for each in phase.goodput)}', flush=True)


async def measure(bench: Bench, arguments: argparse.Namespace) -> None:
    """Run all rounds and print what they give."""
    await bench.prepare()
    few, many = arguments.pilots, 10 * arguments.pilots
    phases = [
        Phase('peak', few), Phase('10 x pilots', many), Phase('10 x pilots, long lists', many, arguments.readers),
        Phase('peak pilots, long lists', few, arguments.readers), Phase('10 x impatient pilots', many, patient=False),
    ]  # fmt: skip
    for _ in range(arguments.rounds):
        for phase in phases:
            await bench.run(phase)
            # What is under way ends.
            await asyncio.sleep(3)
    report(phases, arguments.seconds)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', type=int, default=60_000, help='tasks of the dataset')
    parser.add_argument('--held', type=int, default=50, help='claims that get a heartbeat a second')
    parser.add_argument('--pilots', type=int, default=16, help='pilots at the peak')
    parser.add_argument('--readers', type=int, default=300, help='readers of long lists')
    parser.add_argument('--seconds', type=float, default=30, help='of a phase')
    parser.add_argument('--rounds', type=int, default=2, help='times to alternate')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Commands(Path(folder)) as commands:
        pid = commands.serve('--queue-depth', str(arguments.tasks), '--lease', str(LEASE_SECONDS)).pid
        began = time.monotonic()
        asyncio.run(measure(Bench(commands, psutil.Process(pid), arguments), arguments))
        print(f'{time.monotonic() - began:.0f} s')


if __name__ == '__main__':
    main()
