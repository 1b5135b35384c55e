"""Containers by podman: its argument list, how they ended, and what dead pilots have left."""

import contextlib
import json
import logging
import math
import os
import re
import resource
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from iceprod_tasks.domain.images import Kind
from iceprod_tasks.pilot.boxes import After, Box, NoContainers, Order, ask, gpus
from iceprod_tasks.pilot.cgroups import MEMORY_HEADROOM, MOST_PROCESSES
from iceprod_tasks.pilot.command import Command, WrongConfig, runs_entry_point
from iceprod_tasks.pilot.folder import Folder, end_of
from iceprod_tasks.pilot.limits import Limits
from iceprod_tasks.pilot.machine import BYTES_IN_GB
from iceprod_tasks.pilot.warden import KILLED

log = logging.getLogger(__name__)

_ENVIRONMENT = 'environment'
_LABEL = 'iceprod.pilot'
_LONGEST_LINE = 60_000
_TERMINATED = 128 + int(signal.SIGTERM)
_NO_COMMAND = re.compile(r'ERROR \(catatonit:\d+\): failed to exec pid1: [^\n]*\n?\Z')
_NEVER = '0001-01-01'
_PID_MAX = Path('/proc/sys/kernel/pid_max')
_BOOT_ID = Path('/proc/sys/kernel/random/boot_id')
# Without a process that passes signals on, the kernel keeps most of them from the first process of a container.
_INITS = ('catatonit', 'tini')
_INIT_FOLDERS = ('/usr/libexec/podman', '/usr/lib/podman', '/usr/local/libexec/podman')


class Podman:
    """Runs containers by podman.

    Args:
        program: its path.
        options: that stand before each of its commands.
        run_options: of `podman run`, behind ours.
        environment: of podman itself.
    """

    name = 'podman'
    kinds: frozenset[Kind] = frozenset({'docker', 'name'})

    def __init__(
        self, program: str, options: tuple[str, ...], run_options: tuple[str, ...], environment: Mapping[str, str]
    ) -> None:
        # What it fails with it says all the same; that a signal came too late is nothing for the stderr of a task.
        self._base = (program, '--log-level=fatal', *options)
        self._run_options = run_options
        self._environment = environment
        self._controllers: frozenset[str] | None = None
        self._runtime = ''
        self._adds_to_path = False
        self._brought: set[str] = set()

    async def look(self) -> None:
        """See which limits it can set here, and whether it is new enough to add to the PATH of an image."""
        if self._controllers is None:
            answer = await self.ask('info', '--format', '{{.Host.OCIRuntime.Path}}\n{{json .Host.CgroupControllers}}')
            self._runtime, _, controllers = answer.partition('\n')
            self._adds_to_path = '--env-merge' in await self.ask('run', '--help')
            self._controllers = frozenset(json.loads(controllers) or ())

    async def bring(self, image: str, seconds: float) -> None:
        """Pull an image that is not there, unless the site has a word of its own on that.

        Args:
            image: its name.
            seconds: for it to come.

        Raises:
            NoContainers: it did not.
        """
        if image in self._brought or any(option.startswith('--pull') for option in self._run_options):
            return
        name = image.removeprefix('docker://')
        try:
            await self.ask('image', 'exists', name)
        except NoContainers:
            try:
                await ask((*self._base, 'pull', '--quiet', image), self._environment, seconds)
            except NoContainers as error:
                raise NoContainers(f'the image {image} did not come: {error}') from error
        # One that is removed later is pulled when it is run.
        self._brought.add(image)

    def box(self, order: Order) -> 'PodmanBox':
        """A `podman run` of a command."""
        file = order.folder.path / _ENVIRONMENT
        argv = (*self._base, 'run', *self._options(order, file), *self._run_options)
        command = order.command
        if runs_entry_point(command):
            argv = (*argv, '--', command.image, *command.argv)
        else:
            # The image's own entry point would take the command for its arguments.
            argv = (*argv, '--entrypoint', json.dumps([command.argv[0]]), '--', command.image, *command.argv[1:])
        _write(file, _in_container(command.environment))
        return PodmanBox(self, replace(command, argv=argv, environment=self._environment, image=''), order)

    async def clear(self) -> None:
        """Remove the containers of pilots that are dead."""
        await self.look()
        listed = await self.ask('ps', '--all', '--filter', f'label={_LABEL}', '--format', 'json')
        for each in json.loads(listed or '[]'):
            if is_dead(each['Labels'].get(_LABEL, '')):
                log.info('removing container %s of a dead pilot', each['Names'], extra={'action': 'containers'})
                await self.remove(each['Id'], killed=True)

    async def remove(self, name: str, *, killed: bool = False) -> None:
        """Kill a container, and remove it; it need not exist.

        Args:
            name: its name or id.
            killed: whether podman's own processes may have been killed with it.
        """
        words = ('rm', '--force', '--time', '0', '--volumes', '--ignore', name)
        if killed:
            # Podman believes that it runs, cannot stop it, and only then sees what it is. The groups of processes of
            # such a container it would leave to nobody.
            with contextlib.suppress(NoContainers):
                number = (await self.ask('container', 'inspect', '--format', '{{.Id}}', name)).strip()
                await ask((self._runtime, 'delete', '--force', number), self._environment)
            with contextlib.suppress(NoContainers):
                await self.ask(*words)
        await self.ask(*words)

    async def ask(self, *words: str) -> str:
        """What one of its commands prints; NoContainers where it fails."""
        return await ask((*self._base, *words), self._environment)

    def _options(self, order: Order, environment: Path) -> Iterator[str]:
        yield from ('--name', order.name, '--label', f'{_LABEL}={own_label()}', '--log-driver', 'passthrough')
        yield from ('--env-file', str(environment), '--http-proxy=false', '--read-only')
        if not any(option.startswith('--net') for option in self._run_options):
            yield '--network=host'  # podman takes two for two networks
        yield from ('--security-opt', 'no-new-privileges', '--security-opt', 'label=disable')
        yield from ('--user', f'{os.geteuid()}:{os.getegid()}')
        if os.geteuid() != 0:
            # Files of anybody else could not be removed afterwards.
            yield '--userns=keep-id'
        yield from _mounts(order.folder)
        for volume in order.volumes:
            ro = 'true' if volume.read_only else 'false'
            yield from ('--mount', f'type=bind,src={volume.source},dst={volume.target},ro={ro}')
        if 'PATH' not in order.command.environment and self._adds_to_path:
            yield from ('--env-merge', f'PATH={order.folder.programs}:${{PATH}}')
        yield from ('--workdir', str(order.folder.work))
        if init := _init():
            yield from ('--init', '--init-path', init)
        yield from ('--ulimit', f'nofile={_own_limits(resource.RLIMIT_NOFILE, math.inf)}')
        # Podman lowers its own to the largest process id, and what it may not have itself it cannot give.
        yield from ('--ulimit', f'nproc={_own_limits(resource.RLIMIT_NPROC, int(_PID_MAX.read_text()))}')
        for gpu in gpus(order.command.environment):
            yield from ('--device', f'nvidia.com/gpu={gpu}')
        yield from self._limits(order.limits)

    def _limits(self, limits: Limits | None) -> Iterator[str]:
        controllers = self._controllers or frozenset()
        if 'pids' in controllers:
            yield from ('--pids-limit', str(MOST_PROCESSES))
        if limits is not None and 'memory' in controllers:
            memory = str(int(MEMORY_HEADROOM * limits.memory_gb * BYTES_IN_GB))
            yield from ('--memory', memory, '--memory-swap', memory)
        if limits is not None and limits.cpu is not None and 'cpu' in controllers:
            yield from ('--cpus', f'{limits.cpu:g}')


class PodmanBox(Box):
    """A command in a container of podman's."""

    def __init__(self, podman: Podman, command: Command, order: Order) -> None:
        super().__init__(command)
        self._podman = podman
        self._name = order.name
        self._folder = order.folder

    async def finish(self, exit_code: int) -> After:
        """Ask how it ended, and remove it."""
        (self._folder.path / _ENVIRONMENT).unlink(missing_ok=True)
        after, seen = await self._after(exit_code)
        try:
            await self._podman.remove(self._name, killed=exit_code == KILLED or not seen)
        except NoContainers as error:
            log.warning('%s: %s', self._name, error, extra={'action': 'containers'})
        return after

    async def _after(self, exit_code: int) -> tuple[After, bool]:
        """How it ended, and whether podman has seen that."""
        form = '{{json .State.StartedAt}} {{json .State.OOMKilled}} {{.State.Status}} {{.State.ExitCode}}'
        try:
            answer = await self._podman.ask('container', 'inspect', '--format', form, self._name)
        except NoContainers:  # there never was one
            return After(exit_code or _TERMINATED, started=False), True
        started, killed, status, kept = answer.split()
        seen = status in ('stopped', 'exited')
        if exit_code in (0, _TERMINATED):
            # Podman ends by a signal itself that comes too late to be passed on. One that comes while it starts the
            # container lets it end with 0, as if all were well.
            exit_code = int(kept) if seen and int(kept) >= 0 else _TERMINATED
        ran = not started.strip('"').startswith(_NEVER) and not (exit_code == 1 and self._init_failed())
        return After(exit_code, started=ran, out_of_memory=killed == 'true'), seen

    def _init_failed(self) -> bool:
        return _NO_COMMAND.search(end_of(self._folder.stderr)) is not None


def _mounts(folder: Folder) -> Iterator[str]:
    if set(str(folder.work)) & set(',"\n'):
        raise NoContainers(f'podman cannot mount the folder {folder.work}')
    for place in (folder.work, folder.tmp, folder.spool):
        yield from ('--mount', f'type=bind,src={place},dst={place}')
    yield from ('--mount', f'type=bind,src={folder.programs},dst={folder.programs},ro=true')


def own_label() -> str:
    """Who this process is, so that others can see whether it lives: host, boot, process namespace, number, start."""
    return '/'.join((*_surroundings(), str(os.getpid()), _start_of(os.getpid())))


def is_dead(label: str) -> bool:
    """Whether the process of a label is certainly dead; those of other machines are none of our business."""
    host, boot, namespace, pid, start = (label.split('/') + [''] * 5)[:5]
    here = _surroundings()
    if host != here[0] or not pid.isdigit():
        return False
    if boot != here[1]:
        return True
    return namespace == here[2] and _start_of(int(pid)) != start


def _surroundings() -> tuple[str, str, str]:
    namespace = Path('/proc/self/ns/pid').stat().st_ino
    return socket.gethostname().replace('/', '-'), _BOOT_ID.read_text().strip(), str(namespace)


def _start_of(pid: int) -> str:
    """When a process started, in ticks since the machine did; '' when there is none."""
    with contextlib.suppress(OSError):
        return Path(f'/proc/{pid}/stat').read_text(errors='replace').rpartition(')')[2].split()[19]
    return ''


def _own_limits(number: int, at_most: float) -> str:
    """A limit of this process, soft and hard: podman's own defaults are more than a user may have."""
    found = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(number))
    limits = (min(limit, at_most) for limit in found)
    return ':'.join('-1' if limit == math.inf else str(int(limit)) for limit in limits)


def _init() -> str | None:
    folders = os.pathsep.join((*_INIT_FOLDERS, os.defpath))
    return next(filter(None, (shutil.which(name, path=folders) for name in _INITS)), None)


def _in_container(environment: Mapping[str, str]) -> dict[str, str]:
    """The same, with GPUs counted as the container does, which sees only its own."""
    given = gpus(environment)
    if not given or not all(gpu.isdigit() for gpu in given):
        return dict(environment)
    return {**environment, 'CUDA_VISIBLE_DEVICES': ','.join(map(str, range(len(given))))}


def _write(file: Path, environment: Mapping[str, str]) -> None:
    """Not on a command line, where everybody on the machine could read it."""
    lines = []
    for name, value in environment.items():
        if set(value) & set('\r\n\0') or len(name.encode()) + len(value.encode()) > _LONGEST_LINE:
            raise WrongConfig(f'env {name} is too long or has line breaks, and podman cannot pass it on')
        lines.append(f'{name}={value}\n')
    file.touch(mode=0o600)
    file.write_text(''.join(lines), encoding='utf-8')
