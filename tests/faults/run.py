"""One run: a cluster under load and faults, then healed and given time, then checked."""

import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from iceprod_tasks.client import AsyncClient
from tests.faults import cluster as clusters
from tests.faults.checker import Violation, check
from tests.faults.cluster import Cluster, Folders
from tests.faults.final import Final, look
from tests.faults.history import History, read
from tests.faults.nemesis import Nemesis
from tests.faults.processes import Processes, plain_environment
from tests.faults.recording import Journal, RecordingNetwork
from tests.faults.workload import Workload
from tests.journeys.commands import ROOT

DROP = 0.05
SETTLE_SECONDS = 120.0
_ANSWER_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run.

    Args:
        history: of it.
        final: its end.
        violations: of the invariants.
    """

    history: History
    final: Final
    violations: list[Violation]


async def run(folder: Path, seed: int, load_seconds: float) -> Result:
    """Do one run.

    Args:
        folder: an existing one for all that it writes; the data of the mongods, the bulk of it, is removed at the end.
        seed: decides the faults and the load.
        load_seconds: how long there are faults.
    """
    folders = Folders.make(folder)
    try:
        with Processes(folders.logs) as processes:
            cluster = await clusters.start(processes, folders, seed, drop=DROP)
            final = await _under_faults(cluster, seed, load_seconds)
            exit_codes = await cluster.stop()
            strays = await processes.strays_after(2 * clusters.LEASE_SECONDS)
    finally:
        shutil.rmtree(folders.data, ignore_errors=True)
    final = replace(final, exit_codes=exit_codes, strays=strays)
    final.keep(folder / 'final.json')
    history = read(folders.history)
    return Result(history, final, list(check(history, final)))


async def _under_faults(cluster: Cluster, seed: int, load_seconds: float) -> Final:
    history, token = cluster.folders.history, clusters.token('admin')
    chance = random.Random(f'{seed}/people')
    network = RecordingNetwork(Journal(history, 'people'), 'people', cluster.servers, chance, DROP)
    async with AsyncClient(cluster.servers[0], token, timeout_seconds=_ANSWER_SECONDS, transport=network) as client:
        workload = Workload(client, cluster.folders.work_log, seed)
        nemesis = Nemesis(cluster, Journal(history, 'nemesis'), seed)
        async with asyncio.TaskGroup() as group:
            group.create_task(workload.run(load_seconds))
            group.create_task(nemesis.run(load_seconds))
        # What does not get done in this time shows in the invariants.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await workload.mend()
        await cluster.until_done(SETTLE_SECONDS)
        final = await look(cluster, client, workload.submissions, token)
    return replace(final, primes=await asyncio.to_thread(_primes, cluster.servers[0], token, workload.primes))


def _primes(server: str, token: str, dataset_id: str) -> str:
    """What the example of the quickstart sums to, or why it does not."""
    environment = {**plain_environment(), 'ICEPROD_TASKS_SERVER': server, 'ICEPROD_TASKS_TOKEN': token}
    program = [sys.executable, str(ROOT / 'docs' / 'examples' / 'primes_sum.py'), dataset_id]
    summed = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    return summed.stdout.strip() or summed.stderr.strip()[-300:] or 'nothing'
