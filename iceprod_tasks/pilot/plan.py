"""What a pilot was told to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iceprod_tasks.pilot.containers import ContainerRules
from iceprod_tasks.pilot.files import FileRules
from iceprod_tasks.pilot.nodes import NodeRules
from iceprod_tasks.pilot.offer import Offer
from iceprod_tasks.pilot.run import GRACE_SECONDS
from iceprod_tasks.pilot.streak import BLACK_HOLE_FAILURES


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
        host: the machine's name.
        grace_seconds: between asking a command to end and killing it.
        black_hole_failures: after so many quick failures without a success the pilot takes no more tasks; 0 for never.
        nodes: where tasks on nodes may go.
        files: what files of tasks may be, and where.
        containers: what a site says about containers.
        groups: a group of cgroup v2 that was given to the pilot, for groups of attempts; None for none.
        metrics_port: where its numbers can be read; 0 for any port, None for none.
        presence_seconds: between two signs of life.
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
    host: str = ''
    grace_seconds: float = GRACE_SECONDS
    black_hole_failures: int = BLACK_HOLE_FAILURES
    nodes: NodeRules = field(default_factory=NodeRules)
    containers: ContainerRules = field(default_factory=ContainerRules)
    groups: Path | None = None
    files: FileRules = field(default_factory=FileRules)
    metrics_port: int | None = None
    presence_seconds: float = 30.0
