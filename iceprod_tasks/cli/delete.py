"""`iceprod-tasks delete`: throw datasets away."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from iceprod_tasks.cli.acting import counted, titled
from iceprod_tasks.cli.confirming import Consent, asks_first
from iceprod_tasks.cli.endings import PARTIAL, exit_code_of, plainly
from iceprod_tasks.cli.options import service, service_options
from iceprod_tasks.client import AsyncClient, ClientError, Deletion


@click.command()
@click.argument('dataset_ids', metavar='D...', nargs=-1, required=True)
@service_options
@click.option('--force', is_flag=True, help='Although tasks run, which are stopped, or other datasets need it.')
@click.option('--archive/--no-archive', default=None, help='Whether an archive is written first.  [default: its own]')
@click.option('--wait', is_flag=True, help='Return when they are gone.')
@asks_first
def delete(dataset_ids: tuple[str, ...], server: str, token: str, consent: Consent, **how: Any) -> None:
    """Delete datasets with all that belongs to them.

    Datasets whose tasks run, or that other datasets depend on, are refused.

    \b
    Example:  iceprod-tasks delete DATASET --archive --wait
    """
    with plainly():
        raise SystemExit(asyncio.run(_delete(service(server, token), list(dict.fromkeys(dataset_ids)), how, consent)))


@dataclass(frozen=True, slots=True)
class _Doomed:
    """A dataset and what goes with it: numbers of jobs, tasks, and tasks that run."""

    dataset_id: str
    title: str
    jobs: int
    tasks: int
    running: int

    @property
    def numbers(self) -> dict[str, int]:
        """As a program reads it."""
        return {'jobs': self.jobs, 'tasks': self.tasks, 'running': self.running}

    def __str__(self) -> str:
        running = f' ({self.running} of them running)' if self.running else ''
        return f'{self.title} with {counted(self.jobs, "job")} and {counted(self.tasks, "task")}{running}'


async def _delete(client: AsyncClient, dataset_ids: Sequence[str], how: dict[str, Any], consent: Consent) -> int:
    async with client:
        doomed = [await _look(client, dataset_id) for dataset_id in dataset_ids]
        if consent.dry_run:
            found = {each.dataset_id: each.numbers for each in doomed}
            click.echo(json.dumps(found) if consent.as_json else '\n'.join(f'would delete {each}' for each in doomed))
            return 0
        consent.ask('delete ' + ', '.join(map(str, doomed)))
        return await _delete_each(client, dataset_ids, how, consent)


async def _look(client: AsyncClient, dataset_id: str) -> _Doomed:
    dataset = await client.dataset(dataset_id)
    tasks, jobs = await client.task_counts(dataset_id), await client.job_counts(dataset_id)
    numbers = sum(jobs.values()), sum(tasks.values()), tasks.get('processing', 0)
    return _Doomed(dataset_id, titled(dataset), *numbers)


async def _delete_each(client: AsyncClient, dataset_ids: Sequence[str], how: dict[str, Any], consent: Consent) -> int:
    """Delete one after the other; what is refused does not keep the others."""
    done: dict[str, Any] = {}
    codes = []
    for dataset_id in dataset_ids:
        try:
            deletion = await client.delete_dataset(dataset_id, **how)
        except ClientError as error:
            codes.append(exit_code_of(error))
            click.echo(f'iceprod-tasks: dataset {dataset_id}: {error}', err=True)
            continue
        done[dataset_id] = deletion
        if not consent.as_json:
            click.echo(_words(dataset_id, deletion))
    if consent.as_json:
        click.echo(json.dumps(done))
    if codes and done:
        return PARTIAL
    return codes[0] if codes else 0


def _words(dataset_id: str, deletion: Deletion) -> str:
    if deletion.get('deleting'):
        return f'{dataset_id}: is being deleted; tasks that have to stop first: {deletion["stopping"]}'
    where = f'; archived as {deletion["archive"]}' if deletion.get('archive') else ''
    return f'{dataset_id}: deleted{where}'
