"""Tasks that carry their work with them: the command of one, and its files."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from iceprod_tasks.client import Claim
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.placeholders import NAMES, expand_all
from iceprod_tasks.domain.work import checked
from iceprod_tasks.pilot.command import Command, WrongConfig, in_environment


def carries_work(claim: Claim) -> bool:
    """Whether a task has a command of its own, so that its dataset's config says nothing of it."""
    return claim.task.get('work') is not None


def command_of_work(claim: Claim, environment: Mapping[str, str], host: str) -> Command:
    """The command that a task carries with it.

    Args:
        claim: the claimed task.
        environment: what every task of this pilot finds in its environment.
        host: the machine's name, for variables that ask for it.

    Raises:
        WrongConfig: it cannot be used.
    """
    try:
        work = checked(claim.task.get('work'))
        values = {name: value for name, value in claim.task.items() if name in NAMES}
        given = expand_all(dict(work.env), {**values, 'host': host})
    except InvalidRequest as error:
        raise WrongConfig(str(error)) from error
    return Command(
        work.command,
        in_environment(claim, environment, given, image=work.image),
        work.timeout_seconds,
        image=work.image,
        carried=work,
    )


def put_files(command: Command, folder: Path) -> None:
    """Write the files that a task carries into its directory, for nobody else to read.

    Args:
        command: the command; most carry none.
        folder: fresh and the task's own.

    Raises:
        WrongConfig: no machine could have such a name.
        OSError: this machine cannot have them.
    """
    for file in command.carried.files if command.carried is not None else ():
        place = folder / file.name
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise WrongConfig(f'the name of the file {file.name[:100]}... is too long') from error
            raise
        with os.fdopen(number, 'wb') as stream:
            stream.write(file.data)
