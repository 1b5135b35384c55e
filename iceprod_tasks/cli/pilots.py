"""`iceprod-tasks pilots`: pilots as a whole; one of them is `iceprod-tasks pilot`."""

import click

from iceprod_tasks.cli.options import InOrder
from iceprod_tasks.cli.pilots_submit import submit
from iceprod_tasks.cli.pilots_watch import drain, list_


@click.group(cls=InOrder)
def pilots() -> None:
    """Bring pilots to where machines are, see which there are, and have them end.

    \b
    Examples:
      iceprod-tasks pilots submit --slurm --site here --max 20
      iceprod-tasks pilots list
    """


for command in (submit, list_, drain):
    pilots.add_command(command)
