"""`iceprod-tasks pilot`: run tasks on this machine."""

import asyncio
import logging
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from iceprod_tasks.cli.endings import plainly, stop
from iceprod_tasks.cli.options import service_options
from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.pilot.command import clean_environment
from iceprod_tasks.pilot.machine import Machine, this_machine
from iceprod_tasks.pilot.offer import Offer, default_disk_gb, default_memory_gb, gpu_share

log = logging.getLogger(__name__)

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@service_options
@click.option('--slots', type=click.IntRange(min=1), default=1, show_default=True, help='Tasks run at once.')
@click.option('--cpu', type=click.IntRange(min=1), default=1, show_default=True, help='Cores a slot.')
@click.option('--memory', type=_POSITIVE, help="GB a slot [the cores' share of the machine, at most 2 a core].")
@click.option('--disk', type=_POSITIVE, help='GB a slot [an equal share of what is free].')
@click.option('--gpu', type=click.IntRange(min=0), default=0, show_default=True, help='GPUs a slot; GPU tasks only.')
@click.option('--time', type=_POSITIVE, help='Take only tasks that need at most this many hours.')
@click.option('--os', help="The system's name, for example debian_12 [this one's].")
@click.option('--site', help="Where this is [this machine's name].")
@click.option(
    '--workdir', type=click.Path(path_type=Path), help='Where tasks get their folders [the temporary folder].'
)
@click.option('--until-empty', is_flag=True, help='End when every task that fits is finished.')
@click.option('--idle-seconds', type=_POSITIVE, help='End after so long without any work [never].')
@click.option('--poll-seconds', type=_POSITIVE, default=10.0, show_default=True, help='Longest wait between questions.')
@click.option('--lease-seconds', type=_POSITIVE, help="How long a claim holds [the service's default].")
@click.option('--pass-env', metavar='NAME', multiple=True, help='A variable tasks may see; repeatable.')
@click.option('--keep-workdirs', is_flag=True, help="Leave the tasks' folders behind.")
@click.option(
    '--log-level', type=click.Choice(['debug', 'info', 'warning', 'error']), default='info', show_default=True
)
def pilot(server: str, token: str, log_level: str, **given: Any) -> None:
    """Claim tasks that fit this machine, run them, and report.

    A task that uses more memory or disk than its slot offers is stopped. SIGTERM hands running tasks back.

    \b
    Example, four slots of two cores and 8 GB, until all is done:
      iceprod-tasks pilot --slots 4 --cpu 2 --memory 8 --until-empty
    """
    _talk(log_level)
    with plainly():
        asyncio.run(_fly(AsyncClient(server, token), _plan(token, **given)))


async def _fly(client: AsyncClient, plan: Plan) -> None:
    async with client:
        await Pilot(client, plan).run()


def _plan(
    token: str,
    *,
    slots: int,
    workdir: Path | None,
    pass_env: Sequence[str],
    until_empty: bool,
    idle_seconds: float | None,
    poll_seconds: float,
    lease_seconds: float | None,
    keep_workdirs: bool,
    **offered: Any,
) -> Plan:
    folder = _usable(workdir or Path(tempfile.gettempdir()))
    machine = this_machine(folder)
    offer = _offer(machine, slots, **offered)
    # Whatever lets it through, a variable that holds the token is no task's business.
    seen = {name: value for name, value in os.environ.items() if not token or token not in value}
    environment = clean_environment(seen, pass_env)
    return Plan(
        offer=offer,
        slots=tuple(_with_gpus(environment, gpu_share(machine, slot, offer.gpu)) for slot in range(slots)),
        name=f'{socket.gethostname()}/{os.getpid()}',
        workdir=folder,
        until_empty=until_empty,
        idle_seconds=idle_seconds,
        poll_seconds=poll_seconds,
        lease_seconds=lease_seconds,
        keep_workdirs=keep_workdirs,
    )


def _offer(machine: Machine, slots: int, **offered: Any) -> Offer:
    cpu, gpu = offered['cpu'], offered['gpu']
    if machine.gpus and slots * gpu > len(machine.gpus):
        raise click.UsageError(f'{slots} slots of {gpu} GPUs need more than the {len(machine.gpus)} there are')
    offer = Offer(
        cpu=cpu,
        gpu=gpu,
        memory_gb=offered['memory'] or default_memory_gb(machine, cpu),
        disk_gb=offered['disk'] or default_disk_gb(machine, slots),
        time_hours=offered['time'],
        os=offered['os'] or machine.os,
        site=offered['site'] or socket.gethostname(),
    )
    log.info('%d slots, each offering %s', slots, offer)
    if slots * cpu > machine.cpu or slots * offer.memory_gb > machine.memory_gb:
        log.warning('that is more than the machine has: %d cores, %.3g GB', machine.cpu, machine.memory_gb)
    return offer


def _with_gpus(environment: dict[str, str], gpus: str | None) -> dict[str, str]:
    return environment if gpus is None else {**environment, 'CUDA_VISIBLE_DEVICES': gpus}


def _usable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.resolve()
    except OSError as error:
        stop(f'cannot work in {folder}: {error.strerror}')


def _talk(log_level: str) -> None:
    """Everything goes to stderr; what the HTTP library says is for debugging only."""
    logging.basicConfig(level=log_level.upper(), format='%(asctime)s %(levelname)s %(message)s')
    if log_level != 'debug':
        logging.getLogger('httpx2').setLevel(logging.WARNING)
