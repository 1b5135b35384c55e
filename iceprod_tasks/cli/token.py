"""`iceprod-tasks token`: make a bearer token."""

from pathlib import Path

import click

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.domain.callers import ROLES, is_name
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.settings import Settings

_DAYS = 365.0
_SECONDS_A_DAY = 86400.0
_SECONDS_A_MINUTE = 60.0
_LIFETIME = click.FloatRange(0, 36500, min_open=True)


@click.command()
@click.option('--role', 'roles', type=click.Choice(ROLES), multiple=True, required=True, help='Role; repeatable.')
@click.option('--user', required=True, help='Name of the user or program.')
@click.option('--group', 'groups', multiple=True, help='Group; repeatable.')
@click.option('--days', type=_LIFETIME, help='Lifetime.  [default: 365]')
@click.option('--minutes', type=_LIFETIME, help='Lifetime of a token that is to end soon.')
@click.option('--data', 'data_dir', type=click.Path(path_type=Path), help='Folder of the secret, as for `serve`.')
def token(
    roles: tuple[str, ...],
    user: str,
    groups: tuple[str, ...],
    days: float | None,
    minutes: float | None,
    data_dir: Path | None,
) -> None:
    """Print a bearer token, signed with TOKEN_SECRET or the secret kept beside the data.

    \b
    Example:  iceprod-tasks token --role user --user ada --group simprod --minutes 30
    """
    if days is not None and minutes is not None:
        raise click.UsageError('give --days or --minutes')
    if not is_name(user):
        raise click.UsageError('a name has up to 255 characters that can be printed, and no space around it')
    lifetime_seconds = (days or _DAYS) * _SECONDS_A_DAY if minutes is None else minutes * _SECONDS_A_MINUTE
    with plainly():
        settings = Settings.from_environment().override(data_dir=data_dir)
        click.echo(Tokens(settings.secret()).mint(user, roles, groups, lifetime_seconds))
