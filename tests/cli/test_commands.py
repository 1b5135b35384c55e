"""`iceprod-tasks` as a user types it: serve, token, submit, status, and how each one refuses."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import jwt
import psutil
import pytest

from iceprod_tasks.cli.main import main
from tests.journeys.commands import EXAMPLE, Commands


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def test_every_command_explains_itself(commands: Commands) -> None:
    for name, command in main.commands.items():
        said = commands.run(name, '--help')

        assert 'Example' in said
        assert all(option.opts[0] in said for option in command.params if option.param_type_name == 'option')


def test_a_token_says_who_and_is_signed_with_the_kept_secret(commands: Commands) -> None:
    token = commands.run(
        'token', '--role', 'user', '--role', 'pilot', '--user', 'ada', '--group', 'g1', '--group', 'g2'
    )

    secret = commands.folder / 'iceprod-tasks' / 'token_secret'
    claims = jwt.decode(token.strip(), secret.read_text(), algorithms=['HS256'], audience='iceprod-tasks')
    assert (claims['sub'], claims['roles'], claims['groups']) == ('ada', ['user', 'pilot'], ['g1', 'g2'])
    assert secret.stat().st_mode & 0o777 == 0o600


def test_the_secret_is_made_once(commands: Commands) -> None:
    commands.token('admin')
    first = (commands.folder / 'iceprod-tasks' / 'token_secret').read_text()
    commands.token('admin')

    assert (commands.folder / 'iceprod-tasks' / 'token_secret').read_text() == first


def test_a_short_secret_is_refused_in_one_line(commands: Commands) -> None:
    commands.environment['TOKEN_SECRET'] = 'short'

    said = commands.run('token', '--role', 'admin', '--user', 'root', code=1)

    assert said == 'iceprod-tasks: TOKEN_SECRET is shorter than 32 bytes\n'


def test_the_main_job_by_hand(commands: Commands) -> None:
    service = commands.serve('--retry-delay', '0.5')
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
    config = json.loads(EXAMPLE.read_text())
    (commands.folder / 'few.json').write_text(json.dumps({**config, 'jobs': 2}))

    dataset = json.loads(commands.run('submit', 'few.json', '--json'))['dataset_id']
    commands.run('pilot', '--token', commands.token('pilot'), '--memory', '4', '--until-empty')
    status = json.loads(commands.run('status', dataset, '--json', '--wait'))
    table = commands.run('status', dataset)
    overview = commands.run('status')
    watched = commands.run('status', dataset, '--watch')
    service.send_signal(signal.SIGTERM)

    assert status['status'] == 'complete'
    assert status['tasks'] == {'count': {'complete': 2}, 'check': {'complete': 2}}
    assert watched == table
    assert all(word in table for word in ('suspended', 'complete', 'count', dataset))
    assert dataset in overview
    assert service.wait(30) == 0


def test_the_order_of_the_next_tasks_is_shown_with_what_makes_it(commands: Commands) -> None:
    commands.serve()
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
    dataset = commands.run('submit', str(EXAMPLE)).strip()

    table = commands.run('status', '--why-order')
    found = json.loads(commands.run('status', dataset, '--why-order', '--json'))
    said = commands.run('status', '--why-order', '--watch', code=2)

    assert all(word in table for word in (dataset, 'because of', '+1 wish', '-0.293 user', '+0.2 first jobs'))
    assert len(table.splitlines()) == 2 + len(found['tasks']) > 2
    assert {task['dataset_id'] for task in found['tasks']} == {dataset}
    assert sum(found['tasks'][0]['factors'].values()) == pytest.approx(found['tasks'][0]['priority'], abs=1e-5)
    assert '--why-order is a single look' in said


def test_submit_waits_for_the_end_and_says_how_it_was(commands: Commands) -> None:
    commands.serve('--max-failures', '0')
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
    tasks = [{'name': 'bad', 'command': ['false']}]
    (commands.folder / 'bad.json').write_text(json.dumps({'version': 1, 'description': 'bad', 'tasks': tasks}))
    commands.start('pilot', '--token', commands.token('pilot'), log='pilot.log')

    said = commands.run('submit', 'bad.json', '--wait', code=1)

    assert 'the dataset has ended in errors' in said


def a_config(**task: object) -> str:
    return json.dumps({'version': 1, 'description': '', 'tasks': [{'name': 'a', 'command': 'b', **task}]})


@pytest.mark.parametrize(
    ('text', 'code', 'words'),
    [
        ('{', 2, 'Expecting property name'),
        ('[]', 2, 'not a dataset config'),
        (a_config().replace('1', '2'), 1, 'version should be 1'),
        (a_config(command='echo ${x}'), 1, 'tasks[0].command: unknown name ${x}'),
        (a_config(env={'A': '${HOME}'}), 1, 'tasks[0].env.A: unknown name ${HOME}'),
        (a_config(depends=['b']), 1, 'there is no task named b'),
        (a_config(depends=['a']), 1, 'dependencies form a circle: a'),
        (a_config().replace('command', 'comand'), 1, 'missing key: config.tasks[0].command'),
    ],
)
def test_submit_says_what_is_wrong_and_where(commands: Commands, text: str, code: int, words: str) -> None:
    commands.serve()
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
    (commands.folder / 'wrong.json').write_text(text)

    said = commands.run('submit', 'wrong.json', code=code)

    assert words in said
    assert said.count('\n') == 1
    assert json.loads(commands.run('status', '--json')) == {'datasets': {}}


@pytest.mark.parametrize(
    ('arguments', 'token', 'code'),
    [
        (('status', 'nothing'), 'admin', 3),
        (('status', 'nothing'), 'user', 4),
        (('status',), None, 4),
        (('status', '--server', 'gopher://x'), 'admin', 2),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(
    commands: Commands, arguments: tuple[str, ...], token: str | None, code: int
) -> None:
    commands.serve()
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token(token) if token else 'nonsense'

    said = commands.run(*arguments, code=code)

    assert said.startswith('iceprod-tasks: ')
    assert said.count('\n') == 1


def test_a_service_that_is_not_there_is_said_so_after_some_tries(commands: Commands) -> None:
    said = commands.run('status', '--server', 'http://127.0.0.1:1', code=7)

    assert 'trying again' in said
    assert said.splitlines()[-1].startswith('iceprod-tasks: ')


def test_serve_refuses_a_port_in_use_in_one_line(commands: Commands) -> None:
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()

        said = commands.run('serve', '--port', str(other.getsockname()[1]), code=1)

    assert said.startswith('iceprod-tasks: cannot listen on 127.0.0.1 port')
    assert said.count('\n') == 1
    assert not [each for each in psutil.process_iter(['cmdline']) if str(commands.folder) in str(each.info['cmdline'])]


@pytest.mark.parametrize(
    ('environment', 'arguments', 'words'),
    [
        ({'PORT': 'x'}, (), 'PORT is not a port number: x'),
        ({'LOG_LEVEL': 'LOUD'}, (), 'LOG_LEVEL is not a level: LOUD'),
        ({'MONGODB_DRIVER': 'mongo'}, (), 'MONGODB_DRIVER is motor or pymongo, not mongo'),
        ({'MONGODB_URL': 'http://nonsense'}, (), 'MONGODB_URL cannot be used'),
        ({'MONGODB_URL': 'mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300'}, (), 'MongoDB does not answer'),
        ({}, ('--lease', '0'), 'the lease must be between'),
        ({}, ('--retry-delay', 'inf'), 'retry_delay_seconds is not a number that can be used: inf'),
        ({}, ('--drain', 'nan'), 'drain_seconds is not a number that can be used: nan'),
        ({}, ('--max-requirement', 'gpu=1'), '--max-requirement takes cpu, memory, disk, time'),
        ({'XDG_DATA_HOME': '/proc/none'}, (), 'cannot keep the token secret'),
    ],
)
def test_serve_refuses_what_it_cannot_use_in_one_line(
    commands: Commands, environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    commands.environment |= environment

    said = commands.run('serve', *arguments, code=1)

    assert words in said
    assert said.count('\n') == 1


def test_a_second_service_on_the_same_data_is_refused(commands: Commands) -> None:
    commands.serve()

    said = commands.run('serve', '--port', '0', code=1)

    assert 'in use' in said
    assert said.count('\n') == 1


def test_a_process_without_scheduler_makes_no_tasks_and_submit_does_not_wait_for_them(commands: Commands) -> None:
    commands.serve('--no-scheduler')
    commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')

    dataset = commands.run('submit', str(EXAMPLE)).strip()

    status = json.loads(commands.run('status', '--json', dataset))
    assert (status['status'], status['tasks'], status['jobs']) == ('processing', {}, {})
