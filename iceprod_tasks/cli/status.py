"""`iceprod-tasks status`: how far datasets are."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.client import AsyncClient, RankedTask
from iceprod_tasks.domain.statuses import STATUSES

_ENDED = ('complete', 'errors', 'suspended')
_TOTAL = 'all'
_WIDE = 250
_LONGEST_DESCRIPTION = 22


@click.command()
@click.argument('dataset_id', required=False)
@service_options
@json_option
@click.option('--why-order', is_flag=True, help='Show the next tasks instead, and what makes their priorities.')
@click.option('--wait', is_flag=True, help='Show it once, when the datasets have ended.')
@click.option('--watch', is_flag=True, help='Show it again until the datasets have ended.')
@click.option('--interval', type=click.FloatRange(0.1), default=2.0, show_default=True, help='Seconds between looks.')
def status(dataset_id: str | None, server: str, token: str, why_order: bool, **given: Any) -> None:
    """Count the tasks of DATASET_ID by name and status; of all datasets by status without one.

    \b
    Example:  iceprod-tasks status --watch
              iceprod-tasks status --why-order
    """
    show = _Show(**given)
    if why_order and (show.wait or show.watch):
        raise click.UsageError('--why-order is a single look: it goes with neither --wait nor --watch')
    with plainly():
        client = service(server, token)
        asyncio.run(_show_order(client, dataset_id, show) if why_order else _show(client, dataset_id, show))


@dataclass(frozen=True, slots=True)
class _Show:
    """How to show counts: as JSON; once, at the end; again and again, every so many seconds."""

    as_json: bool
    wait: bool
    watch: bool
    interval: float


async def _show(client: AsyncClient, dataset_id: str | None, show: _Show) -> None:
    console = _console()
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


async def _show_order(client: AsyncClient, dataset_id: str | None, show: _Show) -> None:
    async with client:
        tasks = await client.task_order(dataset_id or '')
    click.echo(json.dumps({'tasks': tasks})) if show.as_json else _console().print(_order(tasks))


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        # A file has no width to fit.
        console.width = _WIDE
    return console


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


def _table(found: dict[str, Any]) -> RenderableType:
    return _overview(found['datasets']) if 'datasets' in found else _dataset(found)


def _overview(datasets: dict[str, Any]) -> Table:
    """A line a dataset; what is under way in words, because eight columns more fit no terminal."""
    table = _empty()
    table.add_column('dataset', no_wrap=True, min_width=32)
    table.add_column('description', no_wrap=True, overflow='ellipsis', max_width=_LONGEST_DESCRIPTION)
    table.add_column('status', no_wrap=True, min_width=10)
    table.add_column(_TOTAL, justify='right', no_wrap=True)
    table.add_column('complete', justify='right', no_wrap=True, min_width=8)
    table.add_column('the others')
    for dataset_id, dataset in datasets.items():
        counts = dict(dataset['tasks'])
        total, complete = sum(counts.values()), counts.pop('complete', 0)
        others = ', '.join(f'{number} {status}' for status, number in counts.items())
        description = escape(dataset['description'])
        table.add_row(dataset_id, description, dataset['status'], str(total), str(complete), others)
    return table


def _dataset(found: dict[str, Any]) -> RenderableType:
    """A line a task name, a column a status."""
    jobs = ', '.join(f'{number} {status}' for status, number in found['jobs'].items()) or 'none yet'
    # Not as the table's title, which would be as narrow as the table.
    title = Text(f'dataset {found["dataset_id"]}: {found["status"]}; jobs: {jobs}', 'bold')
    table = _empty()
    table.add_column('task', overflow='fold')
    for status in (*STATUSES, _TOTAL):
        table.add_column(status, justify='right', no_wrap=True)
    for name, counts in found['tasks'].items():
        numbers = [counts.get(status, 0) for status in STATUSES]
        table.add_row(escape(name), *(str(number or '·') for number in numbers), str(sum(numbers)))
    return Group(title, table)


def _order(tasks: Sequence[RankedTask]) -> Table:
    """A line a task; the parts of its priority in words, because a column each fits no terminal."""
    table = _empty()
    for name in ('dataset', 'job', 'task', 'status', 'priority', 'because of'):
        table.add_column(name, justify='right' if name in ('job', 'priority') else 'left', overflow='fold')
    for task in tasks:
        place = (task['dataset_id'], str(task['job_index']), escape(task['name']), task['status'])
        table.add_row(*place, f'{task["priority"]:g}', _reasons(task['factors']))
    return table


def _reasons(factors: dict[str, float] | None) -> str:
    if factors is None:
        return 'a priority of its own'
    return ', '.join(f'{part:+g} {name.replace("_", " ")}' for name, part in factors.items() if part)


def _empty() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
