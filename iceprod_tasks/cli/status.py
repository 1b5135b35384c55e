"""`iceprod-tasks status`: how far datasets are."""

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import json_option, service_options
from iceprod_tasks.client import AsyncClient
from iceprod_tasks.domain.statuses import STATUSES

_ENDED = ('complete', 'errors', 'suspended')
_TOTAL = 'all'


@click.command()
@click.argument('dataset_id', required=False)
@service_options
@json_option
@click.option('--watch', is_flag=True, help='Show it again until the datasets have ended.')
@click.option(
    '--interval', type=click.FloatRange(0.1), default=2.0, show_default=True, help='Seconds between looks.'
)
def status(dataset_id: str | None, server: str, token: str, as_json: bool, watch: bool, interval: float) -> None:
    """Count the tasks of DATASET_ID by name and status; of all datasets by status without one.

    \b
    Example:  iceprod-tasks status --watch
    """
    with plainly():
        asyncio.run(_show(AsyncClient(server, token), dataset_id, as_json=as_json, every=interval if watch else None))


async def _show(client: AsyncClient, dataset_id: str | None, *, as_json: bool, every: float | None) -> None:
    console = Console()
    async with client:
        found = await _look(client, dataset_id)
        if every is not None and console.is_terminal and not as_json:
            with Live(_table(found), console=console, auto_refresh=False) as live:
                while not _ended(found):
                    await asyncio.sleep(every)
                    found = await _look(client, dataset_id)
                    live.update(_table(found), refresh=True)
            return
        _print(console, found, as_json=as_json)
        while every is not None and not _ended(found):
            await asyncio.sleep(every)
            before, found = found, await _look(client, dataset_id)
            # Off a terminal, a line only when something has changed.
            if found != before:
                _print(console, found, as_json=as_json)


async def _look(client: AsyncClient, dataset_id: str | None) -> dict[str, Any]:
    """Rows of counts, by task name or by dataset."""
    if dataset_id is not None:
        dataset = await client.dataset(dataset_id)
        rows = await client.name_status_counts(dataset_id)
        jobs = await client.job_counts(dataset_id)
        return {'dataset_id': dataset_id, 'status': dataset['status'], 'jobs': jobs, 'tasks': rows}
    datasets = await client.datasets()
    return {
        'datasets': {
            each: {
                'description': dataset['description'],
                'status': dataset['status'],
                'tasks': await client.task_counts(each),
            }
            for each, dataset in datasets.items()
        }
    }


def _ended(found: dict[str, Any]) -> bool:
    statuses = [each['status'] for each in found['datasets'].values()] if 'datasets' in found else [found['status']]
    return all(status in _ENDED for status in statuses)


def _print(console: Console, found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found))
    else:
        console.print(_table(found))


def _table(found: dict[str, Any]) -> Table:
    if 'datasets' in found:
        rows = {
            f'{each} {dataset["description"]} ({dataset["status"]})': dataset['tasks']
            for each, dataset in found['datasets'].items()
        }
        return _counts('dataset', rows, f'{len(rows)} datasets')
    jobs = ', '.join(f'{number} {status}' for status, number in found['jobs'].items()) or 'none yet'
    return _counts('task', found['tasks'], f'dataset {found["dataset_id"]}: {found["status"]}; jobs: {jobs}')


def _counts(kind: str, rows: dict[str, dict[str, int]], title: str) -> Table:
    table = Table(title=title, title_justify='left')
    table.add_column(kind)
    for name in (*STATUSES, _TOTAL):
        table.add_column(name, justify='right')
    for row, counts in rows.items():
        numbers = [counts.get(name, 0) for name in STATUSES]
        table.add_row(row, *(str(number or '·') for number in numbers), str(sum(numbers)))
    return table
