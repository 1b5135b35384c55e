"""The service on PyMongo's own async client, with uvloop and without: all that it starts, and how it ends."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.journeys.commands import Commands
from tests.journeys.test_drain import until
from tests.journeys.test_kill import mongod_of
from tests.journeys.test_processes import all_gone, children

CONFIG = {
    'version': 1, 'description': 'two', 'tasks': [
        {'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']},
    ],
}  # fmt: skip
CHOSEN = 'the database is asked by pymongo, in an event loop of {}'


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        commands.environment['MONGODB_DRIVER'] = 'pymongo'
        yield commands


def without(commands: Commands, *modules: str) -> None:
    """Have the commands find that something is not installed."""
    folder = commands.folder / 'missing'
    folder.mkdir()
    for module in modules:
        (folder / f'{module}.py').write_text(f'raise ImportError("no {module} here")')
    path = commands.environment.get('PYTHONPATH')
    commands.environment['PYTHONPATH'] = f'{folder}:{path}' if path else str(folder)


@pytest.mark.parametrize('loop', ['uvloop', 'asyncio'])
def test_a_journey(commands: Commands, loop: str) -> None:
    without(commands, 'motor', *(['uvloop'] if loop == 'asyncio' else []))
    # Without Motor all of it works as well.
    (commands.folder / 'two.json').write_text(json.dumps(CONFIG))
    # Starts the private mongod for itself.
    commands.run('account', 'add', 'ada', '--role', 'user', '--password-stdin', said='a long password\n')
    service = commands.serve('--processes', '2', '--retry-delay', '0.1')
    family, mongod = children(service), mongod_of(service)
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')

    dataset = commands.run('submit', 'two.json', '--jobs', '3').strip()
    psutil.Process(mongod).kill()
    family[0].kill()
    commands.run('pilot', '--token', commands.token('pilot'), '--until-empty', '--slots', '2')
    status = json.loads(commands.run('status', '--wait', '--json', dataset))
    until(lambda: len(children(service)) == 2)
    family = [*children(service), psutil.Process(mongod_of(service))]
    service.send_signal(signal.SIGTERM)

    assert service.wait(60) == 0, commands.log('serve.log')
    assert all_gone(family)
    assert status['tasks'] == {'gen': {'complete': 3}, 'sim': {'complete': 3}}
    assert commands.log('serve.log').count(CHOSEN.format(loop)) >= 2
    assert [each['name'] for each in json.loads(commands.run('account', 'list', '--json'))] == ['ada']
