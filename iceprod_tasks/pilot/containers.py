"""Commands in containers: which program of this machine runs a task's image, and what it may."""

import logging
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.images import Kind, kind_of_image
from iceprod_tasks.domain.work import Volume
from iceprod_tasks.pilot.apptainer import Apptainer
from iceprod_tasks.pilot.boxes import After, Box, NoContainers, Order
from iceprod_tasks.pilot.command import Command, WrongConfig
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.limits import Limits
from iceprod_tasks.pilot.podman import Podman
from iceprod_tasks.pilot.volumes import allowed

__all__ = ['After', 'Box', 'ContainerRules', 'Containers', 'NoContainers']

log = logging.getLogger(__name__)

PULL_SECONDS = 900.0
"""For an image to come, unless the task says otherwise."""

_PROGRAMS = ('apptainer', 'singularity', 'podman')
_CLIENT_SEES = re.compile(
    r'PATH|HOME|USER|LOGNAME|XDG_[A-Z_]+|DBUS_SESSION_BUS_ADDRESS|REGISTRY_AUTH_FILE|DOCKER_CONFIG|'
    r'(CONTAINERS|STORAGE|APPTAINER|SINGULARITY)_[A-Z0-9_]+|(https?|no)_proxy|(HTTPS?|NO)_PROXY'
)


class Program(Protocol):
    """What runs containers."""

    name: str
    kinds: frozenset[Kind]

    async def look(self) -> None:
        """See whether it works here, once. Raises NoContainers where it does not."""

    async def bring(self, image: str, seconds: float) -> None:
        """Have an image there, if that can be done before it runs. Raises NoContainers where it does not come."""

    def box(self, order: Order) -> Box:
        """A command that runs another one in a container."""

    async def clear(self) -> None:
        """Remove what pilots have left that are dead."""


@dataclass(frozen=True, slots=True)
class ContainerRules:
    """What a site says about containers.

    Args:
        runtime: a program, named like or linked to apptainer, singularity or podman; the first on PATH when None.
        options: of the program, before its `exec` or `run`; whatever else it is asked has them too.
        run_options: of its `exec` or `run`; they stand behind the pilot's own.
        image_roots: folders below which an image that is a path must be.
        volume_roots: folders below which all must be that containers see of the machine.
    """

    runtime: str | None = None
    options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    image_roots: tuple[Path, ...] = ()
    volume_roots: tuple[Path, ...] = ()


class Containers:
    """What runs containers on this machine.

    Args:
        rules: of the site.
        environment: the pilot's own.
    """

    def __init__(self, rules: ContainerRules, environment: Mapping[str, str] = os.environ) -> None:
        self._rules = rules
        # Not the command's: a variable of a task must not change what the program itself does, outside the container.
        self._environment = {name: value for name, value in environment.items() if _CLIENT_SEES.fullmatch(name)}
        self._programs = self._found()
        self._cleared = False

    @property
    def names(self) -> tuple[str, ...]:
        """The programs there are, first the one that is preferred."""
        return tuple(program.name for program in self._programs)

    async def bring(self, command: Command) -> None:
        """Have the image of a command there, so that a command which runs is one that has begun.

        Args:
            command: with an image, from a task that carries its work.

        Raises:
            NoContainers: nothing on this machine runs that image, or it does not come in time.
            WrongConfig: no pilot can run it.
        """
        kind = self._kind(command)
        program = self._program_for(kind, command.image)
        own = command.carried.pull_timeout_seconds if command.carried is not None else None
        if kind != 'path':
            await program.bring(command.image, own or PULL_SECONDS)

    async def box(self, command: Command, folder: Folder, name: str, limits: Limits | None = None) -> Box:
        """Put a command into the container of its image.

        Args:
            command: with an image.
            folder: of the attempt; its `work` and `tmp` are all that the container can write to that stays.
            name: of the attempt, for people who list containers.
            limits: what the attempt may use.

        Raises:
            NoContainers: nothing on this machine runs that image.
            WrongConfig: no pilot can run it.
        """
        kind = self._kind(command)
        program = self._program_for(kind, command.image)
        image = self._place(command.image) if kind == 'path' else command.image
        volumes = self._volumes(command, folder)
        await program.look()
        if not self._cleared:
            # What a pilot that was killed has left would stay for ever.
            self._cleared = True
            await self.clear()
        unique = f'iceprod-{re.sub("[^A-Za-z0-9_.-]", "-", name)[:100]}-{uuid.uuid4().hex[:12]}'
        environment = {'HOME': str(folder.work), **command.environment, 'TMPDIR': str(folder.tmp)}
        command = replace(command, image=image, environment=environment)
        return program.box(Order(command, folder, unique, limits, volumes))

    async def clear(self) -> None:
        """Remove what pilots of this user have left in the storage of this machine when they were killed.

        What cannot be removed gets a line in the log.
        """
        for program in self._programs:
            try:
                await program.clear()
            except NoContainers as error:
                log.warning('%s', error, extra={'action': 'containers'})

    def _found(self) -> list[Program]:
        path = self._environment.get('PATH', os.defpath)
        programs: list[Program] = []
        for named in _PROGRAMS if self._rules.runtime is None else (self._rules.runtime,):
            if (place := shutil.which(named, path=path)) is not None:
                kind = Podman if 'podman' in Path(named).name else Apptainer
                programs.append(kind(place, self._rules.options, self._rules.run_options, self._environment))
        return programs

    def _program_for(self, kind: Kind, image: str) -> Program:
        if not self._programs:
            wanted = self._rules.runtime
            why = f'there is no {wanted} here' if wanted else 'neither apptainer nor podman is here'
            raise NoContainers(f'this pilot runs no containers: {why}')
        for program in self._programs:
            if kind in program.kinds:
                return program
        raise NoContainers(f'this pilot has only {" and ".join(self.names)}, which cannot run the image {image}')

    def _kind(self, command: Command) -> Kind:
        try:
            return kind_of_image(command.image)
        except InvalidRequest as error:
            raise WrongConfig(str(error)) from error

    def _volumes(self, command: Command, folder: Folder) -> tuple[Volume, ...]:
        """What the container sees beside its own: folders that the site allows, and files that came with the task."""
        if command.carried is None:
            return ()
        placed = [file for file in command.carried.files if file.target]
        files = [Volume(str(folder.work / file.name), file.target, read_only=True) for file in placed]
        return (*allowed(command.carried.volumes, self._rules.volume_roots), *files)

    def _place(self, image: str) -> str:
        """The path of an image, below a root that the site allows."""
        if not self._rules.image_roots:
            raise NoContainers('this pilot runs no images from paths: the site allows no folder of them')
        real = Path(image).resolve()
        if not any(real.is_relative_to(root.resolve()) for root in self._rules.image_roots):
            roots = ', '.join(map(str, self._rules.image_roots))
            raise NoContainers(f'the image {image} is not below {roots}, where this site allows images')
        if not real.exists():
            raise NoContainers(f'there is no image {image} here')
        return str(real)
