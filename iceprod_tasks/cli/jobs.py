"""`iceprod-tasks jobs`: look at the jobs of a dataset, and act on them and their tasks."""

import asyncio
import json
from typing import Any

import click

from iceprod_tasks.cli.acting import MEANINGS, Deed, action_options, carry_out, verb_of
from iceprod_tasks.cli.confirming import Consent
from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.finding import find
from iceprod_tasks.cli.options import InOrder, json_option, service, service_options
from iceprod_tasks.cli.tables import Lines, facts
from iceprod_tasks.client import ActionName, AsyncClient, JobActionDone
from iceprod_tasks.domain.jobs import JOB_STATUSES

_COLUMNS = ('job_id', 'job_index', 'status', 'status_changed')


@click.group(cls=InOrder)
def jobs() -> None:
    """List and show jobs, and act on them and their tasks.

    \b
    Example:  iceprod-tasks jobs list DATASET --status errors
    """


@jobs.command('list')
@click.argument('dataset_id', metavar='D')
@service_options
@click.option('--status', type=click.Choice(JOB_STATUSES), multiple=True, help='In this status; repeatable.')
@json_option
def list_(dataset_id: str, server: str, token: str, status: tuple[str, ...], as_json: bool) -> None:
    """List the jobs of dataset D.

    \b
    Example:  iceprod-tasks jobs list DATASET --status errors
    """
    with plainly():
        found = asyncio.run(_jobs(service(server, token), dataset_id, status))
        if as_json:
            click.echo(json.dumps(found))
        else:
            Lines(_COLUMNS).print([job.get(column) for column in _COLUMNS] for job in found.values())


async def _jobs(client: AsyncClient, dataset_id: str, status: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    async with client:
        return await client.jobs(dataset_id, status)


@jobs.command()
@click.argument('job_id', metavar='J')
@service_options
@click.option('--dataset', 'dataset_id', default='', metavar='D', help='Of this dataset, where you know it.')
@json_option
def show(job_id: str, server: str, token: str, dataset_id: str, as_json: bool) -> None:
    """Show all that is known of job J.

    \b
    Example:  iceprod-tasks jobs show JOB
    """
    with plainly():
        job = asyncio.run(_job(service(server, token), dataset_id, job_id))
        click.echo(json.dumps(job)) if as_json else facts(job)


async def _job(client: AsyncClient, dataset_id: str, job_id: str) -> dict[str, Any]:
    async with client:
        return await find(client, dataset_id, lambda: client.job(job_id), lambda each: client.dataset_job(each, job_id))


def _action(action: ActionName) -> click.Command:
    @click.argument('dataset_id', metavar='D')
    @click.argument('job_ids', metavar='[J]...', nargs=-1)
    @action_options
    def act(server: str, token: str, dataset_id: str, job_ids: tuple[str, ...], reason: str, consent: Consent) -> None:
        with plainly():
            deed = Deed(action, dataset_id, reason)
            raise SystemExit(asyncio.run(_act(service(server, token), deed, list(dict.fromkeys(job_ids)), consent)))

    verb = verb_of(action)
    example = f'iceprod-tasks jobs {verb} DATASET JOB'
    meaning = MEANINGS[action].format('jobs')
    act.__doc__ = f'{meaning}\n\nThose named, or all of dataset D.\n\n\b\nExample:  {example}'
    return click.command(verb)(act)


async def _act(client: AsyncClient, deed: Deed, job_ids: list[str], consent: Consent) -> int:
    async def send(*, dry_run: bool) -> JobActionDone:
        asked = job_ids or None
        return await client.act_on_jobs(deed.dataset_id, deed.action, jobs=asked, dry_run=dry_run, reason=deed.reason)

    async with client:
        return await carry_out(client, deed, send, consent, named=len(job_ids))


for _name in MEANINGS:
    jobs.add_command(_action(_name))
