"""What one slot offers to tasks, and the slots' shares of the machine."""

import math
from dataclasses import dataclass

from iceprod_tasks.client import Requirements
from iceprod_tasks.pilot.machine import Machine

DEFAULT_MEMORY_GB_PER_CORE = 2.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What each slot of a pilot offers.

    Args:
        cpu: cores.
        gpu: GPUs. A slot with GPUs is given GPU tasks only, which is why none are offered unless asked for.
        memory_gb: memory, in units of 10⁹ bytes; a task that uses more is stopped.
        disk_gb: disk, likewise.
        time_hours: tasks that need longer are not for this pilot; None takes any.
        os: the system's name.
        site: where the pilot is; a task that wants a site goes to that site only.
        container: whether tasks with an image can run.
        tags: words by which tasks choose pilots.
    """

    cpu: int
    gpu: int
    memory_gb: float
    disk_gb: float
    time_hours: float | None
    os: str
    site: str
    container: bool = False
    tags: tuple[str, ...] = ()

    def requirements(self) -> Requirements:
        """The offer in the wire's words."""
        offered: Requirements = {
            'cpu': self.cpu,
            'gpu': self.gpu,
            'memory': self.memory_gb,
            'disk': self.disk_gb,
            'os': self.os,
            'site': self.site,
            'container': self.container,
            # Tasks that carry their command with them go to nobody who does not say so.
            'work': True,
            'tagged': list(self.tags),
        }
        if self.time_hours is not None:
            offered['time'] = self.time_hours
        return offered


def default_memory_gb(machine: Machine, cpu: int) -> float:
    """A slot's memory when nothing is said: its cores' share of the machine, at most 2 GB a core."""
    return _down(cpu * min(DEFAULT_MEMORY_GB_PER_CORE, machine.memory_gb / machine.cpu))


def default_disk_gb(machine: Machine, slots: int) -> float:
    """A slot's disk when nothing is said: an equal share of what is free."""
    return _down(machine.disk_gb / slots)


def gpu_share(machine: Machine, slot: int, gpu: int) -> str | None:
    """The CUDA_VISIBLE_DEVICES of one slot: no two slots share a GPU.

    Args:
        machine: where the GPUs are.
        slot: the slot's number, from 0.
        gpu: GPUs a slot offers.

    Returns:
        The value, empty for a slot without; None when there are no GPUs to be told apart.
    """
    if not machine.gpus:
        return None
    return ','.join(machine.gpus[slot * gpu : (slot + 1) * gpu])


def _down(gb: float) -> float:
    """Rounded down to MB: an offer promises no byte that is not there."""
    return math.floor(gb * 1000) / 1000
