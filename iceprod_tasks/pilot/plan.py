"""What a pilot was told to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iceprod_tasks.pilot.offer import Offer


@dataclass(frozen=True, slots=True)
class Plan:
    """The orders of one pilot.

    Args:
        offer: what each slot offers.
        slots: the environment of each slot's tasks, one entry a slot.
        name: who the pilot is, for people.
        workdir: an existing folder, where the attempts get theirs.
        until_empty: end when nothing that fits the offer is unfinished.
        idle_seconds: end after so long without any work; None for never.
        poll_seconds: the longest wait between two questions for work.
        lease_seconds: the lease asked for; the service's default when None.
        heartbeat_seconds: the longest rest before the first heartbeat of a claim; then the service says how long.
        keep_workdirs: leave the attempts' folders behind.
    """

    offer: Offer
    slots: tuple[Mapping[str, str], ...]
    name: str
    workdir: Path
    until_empty: bool = False
    idle_seconds: float | None = None
    poll_seconds: float = 10.0
    lease_seconds: float | None = None
    heartbeat_seconds: float = 10.0
    keep_workdirs: bool = False
