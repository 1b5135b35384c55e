"""What the service hears of commands in containers."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient, Claim
from iceprod_tasks.pilot.boxed import run_in_container
from iceprod_tasks.pilot.boxes import After, Box, NoContainers
from iceprod_tasks.pilot.cgroups import oom_kills
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.containers import ContainerRules, Containers
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.limits import Limits, limits_of
from iceprod_tasks.pilot.run import Ending, Outcome, Runner
from iceprod_tasks.pilot.warden import clock
from tests.pilot.conftest import OFFER
from tests.pilot.containers.conftest import Site

REQUIREMENTS = {'memory': 0.5, 'cpu': 1}
LIMITS = Limits(memory_gb=2, disk_gb=1)


@pytest.fixture
async def hold() -> AsyncIterator[Hold]:
    """A hold that nobody disputes; it asks nothing of any service."""
    async with AsyncClient('http://127.0.0.1:9', 'x') as client:
        claim = Claim({'task_id': 't', 'requirements': REQUIREMENTS}, 'c', 1)  # type: ignore[typeddict-item]
        yield Hold(client, claim, clock(), heartbeat_seconds=math.inf, stop=asyncio.Event())


async def ending_of(
    site: Site, hold: Hold, *argv: str, image: str = 'box', timeout_seconds: float | None = None
) -> Ending:
    """How a command in a container ends, within its requirements."""
    site.folders.append(folder := Folder.make(site.workdir))
    runner = Runner(replace(OFFER, memory_gb=4), grace_seconds=1)
    command = Command(argv, {}, timeout_seconds, image=image)
    limits = limits_of(REQUIREMENTS, runner.offer)
    return await run_in_container(
        site.containers, command, folder, 't-1', limits, lambda boxed: runner.run(boxed, folder, hold)
    )


@pytest.mark.parametrize(
    ('argv', 'outcome', 'code', 'reason'),
    [
        (('sh', '-c', 'echo out'), Outcome.COMPLETE, 0, ''),
        (('sh', '-c', 'echo out; exit 127'), Outcome.RESET, 127, 'exit code 127'),
        (('sh', '-c', 'echo out; kill -9 $$'), Outcome.RESET, 137, 'killed by SIGKILL'),
    ],
)
async def test_the_end_of_a_command_is_that_of_any_other(
    site: Site, hold: Hold, argv: tuple[str, ...], outcome: Outcome, code: int, reason: str
) -> None:
    ending = await ending_of(site, hold, *argv)

    assert (ending.outcome, ending.report['exit_code'], ending.reason) == (outcome, code, reason)
    assert ending.report['stdout'] == 'out\n'


async def test_a_command_that_is_not_in_the_image_fails_the_task(site: Site, hold: Hold) -> None:
    ending = await ending_of(site, hold, 'no-such-command')

    assert ending.outcome is Outcome.FAILED
    assert ending.reason.startswith('cannot be started in its container: ')
    assert ending.reason.endswith('No such file or directory')


async def test_an_image_that_is_not_to_be_had_lets_the_task_be_tried_again(site: Site, hold: Hold) -> None:
    ending = await ending_of(site, hold, 'true', image='localhost:1/no-such')

    assert ending.outcome is Outcome.RESET
    assert ending.reason.startswith('cannot be started in its container: Error: ')
    assert ending.report['exit_code'] == 125


async def test_memory_that_comes_too_quickly_to_be_seen_lets_the_requirement_grow(site: Site, hold: Hold) -> None:
    ending = await ending_of(site, hold, 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=1000M', 'count=1')

    assert ending.outcome is Outcome.RESET
    assert ending.reason.startswith('over memory limit')
    assert 0.5 <= ending.report['resources']['memory'] < 0.6


async def test_a_kill_by_somebody_else_is_no_want_of_memory(site: Site, hold: Hold) -> None:
    ending = await ending_of(site, hold, 'sh', '-c', 'kill -9 $$')

    assert (ending.outcome, ending.report['exit_code']) == (Outcome.RESET, 137)
    assert not ending.reason.startswith('over memory limit')


async def test_a_timeout_is_one(site: Site, hold: Hold) -> None:
    ending = await ending_of(site, hold, 'sleep', '60', timeout_seconds=1)

    assert (ending.outcome, ending.reason) == (Outcome.RESET, 'timeout after 1 s')


async def test_without_a_program_for_containers_the_task_is_left_to_other_machines(site: Site, hold: Hold) -> None:
    site.containers = Containers(ContainerRules(), {'PATH': '/nowhere'})

    ending = await ending_of(site, hold, 'true')

    why = 'this pilot runs no containers: neither apptainer nor podman is here'
    assert ending == Ending(Outcome.RESET, why, {'cause': 'provisioning'})


async def test_what_no_pilot_could_run_fails(site: Site, hold: Hold) -> None:
    ending = await ending_of(site, hold, 'true', image='-v')

    assert ending == Ending(Outcome.FAILED, "'-v' is no name of an image", {'cause': 'provisioning'})


class Fake(Box):
    """A container that ends in some way."""

    def __init__(self, after: After) -> None:
        super().__init__(Command(('true',), {}, None))
        self.after = after
        self.finished: list[int] = []

    async def box(self, *_: Any) -> Box:
        return self

    async def finish(self, exit_code: int) -> After:
        self.finished.append(exit_code)
        return self.after


async def told(fake: Fake, folder: Folder, ending: Ending) -> Ending:
    """What becomes of an ending."""

    async def run(_: Command) -> Ending:
        return ending

    command = Command(('true',), {}, None, image='box')
    return await run_in_container(fake, command, folder, 't', LIMITS, run)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('ending', 'after', 'outcome', 'reason', 'memory'),
    [
        ((Outcome.RESET, 'killed by SIGKILL', 0.1), After(137, out_of_memory=True), Outcome.RESET,
         'over memory limit of 2 GB', 2),
        ((Outcome.RESET, 'killed by SIGKILL', 2.1), After(137), Outcome.RESET, 'over memory limit of 2 GB', 2.1),
        ((Outcome.RESET, 'killed by SIGKILL', 0.1), After(137), Outcome.RESET, 'killed by SIGKILL', 0.1),
        ((Outcome.RESET, 'over memory limit: used 3', 3), After(137), Outcome.RESET, 'over memory limit: used 3', 3),
        ((Outcome.DROPPED, 'lost', 0.1), After(137, started=False), Outcome.DROPPED, 'lost', 0.1),
        ((Outcome.HANDED_BACK, 'stop', 0.1), After(137, out_of_memory=True), Outcome.HANDED_BACK, 'stop', 0.1),
        ((Outcome.RESET, 'timeout after 1 s', 0.1), After(137, started=False), Outcome.RESET, 'timeout after 1 s', 0.1),
    ],
)  # fmt: skip
async def test_what_a_container_tells_is_heard_where_it_matters(
    site: Site, ending: tuple[Outcome, str, float], after: After, outcome: Outcome, reason: str, memory: float
) -> None:
    site.folders.append(folder := Folder.make(site.workdir))
    given = Ending(ending[0], ending[1], {'exit_code': 137, 'resources': {'memory': ending[2]}})

    seen = await told(Fake(after), folder, given)

    assert (seen.outcome, seen.reason, seen.report['resources']['memory']) == (outcome, reason, memory)


@pytest.mark.parametrize(
    ('ending', 'more', 'reason'),
    [
        ('killed by SIGKILL', 1, 'over memory limit of 2 GB'),
        ('exit code 137', 1, 'over memory limit of 2 GB'),
        ('killed by SIGKILL', 0, 'killed by SIGKILL'),
        ('timeout after 1 s', 1, 'timeout after 1 s'),
    ],
)
async def test_want_of_memory_that_no_container_tells_is_known_by_the_kernel_s_count(
    site: Site, monkeypatch: pytest.MonkeyPatch, ending: str, more: int, reason: str
) -> None:
    site.folders.append(folder := Folder.make(site.workdir))
    counts = iter([100, 100 + more])
    monkeypatch.setattr('iceprod_tasks.pilot.boxed.oom_kills', lambda: next(counts))
    given = Ending(Outcome.RESET, ending, {'exit_code': 137, 'resources': {'memory': 0.1}})

    seen = await told(Fake(After(137)), folder, given)

    assert (seen.outcome, seen.reason) == (Outcome.RESET, reason)


async def test_the_kernel_counts_what_it_kills_for_a_container(site: Site, hold: Hold) -> None:
    before = oom_kills()

    await ending_of(site, hold, 'dd', 'if=/dev/zero', 'of=/dev/null', 'bs=1000M', 'count=1')

    assert oom_kills() > before


async def test_a_program_for_containers_that_cannot_be_started_is_no_fault_of_the_task(site: Site) -> None:
    site.folders.append(folder := Folder.make(site.workdir))

    ending = await told(Fake(After(0)), folder, Ending(Outcome.FAILED, 'cannot be started: gone'))

    assert ending.outcome is Outcome.RESET


async def test_a_container_is_removed_however_the_run_breaks_off(site: Site) -> None:
    site.folders.append(folder := Folder.make(site.workdir))
    fake = Fake(After(137))

    async def broken(_: Command) -> Ending:
        raise NoContainers('broken')

    with pytest.raises(NoContainers):
        await run_in_container(fake, Command(('x',), {}, None, image='b'), folder, 't', LIMITS, broken)  # type: ignore[arg-type]

    assert fake.finished == [137]
