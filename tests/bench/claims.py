"""How fast claims and counts are, beside the plain way to do it and beside other systems.

Everything runs on one private mongod, each contender on a database of its own. What is compared runs in the same round,
in an order that is shuffled anew each time; a ratio is that of two figures of one round. CPU is the time of the
processor that service and mongod have used for a claim with its completion.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pymongo

from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.storage import embedded
from tests.bench.contenders import ONE_FILTER, Contender, Up, fireworks, iceprod, ours
from tests.bench.figures import Goal, ratios, summary
from tests.bench.pairs import Pairs
from tests.journeys.commands import ROOT

FIT: dict[str, Any] = {'cpu': 1, 'memory': 4}
MISFIT: dict[str, Any] = {'cpu': 1, 'gpu': 1}
OFFER: dict[str, Any] = {'cpu': 1, 'memory': 4, 'gpu': 0}
AT_ONCE = 5000
MOTOR, PYMONGO, TWO = ours('motor'), ours('pymongo'), ours('motor', 2)

GOALS = {
    'pairs 32 iceprod': Goal('claim + complete, 32 pilots, against IceProd 3.2.43', 3),
    'pairs 32 one filter': Goal('claim + complete, 32 pilots, against one filter', 3),
    'cpu motor iceprod': Goal('CPU a pair less than IceProd, on Motor', 3),
    'cpu motor one filter': Goal('CPU a pair less than one filter, on Motor', 3),
    'cpu pymongo iceprod': Goal('CPU a pair less than IceProd, on PyMongo Async', 4),
    'cpu pymongo one filter': Goal('CPU a pair less than one filter, on PyMongo Async', 4),
    'pairs 1 iceprod': Goal('claim + complete, 1 pilot, against IceProd', 1.1),
    'pairs 1 one filter': Goal('claim + complete, 1 pilot, against one filter', 1.1),
    'head 1': Goal('claim p50 behind 100 000 that do not fit, 1 pilot, against one filter', 100),
    'head 32': Goal('the same, 32 pilots', 500),
    'head rate': Goal('own rate with a head of 100 000 against none', 0.8),
    'size rate': Goal('own rate with 1 000 000 queued against 10 000', 0.8),
    'batch': Goal('batches of 100, tasks a second against pairs a second of IceProd, 32 pilots', 10),
    'fireworks': Goal('claim + complete, 8 pilots, against FireWorks', 10),
    'drain': Goal('rate after 40 000 against that of the first 4 000', 0.9),
    'two processes': Goal('two processes against one, 32 pilots', 1),
    'count dataset': Goal('counts of a dataset at 1 000 000 tasks', at_most=2, unit='ms'),
    'count all': Goal('counts of all at 1 000 000 tasks', at_most=10, unit='ms'),
    'count cpu': Goal('CPU a pair with counters against without', at_most=1.15),
    'queue': Goal('queue 1000 waiting by priority', at_most=100, unit='ms'),
    'bulk seconds': Goal('status of 100 000 ids while 8 pilots claim', at_most=5, unit='s'),
    'bulk p99': Goal('the p99 of claims meanwhile', at_most=50, unit='ms'),
}


class Bench:
    """The mongod, what was measured, and what is to be measured."""

    def __init__(self, mongod: embedded.EmbeddedMongod, arguments: argparse.Namespace) -> None:
        self._url = mongod.url
        children = psutil.Process().children(recursive=True)
        self._mongod = next(each for each in children if each.name() == 'mongod')
        self._client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongod.url)
        self._quick: bool = arguments.quick
        self._seconds: float = 2.0 if arguments.quick else 6.0
        self._iceprod: str = arguments.iceprod_python
        self._fireworks: str = arguments.fireworks_python
        self.figures: dict[str, list[float]] = defaultdict(list)
        self.rounds: dict[str, list[float]] = defaultdict(list)
        self.why: dict[str, str] = {}

    def note(self, workload: str, contender: str, what: str, value: float) -> None:
        """Keep a figure of this round."""
        self.figures[f'{workload} | {contender} | {what}'].append(value)
        print(f'  {workload:34} {contender:26} {what:22} {value:10.2f}', flush=True)

    def fill(self, database: str, number: int, status: str = 'queued', **fields: Any) -> None:
        """Put tasks there."""
        now, tasks = datetime.now(UTC), self._client[database].tasks
        given = {
            'dataset_id': 'd', 'job_id': 'j', 'task_index': 0, 'name': 'one', 'depends': [], 'priority': 1.0,
            'requirements': FIT, 'status': status, **fields,
        }  # fmt: skip
        spread = given['requirements'] if callable(given['requirements']) else None
        for start in range(0, number, AT_ONCE):
            some = []
            for place in range(start, min(number, start + AT_ONCE)):
                needs = {} if spread is None else {'requirements': spread(place)}
                some.append(new_task({**given, **needs, 'job_index': place}, new_id(), now, managed=False))
            tasks.insert_many(some, ordered=False)

    async def with_up(self, contender: Contender, fill: Callable[[str], None], work: Callable[[Up], Any]) -> Any:
        """Let a contender work on a database of its own that was filled."""
        database = contender.database or f'bench_{new_id()[:8]}'
        try:
            # It makes its indexes before there is much.
            async with contender.up(self._url, database) as up:
                await asyncio.to_thread(fill, database)
                return await work(up)
        finally:
            self._client.drop_database(database)

    async def pairs(self, up: Up, pilots: int, seconds: float | None = None, **more: Any) -> dict[str, Any]:
        """Let pilots work, and say how it went: pairs a second, CPU of a pair in ms, waits of claims in ms."""
        asked = Pairs(up.port, up.token, pilots, seconds or self._seconds, up.dialect, OFFER, **more)
        before, stored = up.cpu_seconds(), self._mongod_cpu()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, '-m', 'tests.bench.pairs', json.dumps(asdict(asked))),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        out, _ = await process.communicate()
        said: dict[str, Any] = json.loads(out)
        service, mongod = up.cpu_seconds() - before, self._mongod_cpu() - stored
        done = max(1, said['ever_done'])
        waits = [1000 * wait for wait in said['waits']] or [float('nan')]
        return {
            'rate': said['done'] / said['seconds'], 'done': said['ever_done'], 'cpu': 1000 * (service + mongod) / done,
            'service': 1000 * service / done, 'mongod': 1000 * mongod / done,
            'p50': statistics.median(waits), 'p99': waits[min(len(waits) - 1, int(0.99 * len(waits)))],
            'odd': said['odd'],
        }  # fmt: skip

    def _mongod_cpu(self) -> float:
        times = self._mongod.cpu_times()
        return float(times.user + times.system)

    def all_contenders(self) -> list[Contender]:
        """Those who serve pairs, in another order each time."""
        found = [MOTOR, PYMONGO, ONE_FILTER, *([iceprod(self._iceprod)] if self._iceprod else [])]
        random.shuffle(found)
        return found

    def compare(self, goal: str, ours: float, theirs: float) -> None:
        """Keep the ratio of two figures of this round."""
        self.rounds[goal] += ratios([ours], [theirs])

    # Workloads

    async def claims_and_completions(self) -> None:
        """40 000 fitting tasks, 1, 8 and 32 pilots."""
        rates: dict[tuple[str, int], dict[str, Any]] = {}
        for contender in self.all_contenders():

            async def work(up: Up, contender: Contender = contender) -> None:
                for pilots in (1, 8, 32):
                    said = rates[contender.name, pilots] = await self.pairs(up, pilots)
                    for what in ('rate', 'cpu', 'service', 'mongod', 'p50', 'p99'):
                        self.note(f'pairs, {pilots} pilots', contender.name, what, said[what])

            tasks = 20_000 if self._quick else 40_000

            def fill(database: str, contender: Contender = contender, tasks: int = tasks) -> None:
                self.fill(database, tasks, contender.status)

            await self.with_up(contender, fill, work)
        for other, key in (('IceProd 3.2.43', 'iceprod'), (ONE_FILTER.name, 'one filter')):
            if (other, 32) not in rates:
                continue
            self.compare(f'pairs 32 {key}', rates[MOTOR.name, 32]['rate'], rates[other, 32]['rate'])
            self.compare(f'pairs 1 {key}', rates[MOTOR.name, 1]['rate'], rates[other, 1]['rate'])
            self.compare(f'cpu motor {key}', rates[other, 32]['cpu'], rates[MOTOR.name, 32]['cpu'])
            self.compare(f'cpu pymongo {key}', rates[other, 32]['cpu'], rates[PYMONGO.name, 32]['cpu'])
        await self._batches(rates.get(('IceProd 3.2.43', 32)))
        await self._fireworks_beside(rates[MOTOR.name, 8]['rate'])

    async def _batches(self, iceprod: dict[str, Any] | None) -> None:
        """Batches of 10, 100 and 1000, by four pilots."""

        async def work(up: Up) -> None:
            for size in (10, 100, 1000):
                said = await self.pairs(up, 4, batch=size, warm_seconds=0.2)
                self.note(f'batches of {size}', MOTOR.name, 'rate', said['rate'])
                self.note(f'batches of {size}', MOTOR.name, 'cpu', said['cpu'])
                if size == 100 and iceprod:
                    self.compare('batch', said['rate'], iceprod['rate'])

        await self.with_up(MOTOR, lambda database: self.fill(database, 60_000 if self._quick else 150_000), work)

    async def _fireworks_beside(self, rate: float) -> None:
        if not self._fireworks:
            return
        for workers in (1, 8):
            before = self._mongod_cpu()
            said = await fireworks(
                Path(self._fireworks), self._url, workers, max(4.0, self._seconds), f'bench_{new_id()[:8]}'
            )
            own = said['done'] / said['seconds']
            self.note(f'pairs, {workers} pilots', 'FireWorks 2.1.4', 'rate', own)
            cpu = 1000 * (said['cpu'] + self._mongod_cpu() - before) / max(1, said['done'])
            self.note(f'pairs, {workers} pilots', 'FireWorks 2.1.4', 'cpu', cpu)
            if workers == 8:
                self.compare('fireworks', rate, own)

    async def heads(self) -> None:
        """0, 10 000 and 100 000 tasks at the head that do not fit."""
        waits: dict[tuple[str, int, int], float] = {}
        rates: dict[int, float] = {}
        names = [MOTOR, ONE_FILTER, *([iceprod(self._iceprod)] if self._iceprod else [])]
        random.shuffle(names)
        sizes = (0, 100_000) if self._quick else (0, 10_000, 100_000)
        for contender in names:
            for size in sizes:

                def fill(database: str, contender: Contender = contender, size: int = size) -> None:
                    self.fill(database, size, contender.status, requirements=MISFIT, priority=9.0)
                    self.fill(database, 10_000, contender.status)

                async def work(up: Up, contender: Contender = contender, size: int = size) -> None:
                    for pilots in (1, 32):
                        said = await self.pairs(up, pilots, claims_only=contender is not MOTOR)
                        waits[contender.name, size, pilots] = said['p50']
                        self.note(f'head of {size}, {pilots} pilots', contender.name, 'p50', said['p50'])
                        if contender is MOTOR and pilots == 32:
                            rates[size] = said['rate']
                            self.note(f'head of {size}, {pilots} pilots', contender.name, 'rate', said['rate'])

                await self.with_up(contender, fill, work)
        for pilots in (1, 32):
            theirs = waits[ONE_FILTER.name, 100_000, pilots]
            self.compare(f'head {pilots}', theirs, waits[MOTOR.name, 100_000, pilots])
        self.compare('head rate', rates[100_000], rates[0])

    async def drain(self) -> None:
        """The first 4 000 tasks of a queue, and those after 40 000."""

        async def work(up: Up) -> None:
            first = await self.pairs(up, 32, 60, at_most=4000, warm_seconds=0)
            await self.pairs(up, 8, 300, batch=50, at_most=36_000, warm_seconds=0)
            last = await self.pairs(up, 32, 60, at_most=4000, warm_seconds=0)
            self.note('drain', MOTOR.name, 'rate, first 4000', first['rate'])
            self.note('drain', MOTOR.name, 'rate, after 40000', last['rate'])
            self.compare('drain', last['rate'], first['rate'])

        await self.with_up(MOTOR, lambda database: self.fill(database, 50_000), work)

    async def sizes_and_counts(self) -> None:
        """10 000, 100 000 and 1 000 000 tasks in the queue; counts of them."""
        rates = {}
        for size in (10_000, 1_000_000) if self._quick else (10_000, 100_000, 1_000_000):

            async def work(up: Up, size: int = size) -> None:
                said = await self.pairs(up, 32)
                rates[size] = said['rate']
                self.note(f'{size} queued', MOTOR.name, 'rate', said['rate'])
                await self._counts(up, size)

            await self.with_up(MOTOR, lambda database, size=size: self._datasets_of(database, size), work)
        self.compare('size rate', rates[1_000_000], rates[10_000])

    def _datasets_of(self, database: str, size: int) -> None:
        for number in range(10):
            self.fill(database, size // 10, dataset_id=f'd{number}', job_id=f'j{number}')

    async def _counts(self, up: Up, size: int) -> None:
        headers = {'Authorization': f'Bearer {up.token}'}
        async with httpx2.AsyncClient(base_url=f'http://127.0.0.1:{up.port}', headers=headers, timeout=120) as http:
            # What was put there behind the service's back is counted anew first.
            await asyncio.sleep(5)
            for path, what in (('/datasets/d1/task_counts/status', 'dataset'), ('/task_counts/status', 'all')):
                waits = []
                for _ in range(21):
                    began = time.perf_counter()
                    (await http.get(path)).raise_for_status()
                    waits.append(1000 * (time.perf_counter() - began))
                self.note(f'counts at {size}', MOTOR.name, f'{what}, ms', statistics.median(waits))
                if size == 1_000_000:
                    self.rounds[f'count {what}'].append(statistics.median(waits))

    async def bulk(self) -> None:
        """The status of 100 000 ids at once, and 1000 queued by priority, while 8 pilots claim."""

        def fill(database: str) -> None:
            self.fill(database, 100_000, 'waiting', dataset_id='bulk', job_id='bulk')
            self.fill(database, 30_000)

        async def work(up: Up) -> None:
            headers = {'Authorization': f'Bearer {up.token}'}
            async with httpx2.AsyncClient(base_url=f'http://127.0.0.1:{up.port}', headers=headers, timeout=120) as http:
                summary = (await http.get('/datasets/bulk/task_summaries/status')).json()
                queued = []
                for _ in range(5):
                    began = time.perf_counter()
                    (await http.post('/task_actions/queue', json={'num_tasks': 1000})).raise_for_status()
                    queued.append(1000 * (time.perf_counter() - began))
                self.note('queue 1000 of 100 000', MOTOR.name, 'ms', statistics.median(queued))
                self.rounds['queue'].append(statistics.median(queued))
                pilots = asyncio.create_task(self.pairs(up, 8, 12, warm_seconds=1.0))
                await asyncio.sleep(2)
                began = time.perf_counter()
                path = '/datasets/bulk/task_actions/bulk_status/suspended'
                (await http.post(path, json={'tasks': summary['waiting']})).raise_for_status()
                took = time.perf_counter() - began
                said = await pilots
            self.note('bulk status of 100 000', MOTOR.name, 'seconds', took)
            self.note('bulk status of 100 000', MOTOR.name, 'p99 of claims, ms', said['p99'])
            self.rounds['bulk seconds'].append(took)
            self.rounds['bulk p99'].append(said['p99'])

        await self.with_up(MOTOR, fill, work)

    async def signatures(self) -> None:
        """1, 20, 150 and 500 different requirements in the queue."""
        for number in (1, 500) if self._quick else (1, 20, 150, 500):

            def fill(database: str, number: int = number) -> None:
                self.fill(database, 15_000, requirements=lambda place: {'cpu': 1, 'memory': 1 + place % number / 1000})

            async def work(up: Up, number: int = number) -> None:
                said = await self.pairs(up, 8)
                self.note(f'{number} signatures, 8 pilots', MOTOR.name, 'rate', said['rate'])
                self.note(f'{number} signatures, 8 pilots', MOTOR.name, 'cpu', said['cpu'])

            await self.with_up(MOTOR, fill, work)

    async def processes(self) -> None:
        """Two processes against one."""
        rates = {}
        for contender in random.sample([MOTOR, TWO], 2):

            async def work(up: Up, contender: Contender = contender) -> None:
                said = await self.pairs(up, 32)
                rates[contender.name] = said['rate']
                self.note('processes, 32 pilots', contender.name, 'rate', said['rate'])
                self.note('processes, 32 pilots', contender.name, 'cpu', said['cpu'])

            await self.with_up(contender, lambda database: self.fill(database, 20_000), work)
        self.compare('two processes', rates[TWO.name], rates[MOTOR.name])


WORKLOADS = {
    'pairs': Bench.claims_and_completions,
    'heads': Bench.heads,
    'drain': Bench.drain,
    'sizes': Bench.sizes_and_counts,
    'bulk': Bench.bulk,
    'signatures': Bench.signatures,
    'processes': Bench.processes,
}


def told(bench: Bench) -> list[str]:
    """The tables of figures and goals, as Markdown."""
    lines = ['| workload | who | what | median (least-greatest) |', '| --- | --- | --- | --- |']
    for key, values in bench.figures.items():
        lines.append(f'| {key} | {summary(values)} |')
    lines += ['', '| goal | wanted | figure | verdict |', '| --- | --- | --- | --- |']
    for key, goal in GOALS.items():
        words, verdict = goal.judge(bench.rounds.get(key, []), bench.why.get(key, ''))
        lines.append(f'| {goal.name} | {goal.bound} | {words} | {verdict} |')
    return lines


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog='scripts/bench', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='all of it in under eight minutes, with less certainty')
    parser.add_argument('--rounds', type=int, help='rounds of each workload; 5, or 1 with --quick')
    parser.add_argument('--only', choices=sorted(WORKLOADS), action='append', help='this workload; repeatable')
    parser.add_argument('--json', type=Path, help='write all figures to this file')
    parser.add_argument('--write', type=Path, help='put the tables in place of those of a page, docs/benchmarks.md')
    parser.add_argument('--iceprod-python', default=os.environ.get('ICEPROD_PYTHON', ''),
                        help='the command of a Python that has iceprod 3.2.43  [env: ICEPROD_PYTHON]')  # fmt: skip
    parser.add_argument('--fireworks-python', default=os.environ.get('FIREWORKS_PYTHON', ''),
                        help='a Python that has FireWorks 2.1.4  [env: FIREWORKS_PYTHON]')  # fmt: skip
    return parser.parse_args()


def find_packages(arguments: argparse.Namespace, why: dict[str, str]) -> None:
    """Make the environments of the packages that are compared, where that is possible."""
    cache = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'iceprod-tasks-bench'
    if not arguments.iceprod_python:
        newer = next((found for minor in range(14, 11, -1) if (found := shutil.which(f'python3.{minor}'))), None)
        arguments.iceprod_python = _made(newer, cache / 'iceprod', 'iceprod==3.2.43') if newer else ''
    if not arguments.fireworks_python:
        arguments.fireworks_python = _made(sys.executable, cache / 'fireworks', 'FireWorks==2.1.4')
    if not arguments.iceprod_python:
        why |= dict.fromkeys([key for key in GOALS if 'iceprod' in key or key == 'batch'], 'no Python 3.12')
    if not arguments.fireworks_python:
        why['fireworks'] = 'FireWorks cannot be installed'


def _made(python: str, folder: Path, package: str) -> str:
    own = folder / 'bin' / 'python'
    try:
        if not own.exists():
            subprocess.run([python, '-m', 'venv', folder], check=True)
        subprocess.run([own, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', package], check=True)
    except (OSError, subprocess.CalledProcessError):
        return ''
    return str(own)


def replaced(page: str, lines: Sequence[str]) -> str:
    """A page with its tables replaced."""
    begin, end = '<!-- figures -->', '<!-- end of figures -->'
    head, _, rest = page.partition(begin)
    return head + begin + '\n\n' + '\n'.join(lines) + '\n\n' + end + rest.partition(end)[2]


async def main() -> None:
    """Measure, and print."""
    arguments = parsed()
    why: dict[str, str] = {}
    find_packages(arguments, why)
    with tempfile.TemporaryDirectory() as folder:
        mongod = await embedded.start(Path(folder), cache_gb=4)
        try:
            bench = Bench(mongod, arguments)
            bench.why |= why
            began = time.monotonic()
            for number in range(arguments.rounds or (1 if arguments.quick else 5)):
                chosen = list(arguments.only or WORKLOADS)
                random.shuffle(chosen)
                for name in chosen:
                    print(f'round {number + 1}, {name}, after {time.monotonic() - began:.0f} s', flush=True)
                    await WORKLOADS[name](bench)
        finally:
            await mongod.stop()
    lines = told(bench)
    print('\n'.join(lines))
    if arguments.json:
        arguments.json.write_text(json.dumps({'figures': bench.figures, 'goals': bench.rounds}, indent=1))
    if arguments.write:
        arguments.write.write_text(replaced(arguments.write.read_text(), lines))


if __name__ == '__main__':
    asyncio.run(main())
