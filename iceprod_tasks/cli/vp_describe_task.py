"""`vp-describe-task`: what tasks do, for scripts and people that know this command from elsewhere."""

import asyncio
import os
import sys
from collections.abc import Sequence
from optparse import IndentedHelpFormatter, OptionParser, Values
from typing import NoReturn

import click

from iceprod_tasks.cli.describing import Screen, debugging, describe, service_for, wish_of
from iceprod_tasks.cli.options import DEFAULT_SERVER, SERVER_VARIABLE, TOKEN_VARIABLE
from iceprod_tasks.cli.task_lines import one_line
from iceprod_tasks.client import ClientError
from iceprod_tasks.domain.masking import masked

FAILED = 1
"""However it fails, but for wrong options: scripts know no other code."""

_NAME = 'vp-describe-task'
_HELP_COLUMNS = 80
_FLAGS = (
    (('--show',), 'Print out any messages present'),
    (('--show-error',), 'Print out only error messages'),
    (('--show-debug',), 'Print out any debug messages'),
    (('--show-all',), 'Print out all messages'),
    (('--debug',), 'Print debugging messages'),
    (('--nc',), 'Filtered out completed tasks'),
    (('--exit-code',), 'Exit with a non zero value if any tasks are not in a completed state'),
    (('-b', '--block'), 'Block on the tasks until they have completed or errored'),
    (('--no-print-polling',), 'If block is true, do not print while polling to see what is happening in real time'),
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command, and end.

    Args:
        arguments: what was typed behind its name; from the command line when None.
    """
    try:
        options, names = _parser().parse_args(None if arguments is None else list(arguments))
        raise SystemExit(_described(options, tuple(names)))
    except BrokenPipeError:  # `| head` has seen enough
        raise SystemExit(FAILED) from None
    except click.ClickException as error:
        _stop(error.message)
    except (ClientError, ValueError) as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop('interrupted')


def _described(options: Values, names: tuple[str, ...]) -> int:
    flags = vars(options)
    wanted = wish_of(names, flags)
    token = os.environ.get(TOKEN_VARIABLE, '')
    with debugging(flags['debug']):
        return asyncio.run(describe(service_for(wanted, server_of(flags['host']), token, flags['name']), wanted))


def server_of(host: str | None) -> str:
    """The address of the service.

    Args:
        host: as `--host` has it: a host, a host and port, or an address as it is; None takes that of the environment.
    """
    if host is None:
        return os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER
    return host if host.startswith(('http://', 'https://')) else f'http://{host}'


class _Parser(OptionParser):
    """Its help is printed as everything else is, so that a closed pipe is no trouble."""

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 - as optparse has it
        """Print the help."""
        Screen().end(self.format_help().rstrip())


def _parser() -> OptionParser:
    # One text everywhere: as wide as it always was, whatever the terminal is.
    parser = _Parser(prog=_NAME, formatter=IndentedHelpFormatter(width=_HELP_COLUMNS - 2))
    parser.add_option('--host', help='Host of webservice to contact')
    parser.add_option('--name', default='local', help='Name of cluster, defaults to local')
    for names, text in _FLAGS:
        parser.add_option(*names, action='store_true', default=False, help=text)
    return parser


def _stop(text: str) -> NoReturn:
    click.echo(f'{_NAME}: {masked(one_line(text))}', err=True)
    raise SystemExit(FAILED)


if __name__ == '__main__':
    main(sys.argv[1:])
