"""Running one command to one of its ends, each with its reason."""

import asyncio
import contextlib
import errno
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from iceprod_tasks.client import Report
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder, end_of
from iceprod_tasks.pilot.measure import Meter, SessionTable
from iceprod_tasks.pilot.offer import Offer
from iceprod_tasks.pilot.process import Process
from iceprod_tasks.pilot.recall import Recall

GRACE_SECONDS = 5.0
FIRST_SAMPLE_SECONDS = 0.02
SAMPLE_SECONDS = 0.5

_MACHINE_IS_FULL = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})


class MachineTrouble(Exception):
    """This machine cannot run anything at the moment, which says nothing about the task."""


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
        stop: set when the pilot was told to stop.
        table: the pilot's view of the process table.
        grace_seconds: between asking a command to end and killing it.
    """

    offer: Offer
    stop: asyncio.Event
    table: SessionTable = field(default_factory=SessionTable)
    grace_seconds: float = GRACE_SECONDS

    async def run(self, command: Command, folder: Folder, recall: Recall) -> Ending:
        """Run a command and everything it starts, until nothing of it is left.

        Args:
            command: what to run.
            folder: where.
            recall: called when the service does not want it any more.

        Raises:
            MachineTrouble: it was not started, for want of processes or memory.
        """
        try:
            environment = {**command.environment, 'TMPDIR': str(folder.tmp)}
            process = Process.start(command.argv, environment, folder.work, folder.stdout, folder.stderr)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _MACHINE_IS_FULL:
                raise MachineTrouble(str(error)) from error
            return Ending(Outcome.FAILED, f'cannot be started: {error}')
        meter = Meter(process.pid, folder.used_bytes, self.table)
        disk = asyncio.create_task(meter.watch_disk())
        try:
            stopped = await self._watch(process, meter, command.timeout_seconds, recall)
            if stopped:
                await process.end(self.grace_seconds)
        finally:
            disk.cancel()
            await process.kill()
            exit_code, usage = process.reap()
            meter.finish(usage)
        await meter.look_at_disk()
        outcome, reason = stopped or _verdict(exit_code)
        return Ending(outcome, reason, _report(exit_code, meter, folder))

    async def _watch(
        self, process: Process, meter: Meter, timeout_seconds: float | None, recall: Recall
    ) -> tuple[Outcome, str] | None:
        """Wait for the end; None when the command ended by itself, else why it must be stopped."""
        deadline = time.monotonic() + (math.inf if timeout_seconds is None else timeout_seconds)
        interval_seconds = FIRST_SAMPLE_SECONDS
        events = (process.exited, self.stop, recall.called)
        while not await _any_of(events, min(interval_seconds, max(0.0, deadline - time.monotonic()))):
            if self.stop.is_set():
                return Outcome.HANDED_BACK, 'the pilot was told to stop'
            if recall.called.is_set():
                return Outcome.DROPPED if recall.lost else Outcome.HANDED_BACK, recall.reason
            if time.monotonic() >= deadline:
                return Outcome.RESET, f'timeout after {timeout_seconds:g} s'
            meter.sample()
            if over := self._over_limit(meter):
                return Outcome.RESET, over
            # Short commands are measured as well; long ones are left in peace.
            interval_seconds = min(2 * interval_seconds, SAMPLE_SECONDS)
        return None

    def _over_limit(self, meter: Meter) -> str:
        for name, used_gb, limit_gb in (
            ('memory', meter.memory_gb, self.offer.memory_gb),
            ('disk', meter.disk_gb, self.offer.disk_gb),
        ):
            if used_gb > limit_gb:
                return f'over {name} limit: used {used_gb:.3g} GB of {limit_gb:g} GB'
        return ''


async def _any_of(events: Sequence[asyncio.Event], seconds: float) -> bool:
    """Wait until one of some events is set, or some seconds; whether the first one is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return events[0].is_set()


def _verdict(exit_code: int) -> tuple[Outcome, str]:
    if exit_code == 0:
        return Outcome.COMPLETE, ''
    if exit_code > 128:
        with contextlib.suppress(ValueError):
            return Outcome.RESET, f'killed by {signal.Signals(exit_code - 128).name}'
    return Outcome.RESET, f'exit code {exit_code}'


def _report(exit_code: int, meter: Meter, folder: Folder) -> Report:
    return {
        'exit_code': exit_code,
        'time_used': round(meter.time_seconds, 3),
        'resources': meter.resources(),
        'stdout': end_of(folder.stdout),
        'stderr': end_of(folder.stderr),
    }
