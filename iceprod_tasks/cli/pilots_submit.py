"""`iceprod-tasks pilots submit`: keep pilots in a batch system."""

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from iceprod_tasks.batch import BatchSystem, Bounds, Condor, Job, Orders, Slurm, Supervisor
from iceprod_tasks.batch.job import SERVER_VARIABLE, TOKEN_VARIABLE
from iceprod_tasks.batch.place import Place, Taken, place, root_of
from iceprod_tasks.batch.supervisor import TROUBLES
from iceprod_tasks.cli.endings import plainly, stop
from iceprod_tasks.cli.options import service_options
from iceprod_tasks.client import AsyncClient

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0
_POSITIVE = click.FloatRange(min=0, min_open=True)
_PATH = click.Path(path_type=Path)


@click.command()
@service_options
@click.option('--slurm', is_flag=True, help='By Slurm: sbatch, squeue, scancel.')
@click.option('--condor', is_flag=True, help='By HTCondor: condor_submit, condor_q, condor_rm.')
@click.option('--max', 'most', type=click.IntRange(min=0), required=True, help='Pilots at the most.')
@click.option('--min', 'least', type=click.IntRange(min=0), default=0, show_default=True, help='Pilots at the least.')
@click.option('--site', required=True, help='Where the pilots are; tasks may ask for it.')
@click.option('--name', help='Of this supervisor; its pilots are found by it [the site].')
@click.option('--slots', type=click.IntRange(min=1), default=1, show_default=True, help='Tasks a pilot runs at once.')
@click.option('--cpu', type=click.IntRange(min=1), default=1, show_default=True, help='Cores a slot.')
@click.option('--memory', type=_POSITIVE, help='GB a slot [2 a core].')
@click.option('--disk', type=_POSITIVE, default=10.0, show_default=True, help='GB a slot.')
@click.option('--gpu', type=click.IntRange(min=0), default=0, show_default=True, help='GPUs a slot; GPU tasks only.')
@click.option('--time', type=_POSITIVE, help="Hours that a pilot may run [the batch system's default].")
@click.option('--os', help="The system's name, for example debian_12 [not looked at here].")
@click.option(
    '--idle-seconds', type=_POSITIVE, default=300.0, show_default=True, help='A pilot without work ends then.'
)
@click.option('--partition', help='Of Slurm.')
@click.option('--account', help='Whom Slurm charges, or the accounting group of HTCondor.')
@click.option('--sbatch-option', metavar='OPTION', multiple=True, help='Given to sbatch as it is; repeatable.')
@click.option('--condor-line', metavar='LINE', multiple=True, help='A line more in the submit file; repeatable.')
@click.option('--every', type=_POSITIVE, default=30.0, show_default=True, help='Seconds between two rounds.')
@click.option('--python', type=_PATH, help="The pilots' Python, which has this package [this one].")
@click.option('--pilot-command', metavar='COMMAND', help='What a pilot is started with, in place of Python.')
@click.option('--workdir', help='Where tasks get their folders [the temporary folder there].')
@click.option('--log-folder', type=_PATH, help='Where what pilots say is kept [nowhere].')
@click.option('--once', is_flag=True, help='Do one round, and end.')
@click.option('--dry-run', is_flag=True, help='Only say what one round would do.')
@click.option('--cancel-at-end', is_flag=True, help='Cancel all pilots when told to end.')
@click.option(
    '--log-level', type=click.Choice(['debug', 'info', 'warning', 'error']), default='info', show_default=True
)
def submit(server: str, token: str, log_level: str, **given: Any) -> None:
    """Keep as many pilots in a batch system as the queue has work for.

    It looks at what waits and would fit the pilots, and at those of its name that the batch system lists. It submits
    what is missing and cancels what is pending for nothing. Pilots that run end by themselves when they find no work.
    When it is told to end, its pilots stay, and it finds them when it is started again.

    \b
    Example, up to 20 pilots of four slots, with 8 GB each, in one partition:
      iceprod-tasks pilots submit --slurm --site here --max 20 --slots 4 --memory 8 --partition long
    """
    logging.basicConfig(level=log_level.upper(), format='%(asctime)s %(levelname)s %(message)s')
    if log_level != 'debug':
        logging.getLogger('httpx2').setLevel(logging.WARNING)
    with plainly():
        job = _job(**given)
        orders = _orders(job, **given)
        environment = {**os.environ, SERVER_VARIABLE: server, TOKEN_VARIABLE: token}
        with _place(job.name, environment, dry_run=given['dry_run']) as where:
            system = _system(job, environment, where, **given)
            client = AsyncClient(server, token, retry_seconds=_PATIENCE_SECONDS)
            asyncio.run(_supervise(client, system, orders, once=given['once'], dry_run=given['dry_run']))


async def _supervise(client: AsyncClient, system: BatchSystem, orders: Orders, *, once: bool, dry_run: bool) -> None:
    async with client:
        supervisor = Supervisor(client, system, orders)
        try:
            if dry_run:
                _, change = await supervisor.look()
                click.echo(f'submit {change.submit} pilots, cancel {change.cancel}')
                if change.submit:
                    click.echo(f'\n{system.shown(change.submit)}', nl=False)
            elif once:
                await supervisor.round()
            else:
                with _told_to_end() as told:
                    await supervisor.run(told)
        except TROUBLES as error:
            stop(str(error))


@contextlib.contextmanager
def _told_to_end() -> Iterator[asyncio.Event]:
    loop, told, numbers = asyncio.get_running_loop(), asyncio.Event(), (signal.SIGTERM, signal.SIGINT)

    def on_signal(number: signal.Signals) -> None:
        if told.is_set():
            log.warning('%s again: leaving at once', number.name)
            os._exit(128 + number)
        log.info('%s: ending once the command that is under way has ended', number.name)
        told.set()

    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield told
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _place(name: str, environment: Mapping[str, str], *, dry_run: bool) -> Iterator[Place]:
    folder = root_of(environment) / name
    if dry_run:
        # A supervisor may be at work, and nothing is written.
        yield Place(folder, -1)
        return
    try:
        with place(folder) as where:
            yield where
    except Taken as error:
        stop(str(error))
    except OSError as error:
        stop(f'cannot work in {folder}: {error.strerror}')


def _job(**given: Any) -> Job:
    if given['pilot_command'] and given['python']:
        raise click.UsageError('--python and --pilot-command are two ways to say the same')
    # Not from where it happens to be started.
    default = [str(given['python'] or sys.executable), '-P', '-m', 'iceprod_tasks.cli.main', 'pilot']
    log_folder = given['log_folder']
    if log_folder:
        log_folder.mkdir(parents=True, exist_ok=True)
    return Job(
        name=given['name'] or given['site'],
        site=given['site'],
        command=tuple(shlex.split(given['pilot_command']) if given['pilot_command'] else default),
        slots=given['slots'],
        cpu=given['cpu'],
        memory_gb=given['memory'] or 2.0 * given['cpu'],
        disk_gb=given['disk'],
        gpu=given['gpu'],
        time_hours=given['time'],
        os=given['os'],
        idle_seconds=given['idle_seconds'],
        workdir=given['workdir'] or '',
        log_folder=str(log_folder.resolve()) if log_folder else '',
    )


def _orders(job: Job, **given: Any) -> Orders:
    lives = [job.idle_seconds, 60.0, *([] if job.time_hours is None else [job.time_hours * 1800])]
    return Orders(
        bounds=Bounds(slots=job.slots, most=given['most'], least=given['least']),
        offer=job.offer(),
        every_seconds=given['every'],
        shortest_life_seconds=min(lives),
        cancel_at_end=given['cancel_at_end'],
    )


def _system(job: Job, environment: Mapping[str, str], where: Place, **given: Any) -> BatchSystem:
    if given['slurm'] == given['condor']:
        raise click.UsageError('say --slurm or --condor')
    if given['slurm']:
        _only('--slurm', {'--condor-line': given['condor_line']})
        named = {'--partition': given['partition'], '--account': given['account']}
        options = [f'{flag}={value}' for flag, value in named.items() if value]
        return Slurm(job, environment, options=[*options, *given['sbatch_option']], keep_open=where.lock)
    _only('--condor', {'--sbatch-option': given['sbatch_option'], '--partition': given['partition']})
    group = [f'accounting_group = {given["account"]}'] if given['account'] else []
    return Condor(job, environment, where, lines=[*group, *given['condor_line']])


def _only(flag: str, others: Mapping[str, str | Sequence[str] | None]) -> None:
    for other, value in others.items():
        if value:
            raise click.UsageError(f'{other} does not go with {flag}')
