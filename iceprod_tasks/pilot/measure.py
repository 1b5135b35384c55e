"""What a running command uses: memory, cores, disk and time."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable

import psutil

from iceprod_tasks.client import Resources
from iceprod_tasks.pilot.machine import BYTES_IN_GB
from iceprod_tasks.pilot.warden import below, children_of_all

_LOOK_SECONDS = 0.2
_LOOKING_AT_MOST_ONE_IN = 20
_DISK_SECONDS = 1.0
# The start of a command costs more cpu time than the wall time it takes here. Divided by some hundredths of a second
# that looks like two busy cores, and a failed task would come back asking for two.
_SHORTEST_AVERAGE_SECONDS = 1.0


class ProcessTable:
    """Which processes are below which: one look at the machine serves every slot for a moment."""

    def __init__(self) -> None:
        self._next_look = 0.0
        self._last_look = 0.0
        self._children: dict[int, list[int]] = {}

    def below(self, root: int) -> list[int]:
        """All descendants of a process, as of a fifth of a second ago; those of a new one may be missing for a while.

        Args:
            root: the process.
        """
        now = time.monotonic()
        old = now - self._last_look > _LOOK_SECONDS or root not in self._children
        if old and now >= self._next_look:
            self._children = children_of_all()
            # On a large machine a look takes long, and many short commands must not make the pilot look all the time.
            self._last_look, took_seconds = now, time.monotonic() - now
            self._next_look = now + _LOOKING_AT_MOST_ONE_IN * took_seconds
        return below(root, self._children)


class Meter:
    """The peaks of one attempt.

    Args:
        warden: the command's warden; what is below it is measured.
        used_bytes: tells the disk space of its folder; may be slow.
        table: the pilot's view of the process table.

    Attributes:
        busy_cores: more cores than on the average of all the time, where it was ended for that.
    """

    def __init__(self, warden: int, used_bytes: Callable[[], int], table: ProcessTable) -> None:
        self._warden = warden
        self._used_bytes = used_bytes
        self._table = table
        self._started = time.monotonic()
        self.cpu_seconds = 0.0
        self.busy_cores = 0.0
        self.memory_gb = 0.0
        self.disk_gb = 0.0
        self.time_seconds = 0.0

    def sample(self, memory_limit_gb: float = math.inf) -> None:
        """Look at the processes once.

        Args:
            memory_limit_gb: beyond it, memory that several of them share is looked at closely, and counted once.
        """
        memory_bytes, cpu_seconds = 0, 0.0
        pids = self._table.below(self._warden)
        for pid in pids:
            # A process that ends meanwhile, or runs as somebody else, is left out.
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    memory_bytes += process.memory_info().rss
                # With the children it has waited for: they are in no later sample.
                cpu_seconds += times.user + times.system + times.children_user + times.children_system
        if len(pids) > 1 and memory_bytes > memory_limit_gb * BYTES_IN_GB:
            memory_bytes = sum(map(_own_bytes, pids))
        self.memory_gb = max(self.memory_gb, memory_bytes / BYTES_IN_GB)
        self.cpu_seconds = max(self.cpu_seconds, cpu_seconds)
        self.time_seconds = time.monotonic() - self._started

    async def watch_disk(self) -> None:
        """Look at the folder now and then until cancelled, seldom when it takes long."""
        while True:
            began = time.monotonic()
            await self.look_at_disk()
            await asyncio.sleep(max(_DISK_SECONDS, 10 * (time.monotonic() - began)))

    async def look_at_disk(self) -> None:
        """Look at the folder once."""
        self.disk_gb = max(self.disk_gb, await asyncio.to_thread(self._used_bytes) / BYTES_IN_GB)

    def finish(self, cpu_seconds: float, peak_bytes: int) -> None:
        """The command has ended: stop the clock and add what the kernel counted.

        Args:
            cpu_seconds: of all its processes.
            peak_bytes: of the largest of them.
        """
        self.time_seconds = time.monotonic() - self._started
        self.cpu_seconds = max(self.cpu_seconds, cpu_seconds)
        self.memory_gb = max(self.memory_gb, peak_bytes / BYTES_IN_GB)

    def resources(self) -> Resources:
        """The peaks so far in the wire's words: cores on the average of a second or more, GB, GB, hours."""
        average = self.cpu_seconds / max(self.time_seconds, _SHORTEST_AVERAGE_SECONDS)
        return {
            'cpu': round(max(average, self.busy_cores), 3),
            'memory': round(self.memory_gb, 6),
            'disk': round(self.disk_gb, 6),
            'time': self.time_seconds / 3600,
        }


def _own_bytes(pid: int) -> int:
    """The memory of a process, with its share of what it has in common with others."""
    try:
        full = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0
    return int(full.pss)
