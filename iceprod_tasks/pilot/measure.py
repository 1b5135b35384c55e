"""What a running command uses: memory, cores, disk and time."""

import asyncio
import contextlib
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable

import psutil

from iceprod_tasks.client import Resources
from iceprod_tasks.pilot.machine import BYTES_IN_GB

_LOOK_SECONDS = 0.2
_DISK_SECONDS = 1.0
# The start of a command costs more cpu time than the wall time it takes here. Divided by some hundredths of a second
# that looks like two busy cores, and a failed task would come back asking for two.
_SHORTEST_AVERAGE_SECONDS = 1.0


class SessionTable:
    """Which processes belong to which session: one look at the process table serves every slot for a moment."""

    def __init__(self) -> None:
        self._looked = 0.0
        self._members: dict[int, list[int]] = {}

    def members(self, leader: int) -> list[int]:
        """The processes of a session, as of a fifth of a second ago at most."""
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS or leader not in self._members:
            members = defaultdict(list)
            for pid in psutil.pids():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    members[os.getsid(pid)].append(pid)
            self._looked, self._members = now, dict(members)
        return self._members.get(leader, [])


class Meter:
    """The peaks of one attempt.

    Args:
        leader: the command's process, the leader of its session.
        used_bytes: tells the disk space of its folder; may be slow.
        table: the pilot's view of the process table.
    """

    def __init__(self, leader: int, used_bytes: Callable[[], int], table: SessionTable) -> None:
        self._leader = leader
        self._used_bytes = used_bytes
        self._table = table
        self._started = time.monotonic()
        self._cpu_seconds = 0.0
        self._own_peak_bytes = _peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
        self.memory_gb = 0.0
        self.disk_gb = 0.0
        self.time_seconds = 0.0

    def sample(self) -> None:
        """Look at the processes once."""
        memory_bytes, cpu_seconds = 0, 0.0
        for pid in self._table.members(self._leader):
            # A process that ends meanwhile, or runs as somebody else, is left out.
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    memory_bytes += process.memory_info().rss
                # With the children it has waited for: they are in no later sample.
                cpu_seconds += times.user + times.system + times.children_user + times.children_system
        self.memory_gb = max(self.memory_gb, memory_bytes / BYTES_IN_GB)
        self._cpu_seconds = max(self._cpu_seconds, cpu_seconds)

    async def watch_disk(self) -> None:
        """Look at the folder now and then until cancelled, seldom when it takes long."""
        while True:
            began = time.monotonic()
            await self.look_at_disk()
            await asyncio.sleep(max(_DISK_SECONDS, 10 * (time.monotonic() - began)))

    async def look_at_disk(self) -> None:
        """Look at the folder once."""
        self.disk_gb = max(self.disk_gb, await asyncio.to_thread(self._used_bytes) / BYTES_IN_GB)

    def finish(self, usage: resource.struct_rusage) -> None:
        """The command has ended: stop the clock and add what the kernel counted.

        Args:
            usage: of the leader and those it waited for.
        """
        self.time_seconds = time.monotonic() - self._started
        self._cpu_seconds = max(self._cpu_seconds, usage.ru_utime + usage.ru_stime)
        # Between fork and exec a child wears the pilot's own memory, and the kernel's peak remembers it.
        if _peak_bytes(usage) > self._own_peak_bytes:
            self.memory_gb = max(self.memory_gb, _peak_bytes(usage) / BYTES_IN_GB)

    def resources(self) -> Resources:
        """The peaks in the wire's words: cores on the average of a second or more, GB, GB, hours."""
        return {
            'cpu': round(self._cpu_seconds / max(self.time_seconds, _SHORTEST_AVERAGE_SECONDS), 3),
            'memory': round(self.memory_gb, 6),
            'disk': round(self.disk_gb, 6),
            'time': self.time_seconds / 3600,
        }


def _peak_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * 1024
