"""Which folders of the machine a container may see."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from iceprod_tasks.domain.work import Volume
from iceprod_tasks.pilot.boxes import NoContainers


def allowed(volumes: Sequence[Volume], roots: Sequence[Path]) -> tuple[Volume, ...]:
    """The same volumes by their real paths, all of them below folders that the site allows.

    Args:
        volumes: as the task names them.
        roots: the folders that the site allows, with all below them.

    Raises:
        NoContainers: one is elsewhere, also by way of a link, or is not there.
    """
    return tuple(_allowed(volume, roots) for volume in volumes)


def _allowed(volume: Volume, roots: Sequence[Path]) -> Volume:
    if not roots:
        raise NoContainers('this pilot gives containers no volumes: the site allows no folder of them')
    try:
        real = Path(volume.source).resolve(strict=True)
    except (OSError, RuntimeError):
        # Whether something is there is nobody's business who may not see it.
        real = None
    if real is None or not any(real.is_relative_to(root.resolve()) for root in roots):
        raise NoContainers(f'the volume {volume.source} is not below a folder that this site allows, or is not there')
    if set(str(real)) & set(':,\n"'):
        raise NoContainers(f'the volume {volume.source} has a name that no program for containers takes')
    return replace(volume, source=str(real))
