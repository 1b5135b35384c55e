"""What a run leaves in the database, and what the services say of it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.domain.tasks import LOG_LENGTH
from tests.faults.cluster import Cluster

Document = dict[str, Any]
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Submission:
    """A dataset that somebody wanted.

    Args:
        description: unlike that of any other.
        jobs: how many.
        tasks_per_job: how many.
        dataset_id: as answered; empty when the answer never came.
    """

    description: str
    jobs: int
    tasks_per_job: int
    dataset_id: str = ''


@dataclass(frozen=True, slots=True)
class Final:
    """The end of a run.

    Args:
        tasks: all that there are.
        jobs: likewise.
        datasets: likewise.
        submissions: what was asked for.
        task_counts: the services' tasks by status, by dataset id; that of all datasets under ''.
        counts_of_each: the same as each of the services tells it.
        job_counts: the services' jobs by status, by dataset id.
        exit_codes: of what was told to end.
        strays: how many processes outlived their pilot by more than a lease.
        primes: what the example of the quickstart sums to; empty where it was not run.
    """

    tasks: list[Document] = field(default_factory=list)
    jobs: list[Document] = field(default_factory=list)
    datasets: list[Document] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    task_counts: dict[str, Counts] = field(default_factory=dict)
    counts_of_each: list[dict[str, Counts]] = field(default_factory=list)
    job_counts: dict[str, Counts] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)
    strays: int = 0
    primes: str = ''

    def keep(self, path: Path) -> None:
        """Write it to a file, for people."""
        path.write_text(json.dumps(asdict(self), default=str, indent=1))


async def look(cluster: Cluster, client: AsyncClient, submissions: Sequence[Submission], token: str) -> Final:
    """The database as it is, read past the services, and their counts."""
    tasks, jobs, datasets = await asyncio.to_thread(_documents, cluster)
    ids = [dataset['dataset_id'] for dataset in datasets]
    return Final(
        tasks=tasks,
        jobs=jobs,
        datasets=datasets,
        submissions=list(submissions),
        task_counts=await _counts(client, ids),
        counts_of_each=[await _counts_at(server, token, ids) for server in cluster.servers],
        job_counts={each: await client.job_counts(each) for each in ids},
    )


async def _counts_at(server: str, token: str, ids: Sequence[str]) -> dict[str, Counts]:
    async with AsyncClient(server, token) as client:
        return await _counts(client, ids)


async def _counts(client: AsyncClient, ids: Sequence[str]) -> dict[str, Counts]:
    return {each: await client.task_counts(each) for each in ('', *ids)}


def _documents(cluster: Cluster) -> list[list[Document]]:
    with cluster.database() as database:
        return [list(database[name].find({}, {'_id': False})) for name in ('tasks', 'jobs', 'datasets')]


def log_of(task: Document) -> list[Document]:
    """The log of a task."""
    return list(task.get('log') or [])


def is_whole(log: list[Document]) -> bool:
    """Whether nothing has been cut off the beginning of a log."""
    return len(log) < LOG_LENGTH
