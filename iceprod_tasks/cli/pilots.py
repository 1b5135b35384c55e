"""`iceprod-tasks pilots`: pilots as a whole; one of them is `iceprod-tasks pilot`."""

import click

from iceprod_tasks.cli.options import InOrder
from iceprod_tasks.cli.pilots_submit import submit


@click.group(cls=InOrder)
def pilots() -> None:
    """Bring pilots to where machines are.

    \b
    Example:
      iceprod-tasks pilots submit --slurm --site here --max 20
    """


for command in (submit,):
    pilots.add_command(command)
