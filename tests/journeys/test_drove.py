"""The real `drove` 0.0.14 against a live service whose tasks pilots run: every command, and what it prints."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from tests.conftest import SECRET
from tests.dialects.drove.bodies import EXAMPLE, docker, spec
from tests.dialects.drove.cli import DroveCli
from tests.journeys.commands import Commands, free_port
from tests.pilot.containers.conftest import image as image
from tests.pilot.containers.conftest import program
from tests.pilot.containers.conftest import storage as storage

PASSWORD = 'correct horse %'
TERMINAL = ('STOPPED', 'LOST')


class Cluster:
    """A service, a pilot with two slots, and accounts of an operator and of a reader."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        for name, role in (('operator', 'admin'), ('reader', 'user')):
            commands.run('account', 'add', name, '--role', role, '--password-stdin', said=f'{PASSWORD}\n')
        self.drove = self.cli('operator')
        self.reader = self.cli('reader')

    def cli(self, name: str, url: str = '') -> DroveCli:
        return DroveCli(self.commands.folder, url or self.commands.url, name, PASSWORD)

    def fly(self, *options: str, log: str = 'pilot.log') -> subprocess.Popen[str]:
        """A pilot."""
        words = ('--server', self.commands.url, '--token', self.commands.token('pilot'), '--poll-seconds', '0.5')
        return self.commands.start('pilot', *words, '--workdir', str(self.commands.folder), *options, log=log)

    def ended(self, task: str, app: str = 'TEST_APP') -> dict[str, Any]:
        """A task once it has ended."""
        return until(lambda: self.drove.described(app, task), lambda info: info['state'] in TERMINAL)

    def runs(self, task: str) -> dict[str, Any]:
        """A task once it runs."""
        return until(lambda: self.drove.described('TEST_APP', task), lambda info: info['state'] == 'RUNNING')


def until(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not holds(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def shell(task: str, script: str, **changes: Any) -> dict[str, Any]:
    return spec(taskId=task, executable={'type': 'SHELL', 'url': '/bin/sh'}, args=['-c', script], **changes)


def lines(printed: str) -> dict[str, str]:
    """The lines of names and values of `show`."""
    found = {}
    for line in printed.splitlines():
        found[line[:30].strip()] = line[30:].strip()
    return found


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[Cluster]:
    with Commands(tmp_path_factory.mktemp('drove')) as commands:
        commands.environment |= {
            'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': f'test_drove_{commands.port}', 'TOKEN_SECRET': SECRET,
        }  # fmt: skip
        commands.serve()
        cluster = Cluster(commands)
        cluster.fly('--slots', '2', '--site', 'here', '--tag', 'fast', '--memory', '1')
        until(lambda: cluster.drove('executor', 'list'), lambda printed: 'ACTIVE' in printed)
        yield cluster


def test_a_task_is_created_listed_shown_and_read(cluster: Cluster) -> None:
    created = cluster.drove('tasks', 'create', str(EXAMPLE))
    info = cluster.ended('T0012')
    shown = lines(cluster.drove('tasks', 'show', 'TEST_APP', 'T0012'))

    assert created == 'Task created. Source App Name: TEST_APP Task ID: T0012. Drove assigned task ID: TEST_APP-T0012\n'
    assert (shown['Source App'], shown['Task ID'], shown['State']) == ('TEST_APP', 'T0012', 'STOPPED')
    assert shown['Result'] == 'SUCCESSFUL (Task exit code: 0)'
    assert (shown['Executable'], shown['Logging Mode']) == ('/bin/sh (SHELL)', 'LOCAL')
    assert shown['Instance ID'] == info['instanceId']
    assert [each['state'] for each in info['states']][::6] == ['PENDING', 'STOPPED']
    assert cluster.drove('tasks', 'logs', 'TEST_APP', 'T0012').split() == [
        'files', "['output.log',", "'error.log']",
    ]  # fmt: skip
    assert 'Downloaded size' in cluster.drove('tasks', 'download', 'TEST_APP', 'T0012', 'output.log', '-o', 'got.log')
    assert (cluster.commands.folder / 'got.log').read_text() == 'hello from T0012\na file that came with the task\n'


def test_what_runs_is_listed_with_where_it_runs_and_is_killed_by_its_pilot(cluster: Cluster) -> None:
    cluster.drove.task(shell('long', 'sleep 60'))
    info = cluster.runs('long')
    listed = cluster.drove('tasks', 'list', '-a', 'TEST_APP')
    on_executor = cluster.drove('executor', 'tasks', info['executorId'])
    described = cluster.drove('describe', 'executor', info['executorId'])

    [row] = [line for line in listed.splitlines() if ' long ' in line]
    assert info['instanceId'] in row
    assert 'RUNNING' in row
    assert info['hostname'] in row
    assert 'long' in on_executor
    assert 'Tasks (1)' in described
    assert cluster.drove('tasks', 'kill', 'TEST_APP', 'long') == 'Task kill issued\n'
    killed = cluster.ended('long')
    assert killed['taskResult'] == {'status': 'CANCELLED', 'exitCode': -1}
    assert [each['state'] for each in killed['states']] == [
        'PENDING', 'PROVISIONING', 'STARTING', 'RUNNING', 'RUN_COMPLETED', 'DEPROVISIONING', 'STOPPED',
    ]  # fmt: skip


def test_a_log_is_followed_while_its_task_runs(cluster: Cluster) -> None:
    cluster.drove.task(shell('tail', 'n=0; while sleep 0.3; do n=$((n+1)); echo "Zeile $n: grüße €"; done'))
    cluster.runs('tail')
    following = cluster.drove.start('tasks', 'tail', 'TEST_APP', 'tail')
    impatience = Timer(60, following.kill)
    impatience.start()
    try:
        assert following.stdout is not None
        # It begins wherever the end was.
        read = ''.join(following.stdout.readline() for _ in range(12))
    finally:
        impatience.cancel()
        following.kill()
        following.communicate()
        cluster.drove('tasks', 'kill', 'TEST_APP', 'tail')

    numbers = [int(number) for number in re.findall(r'Zeile (\d+): grüße €\n', read)]
    assert len(numbers) >= 10, read
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_task_whose_pilot_is_gone_is_lost_and_runs_nowhere_else(
    tmp_path: Path, mongodb_url: str, database_name: str
) -> None:
    with Commands(tmp_path) as commands:
        commands.environment |= {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET}
        commands.serve('--lost-after', '2')
        cluster = Cluster(commands)
        pilot = cluster.fly()
        cluster.drove.task(shell('lost', 'sleep 60'))
        cluster.runs('lost')

        pilot.kill()
        info = cluster.ended('lost')
        cluster.fly(log='second.log')
        cluster.drove.task(shell('next', 'true'))

        assert cluster.ended('next')['taskResult']['status'] == 'SUCCESSFUL'
        assert cluster.drove.described('TEST_APP', 'lost')['updated'] == info['updated']
    assert (info['state'], info['taskResult']) == ('LOST', {'status': 'LOST', 'exitCode': -1})
    assert info['errorMessage'] == 'Instance lost: its lease is over'


@pytest.mark.parametrize(
    ('task', 'script', 'changes', 'result', 'message'),
    [
        ('fails', 'echo oh >&2; exit 3', {}, ('FAILED', 3), 'Task instance exited with status: 3'),
        ('slow', 'sleep 60', {'maxRunTime': '1s'}, ('TIMED_OUT', -1), 'run time of 1 s is over'),
        (
            'away',
            '',
            {'executable': {'type': 'SHELL', 'url': '/no/such/program'}, 'args': []},
            ('FAILED', -1),
            '/no/such/program',
        ),
    ],
)
def test_how_a_task_ended_is_told(
    cluster: Cluster, task: str, script: str, changes: dict[str, Any], result: tuple[str, int], message: str
) -> None:
    cluster.drove.task({**shell(task, script), **changes})

    info = cluster.ended(task)

    assert tuple(info['taskResult'].values()) == result
    assert message in info['errorMessage']
    shown = lines(cluster.drove('tasks', 'show', 'TEST_APP', task))
    assert shown['Result'] == f'{result[0]} (Task exit code: {result[1]})'


def test_a_failed_task_runs_again_only_where_it_says_so(cluster: Cluster) -> None:
    script = 'echo x >> {0}; test "$(wc -l < {0})" -ge 2'.format(cluster.commands.folder / 'tries')
    cluster.drove.task(shell('again', script, retries=2))

    info = until(lambda: cluster.drove.described('TEST_APP', 'again'), lambda info: info['state'] in TERMINAL, 90)

    assert info['taskResult'] == {'status': 'SUCCESSFUL', 'exitCode': 0}
    assert [each['state'] for each in info['states']].count('PENDING') == 2


def test_each_refusal_is_read_on_the_screen(cluster: Cluster) -> None:
    cluster.drove.task(shell('twin', 'true'))
    cluster.ended('twin')

    twin = cluster.drove.task(shell('twin', 'true'))
    wrong = cluster.drove.task(spec(taskId='no!', executable={'type': 'SHELL', 'url': ''}))
    odd = cluster.drove.task(spec(taskId='odd', resources='x'))
    ended = cluster.drove('tasks', 'kill', 'TEST_APP', 'twin')
    unknown = cluster.drove('tasks', 'kill', 'TEST_APP', 'nobody')
    missing = cluster.drove('tasks', 'show', 'TEST_APP', 'nobody')
    reading = cluster.reader.task(shell('mine', 'true'))
    stranger = DroveCli(cluster.commands.folder, cluster.commands.url, 'stranger', 'wrong')('tasks', 'list')

    assert 'Task already exists for TEST_APP/twin with taskID: TEST_APP-twin' in twin
    assert 'Error: [400 - FAILED] Command validation failure.' in twin
    assert '  - spec.taskId - Only letters' in wrong
    assert '  - spec.executable.url must not be empty' in wrong
    assert 'JSON validation failure' in odd
    assert '  - spec.resources is not a list' in odd
    for name, printed in (('twin', ended), ('nobody', unknown)):
        assert f'Either task does not exist or has already finished for TEST_APP/{name}' in printed
    assert 'No such task instance TEST_APP/nobody' in missing
    assert '403' in reading
    assert 'Credentials are required' in stranger


def test_a_user_reads(cluster: Cluster) -> None:
    cluster.drove.task(shell('read', 'true', env={'KEY': 'secret'}))
    cluster.ended('read')

    assert cluster.reader.described('TEST_APP', 'read')['env']['KEY'] == '*****'
    assert cluster.drove.described('TEST_APP', 'read')['env']['KEY'] == 'secret'
    assert 'TEST_APP' in cluster.reader('tasks', 'show', 'TEST_APP', 'read')


def test_the_cluster_is_shown(cluster: Cluster) -> None:
    cluster.drove.task(shell('event', 'true'))
    cluster.ended('event')

    assert cluster.drove('cluster', 'ping') == 'Cluster ping successful\n'
    assert cluster.drove('cluster', 'leader') == f'Cluster leader: {cluster.commands.url}\n'
    summary = cluster.drove('cluster', 'summary')
    assert 'NORMAL' in summary
    assert 'Number of live executors      1' in summary
    events = cluster.drove('cluster', 'events', '-t', 'TASK_STATE_CHANGE', '-s', '{type} {metadata}')
    states = [json.loads(line.partition(' ')[2]) for line in events.splitlines()]
    mine = [each['CURRENT_STATE'] for each in states if each['TASK_ID'] == 'event']
    assert mine == [
        'STOPPED', 'DEPROVISIONING', 'RUN_COMPLETED', 'RUNNING', 'STARTING', 'PROVISIONING', 'PENDING',
    ]  # fmt: skip
    assert 'Executors (1)' in cluster.drove('describe', 'cluster')
    file = cluster.commands.folder / 'simulated.json'
    file.write_text(json.dumps(spec(placementPolicy={'type': 'MATCH_TAG', 'tag': 'fast'})))
    # What a pilot has to give is told with its next sign of life.
    simulated = until(
        lambda: cluster.drove('cluster', 'simulate-placement', str(file), '-n', '3', '--detail'),
        lambda printed: 'Placed instances:    2' in printed,
    )
    assert '1 of 3 find no executor' in simulated


def test_an_executor_is_shown_and_takes_no_tasks_while_it_is_on_the_blacklist(cluster: Cluster) -> None:
    pilot = cluster.fly('--site', 'there', '--memory', '0.5', log='second.log')
    try:
        rows = until(lambda: _executors(cluster), lambda rows: len(rows) == 2)
        [name] = [row for row in rows if 'there' in rows[row]]

        blacklisted = cluster.drove('executor', 'blacklist', name, 'nobody')

        assert f'Successful: {name}' in blacklisted
        assert 'Failed: nobody' in blacklisted
        assert 'BLACKLISTED' in cluster.drove('executor', 'info', name)
        assert 'there' in cluster.drove('executor', 'info', name)
        assert f'Successful: {name}' in cluster.drove('executor', 'unblacklist', name)
        assert 'ACTIVE' in cluster.drove('executor', 'info', name)
    finally:
        pilot.terminate()
        pilot.wait(30)
    assert 'No such executor nobody' in cluster.drove('executor', 'info', 'nobody')


def _executors(cluster: Cluster) -> dict[str, str]:
    printed = cluster.drove('executor', 'list')
    return {line.split()[0]: line for line in printed.splitlines() if 'HTTP' in line}


def test_in_maintenance_operations_are_refused(cluster: Cluster) -> None:
    assert cluster.drove('cluster', 'maintenance-on') == 'Cluster state: MAINTENANCE\n'
    try:
        refused = cluster.drove.task(shell('later', 'true'))
        assert '  - Cluster is in maintenance mode' in refused
        assert 'MAINTENANCE' in cluster.drove('cluster', 'summary')
    finally:
        assert 'Maintenance mode removal accepted' in cluster.drove('cluster', 'maintenance-off')
    assert 'Task created' in cluster.drove.task(shell('later', 'true'))


def test_tags_bring_tasks_to_pilots_that_have_them(cluster: Cluster) -> None:
    both = {'type': 'COMPOSITE', 'policies': [{'type': 'MATCH_TAG', 'tag': tag} for tag in ('here', 'fast')]}
    cluster.drove.task(shell('tagged', 'true', placementPolicy=both))
    cluster.drove.task(shell('nowhere', 'true', placementPolicy={'type': 'MATCH_TAG', 'tag': 'elsewhere'}))

    assert cluster.ended('tagged')['taskResult']['status'] == 'SUCCESSFUL'
    assert cluster.drove.described('TEST_APP', 'nowhere')['state'] == 'PENDING'
    cluster.drove('tasks', 'kill', 'TEST_APP', 'nowhere')
    assert cluster.drove.described('TEST_APP', 'nowhere')['state'] == 'STOPPED'


def test_of_two_services_only_the_leader_answers(cluster: Cluster) -> None:
    port = free_port()
    cluster.commands.start('serve', '--port', str(port), log='other.log')
    other = cluster.cli('operator', f'http://127.0.0.1:{port}')
    until(lambda: cluster.commands.log('other.log'), lambda log: 'iceprod-tasks serves' in log)

    refused = other('tasks', 'list')

    assert 'This node is not the leader controller' in refused
    assert f'The leader is {cluster.commands.url}' in refused
    assert cluster.drove('cluster', 'ping') == 'Cluster ping successful\n'


def test_an_image_that_does_not_come_is_a_failure_of_provisioning(cluster: Cluster) -> None:
    cluster.drove.task(docker(taskId='no-image', executable=executable('localhost/no-such-image:1')))

    info = cluster.ended('no-image')

    assert info['taskResult'] == {'status': 'FAILED', 'exitCode': -1}
    assert info['errorMessage']
    assert [each['state'] for each in info['states']] == [
        'PENDING', 'PROVISIONING', 'PROVISIONING_FAILED', 'DEPROVISIONING', 'STOPPED',
    ]  # fmt: skip


def test_an_image_is_run_by_its_entry_point_with_volumes_that_the_site_allows(
    cluster: Cluster, storage: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'file').write_text('from the site\n')
    cluster.commands.environment['CONTAINERS_CONF'] = os.environ['CONTAINERS_CONF']
    options = [f'--container-option={option}' for option in storage]
    words = ('--container-runtime', program('podman'), *options, '--container-run-option=--network=none')
    pilot = cluster.fly(*words, '--site', 'boxes', '--allow-volume', str(tmp_path), '--memory', '0.5', log='boxes.log')
    here = {'placementPolicy': {'type': 'MATCH_TAG', 'tag': 'boxes'}}
    memory = [{'type': 'CPU', 'count': 1}, {'type': 'MEMORY', 'sizeInMB': 256}]
    volume = {'pathOnHost': f'{tmp_path}/in', 'pathInContainer': '/seen', 'mode': 'READ_ONLY'}
    elsewhere = {**volume, 'pathOnHost': '/etc'}
    try:
        for name, changes in (
            ('greets', {'args': ['a b', '$HOME'], 'volumes': [volume]}),
            ('not-allowed', {'volumes': [elsewhere]}),
        ):
            given = docker(taskId=name, executable=executable('greeter'), resources=memory, **here, **changes)
            assert 'Task created' in cluster.drove.task(given)
        greets, refused = cluster.ended('greets'), cluster.ended('not-allowed')
        cluster.drove('tasks', 'download', 'TEST_APP', 'greets', 'output.log', '-o', 'greets.log')
    finally:
        pilot.terminate()
        pilot.wait(30)

    assert greets['taskResult'] == {'status': 'SUCCESSFUL', 'exitCode': 0}
    assert (cluster.commands.folder / 'greets.log').read_text() == '<a b><$HOME>'
    assert refused['taskResult'] == {'status': 'FAILED', 'exitCode': -1}
    assert 'is not below a folder that this site allows' in refused['errorMessage']


def test_where_no_pilot_has_containers_it_is_said_what_is_missing(
    tmp_path: Path, mongodb_url: str, database_name: str
) -> None:
    with Commands(tmp_path) as commands:
        commands.environment |= {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET}
        commands.serve()
        cluster = Cluster(commands)
        cluster.fly('--container-runtime', 'no-such-runtime')
        cluster.drove.task(docker(taskId='boxed'))

        info = cluster.ended('boxed')

    assert info['taskResult'] == {'status': 'FAILED', 'exitCode': -1}
    assert info['errorMessage'] == 'this pilot runs no containers: there is no no-such-runtime here'
    assert 'PROVISIONING_FAILED' in [each['state'] for each in info['states']]


def executable(url: str) -> dict[str, str]:
    return {'type': 'DOCKER', 'url': url, 'dockerPullTimeout': '1m'}
