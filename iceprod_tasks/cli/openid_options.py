"""The options of `serve` that are about an OpenID provider."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def openid_options(command: Command) -> Command:
    """`--openid-url` and what goes with it."""
    url = click.option('--openid-url', metavar='URL', help='OpenID provider whose tokens are good.  [env: OPENID_URL]')
    audience = click.option(
        '--openid-audience', metavar='NAME', help='Whom such tokens must be made for.  [env: OPENID_AUDIENCE]'
    )
    name = click.option(
        '--openid-name-claim',
        metavar='CLAIM',
        help='Claim with the name of the user.  [env: OPENID_NAME_CLAIM; default: preferred_username, else sub]',
    )
    roles = click.option(
        '--openid-role',
        'openid_roles',
        multiple=True,
        callback=_if_any,
        metavar='ROLE=CLAIM:PATTERN',
        help='Who has a role; repeatable.  [env: OPENID_ROLES, with ; between them]',
    )
    groups = click.option(
        '--openid-group',
        'openid_groups',
        multiple=True,
        callback=_if_any,
        metavar='GROUP=CLAIM:PATTERN',
        help='Who is in a group; repeatable.  [env: OPENID_GROUPS, with ; between them]',
    )
    return url(audience(name(roles(groups(command)))))


def _if_any(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Flags that are not given leave the environment's word."""
    return given or None
