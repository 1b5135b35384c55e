"""An attempt whose command runs in a container: the same run as any other, and what its end means."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace

from iceprod_tasks.client import Resources
from iceprod_tasks.pilot.boxes import After, NoContainers
from iceprod_tasks.pilot.cgroups import oom_kills
from iceprod_tasks.pilot.command import Command, WrongConfig
from iceprod_tasks.pilot.containers import Containers
from iceprod_tasks.pilot.folder import Folder, end_of
from iceprod_tasks.pilot.limits import Limits
from iceprod_tasks.pilot.run import Ending, Outcome, ended_by_the_kernel
from iceprod_tasks.pilot.warden import KILLED

CONTAINER_TROUBLE = 125
"""What podman says when it could not even try the command, which may be otherwise the next time."""
_TERMINATED = 128 + int(signal.SIGTERM)
_KILLED_BY_SOMEBODY = ('killed by SIGKILL', f'exit code {KILLED}')


async def run_in_container(
    containers: Containers,
    command: Command,
    folder: Folder,
    name: str,
    limits: Limits,
    run: Callable[[Command], Awaitable[Ending]],
) -> Ending:
    """Run a command that has an image, and leave nothing of its container.

    Args:
        containers: what runs containers here.
        command: with an image.
        folder: of the attempt.
        name: of the attempt, for people who list containers.
        limits: what it may use.
        run: runs a command without an image to its end.

    Raises:
        MachineTrouble: `run` does.
    """
    try:
        box = await containers.box(command, folder, name, limits)
    except NoContainers as error:
        return Ending(Outcome.RESET, str(error), {'cause': 'provisioning'})
    except WrongConfig as error:
        return Ending(Outcome.FAILED, str(error), {'cause': 'provisioning'})
    exit_code, killed_before = 0, oom_kills()
    try:
        ending = await run(box.command)
        exit_code = ending.report.get('exit_code', 0)
    except BaseException:
        exit_code = KILLED
        raise
    finally:
        after = await box.finish(exit_code)
    if ending.reason in _KILLED_BY_SOMEBODY and oom_kills() > killed_before:
        # Who runs containers hears of it beside the end, and at times too late.
        after = replace(after, out_of_memory=True)
    return _seen_from_outside(ending, after, folder, limits)


def _seen_from_outside(ending: Ending, after: After, folder: Folder, limits: Limits) -> Ending:
    """What an end means of which only the program that runs containers was seen."""
    if 'exit_code' not in ending.report:
        # Where the program for containers cannot be started, that is no fault of the task.
        return replace(ending, outcome=Outcome.RESET) if ending.outcome is Outcome.FAILED else ending
    by_itself = ending.reason == f'exit code {ending.report["exit_code"]}'
    ending = replace(ending, report={**ending.report, 'exit_code': after.exit_code})
    if ending.outcome is Outcome.COMPLETE and after.exit_code:
        reason = 'killed by SIGTERM' if after.exit_code == _TERMINATED else f'exit code {after.exit_code}'
        return replace(ending, outcome=Outcome.RESET, reason=reason)
    if ending.outcome is not Outcome.RESET:
        return ending
    if not after.started and by_itself:
        why = end_of(folder.stderr).strip().rpartition('\n')[2]
        outcome = Outcome.RESET if after.exit_code == CONTAINER_TROUBLE else Outcome.FAILED
        if outcome is Outcome.RESET:
            ending = replace(ending, report={**ending.report, 'cause': 'provisioning'})
        return replace(ending, outcome=outcome, reason=f'cannot be started in its container: {why}')
    used: Resources = ending.report.get('resources', {})
    if after.out_of_memory or (after.exit_code == KILLED and used.get('memory', 0) > limits.memory_gb):
        return ended_by_the_kernel(ending, limits)
    return ending
