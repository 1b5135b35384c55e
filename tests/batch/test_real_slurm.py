"""The supervisor with a real Slurm of two nodes, a real service, and real pilots."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.batch.slurm import Slurmed, slurm
from tests.conftest import SECRET
from tests.journeys.commands import Commands

pytestmark = pytest.mark.xdist_group('slurm')

NAME = 'iceprod-here'
MOST = 6
PATIENCE_SECONDS = 90


@pytest.fixture(scope='module')
def slurmed() -> Iterator[Slurmed]:
    """Two nodes of two processors each."""
    with slurm(('n1', 'n2'), cpus=2) as found:
        yield found


class World(Commands):
    """A service, its database, and commands that find Slurm."""

    def __init__(self, folder: Path, slurmed: Slurmed, database: Any) -> None:
        super().__init__(folder)
        self.slurmed = slurmed
        self.database = database
        self.pilot_token = ''

    def submit(self, command: str, jobs: int) -> str:
        """A dataset of tasks that run a command; its id."""
        needs = {'cpu': 1, 'memory': 0.5}
        tasks = [{'name': 'one', 'command': command, 'requirements': needs}]
        (self.folder / 'set.json').write_text(json.dumps({'version': 1, 'description': 'a test', 'tasks': tasks}))
        token = self.token('user', 'users')
        return self.run('submit', 'set.json', '--jobs', str(jobs), '--token', token).strip()

    def supervise(self, *options: str) -> subprocess.Popen[str]:
        """A supervisor in the background."""
        self.environment['ICEPROD_TASKS_TOKEN'] = self.pilot_token
        given = ('--slurm', '--site', 'here', '--memory', '0.5', '--every', '1', '--log-folder', 'pilots')
        return self.start('pilots', 'submit', *given, *options, log='supervisor.log')

    def count(self, **where: Any) -> int:
        """How many tasks are so."""
        return int(self.database.tasks.count_documents(where))

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is true; there are never too many pilots meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.alive() <= MOST
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def alive(self, *states: str) -> int:
        """How many pilots there are in Slurm."""
        return sum(state in (states or ('PENDING', 'CONFIGURING', 'RUNNING')) for state in self.slurmed.states(NAME))

    def said(self) -> str:
        """What everything has said, for a test that fails."""
        pilots = '\n'.join(each.read_text() for each in sorted((self.folder / 'pilots').glob('*')))
        return f'{self.log("supervisor.log")}\n{pilots[-4000:]}\n{self.slurmed.run("squeue", "--states=all")}'


@pytest.fixture
def world(slurmed: Slurmed, tmp_path: Path, mongodb_url: str, database_name: str) -> Iterator[World]:
    """A service with an empty database."""
    with pymongo.MongoClient(mongodb_url) as client, World(tmp_path, slurmed, client[database_name]) as world:
        world.environment |= {
            'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET,
            'SLURM_CONF': slurmed.environment['SLURM_CONF'], 'PATH': slurmed.environment['PATH'],
            'XDG_STATE_HOME': str(tmp_path / 'state'),
        }  # fmt: skip
        world.serve()
        world.pilot_token = world.token('pilot')
        yield world
        slurmed.run('scancel', f'--name={NAME}')
        world.until(lambda: world.alive() == 0)


def test_200_tasks_run_while_a_node_is_drained_and_the_supervisor_is_killed(world: World) -> None:
    world.submit('sleep 0.1', jobs=200)
    first = world.supervise('--max', str(MOST), '--idle-seconds', '3')
    world.until(lambda: world.alive('RUNNING') == 4 and world.alive() == MOST)
    world.until(lambda: world.count(status='complete') >= 40)

    world.slurmed.run('scontrol', 'update', 'nodename=n2', 'state=drain', 'reason=test')
    first.kill()
    first.wait()
    second = world.supervise('--max', str(MOST), '--idle-seconds', '3')
    world.until(lambda: world.count(status='complete') == 200)
    world.until(lambda: world.alive() == 0)
    world.slurmed.run('scontrol', 'update', 'nodename=n2', 'state=resume')
    second.send_signal(signal.SIGTERM)

    assert second.wait(30) == 0, world.log('supervisor.log')
    assert world.count(failures=0, evictions=0, epoch=1) == 200, world.said()
    assert 'CANCELLED' in world.slurmed.states(NAME), 'nobody needed what was pending at the end'


def test_what_runs_is_handed_back_when_its_pilot_is_told_to_end(world: World) -> None:
    world.submit('sleep 300', jobs=1)
    supervisor = world.supervise('--max', '1', '--cancel-at-end')
    world.until(lambda: world.count(status='processing') == 1)

    shown = world.slurmed.run('scontrol', 'show', 'job', '--details', '--oneliner')
    lines = [path.read_bytes() for path in Path('/proc').glob('[0-9]*/cmdline') if path.exists()]
    # It signals all processes of the job, the task's own as well.
    world.slurmed.run('scancel', f'--name={NAME}')
    world.until(lambda: world.count(evictions=1, failures=0) == 1)
    world.until(lambda: world.count(status='processing', epoch=2) == 1)
    supervisor.send_signal(signal.SIGTERM)

    assert supervisor.wait(30) == 0, world.log('supervisor.log')
    world.until(lambda: world.count(evictions=2, failures=0) == 1)
    world.until(lambda: world.alive() == 0)
    assert NAME in shown
    assert world.pilot_token not in shown
    assert not [line for line in lines if world.pilot_token.encode() in line]
    assert sys.executable.encode() in b' '.join(lines)
