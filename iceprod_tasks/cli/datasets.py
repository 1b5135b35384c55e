"""`iceprod-tasks datasets`: find datasets, look at one, change it, act on all of it, keep a copy."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from iceprod_tasks.cli.acting import MEANINGS, Deed, action_options, carry_out, verb_of
from iceprod_tasks.cli.confirming import Consent
from iceprod_tasks.cli.endings import plainly, stop
from iceprod_tasks.cli.options import InOrder, json_option, service, service_options
from iceprod_tasks.cli.tables import Lines, brief, facts
from iceprod_tasks.client import ActionName, AsyncClient, DatasetActionDone
from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.retention import LONGEST_DAYS

_HEADS = ('dataset_id', 'description', 'status', 'user', 'group', 'priority', 'jobs')
_COLUMNS = ('dataset_id', 'description', 'status', 'username', 'group', 'priority', 'jobs_submitted')
_LONGEST_DESCRIPTION = 18
_A_STATUS = click.Choice(DATASET_STATUSES)
_SUFFIX = '.ndjson.gz'
_STDOUT = '-'


@click.group(cls=InOrder)
def datasets() -> None:
    """Find, show, change and download datasets, and act on all of one.

    \b
    Example:  iceprod-tasks datasets suspend DATASET --reason 'the disk is full'
    """


@datasets.command('list')
@service_options
@click.option('--status', type=_A_STATUS, multiple=True, help='In this status; repeatable.')
@click.option('--user', 'users', multiple=True, help='Submitted by this user; repeatable.')
@click.option('--group', 'groups', multiple=True, help='Of this group; repeatable.')
@json_option
def list_(server: str, token: str, as_json: bool, **chosen: Any) -> None:
    """List datasets, all that you may read unless you choose.

    \b
    Example:  iceprod-tasks datasets list --status processing --user ada
    """
    with plainly():
        found = asyncio.run(_datasets(service(server, token), **chosen))
        if as_json:
            click.echo(json.dumps(found))
            return
        Lines(_HEADS).print(_row(dataset) for dataset in found.values())


def _row(dataset: dict[str, Any]) -> list[Any]:
    short = {**dataset, 'description': brief(dataset.get('description', ''), _LONGEST_DESCRIPTION)}
    return [short.get(column) for column in _COLUMNS]


async def _datasets(client: AsyncClient, **chosen: Any) -> dict[str, dict[str, Any]]:
    async with client:
        return await client.datasets(**chosen)


@datasets.command()
@click.argument('dataset_id', metavar='D')
@service_options
@json_option
def show(dataset_id: str, server: str, token: str, as_json: bool) -> None:
    """Show all that is known of dataset D.

    `iceprod-tasks status D` counts its tasks.

    \b
    Example:  iceprod-tasks datasets show DATASET
    """
    with plainly():
        dataset = asyncio.run(_dataset(service(server, token), dataset_id))
        click.echo(json.dumps(dataset)) if as_json else _show(dataset)


def _show(dataset: dict[str, Any]) -> None:
    facts({name: dataset[name] for name in _COLUMNS if name in dataset} | dataset)


async def _dataset(client: AsyncClient, dataset_id: str) -> dict[str, Any]:
    async with client:
        return await client.dataset(dataset_id)


def _action(action: ActionName) -> click.Command:
    @click.argument('dataset_id', metavar='D')
    @action_options
    def act(server: str, token: str, dataset_id: str, reason: str, consent: Consent) -> None:
        with plainly():
            deed = Deed(action, dataset_id, reason)
            raise SystemExit(asyncio.run(_act(service(server, token), deed, consent)))

    verb = verb_of(action)
    example = f'iceprod-tasks datasets {verb} DATASET'
    meaning = MEANINGS[action].format('jobs and tasks of a dataset')
    act.__doc__ = f'{meaning}\n\n\b\nExample:  {example}'
    return click.command(verb)(act)


async def _act(client: AsyncClient, deed: Deed, consent: Consent) -> int:
    async def send(*, dry_run: bool) -> DatasetActionDone:
        return await client.act_on_dataset(deed.dataset_id, deed.action, dry_run=dry_run, reason=deed.reason)

    async with client:
        return await carry_out(client, deed, send, consent)


for _name in MEANINGS:
    datasets.add_command(_action(_name))


class _Days(click.ParamType[tuple[float | None]]):
    """A number of days, or a word for it."""

    name = 'days'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        # Nothing said is the service's own default, which may be shorter than for ever.
        words = {'never': LONGEST_DAYS, 'default': None}
        if value in words:
            return (words[value],)
        return (click.FloatRange(0, LONGEST_DAYS).convert(value, param, ctx),)


@datasets.command('set')
@click.argument('dataset_id', metavar='D')
@service_options
@click.option('--description', help='What it is.')
@click.option('--status', type=_A_STATUS, help='Its own status; jobs and tasks stay as they are.')
@click.option('--jobs', type=click.IntRange(0), help='How many jobs it has from now on; never fewer than before.')
@click.option(
    '--retention-days', 'days', type=_Days(), metavar='X',
    help='Delete it so long after its end; `never`, or `default` for what the service does.',
)  # fmt: skip
@click.option('--archive/--no-archive', default=None, help='Whether an archive is written before it is deleted.')
@json_option
def set_(dataset_id: str, server: str, token: str, as_json: bool, **given: Any) -> None:
    """Change description, jobs or retention of dataset D.

    \b
    Example:  iceprod-tasks datasets set DATASET --jobs 2000 --retention-days 90 --archive
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        raise click.UsageError('say what to set: --description, --status, --jobs, --retention-days or --archive')
    with plainly():
        dataset = asyncio.run(_set(service(server, token), dataset_id, wanted))
        click.echo(json.dumps(dataset)) if as_json else _show(dataset)


async def _set(client: AsyncClient, dataset_id: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Set one thing after the other; the dataset afterwards."""
    async with client:
        if 'description' in wanted:
            await client.set_description(dataset_id, wanted['description'])
        if 'jobs' in wanted:
            await client.set_jobs_submitted(dataset_id, wanted['jobs'])
        if 'days' in wanted or 'archive' in wanted:
            (days,) = wanted.get('days') or ((await client.dataset(dataset_id)).get('retention_days'),)
            await client.set_retention(dataset_id, days, archive=wanted.get('archive'))
        if 'status' in wanted:
            await client.set_dataset_status(dataset_id, wanted['status'])
        return await client.dataset(dataset_id)


@datasets.command()
@click.argument('dataset_id', metavar='D')
@click.argument('file', type=click.Path(dir_okay=False, path_type=Path), required=False)
@service_options
def archive(dataset_id: str, file: Path | None, server: str, token: str) -> None:
    """Download all that is kept of dataset D.

    That is lines of JSON, compressed by gzip. FILE is D.ndjson.gz unless you name one; `-` is stdout.

    \b
    Example:  iceprod-tasks datasets archive DATASET
    """
    target = file or Path(dataset_id + _SUFFIX)
    with plainly():
        if str(target) == _STDOUT:
            asyncio.run(_download(service(server, token), dataset_id, sys.stdout.buffer))
            return
        # Half an archive never has the name of a whole one.
        partial = target.with_name(f'{target.name}.part')
        try:
            with partial.open('wb') as opened:
                asyncio.run(_download(service(server, token), dataset_id, opened))
            partial.replace(target)
        except OSError as error:
            stop(f'cannot write {target}: {error.strerror}')
        finally:
            partial.unlink(missing_ok=True)
        click.echo(f'{target}: {target.stat().st_size} bytes', err=True)


async def _download(client: AsyncClient, dataset_id: str, opened: Any) -> None:
    async with client:
        async for piece in client.archive(dataset_id):
            opened.write(piece)
