"""Containers by apptainer, or by singularity, which it comes from."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil

from iceprod_tasks.domain.images import Kind
from iceprod_tasks.pilot.boxes import After, Box, NoContainers, Order, ask, gpus
from iceprod_tasks.pilot.command import Command, runs_entry_point
from iceprod_tasks.pilot.warden import KILLED


class Apptainer:
    """Runs containers by apptainer. They are processes like others, and nothing of them is left.

    Args:
        program: its path.
        options: that stand before its `exec`.
        run_options: of its `exec`, behind ours.
        environment: of apptainer itself.
    """

    name = 'apptainer'
    kinds: frozenset[Kind] = frozenset({'docker', 'oras', 'library', 'path'})

    def __init__(
        self, program: str, options: tuple[str, ...], run_options: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        self._base = (program, *options)
        self._run_options = run_options
        self._environment = environment
        self._prefix = ''
        self._has_no_eval = False

    async def look(self) -> None:
        """See which of the two it is, and how old."""
        if not self._prefix:
            version = await ask((self._base[0], '--version'), self._environment)
            self._has_no_eval = '--no-eval' in await ask((self._base[0], 'exec', '--help'), self._environment)
            self._prefix = 'APPTAINERENV_' if 'apptainer' in version else 'SINGULARITYENV_'

    async def bring(self, image: str, seconds: float) -> None:
        """Nothing: apptainer keeps images by what is in them, and fetches what it lacks when it runs them."""

    def box(self, order: Order) -> 'ApptainerBox':
        """An `apptainer exec` of a command, or a `run` of the image's own."""
        command = order.command
        verb = 'run' if runs_entry_point(command) else 'exec'
        argv = (*self._base, verb, *self._options(order), *self._run_options, command.image, *command.argv)
        # It passes on what has its prefix, and on no command line.
        passed = {f'{self._prefix}{name}': value for name, value in command.environment.items() if name != 'HOME'}
        if 'PATH' not in command.environment:
            passed[f'{self._prefix}PREPEND_PATH'] = str(order.folder.programs)
        return ApptainerBox(replace(command, argv=argv, environment={**self._environment, **passed}, image=''), order)

    async def clear(self) -> None:
        """Nothing: what dies leaves nothing behind."""

    def _options(self, order: Order) -> Iterator[str]:
        work, tmp = str(order.folder.work), str(order.folder.tmp)
        if set(work) & set(',:'):
            raise NoContainers(f'apptainer cannot mount the folder {work}')
        # No files, processes or variables of the machine but those that are named. Root has no more rights than others.
        yield from ('--containall', '--no-privs', '--pwd', work, '--home', work, '--bind', work, '--bind', tmp)
        programs = order.folder.programs
        yield from ('--bind', str(order.folder.spool), '--bind', f'{programs}:{programs}:ro')
        for volume in order.volumes:
            yield from ('--bind', f'{volume.source}:{volume.target}:{"ro" if volume.read_only else "rw"}')
        if self._has_no_eval:
            # Else a `$(...)` in a variable would be run.
            yield '--no-eval'
        if gpus(order.command.environment):
            yield '--nv'


class ApptainerBox(Box):
    """A command in a container of apptainer's."""

    def __init__(self, command: Command, order: Order) -> None:
        super().__init__(command)
        self._mark = f'TMPDIR={order.folder.tmp}\0'

    async def finish(self, exit_code: int) -> After:
        """Kill what has outlived its warden; nothing tells failures of apptainer from those of the command."""
        if exit_code == KILLED:
            await asyncio.to_thread(self._kill_what_is_left)
        return After(exit_code)

    def _kill_what_is_left(self) -> None:
        # A warden that is killed takes the command along, but apptainer does not let its processes be taken.
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if self._mark in Path(f'/proc/{process.pid}/environ').read_text(errors='replace'):
                    process.kill()
