"""`iceprod-tasks serve`: run the service."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from iceprod_tasks import logs, processes, server
from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.openid_options import openid_options
from iceprod_tasks.cli.operation_options import operation_options
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.domain.masking import masked
from iceprod_tasks.domain.requirements import DEFAULT_CEILING, GROWING
from iceprod_tasks.domain.retention import LONGEST_DAYS
from iceprod_tasks.settings import DRIVERS, LONGEST_IDEMPOTENCY_HOURS, Settings

T = TypeVar('T')

_CHILD = (sys.executable, '-P', '-c', 'from iceprod_tasks.cli.serve import child; child()')


@click.command()
@click.option('--host', help='Address to listen on.  [env: HOST; default: 127.0.0.1]')
@click.option(
    '--port', type=click.IntRange(0, 65535), help='Port to listen on, 0 for a free one.  [env: PORT; default: 8080]'
)
@click.option('--mongodb-url', help='Connection string; without one a private mongod is started.  [env: MONGODB_URL]')
@click.option('--mongodb-database', help='Name of the database.  [env: MONGODB_DATABASE; default: iceprod_tasks]')
@click.option(
    '--driver', 'mongodb_driver', type=click.Choice(DRIVERS),
    help="What MongoDB is asked by; pymongo is PyMongo's own async client.  [env: MONGODB_DRIVER; default: motor]",
)  # fmt: skip
@click.option(
    '--data', 'data_dir', type=click.Path(path_type=Path), help='Folder of the private mongod and the secret.'
)
@click.option('--lease', 'lease_seconds', type=float, metavar='S', help='Lease of a claim, in seconds.  [default: 300]')
@click.option(
    '--heartbeat', 'heartbeat_seconds', type=click.FloatRange(0.1, 3600), metavar='S',
    help='How soon a pilot is asked for its next heartbeat, unless its lease is short.  [default: 10]',
)  # fmt: skip
@click.option(
    '--max-evictions', type=click.IntRange(0), help='Evictions after which a task can be lost.  [default: 10]'
)
@click.option(
    '--unleased-grace', 'unleased_grace_seconds', type=click.FloatRange(0, 1e9), metavar='S',
    help='Time beside the one it needs after which a task without a lease is taken back.  [default: 3600]',
)  # fmt: skip
@click.option('--queue-depth', type=click.IntRange(1), help='Tasks queued per kind of requirements.  [default: 1000]')
@click.option('--max-messages', type=click.IntRange(1, 10_000), help='Messages that a task keeps.  [default: 200]')
@click.option('--max-failures', type=click.IntRange(0), help='Failures after which a task is given up.  [default: 10]')
@click.option(
    '--retry-delay', 'retry_delay_seconds', type=click.FloatRange(0), metavar='S',
    help='Rest before the second try, doubled with each failure.  [default: 10]',
)  # fmt: skip
@click.option(
    '--stop-grace', 'stop_grace_seconds', type=click.FloatRange(0), metavar='S',
    help='Time a pilot has to stop a task that is suspended or cancelled.  [default: 30]',
)  # fmt: skip
@click.option(
    '--max-requirement', 'ceiling', multiple=True, metavar='KEY=VALUE',
    help='No failure makes a requirement grow past this (cpu; memory, disk: GB; time: hours). Repeatable.',
)  # fmt: skip
@click.option(
    '--retention-days', type=click.FloatRange(0, LONGEST_DAYS), metavar='N',
    help='Days after its end at which a dataset is deleted, unless it says otherwise.  [default: never]',
)  # fmt: skip
@click.option(
    '--idempotency-hours', type=click.FloatRange(0, LONGEST_IDEMPOTENCY_HOURS, min_open=True), metavar='N',
    help='Hours for which an Idempotency-Key and its answer are kept.  [default: 24]',
)  # fmt: skip
@click.option(
    '--rate-limit', type=click.FloatRange(0), metavar='N',
    help='Requests a second that one caller may send, 0 for any number.  [default: 1000]',
)  # fmt: skip
@click.option(
    '--body-limit', 'body_limit_mib', type=click.FloatRange(0.0625, 256), metavar='MIB',
    help='Longest request body.  [default: 1]',
)  # fmt: skip
@click.option(
    '--bulk-body-limit', 'bulk_body_limit_mib', type=click.FloatRange(0.0625, 256), metavar='MIB',
    help='Longest body of requests that bring much: submissions, configs, logs, lists of ids.  [default: 8]',
)  # fmt: skip
@click.option(
    '--max-connections', type=click.IntRange(1), metavar='N', help='Connections of one process.  [default: 4096]'
)
@click.option(
    '--cors-origin', 'cors_origins', multiple=True, metavar='ORIGIN',
    help='Pages of this origin may use the service in a browser. Repeatable.  [default: none]',
)  # fmt: skip
@click.option('--archive-dir', type=click.Path(path_type=Path), help='Folder of archives.  [default: in --data]')
@click.option('--processes', type=click.IntRange(1), help='Processes that serve the port together.  [default: 1]')
@click.option(
    '--drain', 'drain_seconds', type=click.FloatRange(0), metavar='S',
    help='Longest time that requests under way have to finish when the service is stopped.  [default: 30]',
)  # fmt: skip
@click.option(
    '--drain-notice', 'drain_notice_seconds', type=click.FloatRange(0), metavar='S',
    help='Time before that in which it still listens, not ready, for load balancers to see.  [default: 0]',
)  # fmt: skip
@openid_options
@click.option(
    '--open-describe', is_flag=True, help='Anybody may see what all tasks do, by /vappio/task_ws.py, without a token.'
)
@click.option(
    '--describe-limit', type=click.IntRange(1, 100_000), metavar='N',
    help='Longest listing of tasks by /vappio/task_ws.py.  [default: 10000]',
)  # fmt: skip
@click.option('--cluster-name', metavar='NAME', help='Name of this service there, beside local.  [default: local]')
@click.option(
    '--cluster', 'clusters', multiple=True, metavar='NAME=URL',
    help='Another service that requests there are passed on to. Repeatable.  [default: none]',
)  # fmt: skip
@click.option('--share-tokens', is_flag=True, help='Pass on the token of whoever asks, too.')
@operation_options
@click.option('--no-scheduler', is_flag=True, help='Run no chores in this process.')
@click.option('--allow-weak-durability', is_flag=True, help='Serve from a MongoDB that can lose results.')
@click.option('--log-level', help='DEBUG, INFO, WARNING or ERROR.  [env: LOG_LEVEL; default: INFO]')
def serve(ceiling: tuple[str, ...], no_scheduler: bool, **given: Any) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    Without MONGODB_URL a private mongod keeps the data under the XDG data folder and ends with the service.

    \b
    Example:  iceprod-tasks serve --port 8080 --lease 120
    """
    with plainly():
        settings = Settings.from_environment().override(
            scheduler=False if no_scheduler else None,
            requirements_ceiling=_ceiling(ceiling),
            **given,
        )
        if settings.processes == 1:
            run(settings, server.serve(settings, _announce))
        else:
            sys.exit(run(settings, processes.serve(settings, _announce, _CHILD)))


def child() -> None:
    """One of the processes of `--processes`."""
    with plainly():
        order = processes.order()
        run(order.settings, processes.serve_child(order))


def run(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    """Run to its end what this process is for."""
    logs.configure(settings.log_level)
    # What has been loaded by now stays. Looking through it for garbage, again and again, would hold up every request
    # for as long as twenty claims take.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(work)


def _announce(line: str) -> None:
    click.echo(masked(line), err=True)


def _ceiling(given: tuple[str, ...]) -> dict[str, float] | None:
    if not given:
        return None
    ceiling = dict(DEFAULT_CEILING)
    for pair in given:
        key, _, value = pair.partition('=')
        try:
            if key not in GROWING or not 0 < float(value) < float('inf'):
                raise ValueError
            ceiling[key] = float(value)
        except ValueError:
            raise CannotStart(f'--max-requirement takes {", ".join(GROWING)} and a number, not {pair}') from None
    return ceiling


def _fast_loop() -> Any:
    """Uvloop's maker of event loops, where the extra `fast` is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
