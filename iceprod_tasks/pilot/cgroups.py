"""Groups of processes with limits that the kernel keeps: cgroup v2, where a part of the tree was given to us."""

import contextlib
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from iceprod_tasks.pilot.machine import BYTES_IN_GB

log = logging.getLogger(__name__)

MEMORY_HEADROOM = 1.1
"""So much more than its limit a group gets from the kernel: the pilot sees it first, and says what was used."""
MOST_PROCESSES = 4096

_CONTROLLERS = ('memory', 'pids', 'cpu')
_CPU_PERIOD = 100_000
_KILL_SECONDS = 5.0
_DELEGATED = ('user.delegate', 'trusted.delegate')
"""What systemd writes on a group whose inside it leaves to others."""


def oom_kills(counters: Path = Path('/proc/vmstat')) -> int:
    """How many processes of this machine the kernel has killed so far for want of memory, by whichever limit.

    Args:
        counters: of the kernel; where it does not say, the number is 0.
    """
    with contextlib.suppress(OSError):
        for name, number in (line.split() for line in counters.read_text().splitlines()):
            if name == 'oom_kill':
                return int(number)
    return 0


def delegated(process: Path = Path('/proc/self'), mounts: Path = Path('/proc/self/mounts')) -> Path | None:
    """Our own group, made ready to have groups of attempts in it; None where it was not given to us.

    A group with limits inside has no processes of its own. So all that are in ours, such as the script that started the
    pilot, go to a group `pilot` in it.

    Args:
        process: the folder of this process in `/proc`.
        mounts: the table of mounts.
    """
    try:
        ours = _own_group(process, mounts)
        if ours is None or not _is_ours(ours) or not _has_memory(ours / 'cgroup.controllers'):
            return None
        _empty(ours, ours / 'pilot')
        for name in _CONTROLLERS:  # each by itself: one that is not there keeps out no other
            _write(ours / 'cgroup.subtree_control', f'+{name}')
        if _has_memory(ours / 'cgroup.subtree_control'):
            return ours
    except OSError as error:
        log.debug('no groups of processes: %s', error)
    return None


@dataclass(frozen=True, slots=True)
class Group:
    """The group of one attempt.

    Args:
        path: its folder.
    """

    path: Path

    @classmethod
    def make(cls, parent: Path | None, name: str) -> Self | None:
        """A new group; None where there cannot be one.

        Args:
            parent: a group that was given to us, and was made ready; None for none.
            name: like no other in it.
        """
        if parent is None:
            return None
        try:
            (path := parent / name).mkdir()
        except OSError as error:
            log.warning('no group of processes: %s', error, extra={'action': 'cgroups'})
            return None
        return cls(path)

    @property
    def joined_by(self) -> Path:
        """The file that takes the numbers of processes; 0 is whoever writes it."""
        return self.path / 'cgroup.procs'

    def add(self, pid: int) -> bool:
        """Put a process into it, and with that all that it starts from now on; whether that was possible."""
        return self._write('cgroup.procs', str(pid))

    def limit(
        self, memory_gb: float | None = None, cpu: float | None = None, pids: int | None = MOST_PROCESSES
    ) -> None:
        """Have the kernel keep limits, as far as it can.

        Args:
            memory_gb: memory without swap, in units of 10⁹ bytes; there is a little room above.
            cpu: cores; who wants more is slowed down.
            pids: processes and threads.
        """
        if memory_gb is not None:
            self._write('memory.max', str(int(MEMORY_HEADROOM * memory_gb * BYTES_IN_GB)))
            self._write('memory.swap.max', '0')
            # A half of a task is of no use.
            self._write('memory.oom.group', '1')
        if cpu is not None:
            self._write('cpu.max', f'{int(cpu * _CPU_PERIOD)} {_CPU_PERIOD}')
        if pids is not None:
            self._write('pids.max', str(pids))

    def peak_bytes(self) -> int:
        """The most memory that it ever had, page cache included; 0 when the kernel does not say."""
        return self._number('memory.peak') or self._number('memory.current')

    def cpu_seconds(self) -> float:
        """What all that ever were in it have used."""
        return self._counts('cpu.stat').get('usage_usec', 0) / 1e6

    def was_oom_killed(self) -> bool:
        """Whether the kernel has killed a process of it for its limit of memory."""
        return self._counts('memory.events').get('oom_kill', 0) > 0

    def pids(self) -> list[int]:
        """The processes in it, those of groups below left out."""
        return [int(word) for word in self._text('cgroup.procs').split()]

    def kill(self) -> None:
        """Kill all that is in it, at once and without a chance to start anything."""
        if not self._write('cgroup.kill', '1'):  # Linux before 5.14
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, 9)

    def remove(self, seconds: float = _KILL_SECONDS) -> bool:
        """Kill what is left in it, and remove it, with the groups that were made in it; whether it is gone.

        Args:
            seconds: so long it is waited for processes that are dying.
        """
        self.kill()
        deadline = time.monotonic() + seconds
        while not _removed(self.path):
            if time.monotonic() >= deadline:
                log.warning('the group %s cannot be removed', self.path, extra={'action': 'cgroups'})
                return False
            time.sleep(0.01)
        return True

    def _write(self, name: str, text: str) -> bool:
        return _write(self.path / name, text)

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except OSError:
            return ''

    def _number(self, name: str) -> int:
        text = self._text(name).strip()
        return int(text) if text.isdigit() else 0

    def _counts(self, name: str) -> dict[str, int]:
        words = (line.split() for line in self._text(name).splitlines())
        return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}


def _write(file: Path, text: str) -> bool:
    """Write to a file of the kernel's, which is not made where it is not there; whether that was possible."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY), 'w') as opened:
            opened.write(text)
    except OSError as error:
        log.debug('%s: %s', file, error)
        return False
    return True


def _own_group(process: Path, mounts: Path) -> Path | None:
    """The folder of our group in the tree of cgroup v2."""
    paths = (line.split(':', 2) for line in (process / 'cgroup').read_text().splitlines())
    own = next((path for number, controllers, path in paths if number == '0' and not controllers), None)
    for line in mounts.read_text().splitlines():
        _, place, kind, *_ = line.split(' ')
        if kind == 'cgroup2' and own is not None:
            group = Path(place) / own.lstrip('/')
            return group if group.is_dir() else None
    return None


def _is_ours(group: Path) -> bool:
    """Whether somebody gave it to us. Root may write anywhere, and has to look whether somebody said so."""
    if os.geteuid() != 0:
        return all(os.access(group / name, os.W_OK) for name in ('.', 'cgroup.procs', 'cgroup.subtree_control'))
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(group, name) == b'1':
                return True
    return False


def _has_memory(file: Path) -> bool:
    """Whether memory is among the limits that a file lists."""
    return 'memory' in file.read_text().split()


def _empty(group: Path, leaf: Path) -> None:
    """Move all processes of a group to one in it; some may start others meanwhile."""
    leaf.mkdir(exist_ok=True)
    for _ in range(100):
        pids = (group / 'cgroup.procs').read_text().split()
        if not pids:
            return
        for pid in pids:
            _write(leaf / 'cgroup.procs', pid)  # or it has ended


def _removed(path: Path) -> bool:
    """Whether a group and all in it could be removed."""
    try:
        for place, names, _ in os.walk(path, topdown=False):
            for name in names:
                Path(place, name).rmdir()
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
