"""The fault harness: `scripts/faults`. docs/faults.md explains it."""

import argparse
import asyncio
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults import network, summary
from tests.faults.run import run

CI_SEED = 1
CI_LOAD_SECONDS = 70.0
_SHOWN = 20


def main() -> int:
    """Do the runs that are asked for; 1 when an invariant does not hold."""
    arguments = _arguments()
    network.enter(['-m', 'tests.faults', *sys.argv[1:]])
    if network.is_inside():
        network.prepare()
    logging.basicConfig(level='ERROR')
    # Like Ctrl-C, so that all that was started is ended and the folder removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    end = time.monotonic() + 3600 * arguments.soak
    seeds = arguments.seeds
    while seeds:
        for seed in seeds:
            if not _one(seed, arguments.load_seconds, arguments.keep):
                return 1
        seeds = [random.SystemRandom().randrange(10**6)] if time.monotonic() < end else []
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='scripts/faults', description=__doc__)
    parser.add_argument('--ci', action='store_true', help=f'the run of ./scripts/test, with seed {CI_SEED} [default]')
    parser.add_argument('--soak', type=float, default=0.0, metavar='HOURS', help='go on, each run with a new seed')
    parser.add_argument('--seed', '--seeds', dest='seeds', default=[CI_SEED], metavar='N,N', type=_seeds)
    parser.add_argument('--load-seconds', type=float, default=CI_LOAD_SECONDS, metavar='S', help='faults in each run')
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help='keep history and logs here, also of good runs')
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    return [int(word) for word in text.split(',')]


def _one(seed: int, load_seconds: float, keep: Path | None) -> bool:
    """One run, told about; whether all is well. What it wrote is kept when it is not."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f'iceprod-faults-{seed}-')) if keep is None else keep / f'seed-{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f'seed {seed}: {load_seconds:g} s of faults{"" if network.is_inside() else ", none of the network"}', flush=True
    )
    good = True
    try:
        result = asyncio.run(run(folder, seed, load_seconds))
        good = not result.violations
        for line in summary.lines(result.history, result.final):
            print(f'  {line}')
        print(f'  {len(result.violations)} violations, {time.monotonic() - began:.0f} s', flush=True)
        for violation in result.violations[:_SHOWN]:
            print(f'  VIOLATION {violation}')
    except Exception:
        good = False
        traceback.print_exc()
    finally:
        if not good:
            print(f'  seed {seed}; history and logs: {folder}', flush=True)
        elif keep is None:
            shutil.rmtree(folder)
    return good


if __name__ == '__main__':
    sys.exit(main())
