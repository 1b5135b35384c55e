"""Where the benchmark of claims plays: the mongod, a contender on a database of its own, and the figures of it all."""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pymongo

from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.storage import embedded
from tests.bench import cpu
from tests.bench.contenders import ONE_FILTER, Contender, Up, iceprod, ours
from tests.bench.figures import percentile, ratios
from tests.bench.pairs import Pairs
from tests.journeys.commands import ROOT

FIT: dict[str, Any] = {'cpu': 1, 'memory': 4}
MISFIT: dict[str, Any] = {'cpu': 1, 'gpu': 1}
OFFER: dict[str, Any] = {'cpu': 1, 'memory': 4, 'gpu': 0}
AT_ONCE = 5000
_MANY = 50_000
_SETTLE_SECONDS = 20.0
_IDLE = 0.03
MOTOR, PYMONGO, TWO = ours('motor'), ours('pymongo'), ours('motor', 2)
ICEPROD = 'IceProd 3.2.43'


@dataclass(frozen=True)
class Said:
    """How it went with pilots.

    Args:
        rate: tasks a second.
        done: tasks that were claimed and completed.
        service: ms of CPU a task, of the service.
        mongod: the same, of mongod.
        load: the same, of the pilots.
        others: part of the machine's CPU that other programs used meanwhile, in percent.
        waits: of claims: when asked, by the monotonic clock, and how long, in seconds.
        odd: answers that are none of the usual, with their number.
    """

    rate: float
    done: int
    service: float
    mongod: float
    load: float
    others: float
    waits: list[tuple[float, float]]
    odd: dict[str, int]

    @property
    def cpu(self) -> float:
        """Ms of CPU a task, of service and mongod."""
        return self.service + self.mongod

    def wait_ms(self, part: float = 0.5, since: float = 0.0, until: float = float('inf')) -> float:
        """The wait of a claim that a part of them does not exceed, of those that were under way in an interval."""
        return percentile([1000 * took for began, took in self.waits if began + took >= since and began <= until], part)


@dataclass
class Filling:
    """Tasks to put into a database.

    Args:
        number: how many.
        status: of all.
        needs: requirements of each, by its place.
        priority: likewise.
        dataset: likewise.
    """

    number: int
    status: str = 'queued'
    needs: Callable[[int], dict[str, Any]] = lambda _: FIT
    priority: Callable[[int], float] = lambda _: 1.0
    dataset: Callable[[int], str] = lambda _: 'd'


@dataclass
class Figures:
    """What was measured.

    Args:
        tables: by workload, row, contender and column: the figures of all rounds.
        goals: by goal, the figures of all rounds.
        why: goals that cannot be measured, and the reason.
        wrong: what should not have happened.
        others: parts of the machine that other programs used, in percent.
    """

    tables: dict[str, dict[tuple[str, str], dict[str, list[float]]]] = field(default_factory=dict)
    goals: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    why: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    others: list[float] = field(default_factory=list)


class Stage:
    """The mongod, what is to be measured, and what was."""

    def __init__(self, mongod: embedded.EmbeddedMongod, arguments: argparse.Namespace) -> None:
        self.url = mongod.url
        self.mongod_pid = mongod.pid
        self.client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongod.url)
        self.quick: bool = arguments.quick
        self.seconds: float = 2.0 if arguments.quick else 6.0
        self.pilots: list[int] = arguments.pilots
        self.iceprod = iceprod(arguments.iceprod_python) if arguments.iceprod_python else None
        self.fireworks_python: str = arguments.fireworks_python
        self.figures = Figures()
        self.workload = ''
        self.this_round: dict[tuple[str, int], Said] = {}
        self._who: list[str] = arguments.who
        self._tree: str = arguments.tree

    def note(self, row: str, who: str, **columns: float) -> None:
        """Keep figures of this round; `_` in names of columns stands for a blank."""
        kept = self.figures.tables.setdefault(self.workload, {}).setdefault((row, who), {})
        for name, value in columns.items():
            kept.setdefault(name.replace('_', ' '), []).append(value)
        said = '  '.join(f'{name.replace("_", " ")} {value:.4g}' for name, value in columns.items())
        print(f'  {row:28} {who:24} {said}', flush=True)

    def note_said(self, row: str, who: str, said: Said) -> None:
        """Keep what is usually of interest."""
        self.note(
            row, who, tasks_a_second=said.rate, CPU_ms=said.cpu, service_ms=said.service, mongod_ms=said.mongod,
            pilots_ms=said.load, claim_p50_ms=said.wait_ms(), claim_p99_ms=said.wait_ms(0.99),
        )  # fmt: skip

    def goal(self, name: str, value: float) -> None:
        """Keep this round's figure of a goal."""
        self.figures.goals[name].append(value)

    def compare(self, goal: str, ours: float, theirs: float) -> None:
        """Keep the ratio of two figures of this round."""
        self.figures.goals[goal] += ratios([ours], [theirs])

    def contenders(self, *also: Contender) -> list[Contender]:
        """Those who serve pairs, in another order each time.

        Args:
            also: of ours, instead of both drivers.
        """
        found = [*(also or (MOTOR, PYMONGO)), ONE_FILTER, *([self.iceprod] if self.iceprod else [])]
        found = [each for each in found if not self._who or any(word in each.name.lower() for word in self._who)]
        return random.sample(found, len(found))

    async def with_up(self, contender: Contender, fillings: list[Filling], work: Callable[[Up], Any]) -> Any:
        """Let a contender work on a database of its own that was filled."""
        database = contender.database or f'bench_{new_id()[:8]}'
        try:
            await asyncio.to_thread(self._fill, contender, database, fillings)
            async with contender.up(self.url, database, self._tree) as up:
                return await work(up)
        finally:
            self.client.drop_database(database)

    def _fill(self, contender: Contender, database: str, fillings: list[Filling]) -> None:
        tasks = self.client[database].tasks
        for filling in fillings:
            status = contender.status if filling.status == 'queued' else filling.status
            models: dict[str, dict[str, Any]] = {}
            for start in range(0, filling.number, AT_ONCE):
                some = []
                for place in range(start, min(filling.number, start + AT_ONCE)):
                    needs = filling.needs(place)
                    if (key := repr(needs)) not in models:
                        models[key] = _model(contender, needs, status)
                    own = {'dataset_id': filling.dataset(place), 'priority': filling.priority(place)}
                    some.append({**models[key], **own, 'task_id': new_id(), 'job_index': place})
                tasks.insert_many(some, ordered=False)
        # In a third of the time that it takes to fill them one by one.
        tasks.create_indexes(list(contender.indexes))
        # What was filled is written to the disk now, and not while something is measured.
        self.client.admin.command('fsync')
        if sum(filling.number for filling in fillings) >= _MANY:
            self._settle()

    def _settle(self) -> None:
        """Wait until mongod has done what filling leaves to do, as making room in its log of operations."""
        end = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < end:
            before = cpu.seconds_of([self.mongod_pid])
            time.sleep(1)
            if cpu.seconds_of([self.mongod_pid]) - before < _IDLE:
                break

    async def pairs(
        self, up: Up, pilots: int, seconds: float | None = None, ended: asyncio.Event | None = None, **more: Any
    ) -> Said:
        """Let pilots claim and complete.

        Args:
            up: by whom.
            pilots: how many.
            seconds: how long; as long as a phase lasts unless told.
            ended: when they end, if that is sooner.
            more: of `Pairs`.
        """
        more['until_told'] = ended is not None
        asked = Pairs(up.port, up.token, pilots, seconds or self.seconds, up.dialect, OFFER, **more)
        before, (busy, there) = self._used(up), cpu.machine_seconds()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, '-m', 'tests.bench.pairs', json.dumps(asdict(asked))),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)},
        )  # fmt: skip
        if ended is not None:
            await ended.wait()
        out, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError('the pilots failed')
        used, (busy_now, there_now) = self._used(up), cpu.machine_seconds()
        answer = json.loads(out)
        service, mongod = (after - each for after, each in zip(used, before, strict=True))
        done = max(1, answer['ever_done'])
        others = 100 * (busy_now - busy - service - mongod - answer['cpu']) / (there_now - there)
        self.figures.others.append(max(0.0, others))
        said = Said(
            answer['done'] / answer['seconds'], answer['ever_done'], 1000 * service / done, 1000 * mongod / done,
            1000 * answer['cpu'] / done, others, answer['waits'], answer['odd'],
        )  # fmt: skip
        self._check(up, said)
        return said

    def _used(self, up: Up) -> tuple[float, float]:
        return up.cpu_seconds(), cpu.seconds_of([self.mongod_pid])

    def _check(self, up: Up, said: Said) -> None:
        """Note answers that should not have been: all but that nothing is left when nothing is."""
        odd = dict(said.odd)
        if 'claim 404' in odd:
            where = {'status': up.status, 'requirements.gpu': {'$exists': False}}
            if not self.client[up.database].tasks.count_documents(where, limit=1):
                del odd['claim 404']
        if odd:
            self.figures.wrong.append(f'{self.workload}: {odd}')
            print(f'  WRONG: {odd}', flush=True)
        if sum(odd.values()) > 0.01 * said.done:
            raise RuntimeError(f'too much goes wrong: {odd}')


def _model(contender: Contender, needs: dict[str, Any], status: str) -> dict[str, Any]:
    """A task in the form of a contender."""
    given = {
        'dataset_id': '', 'job_id': 'j', 'task_index': 0, 'job_index': 0, 'name': 'one', 'depends': [],
        'status': status, 'requirements': needs,
    }  # fmt: skip
    if contender.model is not None:
        return {**given, **contender.model}
    return new_task(given, '', datetime.now(UTC), managed=False)


def median(values: list[float]) -> float:
    """Of some figures of one round."""
    return statistics.median(values) if values else float('nan')
