"""`iceprod-tasks revoke`: have a token believed no more."""

import asyncio
import json
import sys
from typing import Any

import click

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.client import AsyncClient


@click.command()
@click.argument('revoked', metavar='[TOKEN]', required=False)
@click.option('--user', metavar='NAME', help='All tokens that were made for a name until now.')
@service_options
@json_option
def revoke(revoked: str | None, user: str | None, server: str, token: str, as_json: bool) -> None:
    """Have a token believed no more, or all tokens of a user; there is no way back.

    `-` in place of TOKEN reads it from stdin.

    \b
    Example:  iceprod-tasks revoke --user ada
    """
    if (revoked is None) == (user is None):
        raise click.UsageError('give TOKEN or --user NAME')
    if revoked == '-':
        revoked = sys.stdin.readline().strip()
    with plainly():
        done = asyncio.run(_revoke(service(server, token), revoked, user or ''))
        click.echo(
            json.dumps(done) if as_json else f'revoked: {done.get("token_id") or f"all tokens of {user} so far"}'
        )


async def _revoke(client: AsyncClient, token: str | None, user: str) -> dict[str, Any]:
    async with client:
        return await client.revoke_user(user) if token is None else await client.revoke_token(token)
