"""What stands between a command and the program that runs it in a container."""

import asyncio
import contextlib
import os
import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iceprod_tasks.domain.work import Volume
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.limits import Limits

ASK_SECONDS = 60.0

_GPU = re.compile(r'\d+|(?:GPU|MIG)-[0-9A-Za-z/-]+')


class NoContainers(Exception):
    """This machine cannot run the image of a task, which says nothing about other machines."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to run in a container.

    Args:
        command: the command, its image, and all that its environment has.
        folder: of the attempt.
        name: of the container, like no other.
        limits: what the attempt may use; None for nothing but the pilot's own watching.
        volumes: what it sees of the machine, allowed and by their real paths.
    """

    command: Command
    folder: Folder
    name: str
    limits: Limits | None
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True)
class After:
    """What a container tells when it is over.

    Args:
        exit_code: of the command, 128 + its number for a signal; of the program that should have started it, if it
            never did.
        started: whether the command itself ever ran.
        out_of_memory: whether the kernel killed it for the container's limit of memory.
    """

    exit_code: int
    started: bool = True
    out_of_memory: bool = False


class Box(ABC):
    """A command in a container.

    Args:
        command: what to run in place of the task's own: it runs that one in a container.
    """

    def __init__(self, command: Command) -> None:
        self.command = command

    @abstractmethod
    async def finish(self, exit_code: int) -> After:
        """End what is left of the container, and remove it.

        Call it however the command has ended, and also when it was never started.

        Args:
            exit_code: of the command in place of the task's own.
        """


def gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that a command may use: the numbers and names in its CUDA_VISIBLE_DEVICES."""
    words = (word.strip() for word in environment.get('CUDA_VISIBLE_DEVICES', '').split(','))
    return tuple(word for word in words if _GPU.fullmatch(word))


async def ask(argv: Sequence[str], environment: Mapping[str, str], seconds: float = ASK_SECONDS) -> str:
    """What a program prints.

    Args:
        argv: the program and its arguments.
        environment: all that it sees.
        seconds: it is killed after so long.

    Raises:
        NoContainers: it failed, with its last words.
    """
    words = ' '.join(argv[:1])
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise NoContainers(f'{words} cannot be started: {error.strerror}') from error
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise NoContainers(f'{words} has not answered for {seconds:g} s') from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        last = err.decode(errors='replace').strip().rpartition('\n')[2]
        raise NoContainers(f'{words} does not work here: {last or f"exit code {process.returncode}"}')
    return out.decode(errors='replace')
