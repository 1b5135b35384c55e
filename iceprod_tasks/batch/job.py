"""What is brought into the batch system: a pilot, what it offers, and what it may be called."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from iceprod_tasks.domain.requirements import Requirements

SERVER_VARIABLE, TOKEN_VARIABLE = 'ICEPROD_TASKS_SERVER', 'ICEPROD_TASKS_TOKEN'

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,63}')
_UNPRINTABLE = re.compile(r'[\x00-\x1f\x7f]')
_UNSAFE_IN_PATHS = re.compile(r'[^\w./+@=:~ -]')
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Job:
    """A pilot in a batch system.

    Args:
        name: of the supervisor, by which its pilots are found; the same for no other one of this user.
        site: where the pilots are.
        command: what a pilot is started with, before its options.
        slots: tasks that it runs at once.
        cpu: cores a slot.
        memory_gb: memory a slot, in units of 10⁹ bytes.
        disk_gb: disk a slot, likewise.
        gpu: GPUs a slot.
        time_hours: after that the batch system ends it; None for whatever the batch system says.
        os: the system's name; None for whatever is found there.
        idle_seconds: for how long it looks for work in vain.
        workdir: where its tasks get their folders; '' for the temporary folder there.
        log_folder: where what it says is kept; '' throws it away.

    Raises:
        ValueError: a name or path has something in it that a batch system may take for something else.
    """

    name: str
    site: str
    command: tuple[str, ...]
    slots: int = 1
    cpu: int = 1
    memory_gb: float = 2.0
    disk_gb: float = 10.0
    gpu: int = 0
    time_hours: float | None = None
    os: str | None = None
    idle_seconds: float = 300.0
    workdir: str = ''
    log_folder: str = ''

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f'a name has up to 64 letters, digits, ".", "_" and "-", unlike {self.name!r}')
        for word in (*self.command, self.site, self.os or '', self.workdir):
            if _UNPRINTABLE.search(word):
                raise ValueError(f'{word!r} has a character that cannot be printed')
        checked_path(self.log_folder)
        if not self.command or not self.site:
            raise ValueError('a pilot needs a command and a site')

    @property
    def batch_name(self) -> str:
        """How all of its pilots are called in the batch system."""
        return f'iceprod-{self.name}'

    @property
    def cores(self) -> int:
        """Of a whole pilot."""
        return self.slots * self.cpu

    @property
    def memory_mib(self) -> int:
        """Of a whole pilot, as batch systems count it."""
        return math.ceil(self.slots * self.memory_gb * 1e9 / _MIB)

    @property
    def minutes(self) -> int | None:
        """After which the batch system ends it."""
        return None if self.time_hours is None else max(1, math.ceil(self.time_hours * 60))

    def offer(self) -> Requirements:
        """What each slot will offer, as far as it is known before it runs."""
        known = {'time': self.time_hours, 'os': self.os}
        return {
            'cpu': self.cpu, 'gpu': self.gpu, 'memory': self.memory_gb, 'disk': self.disk_gb, 'site': self.site,
            'work': True, 'tagged': [self.site], **{key: value for key, value in known.items() if value is not None},
        }  # fmt: skip

    def argv(self) -> list[str]:
        """The pilot's command."""
        given: Mapping[str, object] = {
            '--slots': self.slots, '--cpu': self.cpu, '--memory': self.memory_gb, '--disk': self.disk_gb,
            '--gpu': self.gpu, '--time': self.time_hours, '--os': self.os, '--site': self.site,
            '--idle-seconds': self.idle_seconds, '--workdir': self.workdir or None,
        }  # fmt: skip
        # In one word, so that nothing that begins with a dash is taken for an option.
        return [*self.command, *(f'{flag}={value}' for flag, value in given.items() if value is not None)]

    def script(self, *before: str) -> str:
        """The text of a script that becomes a pilot, so that signals to the script are heard by it.

        Args:
            before: lines of shell that come first.
        """
        return '\n'.join(['#!/bin/sh', *before, f'exec {shlex.join(self.argv())}', ''])


def checked_path(path: str) -> str:
    """A path that means itself to every batch system.

    Raises:
        ValueError: it has a character that may be taken for something else.
    """
    if found := _UNSAFE_IN_PATHS.search(path):
        raise ValueError(f'the path {path!r} has {found[0]!r} in it, which a batch system may take for something else')
    return path
