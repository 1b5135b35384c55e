"""What is measured of claims: pairs, batches, heads that do not fit, draining, signatures, processes."""

import random

from iceprod_tasks.domain.tasks import new_id
from tests.bench.contenders import ONE_FILTER, Contender, Up
from tests.bench.launchers import launch
from tests.bench.stage import ICEPROD, MISFIT, MOTOR, PYMONGO, TWO, Filling, Said, Stage

NAN = float('nan')
PILOTS = (1, 8, 32)
FIREWORKS = 'FireWorks 2.1.4'
OTHERS = {'iceprod': ICEPROD, 'one filter': ONE_FILTER.name}


async def _measured(stage: Stage, contender: Contender, pilots: int) -> Said:
    """Pairs of a contender in this round, measured now unless they have been."""
    if (contender.name, pilots) not in stage.this_round:

        async def work(up: Up) -> None:
            stage.this_round[contender.name, pilots] = await stage.pairs(up, pilots)

        await stage.with_up(contender, [Filling(20_000)], work)
    return stage.this_round[contender.name, pilots]


async def pairs(stage: Stage) -> None:
    """40 000 fitting tasks, and 1, 8 and 32 pilots that claim and complete."""
    for contender in stage.contenders():

        async def work(up: Up, contender: Contender = contender) -> None:
            for pilots in stage.pilots or PILOTS:
                said = stage.this_round[contender.name, pilots] = await stage.pairs(up, pilots)
                stage.note_said(f'{pilots} pilots' if pilots > 1 else '1 pilot', contender.name, said)

        await stage.with_up(contender, [Filling(40_000)], work)
    for key, other in OTHERS.items():
        for pilots in (1, 32):
            theirs, motor, pymongo = (
                stage.this_round.get((each, pilots)) for each in (other, MOTOR.name, PYMONGO.name)
            )
            if theirs and motor:
                stage.compare(f'pairs {pilots} {key}', motor.rate, theirs.rate)
            if theirs and motor and pilots == 32:
                stage.compare(f'cpu motor {key}', theirs.cpu, motor.cpu)
            if theirs and pymongo and pilots == 32:
                stage.compare(f'cpu pymongo {key}', theirs.cpu, pymongo.cpu)


async def batches(stage: Stage) -> None:
    """Batches of 10, 100 and 1000, claimed and reported by four pilots."""
    rates = {}
    for size in random.sample((10, 100, 1000), 3):

        async def work(up: Up, size: int = size) -> None:
            said = await stage.pairs(up, 4, 2 * stage.seconds, batch=size)
            stage.note_said(f'{size} tasks', MOTOR.name, said)
            rates[size] = said.rate

        await stage.with_up(MOTOR, [Filling((40_000 if size == 10 else 60_000) * (1 if stage.quick else 3))], work)
    if stage.iceprod:
        theirs = await _measured(stage, stage.iceprod, 32)
        stage.note('1 task, 32 pilots', ICEPROD, tasks_a_second=theirs.rate, CPU_ms=theirs.cpu)
        stage.compare('batch', max(rates.values()), theirs.rate)


async def fireworks(stage: Stage) -> None:
    """1 and 8 rocket launchers of FireWorks, and 8 pilots of ours."""
    if not stage.fireworks_python:
        return
    for workers in (1, 8):
        database = f'bench_{new_id()[:8]}'
        try:
            said = await launch(
                stage.fireworks_python, stage.url, database, workers, max(4.0, stage.seconds), stage.mongod_pid
            )
        finally:
            stage.client.drop_database(database)
        stage.note(f'{workers} workers', FIREWORKS, tasks_a_second=said.rate, CPU_ms=said.cpu_ms)
    own = await _measured(stage, MOTOR, 8)
    stage.note('8 pilots', MOTOR.name, tasks_a_second=own.rate, CPU_ms=own.cpu)
    stage.compare('fireworks', own.rate, said.rate)


async def heads(stage: Stage) -> None:
    """0, 10 000 and 100 000 tasks of a higher priority that do not fit, before those that do."""
    waits: dict[tuple[str, int, int], float] = {}
    rates: dict[int, float] = {}
    for size in (0, 100_000) if stage.quick else (0, 10_000, 100_000):
        for contender in stage.contenders(MOTOR):

            async def work(up: Up, contender: Contender = contender, size: int = size) -> None:
                for pilots in (1, 32):
                    waits[contender.name, size, pilots] = await _wait_behind(stage, up, contender, size, pilots)
                if contender is MOTOR:
                    said = await stage.pairs(up, 32)
                    rates[size] = said.rate
                    stage.note(f'head of {size}, 32 pilots', contender.name, tasks_a_second=said.rate, CPU_ms=said.cpu)

            # Who takes seconds for a claim needs few.
            fit = 50_000 if contender is MOTOR else 2_000 if size else 20_000
            fillings = [Filling(size, needs=lambda _: MISFIT, priority=lambda _: 9.0), Filling(fit)]
            await stage.with_up(contender, fillings, work)
    for key, other in OTHERS.items():
        for pilots in (1, 32):
            theirs = waits.get((other, 100_000, pilots), NAN)
            stage.compare(f'head {pilots} {key}', theirs, waits.get((MOTOR.name, 100_000, pilots), NAN))
    if rates:
        stage.compare('head rate', rates[100_000], rates[0])


async def _wait_behind(stage: Stage, up: Up, contender: Contender, size: int, pilots: int) -> float:
    """The p50 of claims that are not followed by anything, in ms."""
    at_most, warm_seconds = 15_000, 0.5
    if contender is not MOTOR and size:
        # One of them takes seconds: a few must do, and the first ones count.
        at_most, warm_seconds = (10 if pilots == 1 else 32 if stage.quick else 96), 0
    said = await stage.pairs(
        up, pilots, claims_only=True, at_most=at_most, niceness=0, warm_seconds=warm_seconds,
        seconds=stage.seconds if warm_seconds else 60,
    )  # fmt: skip
    row = f'head of {size}, {pilots} pilot' + 's' * (pilots > 1)
    stage.note(row, contender.name, claim_p50_ms=said.wait_ms(), claim_p99_ms=said.wait_ms(0.99))
    return said.wait_ms()


async def drain(stage: Stage) -> None:
    """The first 4 000 tasks of a queue, and those after 40 000, by 32 pilots."""

    async def work(up: Up) -> None:
        # What the process does for the first time is not what draining is about.
        await stage.pairs(up, 32, 60, at_most=1000, warm_seconds=0)
        first = await stage.pairs(up, 32, 60, at_most=4000, warm_seconds=0)
        between = await stage.pairs(up, 32, 300, at_most=36_000, warm_seconds=0)
        last = await stage.pairs(up, 32, 60, at_most=4000, warm_seconds=0)
        for row, said in (('the first 4 000', first), ('36 000 more', between), ('4 000 after those', last)):
            stage.note(row, MOTOR.name, tasks_a_second=said.rate, CPU_ms=said.cpu)
        stage.compare('drain', last.rate, first.rate)

    await stage.with_up(MOTOR, [Filling(46_000)], work)


async def signatures(stage: Stage) -> None:
    """1, 20, 150 and 500 different requirements in the queue, and 8 pilots."""
    numbers = (1, 500) if stage.quick else (1, 20, 150, 500)
    for number in random.sample(numbers, len(numbers)):

        async def work(up: Up, number: int = number) -> None:
            stage.note_said(f'{number} signatures', MOTOR.name, await stage.pairs(up, 8))

        needs = [{'cpu': 1, 'memory': 1 + place / 1000} for place in range(number)]
        await stage.with_up(MOTOR, [Filling(20_000, needs=lambda place, needs=needs: needs[place % len(needs)])], work)


async def processes(stage: Stage) -> None:
    """Two processes against one, 32 pilots."""
    rates = {}
    for contender in random.sample([MOTOR, TWO], 2):

        async def work(up: Up, contender: Contender = contender) -> None:
            said = await stage.pairs(up, 32)
            rates[contender.name] = said.rate
            stage.note_said('32 pilots', contender.name, said)

        await stage.with_up(contender, [Filling(25_000)], work)
    stage.compare('two processes', rates[TWO.name], rates[MOTOR.name])
