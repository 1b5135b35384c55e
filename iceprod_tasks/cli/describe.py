"""`iceprod-tasks describe`: what tasks do, in the words of `vp-describe-task`, and waiting for them."""

import asyncio
from typing import Any

import click

from iceprod_tasks.cli.describing import debugging, service_for, wish_of
from iceprod_tasks.cli.describing import describe as describe_tasks
from iceprod_tasks.cli.endings import exit_code_of, plainly, stop
from iceprod_tasks.cli.options import json_option, service_options
from iceprod_tasks.cli.task_lines import one_line
from iceprod_tasks.client import ClientError


@click.command()
@click.argument('names', nargs=-1, metavar='[TASK]...')
@service_options
@click.option('--name', 'cluster', default='local', show_default=True, metavar='NAME', help='Name of the cluster.')
@click.option('--show', is_flag=True, help='Show notifications.')
@click.option('--show-error', is_flag=True, help='Show errors.')
@click.option('--show-debug', is_flag=True, help='Show silent messages, which are for debugging.')
@click.option('--show-all', is_flag=True, help='Show all messages, also results.')
@click.option('--debug', is_flag=True, help='Tell on stderr what is asked.')
@click.option('--nc', is_flag=True, help='Leave completed tasks out.')
@click.option('--exit-code', is_flag=True, help='Exit with 1 when a task is not completed.')
@click.option('-b', '--block', is_flag=True, help='Wait until all are completed or failed.')
@click.option('--no-print-polling', is_flag=True, help='With --block: print nothing before the end.')
@json_option
def describe(names: tuple[str, ...], server: str, token: str, cluster: str, debug: bool, **flags: Any) -> None:
    """Describe tasks, by their ids or the names shown here; all tasks when none is named.

    \b
    Examples:
      iceprod-tasks describe --nc
      iceprod-tasks describe --show-all TASK
      iceprod-tasks describe --block --exit-code TASK
    """
    with plainly(), debugging(debug):
        wanted = wish_of(names, flags)
        try:
            code = asyncio.run(describe_tasks(service_for(wanted, server, token, cluster), wanted))
        except KeyboardInterrupt:
            stop('interrupted', 130)
        except ClientError as error:
            # With what a service says of tasks that others named.
            stop(one_line(str(error)), exit_code_of(error))
    raise SystemExit(code)
