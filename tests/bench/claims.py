"""How fast claims and counts are, beside the plain way to do it and beside other systems.

Everything runs on one private mongod, each contender on a fresh database of its own. What is compared runs in the same
round, in an order that is shuffled anew each time; a ratio is that of two figures of one round. CPU is the time of the
processor that service and mongod have used for a claim with its completion.
"""

import argparse
import asyncio
import dataclasses
import json
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iceprod_tasks.storage import embedded
from tests.bench import claiming, counting, packages
from tests.bench.goals import GOALS, excuse, replaced, told
from tests.bench.stage import Stage

WORKLOADS: Mapping[str, Any] = {
    'pairs': claiming.pairs,
    'batches': claiming.batches,
    'fireworks': claiming.fireworks,
    'heads': claiming.heads,
    'drain': claiming.drain,
    'sizes': counting.sizes,
    'counters': counting.counters,
    'bulk': counting.bulk,
    'signatures': claiming.signatures,
    'processes': claiming.processes,
}


def parsed() -> argparse.Namespace:
    """The command line."""
    workloads = '\n'.join(f'  {name:12} {work.__doc__}' for name, work in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog='scripts/bench', description=__doc__, epilog=f'workloads:\n{workloads}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument('--quick', action='store_true', help='all of it in under eight minutes, with less certainty')
    parser.add_argument('--rounds', type=int, help='rounds of each workload; 5, or 1 with --quick')
    parser.add_argument('--only', choices=sorted(WORKLOADS), action='append', help='this workload; repeatable')
    parser.add_argument('--who', action='append', default=[], metavar='WORD', type=str.lower,
                        help='only contenders with this word in their names, as motor; repeatable')  # fmt: skip
    parser.add_argument('--pilots', type=int, action='append', default=[], metavar='N',
                        help='so many pilots in the workload pairs; repeatable')  # fmt: skip
    parser.add_argument('--tree', default='', metavar='FOLDER', help='measure the service of another checkout')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures to this file')
    parser.add_argument('--write', type=Path, metavar='PAGE', nargs='?', const=Path('docs/benchmarks.md'),
                        help='put the tables in place of those of a page, docs/benchmarks.md unless named')  # fmt: skip
    packages.add_options(parser)
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    return arguments


def find_packages(arguments: argparse.Namespace, why: dict[str, str]) -> None:
    """Make the environments of the packages that are compared, where that is possible and they are asked for."""
    wanted = set(arguments.only or WORKLOADS)
    of_iceprod = any('iceprod'.find(word) >= 0 for word in arguments.who) or not arguments.who
    if of_iceprod and wanted & {'pairs', 'heads', 'batches'}:
        arguments.iceprod_python = packages.iceprod_python(arguments.iceprod_python)
        if not arguments.iceprod_python:
            keys = [key for goals in GOALS.values() for key in goals if 'iceprod' in key or key == 'batch']
            why |= dict.fromkeys(keys, packages.NO_ICEPROD)
    else:
        arguments.iceprod_python = ''
    if 'fireworks' in wanted:
        arguments.fireworks_python = packages.fireworks_python(arguments.fireworks_python)
        if not arguments.fireworks_python:
            excuse(why, 'fireworks', packages.NO_FIREWORKS)


async def measure(stage: Stage, arguments: argparse.Namespace) -> None:
    """All rounds; a workload that fails leaves the others be."""
    began = time.monotonic()
    for number in range(arguments.rounds):
        chosen = list(arguments.only or WORKLOADS)
        random.shuffle(chosen)
        stage.this_round.clear()
        for stage.workload in chosen:
            print(f'round {number + 1}, {stage.workload}, after {time.monotonic() - began:.0f} s', flush=True)
            try:
                await WORKLOADS[stage.workload](stage)
            except Exception as error:
                excuse(stage.figures.why, stage.workload, f'failed: {error}'[:100])
                print(f'  FAILED: {error!r}', flush=True)


async def main() -> None:
    """Measure, and print."""
    arguments = parsed()
    why: dict[str, str] = {}
    find_packages(arguments, why)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        mongod = await embedded.start(Path(folder), cache_gb=4)
        try:
            stage = Stage(mongod, arguments)
            stage.figures.why |= why
            await measure(stage, arguments)
        finally:
            await mongod.stop()
    for name in WORKLOADS:
        excuse(stage.figures.why, name, 'not asked for' if arguments.only or arguments.who else '')
    # Workloads in the order of the list, not of the last shuffle.
    figures = dataclasses.replace(
        stage.figures, tables={name: each for name in WORKLOADS if (each := stage.figures.tables.get(name))}
    )
    lines = told(figures, arguments.rounds, quick=arguments.quick)
    print('\n'.join(['', *lines]))
    if arguments.json:
        tables = {name: {' | '.join(row): kept for row, kept in rows.items()} for name, rows in figures.tables.items()}
        kept = {'tables': tables, 'goals': figures.goals, 'wrong': figures.wrong, 'others': figures.others}
        arguments.json.write_text(json.dumps(kept, indent=1))
    if arguments.write:
        arguments.write.write_text(replaced(arguments.write.read_text(), lines))


if __name__ == '__main__':
    asyncio.run(main())
