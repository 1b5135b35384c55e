"""`iceprod-tasks priority`: how much a dataset, a user or a group matters."""

import asyncio
import json

import click

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.client import AsyncClient

_SHARE = click.FloatRange(0, 1)
_Named = tuple[str, float]


@click.command()
@click.argument('dataset', metavar='[D VALUE]', nargs=-1)
@service_options
@click.option('--user', type=(str, _SHARE), metavar='NAME VALUE', help='Of all datasets of a user, from 0 to 1.')
@click.option('--group', type=(str, _SHARE), metavar='NAME VALUE', help='Of all datasets of a group, from 0 to 1.')
@json_option
def priority(
    dataset: tuple[str, ...], server: str, token: str, user: _Named | None, group: _Named | None, as_json: bool
) -> None:
    """Set the priority of a dataset, a user or a group.

    The tasks of dataset D, or of all datasets of the user or group, follow it.

    \b
    Example:  iceprod-tasks priority DATASET 0.9
              iceprod-tasks priority --user ada 0.7
    """
    wanted = {'dataset': _named(dataset), 'user': user, 'group': group}
    found = [(kind, *given) for kind, given in wanted.items() if given is not None]
    if len(found) != 1:
        raise click.UsageError('give D and VALUE, or --user NAME VALUE, or --group NAME VALUE')
    ((kind, name, value),) = found
    with plainly():
        asyncio.run(_set(service(server, token), kind, name, value))
        click.echo(json.dumps({kind: name, 'priority': value}) if as_json else f'{kind} {name}: priority {value:g}')


def _named(words: tuple[str, ...]) -> _Named | None:
    if not words:
        return None
    try:
        dataset_id, value = words
        return dataset_id, float(value)
    except ValueError:
        raise click.UsageError(f'not a dataset and a number: {" ".join(words)}') from None


async def _set(client: AsyncClient, kind: str, name: str, value: float) -> None:
    setters = {
        'dataset': client.set_priority,
        'user': client.set_user_priority,
        'group': client.set_group_priority,
    }
    async with client:
        await setters[kind](name, value)
