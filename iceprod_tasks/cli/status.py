"""`iceprod-tasks status`: how far datasets are."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.client import AsyncClient
from iceprod_tasks.domain.statuses import STATUSES

_ENDED = ('complete', 'errors', 'suspended')
_TOTAL = 'all'
_WIDE = 250


@click.command()
@click.argument('dataset_id', required=False)
@service_options
@json_option
@click.option('--wait', is_flag=True, help='Show it once, when the datasets have ended.')
@click.option('--watch', is_flag=True, help='Show it again until the datasets have ended.')
@click.option('--interval', type=click.FloatRange(0.1), default=2.0, show_default=True, help='Seconds between looks.')
def status(dataset_id: str | None, server: str, token: str, **given: Any) -> None:
    """Count the tasks of DATASET_ID by name and status; of all datasets by status without one.

    \b
    Example:  iceprod-tasks status --watch
    """
    with plainly():
        asyncio.run(_show(service(server, token), dataset_id, _Show(**given)))


@dataclass(frozen=True, slots=True)
class _Show:
    """How to show counts: as JSON; once, at the end; again and again, every so many seconds."""

    as_json: bool
    wait: bool
    watch: bool
    interval: float


async def _show(client: AsyncClient, dataset_id: str | None, show: _Show) -> None:
    console = Console()
    if not console.is_terminal:
        # A file has no width to fit.
        console.width = _WIDE
    async with client:
        looks = _looks(client, dataset_id, show)
        if show.watch and console.is_terminal and not show.as_json:
            with Live(console=console, auto_refresh=False) as live:
                async for found in looks:
                    live.update(_table(found), refresh=True)
            return
        before = None
        async for found in looks:
            # Off a terminal, a table only when something has changed.
            if found != before:
                click.echo(json.dumps(found)) if show.as_json else console.print(_table(found))
            before = found


async def _looks(client: AsyncClient, dataset_id: str | None, show: _Show) -> AsyncIterator[dict[str, Any]]:
    """What is to be shown, one look after the other."""
    while True:
        found = await _look(client, dataset_id)
        ended = _ended(found)
        if ended or not show.wait:
            yield found
        if ended or not (show.wait or show.watch):
            return
        await asyncio.sleep(show.interval)


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


def _table(found: dict[str, Any]) -> Table:
    if 'datasets' in found:
        table = _empty('dataset', 'description', 'status')
        for each, dataset in found['datasets'].items():
            table.add_row(each, escape(dataset['description']), dataset['status'], *_numbers(dataset['tasks']))
        return table
    jobs = ', '.join(f'{number} {status}' for status, number in found['jobs'].items()) or 'none yet'
    table = _empty('task')
    table.title = f'dataset {found["dataset_id"]}: {found["status"]}; jobs: {jobs}'
    for name, counts in found['tasks'].items():
        table.add_row(escape(name), *_numbers(counts))
    return table


def _empty(*columns: str) -> Table:
    table = Table(title_justify='left', title_style='bold', box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow='fold')
    for name in (*STATUSES, _TOTAL):
        table.add_column(name, justify='right', no_wrap=True)
    return table


def _numbers(counts: dict[str, int]) -> list[str]:
    numbers = [counts.get(name, 0) for name in STATUSES]
    return [*(str(number or '·') for number in numbers), str(sum(numbers))]
