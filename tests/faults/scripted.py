"""Faults by script: each makes a service that lacks one part of the protocol break its promise, certainly and soon.

Pilots are bare requests here, so that each step comes when the script says so.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iceprod_tasks.client import AsyncClient, Claim, ClientError, NoWork, Unreachable, new_claim_id
from tests.faults.checker import Violation, check
from tests.faults.cluster import Cluster, Folders, start_service, token
from tests.faults.final import Submission, look
from tests.faults.history import read
from tests.faults.processes import Processes
from tests.faults.recording import Journal, RecordingNetwork
from tests.faults.replica_set import ReplicaSet
from tests.faults.services import SERVE

OFFER: Any = {'cpu': 1, 'memory': 4, 'disk': 4, 'time': 1}
LEASE_SECONDS = 1.0
_POLL_SECONDS = 0.1
_WORK_SECONDS = 8.0
_ELECTION_TIMEOUT_SECONDS = 3.0
_SCRIPT_SECONDS = 40.0
_END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a script is played.

    Args:
        cluster: a replica set and one service.
        client: somebody who may do everything, whose requests are recorded.
        deaf: the same, who never gets an answer to what changes anything.
    """

    cluster: Cluster
    client: AsyncClient
    deaf: AsyncClient

    async def claim(self, claim_id: str = '', lease_seconds: float = LEASE_SECONDS) -> Claim:
        """A task, as soon as there is one."""
        while True:
            with contextlib.suppress(NoWork):
                return await self.client.claim(OFFER, claim_id=claim_id, lease_seconds=lease_seconds)
            await asyncio.sleep(_POLL_SECONDS)

    async def work(self) -> bool:
        """Claim and complete until nothing is left; False when it takes too long: the checker sees what is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WORK_SECONDS):
                while True:
                    try:
                        claim = await self.client.claim(OFFER, lease_seconds=30)
                    except NoWork as answer:
                        if answer.left == 0:
                            return True
                        await asyncio.sleep(_POLL_SECONDS)
                    else:
                        await self.client.complete(claim)
        return False


Script = Callable[[Stage], Awaitable[None]]


async def lost_answer(stage: Stage) -> None:
    """The answer to a claim is lost; the pilot repeats it."""
    claim_id = new_claim_id()
    with contextlib.suppress(Unreachable):
        await stage.deaf.claim(OFFER, claim_id=claim_id, lease_seconds=LEASE_SECONDS)
    await stage.client.complete(await stage.claim(claim_id))


async def late_report(stage: Stage) -> None:
    """A pilot is silent for longer than its lease; it reports when another one has its task."""
    paused = await stage.claim()
    other = await stage.claim()
    while other.task_id != paused.task_id:
        await stage.client.complete(other)
        other = await stage.claim(lease_seconds=30)
    for claim in (paused, other):
        await _completes(stage.client, claim)


async def lost_primary(stage: Stage) -> None:
    """A completion is acknowledged while nobody but the primary can know of it; then the primary dies."""
    claim = await stage.claim(lease_seconds=60)
    members = stage.cluster.members
    primary, others = await members.primary(), await members.secondaries()
    # Frozen ones would find the write in their sockets when they wake up.
    for each in others:
        each.kill()
    acknowledged = await _completes(stage.client, claim)
    primary.kill()
    for each in others:
        each.restart()
    await members.primary()
    primary.restart()
    await members.until_healthy()
    if not acknowledged:
        await _completes(stage.client.retrying(_SCRIPT_SECONDS), claim)


async def dead_pilot(stage: Stage) -> None:
    """A pilot is never heard of again."""
    await stage.claim()


async def lost_changes(stage: Stage) -> None:
    """Somebody has asked for counts; the database goes away and comes back, and then tasks get done."""
    await stage.client.task_counts()
    primary = await stage.cluster.members.primary()
    primary.kill()
    primary.restart()
    await stage.cluster.members.until_healthy()
    _ = [task async for task in stage.client.retrying(_SCRIPT_SECONDS).tasks(keys=['task_id'])]
    await stage.work()


@dataclass(frozen=True, slots=True)
class Scripted:
    """A script and what it shows.

    Args:
        script: what happens.
        invariant: what does not hold where the part is missing.
        members: of the replica set.
    """

    script: Script
    invariant: str
    members: int = 1


SCRIPTS = {
    'claim-id': Scripted(lost_answer, 'nobody holds a claim that nobody was told of'),
    'fencing': Scripted(late_report, 'an accepted report is by the last claim'),
    'majority': Scripted(lost_primary, 'an acknowledged completion is final', members=3),
    'lease': Scripted(dead_pilot, 'nothing is stuck'),
    'recount': Scripted(lost_changes, 'counts equal a recount'),
}
"""By the part of the protocol that each is about; `weakened` takes it out under the same name."""


async def play(folder: Path, part: str, *, weakened: bool) -> list[Violation]:
    """Play the script about a part of the protocol.

    Args:
        folder: an existing one.
        part: a name of `SCRIPTS`.
        weakened: whether the service lacks that part.

    Returns:
        What does not hold in the end.
    """
    folders = Folders.make(folder)
    scripted = SCRIPTS[part]
    program = ('-m', 'tests.faults.weakened', part, 'serve') if weakened else SERVE
    with Processes(folders.logs) as processes:
        size, election_seconds = scripted.members, _ELECTION_TIMEOUT_SECONDS
        members = ReplicaSet(processes, folders.data, size=size, election_timeout_seconds=election_seconds)
        await members.start()
        service = start_service(processes, 'service', members.url, program=program)
        await service.until_ready()
        async with _stage(Cluster(folders, processes, members, [service], [])) as stage:
            submission = await _submit(stage.client)
            async with asyncio.timeout(_SCRIPT_SECONDS):
                await scripted.script(stage)
            if await stage.work():
                await stage.cluster.until_done(_END_SECONDS)
            final = await look(stage.cluster, stage.client, [submission], token('admin'))
    return list(check(read(folders.history), final))


@asynccontextmanager
async def _stage(cluster: Cluster) -> AsyncIterator[Stage]:
    journal = Journal(cluster.folders.history, 'pilots')

    def client(drop: float) -> AsyncClient:
        network = RecordingNetwork(journal, 'pilots', cluster.servers, random.Random(0), drop)
        return AsyncClient(cluster.servers[0], token('admin'), retry_seconds=0, transport=network)

    async with client(drop=0) as hearing, client(drop=1) as deaf:
        yield Stage(cluster, hearing, deaf)


async def _submit(client: AsyncClient) -> Submission:
    config = {'version': 1, 'description': 'two', 'tasks': [{'name': 'one', 'command': 'true'}]}
    dataset: Any = {
        'description': 'two', 'jobs_submitted': 2, 'tasks_per_job': 1, 'tasks_submitted': 2, 'group': 'users',
        'config': config,
    }  # fmt: skip
    return Submission('two', 2, 1, await client.submit_dataset(dataset))


async def _completes(client: AsyncClient, claim: Claim) -> bool:
    """Report once; whether it was acknowledged."""
    try:
        await client.complete(claim)
    except ClientError:
        return False
    return True
