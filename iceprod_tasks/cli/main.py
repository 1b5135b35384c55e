"""The command `iceprod-tasks`: its groups, and how a command ends."""

import click

from iceprod_tasks import __version__
from iceprod_tasks.cli.accounts import account
from iceprod_tasks.cli.datasets import datasets
from iceprod_tasks.cli.delete import delete
from iceprod_tasks.cli.describe import describe
from iceprod_tasks.cli.exports import export, import_
from iceprod_tasks.cli.jobs import jobs
from iceprod_tasks.cli.nodes import nodes
from iceprod_tasks.cli.options import InOrder
from iceprod_tasks.cli.output import output
from iceprod_tasks.cli.pilot import pilot
from iceprod_tasks.cli.pilots import pilots
from iceprod_tasks.cli.priority import priority
from iceprod_tasks.cli.requirements import requirements
from iceprod_tasks.cli.revoke import revoke
from iceprod_tasks.cli.run import run
from iceprod_tasks.cli.serve import serve
from iceprod_tasks.cli.status import status
from iceprod_tasks.cli.submit import submit
from iceprod_tasks.cli.tasks import tasks
from iceprod_tasks.cli.token import token


@click.group(cls=InOrder, context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 100})
@click.version_option(__version__, prog_name='iceprod-tasks')
def main() -> None:
    """A task service for clusters and grids.

    \b
    Start a service:       iceprod-tasks serve
    Make a token:          iceprod-tasks token --role user --user NAME --group users
    Submit a dataset:      iceprod-tasks submit FILE
    Run its tasks:         iceprod-tasks pilot --until-empty
    See how far it is:     iceprod-tasks status
    See what a task says:  iceprod-tasks output TASK --follow
    Run again what failed: iceprod-tasks tasks rerun DATASET
    Ask your nodes:        iceprod-tasks run -w 'n[1-20]' -- uptime

    Client commands take the service's address and a token from ICEPROD_TASKS_SERVER and ICEPROD_TASKS_TOKEN.
    """


COMMANDS = (
    serve, token, revoke, account, pilot, pilots, submit, status, describe, datasets, jobs, tasks, output, priority,
    requirements, delete, export, import_, run, nodes,
)  # fmt: skip
"""In the order of the help: run a service, let people and workers in, submit and watch, change and throw away, keep,
work on nodes."""

for command in COMMANDS:
    main.add_command(command)

if __name__ == '__main__':
    main()
