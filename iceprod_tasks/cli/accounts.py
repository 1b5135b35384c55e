"""`iceprod-tasks account`: people and programs with a password, kept in the database."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from iceprod_tasks.cli.database import database_options, open_store
from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import InOrder, json_option
from iceprod_tasks.cli.tables import Lines
from iceprod_tasks.domain.accounts import new_account
from iceprod_tasks.domain.callers import ROLES
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.passwords import hashed
from iceprod_tasks.domain.times import wire_time
from iceprod_tasks.settings import Settings

_COMMAND = 'iceprod-tasks account'
_HEADS = ('name', 'roles', 'groups', 'changed')
_stdin_option = click.option('--password-stdin', is_flag=True, help='Read the password from the first line of stdin.')


@click.group(cls=InOrder)
def account() -> None:
    """Add, list and remove accounts: names with a password, for Basic authentication.

    They are in the service's database, which these commands work on directly, whether a service runs or not.

    \b
    Example:  iceprod-tasks account add ada --role user --group simprod
    """


@account.command()
@click.argument('name')
@click.option('--role', 'roles', type=click.Choice(ROLES), multiple=True, required=True, help='Role; repeatable.')
@click.option('--group', 'groups', multiple=True, help='Group; repeatable.')
@_stdin_option
@database_options
def add(name: str, roles: tuple[str, ...], groups: tuple[str, ...], password_stdin: bool, **where: Any) -> None:
    """Add an account; the password is asked for.

    \b
    Example:  iceprod-tasks account add ada --role user --group simprod
    """
    with plainly():
        password = hashed(_password(from_stdin=password_stdin))
        new = new_account(name, roles, groups, password, datetime.now(UTC))
        asyncio.run(_add(Settings.from_environment().override(**where), new))
        click.echo(f'account {name}: added', err=True)


async def _add(settings: Settings, new: dict[str, Any]) -> None:
    async with open_store(settings, make=True) as store:
        await store.accounts.add(new)


@account.command('list')
@json_option
@database_options
def list_(as_json: bool, **where: Any) -> None:
    """List all accounts.

    \b
    Example:  iceprod-tasks account list
    """
    with plainly():
        found = asyncio.run(_list(Settings.from_environment().override(**where)))
        shown = [
            {**each, 'created': wire_time(each['created']), 'changed': wire_time(each['changed'])} for each in found
        ]
        if as_json:
            click.echo(json.dumps(shown))
            return
        lists = [{**each, 'roles': ', '.join(each['roles']), 'groups': ', '.join(each['groups'])} for each in shown]
        Lines(_HEADS).print([each[head] for head in _HEADS] for each in lists)


async def _list(settings: Settings) -> list[dict[str, Any]]:
    async with open_store(settings, make=False) as store:
        return [each async for each in store.accounts.select()]


@account.command()
@click.argument('name')
@database_options
def remove(name: str, **where: Any) -> None:
    """Remove an account, and revoke all tokens of its name.

    Services know within a minute.

    \b
    Example:  iceprod-tasks account remove ada
    """
    with plainly():
        asyncio.run(_remove(Settings.from_environment().override(**where), name))
        click.echo(f'account {name}: removed, and all tokens of this name are revoked', err=True)


async def _remove(settings: Settings, name: str) -> None:
    async with open_store(settings, make=False) as store:
        if not await store.accounts.remove(name):
            raise NotFound(f'there is no account {name}')
        await store.revocations.add('user', name, _COMMAND)


@account.command()
@click.argument('name')
@_stdin_option
@database_options
def password(name: str, password_stdin: bool, **where: Any) -> None:
    """Give an account another password; services know within a minute.

    Tokens that were made with the old one stay good for up to a day. `iceprod-tasks revoke --user NAME` ends them.

    \b
    Example:  iceprod-tasks account password ada
    """
    with plainly():
        kept = hashed(_password(from_stdin=password_stdin))
        asyncio.run(_set_password(Settings.from_environment().override(**where), name, kept))
        click.echo(f'account {name}: the password is another one', err=True)


async def _set_password(settings: Settings, name: str, kept: dict[str, Any]) -> None:
    async with open_store(settings, make=False) as store:
        if not await store.accounts.set_password(name, kept):
            raise NotFound(f'there is no account {name}')


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip('\r\n')
    text: str = click.prompt('password', hide_input=True, confirmation_prompt=True, err=True)
    return text
