"""kill -9 of the service and of mongod at any moment loses no result that a pilot was told is kept."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.journeys.commands import EXAMPLE, ROOT, Commands


def mongod_of(service: 'subprocess.Popen[str]') -> int | None:
    try:
        children = psutil.Process(service.pid).children()
    except psutil.NoSuchProcess:
        return None
    return next((child.pid for child in children if 'mongod' in child.name()), None)


@pytest.mark.parametrize('seed', [1, 2])
def test_the_example_ends_with_its_sum_although_service_and_mongod_are_killed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with Commands(tmp_path) as commands:
        service = commands.serve('--retry-delay', '1')
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
        pilot = ('pilot', '--token', commands.token('pilot'), '--until-empty')
        dataset = commands.run('submit', str(EXAMPLE)).strip()
        pilots = [
            commands.start(*pilot, log='small.log'),
            commands.start(*pilot, '--slots', '2', '--memory', '4', log='large.log'),
        ]

        kills = 0
        end = time.monotonic() + 240
        while any(each.poll() is None for each in pilots):
            assert time.monotonic() < end, commands.log('serve.log') + commands.log('large.log')
            time.sleep(chance.uniform(0.2, 2.5))
            mongod = mongod_of(service)
            if kills == 6 or mongod is None:
                continue
            kills += 1
            if chance.random() < 0.5:
                os.kill(mongod, signal.SIGKILL)
            else:
                service.kill()
                if chance.random() < 0.5:
                    os.kill(mongod, signal.SIGKILL)
                service.wait()
                service = commands.serve('--retry-delay', '1')

        assert [each.returncode for each in pilots] == [0, 0], commands.log('small.log') + commands.log('large.log')
        status = json.loads(commands.run('status', '--wait', '--json', dataset))
        assert status['tasks'] == {'count': {'complete': 40}, 'check': {'complete': 40}}
        assert kills >= 3
        summed = subprocess.run(
            [sys.executable, str(ROOT / 'docs' / 'examples' / 'primes_sum.py'), dataset],
            env=commands.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert summed.stdout.strip() == '78498'


def test_mongod_is_gone_soon_after_its_service_was_killed(tmp_path: Path) -> None:
    with Commands(tmp_path) as commands:
        service = commands.serve()
        mongod = mongod_of(service)
        assert mongod is not None

        service.kill()
        service.wait()

        end = time.monotonic() + 30
        while psutil.pid_exists(mongod):
            assert time.monotonic() < end, 'mongod outlives its service'
            time.sleep(0.05)


def test_the_service_brings_its_mongod_back(tmp_path: Path) -> None:
    with Commands(tmp_path) as commands:
        service = commands.serve()
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
        dataset = commands.run('submit', str(EXAMPLE), '--jobs', '1').strip()
        first = mongod_of(service)
        assert first is not None

        os.kill(first, signal.SIGKILL)

        # Every client command goes on asking for five seconds.
        end = time.monotonic() + 60
        while mongod_of(service) in (None, first):
            assert time.monotonic() < end, 'mongod has not come back'
            time.sleep(0.1)
        assert json.loads(commands.run('status', '--json', dataset))['tasks']
