"""Running one command to one of its ends, each with its reason."""

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from iceprod_tasks.client import Report
from iceprod_tasks.pilot.cgroups import Group
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder, end_of
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.limits import CPU_SECONDS, Cores, Limits, limits_of
from iceprod_tasks.pilot.measure import Meter, ProcessTable
from iceprod_tasks.pilot.offer import Offer
from iceprod_tasks.pilot.process import CannotStart, End, Process
from iceprod_tasks.pilot.waiting import within

GRACE_SECONDS = 5.0
FIRST_SAMPLE_SECONDS = 0.02
SAMPLE_SECONDS = 0.5
# A batch system may end all processes of its job at once, the pilot and what it runs. Who hears of it first is chance.
_LIKE_THE_PILOT = frozenset(128 + number for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
_LIKEWISE_SECONDS = 1.0


class Outcome(Enum):
    """What a pilot tells the service about an attempt; nothing at all about one that is not its own any more."""

    COMPLETE = 'complete'
    RESET = 'reset'
    FAILED = 'failed'
    HANDED_BACK = 'hand_back'
    DROPPED = 'dropped'


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended.

    Args:
        outcome: what the service is told.
        reason: why, for people; empty for a success.
        report: exit code, resources and the ends of both streams, as far as there are any.
    """

    outcome: Outcome
    reason: str = ''
    report: Report = field(default_factory=Report)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands within what a slot offers.

    Args:
        offer: the limits.
        table: the pilot's view of the process table.
        grace_seconds: between asking a command to end and killing it.
        cpu_seconds: over so long the cores in use are averaged.
        groups: a group of cgroup v2 in which each command gets one; None where there is none.
    """

    offer: Offer
    table: ProcessTable = field(default_factory=ProcessTable)
    grace_seconds: float = GRACE_SECONDS
    cpu_seconds: float = CPU_SECONDS
    groups: Path | None = None

    async def run(self, command: Command, folder: Folder, hold: Hold) -> Ending:
        """Run a command and everything it starts, until nothing of it is left.

        Args:
            command: what to run.
            folder: where.
            hold: says until when.

        Raises:
            MachineTrouble: it was not started, for want of processes or memory.
        """
        environment = {**command.environment, 'TMPDIR': str(folder.tmp)}
        limits = self.limits(hold)
        hold.enter('starting')
        group = Group.make(self.groups, folder.path.name)
        if group is not None:
            group.limit(memory_gb=limits.memory_gb)
        start = Process.start(command.argv, environment, folder, hold.deadline, group)
        try:
            try:
                process = await within(start, hold.ended, 0)
            except TimeoutError:
                return Ending(*called_off(hold))
            ending = await self._see_through(process, command, limits, folder, hold)
        except CannotStart as error:
            return Ending(Outcome.FAILED, f'cannot be started: {error}')
        finally:
            out_of_memory = group is not None and group.was_oom_killed()
            if group is not None:
                await asyncio.to_thread(group.remove)
        return ended_by_the_kernel(ending, limits) if out_of_memory else ending

    def limits(self, hold: Hold) -> Limits:
        """What an attempt may use.

        Args:
            hold: on its task.
        """
        needs = hold.claim.task.get('requirements') or {}
        return replace(limits_of(needs, self.offer), cpu_seconds=self.cpu_seconds)

    async def _see_through(
        self, process: Process, command: Command, limits: Limits, folder: Folder, hold: Hold
    ) -> Ending:
        meter = Meter(process.warden, folder.used_bytes, self.table)
        hold.resources = meter.resources
        hold.enter('running')
        hold.tell(process.work_until)
        disk = asyncio.create_task(meter.watch_disk())
        try:
            stopped = await self._watch(process, meter, command, limits, hold)
            end = await process.end(0 if hold.lost else self._grace_seconds(command))
        finally:
            disk.cancel()
            process.close()
        if end.cause == 'itself' and end.exit_code in _LIKE_THE_PILOT:
            await _any_of((hold.ended,), _LIKEWISE_SECONDS)
        hold.enter('run_completed')
        meter.finish(end.cpu_seconds, end.peak_bytes)
        await meter.look_at_disk()
        outcome, reason = _verdict(end, stopped, hold)
        report = _report(end.exit_code, meter, folder)
        if (outcome, reason) == (Outcome.RESET, _too_long(command)):
            report['cause'] = 'run_time'
        return Ending(outcome, reason, report)

    def _grace_seconds(self, command: Command) -> float:
        own = command.carried.kill_grace_seconds if command.carried is not None else None
        return self.grace_seconds if own is None else own

    async def _watch(
        self, process: Process, meter: Meter, command: Command, limits: Limits, hold: Hold
    ) -> tuple[Outcome, str] | None:
        """Wait for the end; None when the command ended by itself, else why it must be stopped."""
        timeout_seconds = command.timeout_seconds
        deadline = time.monotonic() + (math.inf if timeout_seconds is None else timeout_seconds)
        cores = Cores(limits.cpu_seconds)
        interval_seconds = FIRST_SAMPLE_SECONDS
        events = (process.exited, hold.ended)
        while not await _any_of(events, min(interval_seconds, max(0.0, deadline - time.monotonic()))):
            if hold.ended.is_set():
                return called_off(hold)
            if time.monotonic() >= deadline:
                return Outcome.RESET, _too_long(command)
            meter.sample(limits.memory_gb)
            if over := limits.exceeded(meter, cores):
                return Outcome.RESET, over
            # Short commands are measured as well; long ones are left in peace.
            interval_seconds = min(2 * interval_seconds, SAMPLE_SECONDS)
        return None


async def _any_of(events: Sequence[asyncio.Event], seconds: float) -> bool:
    """Wait until one of some events is set, or some seconds; whether the first one is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return events[0].is_set()


def called_off(hold: Hold) -> tuple[Outcome, str]:
    """What an attempt comes to whose hold has ended before it."""
    return Outcome.DROPPED if hold.lost else Outcome.HANDED_BACK, hold.reason


def ended_with_its_pilot(exit_code: int, hold: Hold) -> bool:
    """Whether a command has died of what tells its pilot to stop.

    Args:
        exit_code: of the command.
        hold: on its task.
    """
    return exit_code in _LIKE_THE_PILOT and hold.ended.is_set()


def ended_by_the_kernel(ending: Ending, limits: Limits) -> Ending:
    """The end of a command of which the kernel has killed a part, as it wanted more memory than it was given.

    Args:
        ending: as it was seen.
        limits: of the attempt.
    """
    if ending.outcome is not Outcome.RESET:
        return ending
    used = ending.report.get('resources', {})
    # So much it has had at the least, however quickly it came; that makes the requirement grow.
    used = {**used, 'memory': max(used.get('memory', 0.0), limits.memory_gb)}
    reason = ending.reason if ending.reason.startswith('over ') else f'over memory limit of {limits.memory_gb:g} GB'
    return replace(ending, reason=reason, report={**ending.report, 'resources': used})


def _too_long(command: Command) -> str:
    """Why a command is ended that has run for as long as it may."""
    seconds = f'{command.timeout_seconds or 0:g} s'
    return f'timeout after {seconds}' if command.carried is None else f'run time of {seconds} is over'


def _verdict(end: End, stopped: tuple[Outcome, str] | None, hold: Hold) -> tuple[Outcome, str]:
    if end.cause == 'lease':
        return Outcome.DROPPED, hold.reason if hold.lost else 'the lease is over'
    if stopped and end.cause == 'order':
        return stopped
    if ended_with_its_pilot(end.exit_code, hold):
        return called_off(hold)
    # It may have ended by itself while we were about to stop it: that is what counts.
    if end.exit_code == 0:
        return Outcome.COMPLETE, ''
    if end.exit_code > 128:
        with contextlib.suppress(ValueError):
            return Outcome.RESET, f'killed by {signal.Signals(end.exit_code - 128).name}'
    return Outcome.RESET, f'exit code {end.exit_code}'


def _report(exit_code: int, meter: Meter, folder: Folder) -> Report:
    return {
        'exit_code': exit_code,
        'time_used': round(meter.time_seconds, 3),
        'resources': meter.resources(),
        'stdout': end_of(folder.stdout),
        'stderr': end_of(folder.stderr),
    }
