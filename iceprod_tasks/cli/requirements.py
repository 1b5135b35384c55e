"""`iceprod-tasks requirements`: what the tasks of a name need."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import click

from iceprod_tasks.cli.acting import counted, title
from iceprod_tasks.cli.confirming import Consent, asks_first
from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import service, service_options
from iceprod_tasks.client import AsyncClient, NotFound, Requirements


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _names(text: str) -> list[str]:
    return [name for name in text.split(',') if name]


_KINDS: Mapping[str, Callable[[str], Any]] = {
    'cpu': int,
    'gpu': int,
    'memory': _number,
    'disk': _number,
    'time': _number,
    'os': _names,
    'site': str,
}


@click.command()
@click.argument('dataset_id', metavar='D')
@click.argument('name')
@click.argument('pairs', metavar='KEY=VALUE...', nargs=-1, required=True)
@service_options
@asks_first
def requirements(dataset_id: str, name: str, pairs: tuple[str, ...], server: str, token: str, consent: Consent) -> None:
    """Set what all tasks called NAME of dataset D need.

    Raised or lowered, at once for all of them.

    KEY is cpu, gpu (numbers), memory, disk (GB), time (hours), os (names with commas between them) or site. What is not
    named stays; tasks that are made later need what the config says.

    \b
    Example:  iceprod-tasks requirements DATASET generate memory=8 time=12
    """
    wanted = cast(Requirements, dict(_pair(pair) for pair in pairs))
    with plainly():
        asyncio.run(_set(service(server, token), (dataset_id, name), wanted, consent))


def _pair(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition('=')
    try:
        if not equals:
            raise ValueError
        return key, _KINDS[key](text)
    except (KeyError, ValueError):
        raise click.UsageError(f'not a requirement: {pair}') from None


async def _set(client: AsyncClient, of: tuple[str, str], wanted: Requirements, consent: Consent) -> None:
    dataset_id, name = of
    async with client:
        counts = (await client.name_status_counts(dataset_id)).get(name)
        if counts is None:
            raise NotFound(f'dataset {dataset_id} has no tasks called {name}', code=404)
        number = sum(counts.values())
        words = ', '.join(f'{key}={_shown(value)}' for key, value in wanted.items())
        if not consent.dry_run:
            consent.ask(f'set {words} for {counted(number, "task")} {name} of {await title(client, dataset_id)}')
            await client.set_requirements(dataset_id, name, wanted)
    verb = 'would set' if consent.dry_run else 'set'
    report = {'dry_run': consent.dry_run, 'name': name, 'requirements': wanted, 'tasks': number}
    click.echo(json.dumps(report) if consent.as_json else f'{verb} {words} for {counted(number, "task")}')


def _shown(value: Any) -> str:
    return ','.join(value) if isinstance(value, list) else f'{value:g}' if isinstance(value, float) else str(value)
