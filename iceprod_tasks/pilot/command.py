"""From a claimed task and its dataset's config to the command to run."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.client import Claim, TaskDocument
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.images import kind_of_image
from iceprod_tasks.domain.placeholders import NAMES, expand_all
from iceprod_tasks.domain.work import Work

INHERITED = ('PATH', 'HOME', 'USER', 'LANG', 'TZ', 'CUDA_VISIBLE_DEVICES')

# An image has its own.
_OF_THIS_SYSTEM = frozenset({'PATH', 'HOME'})


class WrongConfig(Exception):
    """The config says nothing that could be run for this task."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a task runs.

    Args:
        argv: the program and its arguments.
        environment: everything in its environment but TMPDIR, which its working directory decides.
        timeout_seconds: it is stopped after this long; None is no limit.
        nodes: what the config says of the nodes that it shall run on; None for this machine.
        image: of the container that it shall run in; '' for none.
        carried: the work that the task brought with it; None where a config describes it.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    timeout_seconds: float | None
    nodes: object = None
    image: str = ''
    carried: Work | None = None


def runs_entry_point(command: Command) -> bool:
    """Whether the image of a command says what is run, and the command only with which arguments."""
    return command.carried is not None and command.carried.entry_point


def command_of(config: object, claim: Claim, environment: Mapping[str, str]) -> Command:
    """Read a task's command out of its dataset's config.

    Args:
        config: the config as the service gave it.
        claim: the claimed task.
        environment: what every task of this pilot finds in its environment.

    Raises:
        WrongConfig: the config, or the part of this task, cannot be used.
    """
    place, entry = _entry(config, claim.task)
    values = {name: value for name, value in claim.task.items() if name in NAMES}
    try:
        argv = _argv(expand_all(entry.get('command'), values))
        given = _environment(expand_all(entry.get('env'), values))
        timeout_seconds = _timeout_seconds(entry.get('timeout'))
        nodes = expand_all(entry.get('nodes'), values)
        image = _image(expand_all(entry.get('image'), values), nodes)
    except (InvalidRequest, WrongConfig) as error:
        raise WrongConfig(f'{place}: {error}') from error
    return Command(argv, in_environment(claim, environment, given, image=image), timeout_seconds, nodes, image)


def in_environment(
    claim: Claim, environment: Mapping[str, str], given: Mapping[str, str], *, image: str
) -> dict[str, str]:
    """All that a task finds in its environment.

    Args:
        claim: the claimed task.
        environment: what every task of this pilot finds there.
        given: what this one is to find.
        image: of its container; '' for none.
    """
    seen = {name: value for name, value in environment.items() if not image or name not in _OF_THIS_SYSTEM}
    return {**seen, **given, **_identity(claim)}


def clean_environment(environment: Mapping[str, str], passed: Iterable[str] = ()) -> dict[str, str]:
    """The few variables of the pilot that its tasks see; no secret of the pilot is among them.

    Args:
        environment: the pilot's own.
        passed: further names to let through.
    """
    wanted = {*INHERITED, *passed}
    kept = {name: value for name, value in environment.items() if name in wanted or name.startswith('LC_')}
    return {'PATH': os.defpath, **kept}


def _entry(config: object, task: TaskDocument) -> tuple[str, Mapping[str, Any]]:
    index = task.get('task_index')
    tasks = config.get('tasks') if isinstance(config, dict) else None
    if not isinstance(tasks, list):
        raise WrongConfig('the config has no tasks')
    if type(index) is not int or not 0 <= index < len(tasks):
        raise WrongConfig(f'the config has no tasks[{index}]')
    if not isinstance(tasks[index], dict):
        raise WrongConfig(f'tasks[{index}] is no object')
    return f'tasks[{index}]', tasks[index]


def _argv(command: object) -> tuple[str, ...]:
    if isinstance(command, str) and command.strip():
        return ('/bin/sh', '-c', command)
    if isinstance(command, list) and command and all(isinstance(word, str) for word in command):
        return tuple(command)
    raise WrongConfig('the command is neither a list of words nor a shell line')


def _environment(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or any(isinstance(value, dict | list | None) for value in given.values()):
        raise WrongConfig('env is no object of names and texts')
    return {str(name): str(value) for name, value in given.items()}


def _timeout_seconds(given: object) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise WrongConfig('timeout is no positive number of seconds')
    return float(given)


def _image(given: object, nodes: object) -> str:
    if given is None:
        return ''
    if not isinstance(given, str):
        raise WrongConfig('the image is no text')
    kind_of_image(given)
    if nodes is not None:
        raise WrongConfig('a command that goes to nodes has no image')
    return given


def _identity(claim: Claim) -> dict[str, str]:
    task = claim.task
    known = {
        'ICEPROD_TASK_ID': task.get('task_id'),
        'ICEPROD_DATASET_ID': task.get('dataset_id'),
        'ICEPROD_JOB_ID': task.get('job_id'),
        'ICEPROD_JOB_INDEX': task.get('job_index'),
        'ICEPROD_TASK_INDEX': task.get('task_index'),
        'ICEPROD_TASK_NAME': task.get('name'),
        'ICEPROD_TASK_FAILURES': task.get('failures', 0),
        'ICEPROD_TASK_EPOCH': claim.epoch,
    }
    return {name: str(value) for name, value in known.items() if value is not None}
