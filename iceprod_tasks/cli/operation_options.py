"""The options of `serve` about operations, and about the tasks that they are on."""

from collections.abc import Callable
from typing import TypeVar

import click

from iceprod_tasks.domain.operations import OWN_TIMEOUT_BOUNDS_SECONDS, PARALLELISM_BOUNDS, STOP
from iceprod_tasks.settings import LEADER_LEASE_SECONDS

Command = TypeVar('Command', bound=Callable[..., object])

_OPTIONS = (
    click.option(
        '--advertise', metavar='URL', help='Address by which other services name this one.  [default: http://HOST:PORT]'
    ),
    click.option(
        '--leader-lease', 'leader_lease_seconds', type=click.FloatRange(*LEADER_LEASE_SECONDS), metavar='S',
        help='Time after which a leader that is not heard of any more is replaced.  [default: 10]',
    ),
    click.option(
        '--lost-after', 'lost_after_seconds', type=click.FloatRange(1, 86400), metavar='S',
        help='Time without word of its pilot after which a task of the operations API is lost.  [default: 60]',
    ),
    click.option(
        '--operation-timeout', 'operation_timeout_seconds', metavar='S',
        type=click.FloatRange(*OWN_TIMEOUT_BOUNDS_SECONDS),
        help='Time of operations that the service starts itself.  [default: 300]',
    ),
    click.option(
        '--operation-parallelism', type=click.IntRange(*PARALLELISM_BOUNDS), metavar='N',
        help='Their parallelism.  [default: 1]',
    ),
    click.option(
        '--operation-failure-strategy', type=click.Choice([STOP], case_sensitive=False),
        help='What follows their failure.  [default: STOP]',
    ),
    click.option(
        '--operation-history-days', type=click.FloatRange(0, 36600), metavar='N',
        help='Days for which operations are remembered after their end.  [default: 31]',
    ),
    click.option(
        '--task-keep-hours', type=click.FloatRange(0, 1e6), metavar='N',
        help='Hours after its end at which a task of the operations API is forgotten.  [default: 48]',
    ),
    click.option(
        '--task-clean', 'task_clean_seconds', type=click.FloatRange(1, 1e6), metavar='S',
        help='Time between two looks for such tasks.  [default: 3600]',
    ),
)  # fmt: skip


def operation_options(command: Command) -> Command:
    """Give a command these options, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
