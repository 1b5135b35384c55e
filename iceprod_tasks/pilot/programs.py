"""The programs by which a running task speaks of itself, and where the task finds them."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder

NAMES = ('iceprod-task-message', 'iceprod-task-progress')
SPOOL = 'ICEPROD_TASK_SPOOL'

_SOURCE = Path(__file__).parent / 'sh' / 'iceprod-task'


def with_programs(command: Command, folder: Folder) -> Command:
    """The same command, which finds the programs and the spool in which they leave what they are told.

    Args:
        command: runs on this machine, in a container or not. What has no PATH in a container has that of its image,
            which only the program that runs containers can add to.
        folder: of the attempt; the programs are put there.

    Raises:
        OSError: they cannot be put there.
    """
    for name in NAMES:
        # A copy each: what a task does to its own is seen by no other.
        number = os.open(folder.programs / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
        with os.fdopen(number, 'wb') as file:
            file.write(_source())
    environment = {**command.environment, SPOOL: str(folder.spool)}
    if 'PATH' in environment or not command.image:
        environment['PATH'] = f'{folder.programs}{os.pathsep}{environment.get("PATH", os.defpath)}'
    return replace(command, environment=environment)


@cache
def _source() -> bytes:
    return _SOURCE.read_bytes()
