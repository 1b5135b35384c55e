"""Containers that a signal meets while podman starts them: podman then ends as if all were well."""

import asyncio
import contextlib
import math
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from iceprod_tasks.client import AsyncClient, Claim
from iceprod_tasks.pilot.boxed import run_in_container
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.limits import Limits
from iceprod_tasks.pilot.process import Process
from iceprod_tasks.pilot.run import Ending, Outcome, Runner
from iceprod_tasks.pilot.warden import below, children_of_all, clock
from tests.pilot.conftest import OFFER
from tests.pilot.containers.conftest import Site, program

# The first process of the container must not inherit that the signal is ignored, so that comes behind.
LINGERING = """#!/bin/sh
{runc} "$@"
code=$?
for word; do
    if [ "$word" = start ]; then trap '' TERM; sleep 3; fi
done
exit $code
"""
LOOPS = 'touch ready; while :; do sleep 0.05; done'


@pytest.fixture
def slow(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose podman still starts a container when the command in it already runs."""
    runtime = tmp_path_factory.mktemp('runtime') / 'slow-runc'
    runtime.write_text(LINGERING.format(runc=program('runc')))
    runtime.chmod(0o755)
    *others, _ = site.rules.options
    return Site(replace(site.rules, options=(*others, str(runtime))), site.workdir, site.folders)


@pytest.fixture
async def hold() -> AsyncIterator[Hold]:
    """A hold that nobody disputes; it asks nothing of any service."""
    async with AsyncClient('http://127.0.0.1:9', 'x') as client:
        claim = Claim({'task_id': 't', 'requirements': {}}, 'c', 1)  # type: ignore[typeddict-item]
        yield Hold(client, claim, clock(), heartbeat_seconds=math.inf, stop=asyncio.Event())


async def there(file: Path) -> None:
    """Wait until there is a file."""
    async with asyncio.timeout(30):
        while not file.exists():  # noqa: ASYNC240
            await asyncio.sleep(0.02)


def is_up(site: Site) -> bool:
    """Whether podman takes a container for running."""
    asked = [program('podman'), *site.rules.options, 'ps', '--quiet', '--filter', 'status=running']
    return bool(subprocess.check_output(asked))


def signal_all(warden: int) -> None:
    """SIGTERM to all below a warden, as a batch system sends it to all processes of a job."""
    for pid in below(warden, children_of_all()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


async def test_an_early_signal_is_no_success_and_leaves_nothing(slow: Site) -> None:
    box = await slow.box('sh', '-c', LOOPS)
    process = await slow.start(box)
    await there(slow.folders[-1].work / 'ready')

    signal_all(process.warden)
    await process.exited.wait()
    end = await process.end(0)
    process.close()
    after = await box.finish(end.exit_code)

    assert (end.exit_code, end.cause) == (0, 'itself')
    assert after.exit_code == 143


async def test_what_podman_still_takes_for_running_is_removed_whole(site: Site) -> None:
    box = await site.box('sh', '-c', LOOPS)
    process = await site.start(box)
    await there(site.folders[-1].work / 'ready')
    async with asyncio.timeout(30):
        while not is_up(site):
            await asyncio.sleep(0.05)

    await process.end(0)
    process.close()
    after = await box.finish(0)

    assert after.exit_code == 143


async def test_a_task_that_an_early_signal_has_ended_is_not_complete(
    slow: Site, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.folders.append(folder := Folder.make(slow.workdir))
    runner, wardens = Runner(OFFER), []
    start = Process.start

    async def noted(*given: object) -> Process:
        wardens.append(process := await start(*given))  # type: ignore[arg-type]
        return process

    monkeypatch.setattr(Process, 'start', noted)
    running: asyncio.Task[Ending] = asyncio.create_task(
        run_in_container(
            slow.containers, Command(('sh', '-c', LOOPS), {}, None, image='box'), folder, 't-1',
            Limits(memory_gb=1, disk_gb=1), lambda boxed: runner.run(boxed, folder, hold),
        )
    )  # fmt: skip
    await there(folder.work / 'ready')

    signal_all(wardens[0].warden)
    ending = await running

    assert (ending.outcome, ending.reason) == (Outcome.RESET, 'killed by SIGTERM')
    assert ending.report['exit_code'] == 143
