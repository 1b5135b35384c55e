"""`iceprod-tasks submit`: send a dataset, and wait for it where asked to."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, cast

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iceprod_tasks.cli.endings import FAILED, plainly, stop
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.client import AsyncClient

_LOOK_SECONDS = 0.5
# A service may run no scheduler at the moment; what is submitted is safe all the same.
_PATIENCE_SECONDS = 10.0
_MADE = 'tasks made'
_ENDED = ('complete', 'errors', 'suspended')


@click.command()
@click.argument('file', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@service_options
@click.option('--jobs', type=click.IntRange(1), help='How many jobs.  [default: `jobs` in FILE, else 1]')
@click.option('--group', default='users', show_default=True, help='Group that owns the dataset.')
@click.option('--priority', type=float, help='How much it matters among your own datasets.  [default: 0.5]')
@click.option('--description', help='In place of the one in FILE.')
@click.option(
    '--idempotency-key', default='', metavar='KEY',
    help='The same KEY and dataset again print the id of the first one.  [default: a new one]',
)  # fmt: skip
@click.option('--wait', is_flag=True, help='Return when the dataset has ended; exit 1 unless it is complete.')
@json_option
def submit(file: Path, server: str, token: str, idempotency_key: str, wait: bool, as_json: bool, **given: Any) -> None:
    """Submit the dataset that FILE describes, and print its id.

    FILE is JSON, as schemas/dataset_config.json says.

    \b
    Example:  iceprod-tasks submit docs/examples/primes.json --wait
    """
    with plainly():
        dataset = _dataset(file, given)
        sending = _submit(service(server, token), dataset, idempotency_key, wait=wait, as_json=as_json)
        status = asyncio.run(sending)
    if wait and status != 'complete':
        stop(f'the dataset has ended in {status}', FAILED)


def _dataset(file: Path, given: dict[str, Any]) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'{file}: {error}') from error
    if not isinstance(config, dict) or not isinstance(config.get('tasks'), list):
        raise ValueError(f'{file}: not a dataset config; it has no list of tasks')
    jobs, tasks_per_job = given['jobs'] or config.get('jobs', 1), len(config['tasks'])
    dataset = {
        'description': given['description'] or config.get('description', file.stem),
        'jobs_submitted': jobs,
        'tasks_per_job': tasks_per_job,
        'tasks_submitted': jobs * tasks_per_job if isinstance(jobs, int) else 0,
        'group': given['group'],
        'config': config,
    }
    return dataset if given['priority'] is None else {**dataset, 'priority': given['priority']}


async def _submit(client: AsyncClient, dataset: dict[str, Any], key: str, *, wait: bool, as_json: bool) -> str:
    async with client:
        dataset_id = await client.submit_dataset(cast(Any, dataset), idempotency_key=key)
        click.echo(json.dumps({'dataset_id': dataset_id}) if as_json else dataset_id)
        total = dataset['tasks_submitted']
        console = Console(stderr=True)
        bar = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        with bar:
            await _follow(client, dataset_id, bar, _MADE, total, lambda counts: sum(counts.values()))
            if not wait:
                return 'processing'
            return await _follow(
                client, dataset_id, bar, 'tasks complete', total, lambda counts: counts.get('complete', 0)
            )


async def _follow(client: AsyncClient, dataset_id: str, bar: Progress, what: str, total: int, done: Any) -> str:
    """Show how far the dataset is until a number of tasks is reached or it has ended; its status then."""
    line = bar.add_task(what, total=total)
    making, reached, moved = what == _MADE, 0, time.monotonic()
    while True:
        status = (await client.dataset(dataset_id))['status']
        before, reached = reached, done(await client.task_counts(dataset_id))
        bar.update(line, completed=reached)
        if status in _ENDED or (making and reached >= total):
            return str(status)
        moved = time.monotonic() if reached != before else moved
        if making and time.monotonic() - moved > _PATIENCE_SECONDS:
            click.echo('the dataset is submitted; its tasks have not all been made yet', err=True)
            return str(status)
        await asyncio.sleep(_LOOK_SECONDS)
