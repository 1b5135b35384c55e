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
from iceprod_tasks.pilot import BlackHole, Pilot, Plan
from iceprod_tasks.pilot.cgroups import delegated
from iceprod_tasks.pilot.command import clean_environment
from iceprod_tasks.pilot.containers import ContainerRules, Containers
from iceprod_tasks.pilot.files import FileRules
from iceprod_tasks.pilot.machine import Machine, this_machine
from iceprod_tasks.pilot.nodes import node_rules
from iceprod_tasks.pilot.offer import Offer, default_disk_gb, default_memory_gb, gpu_share

log = logging.getLogger(__name__)

_POSITIVE = click.FloatRange(min=0, min_open=True)
_LONGEST_TAG = 128


def _tag_words(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for tag in given:
        if not 0 < len(tag) <= _LONGEST_TAG or not tag.isprintable():
            raise click.BadParameter(f'a tag has 1 to {_LONGEST_TAG} printable characters: {tag!r}')
    return given


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
    '--tag', 'tags', metavar='WORD', multiple=True, callback=_tag_words,
    help='A word by which tasks choose this pilot, beside its site and its machine; repeatable.',
)  # fmt: skip
@click.option(
    '--workdir', type=click.Path(path_type=Path), help='Where tasks get their folders [the temporary folder].'
)
@click.option('--until-empty', is_flag=True, help='End when every task that fits is finished.')
@click.option('--idle-seconds', type=_POSITIVE, help='End after so long without any work [never].')
@click.option('--poll-seconds', type=_POSITIVE, default=10.0, show_default=True, help='Longest wait between questions.')
@click.option('--lease-seconds', type=_POSITIVE, help="How long a claim holds [the service's default].")
@click.option('--pass-env', metavar='NAME', multiple=True, help='A variable tasks may see; repeatable.')
@click.option(
    '--grace', 'grace_seconds', type=_POSITIVE, default=5.0, show_default=True, help='Seconds a command has to end.'
)
@click.option(
    '--file-root',
    'file_roots',
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help='file: names may lead below this folder; repeatable.',
)
@click.option('--file-base', metavar='URL', default='', help='What stands before names of files that are no URL.')
@click.option('--file-limit', type=_POSITIVE, metavar='GB', default=100.0, show_default=True, help='The largest file.')
@click.option('--container-runtime', metavar='PROGRAM', help='Run containers by this [the first of apptainer, podman].')
@click.option('--container-option', metavar='TEXT', multiple=True, help='Of that program; repeatable.')
@click.option('--container-run-option', metavar='TEXT', multiple=True, help='Of its run or exec; repeatable.')
@click.option(
    '--container-images',
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help='Images that are paths may be below this folder; repeatable.',
)
@click.option(
    '--allow-volume',
    'container_volumes',
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help='Containers may see what is below this folder; repeatable.',
)
@click.option('--allow-nodes', metavar='NODESET', multiple=True, help='Nodes that tasks may go to by ssh; repeatable.')
@click.option('--ssh-options', metavar='TEXT', default='', help='Further options of ssh.')
@click.option(
    '--black-hole',
    'black_hole_failures',
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help='End after so many quick failures in a row; 0 for never.',
)
@click.option('--metrics-port', type=click.IntRange(0, 65535), help='Serve Prometheus metrics on 127.0.0.1.')
@click.option('--keep-workdirs', is_flag=True, help="Leave the tasks' folders behind.")
@click.option(
    '--log-level', type=click.Choice(['debug', 'info', 'warning', 'error']), default='info', show_default=True
)
def pilot(server: str, token: str, log_level: str, **given: Any) -> None:
    """Claim tasks that fit this machine, run them, and report.

    A task that uses more than it requires is ended, and asks for more at its next try. SIGTERM hands running tasks
    back. A pilot on which one task after the other fails at once ends itself, with exit code 1.

    \b
    Example, four slots of two cores and 8 GB, until all is done:
      iceprod-tasks pilot --slots 4 --cpu 2 --memory 8 --until-empty
    """
    _talk(log_level)
    with plainly():
        asyncio.run(_fly(AsyncClient(server, token), _plan(token, **given)))


async def _fly(client: AsyncClient, plan: Plan) -> None:
    async with client:
        try:
            await Pilot(client, plan).run()
        except BlackHole as error:
            stop(f'this pilot has drained itself: {error}')
        except OSError as error:
            stop(f'the metrics cannot be served: {error}')


_AS_GIVEN = (
    'until_empty', 'idle_seconds', 'poll_seconds', 'lease_seconds', 'keep_workdirs', 'grace_seconds',
    'black_hole_failures', 'metrics_port',
)  # fmt: skip
"""What the plan has as it was typed."""


def _plan(token: str, *, slots: int, workdir: Path | None, pass_env: Sequence[str], **given: Any) -> Plan:
    folder = _usable(workdir or Path(tempfile.gettempdir()))
    machine = this_machine(folder)
    containers = ContainerRules(
        given['container_runtime'],
        *(tuple(given[f'container_{name}']) for name in ('option', 'run_option', 'images', 'volumes')),
    )
    offer = _offer(machine, slots, container=bool(Containers(containers).names), **given)
    # Whatever lets it through, a variable that holds the token is no task's business.
    seen = {name: value for name, value in os.environ.items() if not token or token not in value}
    environment = clean_environment(seen, pass_env)
    return Plan(
        offer=offer,
        slots=tuple(_with_gpus(environment, gpu_share(machine, slot, offer.gpu)) for slot in range(slots)),
        name=f'{socket.gethostname()}/{os.getpid()}',
        workdir=folder,
        host=socket.gethostname(),
        containers=containers,
        groups=delegated(),
        files=_file_rules(given['file_roots'], given['file_base'], min(given['file_limit'], offer.disk_gb)),
        nodes=node_rules(os.environ, given['allow_nodes'], given['ssh_options']),
        **{name: given[name] for name in _AS_GIVEN},
    )


def _offer(machine: Machine, slots: int, **offered: Any) -> Offer:
    cpu, gpu, site = offered['cpu'], offered['gpu'], offered['site'] or socket.gethostname()
    if machine.gpus and slots * gpu > len(machine.gpus):
        raise click.UsageError(f'{slots} slots of {gpu} GPUs need more than the {len(machine.gpus)} there are')
    offer = Offer(
        cpu=cpu,
        gpu=gpu,
        memory_gb=offered['memory'] or default_memory_gb(machine, cpu),
        disk_gb=offered['disk'] or default_disk_gb(machine, slots),
        time_hours=offered['time'],
        os=offered['os'] or machine.os,
        site=site,
        container=offered['container'],
        tags=tuple(sorted({site, socket.gethostname(), *offered['tags']})),
    )
    log.info('%d slots, each offering %s', slots, offer)
    if slots * cpu > machine.cpu or slots * offer.memory_gb > machine.memory_gb:
        log.warning('that is more than the machine has: %d cores, %.3g GB', machine.cpu, machine.memory_gb)
    return offer


def _file_rules(roots: Sequence[Path], base: str, limit_gb: float) -> FileRules:
    try:
        return FileRules(file_roots=tuple(roots), base=base, limit_gb=limit_gb)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


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
