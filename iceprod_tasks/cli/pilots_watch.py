"""`iceprod-tasks pilots list` and `drain`: which pilots there are, and have them end."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import click

from iceprod_tasks.cli.endings import NOT_FOUND, PARTIAL, plainly
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.cli.tables import Lines
from iceprod_tasks.client import AsyncClient, NotFound

_COLUMNS = ('pilot_id', 'host', 'site', 'state', 'slots', 'running', 'cpu', 'memory', 'last_update')


@click.command('list')
@service_options
@click.option('--site', default='', help='Only those at this site.')
@json_option
def list_(server: str, token: str, site: str, as_json: bool) -> None:
    """List the pilots: where they are, what they offer and run, and when they were last heard of.

    \b
    Example:  iceprod-tasks pilots list --site north
    """
    with plainly():
        found = asyncio.run(_pilots(service(server, token)))
    chosen = {pilot_id: pilot for pilot_id, pilot in found.items() if site in ('', pilot.get('site'))}
    if as_json:
        click.echo(json.dumps(chosen))
    else:
        Lines(_COLUMNS).print([_row(pilot) for pilot in chosen.values()])


async def _pilots(client: AsyncClient) -> dict[str, dict[str, Any]]:
    async with client:
        return await client.pilots()


def _row(pilot: dict[str, Any]) -> list[Any]:
    """What a table says of a pilot; its capacity is that of all slots together."""
    offered = pilot.get('resources_available') or {}
    state = pilot.get('state') or ''
    told = {
        **pilot,
        'state': 'told to drain' if pilot.get('drain') and state != 'draining' else state,
        'running': len(pilot.get('tasks') or ()),
        'cpu': offered.get('cpu'),
        'memory': offered.get('memory'),
    }
    return [told.get(column) for column in _COLUMNS]


@click.command()
@click.argument('pilot_ids', metavar='P...', nargs=-1, required=True)
@service_options
@click.option('--reason', default='', help='Why, for people.')
@click.option('--undo', is_flag=True, help='Take the order back, from pilots that have not left yet.')
def drain(server: str, token: str, pilot_ids: Sequence[str], reason: str, undo: bool) -> None:
    """Have pilots take no more tasks, end what they run, and leave.

    They hear of it with their next sign of life, within half a minute.

    \b
    Example:  iceprod-tasks pilots drain PILOT --reason maintenance
    """
    with plainly():
        missing = asyncio.run(_drain(service(server, token), pilot_ids, reason, drain=not undo))
    for pilot_id in missing:
        click.echo(f'iceprod-tasks: there is no pilot {pilot_id}', err=True)
    if missing:
        raise SystemExit(NOT_FOUND if len(missing) == len(pilot_ids) else PARTIAL)


async def _drain(client: AsyncClient, pilot_ids: Sequence[str], reason: str, *, drain: bool) -> list[str]:
    missing = []
    async with client:
        for pilot_id in pilot_ids:
            try:
                await client.drain_pilot(pilot_id, drain=drain, reason=reason)
            except NotFound:
                missing.append(pilot_id)
    return missing
