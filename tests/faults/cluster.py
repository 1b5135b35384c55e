"""All that a run tries: three mongods, two services, five pilots of two slots."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

from iceprod_tasks.rest.identity.tokens import Tokens
from tests.faults.pilots import PilotProcess
from tests.faults.processes import Processes
from tests.faults.recording_pilot import Orders
from tests.faults.replica_set import ReplicaSet
from tests.faults.services import SERVE, Service

DATABASE = 'faults'
LEASE_SECONDS = 4.0
_SECRET = 'the secret of a run, longer than 32 bytes'
_TOKEN_SECONDS = 7 * 86400
_LOOK_SECONDS = 0.2
# Tries that the faults end are no reason to give a task up here: all tasks shall get done.
FLAGS = (
    *('--lease', f'{LEASE_SECONDS:g}', '--max-failures', '1000', '--retry-delay', '0.2'),
    *('--max-evictions', '1000', '--stop-grace', '5', '--log-level', 'WARNING'),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run keeps what.

    Args:
        data: the mongods' data.
        work: folders of tasks.
        history: what the checker reads.
        logs: what the processes say.
    """

    data: Path
    work: Path
    history: Path
    logs: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make them."""
        folders = cls(*(folder / name for name in ('data', 'work', 'history', 'logs')))
        for each in (folders.data, folders.work, folders.history, folders.logs):
            each.mkdir(parents=True)
        return folders

    @property
    def work_log(self) -> Path:
        """Where tasks write that they work."""
        return self.history / 'work.ndjson'


@dataclass(slots=True)
class Cluster:
    """What the nemesis hits and the workload uses.

    Args:
        folders: of the run.
        processes: all of it.
        members: the database.
        services: equal ones.
        pilots: that work for them.
    """

    folders: Folders
    processes: Processes
    members: ReplicaSet
    services: list[Service]
    pilots: list[PilotProcess]

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the services."""
        return tuple(service.url for service in self.services)

    async def heal(self) -> None:
        """Let everything run, and wait until it does."""
        self.members.heal()
        await self.members.until_healthy()
        for service in self.services:
            await service.until_ready()
        for pilot in self.pilots:
            pilot.heal()

    async def until_done(self, seconds: float) -> None:
        """Wait until all is complete, or for some seconds: the checker sees what is not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await asyncio.to_thread(self._unfinished):
                    await asyncio.sleep(_LOOK_SECONDS)

    def _unfinished(self) -> bool:
        with self.database() as database:
            unfinished = {'status': {'$ne': 'complete'}}
            return any(database[name].count_documents(unfinished, limit=1) for name in ('datasets', 'jobs', 'tasks'))

    async def stop(self) -> list[int]:
        """End pilots and services in order; their exit codes."""
        codes = await asyncio.gather(*(pilot.terminate() for pilot in self.pilots))
        return codes + await asyncio.gather(*(service.terminate() for service in self.services))

    @contextmanager
    def database(self) -> Iterator[Any]:
        """The database itself, for a look that no fault can falsify; it blocks."""
        client: MongoClient[dict[str, Any]] = MongoClient(self.members.url, tz_aware=True, timeoutMS=30_000)
        with client:
            yield client.get_database(DATABASE, read_concern=ReadConcern('majority'))


def token(role: str) -> str:
    """A token that every service of a run knows."""
    return Tokens(_SECRET).mint(f'a-{role}', [role], ['users'], _TOKEN_SECONDS)


def start_service(
    processes: Processes, name: str, mongodb_url: str, database: str = DATABASE, *, program: Sequence[str] = SERVE
) -> Service:
    """A service on a database, with the short times of a run."""
    environment = {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database, 'TOKEN_SECRET': _SECRET}
    return Service(processes, name, environment, FLAGS, program=program)


async def start(processes: Processes, folders: Folders, seed: int, *, drop: float) -> Cluster:
    """Start everything.

    Args:
        processes: where.
        folders: of the run.
        seed: of the pilots' luck.
        drop: how much of the answers to pilots is lost.
    """
    members = ReplicaSet(processes, folders.data)
    await members.start()
    cluster = Cluster(folders, processes, members, [], [])
    for number in range(2):
        cluster.services.append(start_service(processes, f'service-{number}', members.url))
    for service in cluster.services:
        await service.until_ready()
    for number in range(5):
        cluster.pilots.append(PilotProcess(processes, _orders(cluster, f'pilot-{number}', seed, drop)))
    return cluster


def _orders(cluster: Cluster, name: str, seed: int, drop: float) -> Orders:
    return Orders(
        name=name,
        servers=cluster.servers,
        token=token('pilot'),
        history=str(cluster.folders.history),
        work=str(cluster.folders.work),
        seed=f'{seed}/{name}',
        drop=drop,
        slots=2,
        lease_seconds=LEASE_SECONDS,
    )
