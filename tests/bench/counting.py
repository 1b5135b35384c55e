"""What is measured beside claims: many tasks in the queue, counts, and changes of many tasks at once."""

import asyncio
import random
import time

from tests.bench import memory
from tests.bench.contenders import Up
from tests.bench.stage import MOTOR, Filling, Stage, median

MANY = 1_000_000
DATASETS = 10


async def sizes(stage: Stage) -> None:
    """10 000, 100 000 and 1 000 000 tasks in the queue; counts of them, and lists."""
    rates = {}
    numbers = (10_000, MANY) if stage.quick else (10_000, 100_000, MANY)
    for size in random.sample(numbers, len(numbers)):

        async def work(up: Up, size: int = size) -> None:
            said = await stage.pairs(up, 32, at_most=9_500)
            rates[size] = said.rate
            stage.note(f'{size} queued', MOTOR.name, pairs_a_second=said.rate, CPU_ms=said.cpu)
            if size > numbers[0]:
                await _counts(stage, up, size)
            if size == MANY:
                await _reads(stage, up)

        filling = Filling(size, dataset=lambda place, size=size: f'd{place * DATASETS // size}')
        await stage.with_up(MOTOR, [filling], work)
    stage.compare('size rate', rates[MANY], rates[numbers[0]])


async def _counts(stage: Stage, up: Up, size: int) -> None:
    """How long the first question takes, for which all is counted, and how long those after it."""
    async with up.http() as http:
        for path, what in (('/datasets/d1/task_counts/status', 'a dataset'), ('/task_counts/status', 'all')):
            waits = []
            for _ in range(31):
                began = time.perf_counter()
                (await http.get(path)).raise_for_status()
                waits.append(1000 * (time.perf_counter() - began))
            stage.note(f'counts of {what} at {size}', MOTOR.name, ms=median(waits[1:]), first_ms=waits[0])
            if size == MANY:
                stage.goal(f'count {what}', median(waits[1:]))


_READ = {
    'name by status of a dataset': '/datasets/d1/task_counts/name_status',
    'statistics of a dataset': '/datasets/d1/task_stats',
    'summary of a dataset': '/datasets/d1/task_summaries/status',
    'list of all, two fields': '/tasks?keys=task_id|status',
}


async def _reads(stage: Stage, up: Up) -> None:
    """What reading much costs: time, and memory of the service beyond what it had before."""
    async with up.http() as http:
        for what, path in _READ.items():
            memory.forget_peaks(up.pids)
            before, size, began = memory.peak_bytes(up.pids), 0, time.perf_counter()
            async with http.stream('GET', path) as answer:
                answer.raise_for_status()
                async for piece in answer.aiter_raw():
                    size += len(piece)
            seconds = time.perf_counter() - began
            grown = memory.peak_bytes(up.pids) - before
            stage.note(f'{what} at {MANY}', MOTOR.name, ms=1000 * seconds, answer_MB=size / 1e6, grown_MB=grown / 1e6)


async def counters(stage: Stage) -> None:
    """CPU of a pair where somebody asks for counts, and where nobody does."""
    used = {}
    for kept in random.sample([True, False], 2):

        async def work(up: Up, kept: bool = kept) -> None:
            if kept:
                async with up.http() as http:
                    for path in ('/datasets/d/task_counts/status', '/task_counts/status'):
                        (await http.get(path)).raise_for_status()
            said = await stage.pairs(up, 32)
            used[kept] = said.cpu
            stage.note_said(f'counters {"kept" if kept else "not kept"}', MOTOR.name, said)

        await stage.with_up(MOTOR, [Filling(25_000)], work)
    stage.compare('count cpu', used[True], used[False])


async def bulk(stage: Stage) -> None:
    """1000 of 100 000 waiting tasks are queued by priority; the status of 100 000 ids is set while 8 pilots claim."""

    async def work(up: Up) -> None:
        async with up.http() as http:
            ids = (await http.get('/datasets/bulk/task_summaries/status')).json()['waiting']
            queued = []
            for _ in range(5):
                began = time.perf_counter()
                (await http.post('/task_actions/queue', json={'num_tasks': 1000})).raise_for_status()
                queued.append(1000 * (time.perf_counter() - began))
            stage.note('queue 1000 of 100 000 waiting', MOTOR.name, ms=median(queued))
            stage.goal('queue', median(queued))
            over = asyncio.Event()
            pilots = asyncio.create_task(stage.pairs(up, 8, 60, over, niceness=0))
            await asyncio.sleep(4)
            began = time.monotonic()
            (
                await http.post('/datasets/bulk/task_actions/bulk_status/suspended', json={'tasks': ids})
            ).raise_for_status()
            ended = time.monotonic()
            over.set()
            said = await pilots
        stage.note('without bulk', MOTOR.name, claim_p99_ms=said.wait_ms(0.99, until=began))
        p99 = said.wait_ms(0.99, began, ended)
        stage.note('bulk status of 100 000', MOTOR.name, ms=1000 * (ended - began), claim_p99_ms=p99)
        stage.goal('bulk seconds', ended - began)
        stage.goal('bulk p99', p99)

    waiting = Filling(100_000, 'waiting', priority=lambda _: random.random(), dataset=lambda _: 'bulk')
    await stage.with_up(MOTOR, [waiting, Filling(30_000)], work)
