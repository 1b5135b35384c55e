"""Options that several commands have."""

from collections.abc import Callable
from typing import Any

import click

from iceprod_tasks.client import AsyncClient

Command = Callable[..., Any]

SERVER_VARIABLE = 'ICEPROD_TASKS_SERVER'
TOKEN_VARIABLE = 'ICEPROD_TASKS_TOKEN'  # noqa: S105 - its name
DEFAULT_SERVER = 'http://127.0.0.1:8080'

_PATIENCE_SECONDS = 5.0


class InOrder(click.Group):
    """A group whose help lists the commands in the order in which people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as Click calls it
        """The commands as they were added."""
        return list(self.commands)


def service(server: str, token: str) -> AsyncClient:
    """The service that a command asks; a person does not wait long for one that is not there."""
    return AsyncClient(server, token, retry_seconds=_PATIENCE_SECONDS)


def service_options(command: Command) -> Command:
    """`--server` and `--token` of every command that asks a service."""
    server = click.option(
        '--server',
        envvar=SERVER_VARIABLE,
        show_envvar=True,
        default=DEFAULT_SERVER,
        show_default=True,
        metavar='URL',
        help='Address of the service.',
    )
    token = click.option(
        '--token',
        envvar=TOKEN_VARIABLE,
        show_envvar=True,
        default='',
        metavar='TOKEN',
        help='Bearer token, from `iceprod-tasks token`.',
    )
    return server(token(command))


def json_option(command: Command) -> Command:
    """`--json`, for programs."""
    return click.option('--json', 'as_json', is_flag=True, help='Print one JSON document.')(command)
