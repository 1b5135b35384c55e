"""What this machine has: cores, memory, disk, GPUs and the name of its system."""

import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

BYTES_IN_GB = 1e9

_CGROUPS = Path('/sys/fs/cgroup')
_GPU_DEVICE = re.compile(r'nvidia(\d+)')


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to offer, all slots together.

    Args:
        cpu: cores this process may run on.
        memory_gb: memory this process may use, in units of 10⁹ bytes.
        disk_gb: free space where the working directories go.
        gpus: the GPUs' ids, as CUDA_VISIBLE_DEVICES writes them.
        os: the system's name, for example `debian_12`.
    """

    cpu: int
    memory_gb: float
    disk_gb: float
    gpus: tuple[str, ...]
    os: str


def this_machine(workdir: Path) -> Machine:
    """Look at the machine this process runs on.

    Args:
        workdir: an existing folder on the disk to offer.
    """
    memory = min([psutil.virtual_memory().total, *_cgroup_limits(Path('/proc/self/cgroup').read_text().splitlines())])
    return Machine(
        cpu=len(os.sched_getaffinity(0)),
        memory_gb=memory / BYTES_IN_GB,
        disk_gb=shutil.disk_usage(workdir).free / BYTES_IN_GB,
        gpus=gpu_ids(os.environ, Path('/dev')),
        os=os_name(),
    )


def gpu_ids(environment: Mapping[str, str], devices: Path) -> tuple[str, ...]:
    """The GPUs a batch system gave us, else those the machine has.

    Args:
        environment: where CUDA_VISIBLE_DEVICES may stand; set but empty means none.
        devices: the folder of device files.
    """
    given = environment.get('CUDA_VISIBLE_DEVICES')
    if given is not None:
        return tuple(part.strip() for part in given.split(',') if part.strip())
    found = (_GPU_DEVICE.fullmatch(path.name) for path in devices.iterdir())
    return tuple(sorted((match[1] for match in found if match), key=int))


def os_name() -> str:
    """The system's name as os-release tells it, for example `debian_12`; the kernel's name when there is none."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system().lower()
    return '_'.join(part for part in (release['ID'], release.get('VERSION_ID')) if part)


def _cgroup_limits(lines: list[str], mount: Path = _CGROUPS) -> Iterator[int]:
    """Every memory limit above this process, in bytes, under cgroups of either version.

    Args:
        lines: `/proc/self/cgroup`.
        mount: where the groups are mounted.
    """
    for line in lines:
        _, controllers, path = line.split(':', 2)
        if controllers == '':
            yield from _limits_on_the_way(mount, path, 'memory.max')
        elif 'memory' in controllers.split(','):
            yield from _limits_on_the_way(mount / 'memory', path, 'memory.limit_in_bytes')


def _limits_on_the_way(root: Path, path: str, name: str) -> Iterator[int]:
    # Inside a container the path may name a group of the host that cannot be seen; its root is then our own group.
    group = root / path.lstrip('/')
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            return
        try:
            text = (folder / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # 'max' is no limit
            yield int(text)
