"""FireWorks 2.1.4 as it is used: rocket launchers that talk to MongoDB themselves, each a process."""

import asyncio
import shlex
from dataclasses import dataclass

from tests.bench import cpu
from tests.journeys.commands import ROOT

SCRIPT = str(ROOT / 'tests' / 'bench' / 'fireworks_worker.py')
_FIREWORKS_A_SECOND = 200
"""More than it does."""


@dataclass(frozen=True)
class Launched:
    """How it went.

    Args:
        rate: pairs a second.
        cpu_ms: of workers and mongod, a pair.
    """

    rate: float
    cpu_ms: float


async def launch(python: str, url: str, database: str, workers: int, seconds: float, mongod_pid: int) -> Launched:
    """Let workers check out and complete for some seconds, all at once.

    Args:
        python: the command of a Python that has FireWorks.
        url: of mongod.
        database: its name.
        workers: how many processes.
        seconds: how long.
        mongod_pid: of mongod.
    """
    command = [*shlex.split(python), SCRIPT, url, database]
    number = str(int(_FIREWORKS_A_SECOND * (seconds + 1)))
    fill = await asyncio.create_subprocess_exec(*command, 'fill', number, stderr=asyncio.subprocess.DEVNULL)
    if await fill.wait():
        raise RuntimeError('FireWorks cannot fill its database')
    pipe = asyncio.subprocess.PIPE
    running = [
        await asyncio.create_subprocess_exec(*command, 'work', str(seconds), stdin=pipe, stdout=pipe)
        for _ in range(workers)
    ]
    for each in running:
        assert each.stdout is not None
        # It prints what it likes before.
        while (line := await each.stdout.readline()) and line != b'ready\n':
            pass
    before = cpu.seconds_of([mongod_pid])
    said = await asyncio.gather(*(each.communicate(b'go\n') for each in running))
    mongod = cpu.seconds_of([mongod_pid]) - before
    figures = [[float(word) for word in out.splitlines()[-1].split()] for out, _ in said]
    used = mongod + sum(cpu_seconds for _, _, cpu_seconds in figures)
    rate = sum(done / took for done, took, _ in figures)
    return Launched(rate, 1000 * used / sum(done for done, _, _ in figures))
