"""The original command's page, and waiting for tasks that pilots run: the real command, service and pilots."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId

from iceprod_tasks.domain.task_names import read_name
from iceprod_tasks.domain.tasks import new_id
from tests.conftest import Api
from tests.journeys.commands import DESCRIBE, Commands

PAGE = Path(__file__).resolve().parents[1] / 'cli' / 'vappio_page'
STATUS_OF_STATE = {'completed': 'complete', 'failed': 'failed'}
LINE = re.compile(
    r'Task: (?P<name>\S+) +Type: (?P<type>\S+) +State: (?P<state>\S+) +Num: (?P<done>\d+)/(?P<total>\d+) \(.*\) '
    r'LastUpdated: (?P<time>.*) UTC'
)
START = 'startCluster-1291319864.71'
TALKS = """
iceprod-task-progress 0/3
iceprod-task-message 'reading events'
for step in 1 2 3; do iceprod-task-progress +1; iceprod-task-message --silent "step $step"; sleep 1; done
iceprod-task-message --result 42
"""


def page(number: int) -> list[str]:
    return (PAGE / f'example_{number}.txt').read_text().splitlines()


def time_of(text: str) -> datetime:
    return datetime.strptime(text, '%Y/%m/%d %H:%M:%S').replace(tzinfo=UTC)


async def make(api: Api, line: str, messages: list[dict[str, Any]]) -> None:
    """Have the task that a line of the page shows: made by the API, then given its age and its state."""
    found = LINE.fullmatch(line)
    assert found is not None, line
    read = read_name(found['name'])
    assert read is not None
    made = await api.database.tasks.find_one({'task_id': await api.add_task(name=found['type'])})
    assert made is not None
    await api.database.tasks.delete_one({'_id': made['_id']})
    when = time_of(found['time'])
    steps = {'completed': int(found['done']), 'total': int(found['total'])}
    task = {'_id': ObjectId(read[1]), 'status': STATUS_OF_STATE[found['state']], 'steps': steps, 'updated': when}
    said = {'messages': messages, 'message_count': len(messages), 'message_at': when}
    await api.database.tasks.insert_one({**made, 'task_id': new_id(), **task, **(said if messages else {})})


def messages_of(lines: list[str]) -> list[dict[str, Any]]:
    """The messages that the page shows of a task."""
    found: list[dict[str, Any]] = []
    for place, line in enumerate(lines):
        shown = re.fullmatch(r'(Notification|Debug|Error) - (.*) UTC: (.*)', line)
        if shown is not None:
            mtype = {'Notification': 'notification', 'Debug': 'silent', 'Error': 'error'}[shown[1]]
            found.append({'mtype': mtype, 'when': time_of(shown[2]), 'text': shown[3]})
        if line == 'Stacktrace:':
            trace = '\n'.join(each.expandtabs().removeprefix(' ' * 8) for each in lines[place + 1 :])
            found[-1] |= {'name': '', 'stacktrace': trace}
    return found


async def described(api: Api, *words: str) -> tuple[list[str], int]:
    environment = {**os.environ, 'ICEPROD_TASKS_SERVER': api.url, 'ICEPROD_TASKS_TOKEN': api.token('admin')}
    process = await asyncio.create_subprocess_exec(
        *DESCRIBE, *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert err == b'', err
    assert process.returncode is not None
    return out.decode().expandtabs().splitlines(), process.returncode


async def test_the_examples_of_the_page_are_what_the_command_prints(api: Api) -> None:
    first, second, fifth = page(1), page(2), page(5)
    for line in dict.fromkeys(each for each in (*first, *second) if each):
        await make(api, line, messages_of(fifth) if START in line else [])

    all_of_them, summary_code = await described(api)
    unfinished, code = await described(api, '--nc', '--exit-code')
    blocked, _ = await described(api, '--block', START)
    shown, _ = await described(api, '--show-all', START)

    # The page's own order is that of no field; ours is that of the names' numbers.
    in_order = sorted((each for each in second if each), key=lambda each: float(each.split()[1].rpartition('-')[2]))
    assert unfinished == '\n\n\n'.join(in_order).split('\n')
    assert {each for each in (*first, *second) if each} == {each for each in all_of_them if each}
    assert (summary_code, code) == (0, 1)
    assert blocked == [fifth[0]]
    assert shown == [each.expandtabs() for each in fifth]


def describe(commands: Commands, *words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*DESCRIBE, *words], env=commands.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    commands.started.append(process)
    return process


def submitted(commands: Commands, *command: str, **fields: Any) -> tuple[str, str]:
    """The id of a dataset with one task, and that of the task."""
    config = {'version': 1, 'description': 'x', 'tasks': [{'name': 'work', 'command': list(command)}], **fields}
    file = commands.folder / 'config.json'
    file.write_text(json.dumps(config))
    dataset = commands.run('submit', str(file), '--jobs', '1').strip()
    end = time.monotonic() + 60
    while not (listed := json.loads(commands.run('tasks', 'list', dataset, '--json'))['tasks']):
        assert time.monotonic() < end
        time.sleep(0.1)
    (task,) = listed
    return dataset, task['task_id']


def test_waiting_ends_when_the_pilot_s_task_ends_also_over_a_restart_of_the_service(tmp_path: Path) -> None:
    with Commands(tmp_path) as commands:
        service = commands.serve()
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
        _, task_id = submitted(commands, 'sh', '-c', TALKS)
        waiting = describe(commands, '--block', '--show', '--exit-code', task_id)
        assert waiting.stdout is not None
        first = waiting.stdout.readline()

        service.kill()
        service.wait()
        commands.serve()
        commands.run('pilot', '--token', commands.token('pilot'), '--until-empty')
        rest, errors = waiting.communicate(timeout=60)

        last = rest.splitlines()[-2:]
        assert (waiting.returncode, errors) == (0, '')
        assert 'State: idle ' in first
        assert re.search(r'State: completed +Num: 3/3 \(100%\)', last[0]), rest
        assert last[1].endswith(': reading events')
        told = json.loads(commands.run('tasks', 'messages', task_id, '--json'))['messages']
        assert [each['mtype'] for each in told] == ['notification', *['silent'] * 3, 'result', 'result']
        assert [each['result'] for each in told[-2:]] == ['42', '']


def test_a_task_that_fails_ends_the_wait_and_has_all_its_errors(tmp_path: Path) -> None:
    with Commands(tmp_path) as commands:
        commands.serve('--max-failures', '1', '--retry-delay', '0')
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
        _, task_id = submitted(commands, sys.executable, '-c', 'import os; os.unlink("not there")')
        waiting = describe(commands, '--block', '--show-error', '--exit-code', '--no-print-polling', task_id)

        commands.run('pilot', '--token', commands.token('pilot'), '--until-empty')
        out, errors = waiting.communicate(timeout=60)

        lines = out.splitlines()
        assert (waiting.returncode, errors) == (1, '')
        assert re.search(r'State: failed +Num: 0/1 \(  0%\)', lines[0])
        assert [each.rpartition(': ')[2] for each in lines if each.startswith('Error - ')] == [
            'exit code 1', 'exit code 1', 'too many failures',
        ]  # fmt: skip
        assert lines.count("\tFileNotFoundError: [Errno 2] No such file or directory: 'not there'") == 2


def test_a_rescued_task_has_an_error_that_says_so(tmp_path: Path) -> None:
    with Commands(tmp_path) as commands:
        commands.serve('--lease', '2')
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
        _, task_id = submitted(commands, 'sleep', '60')
        pilot = commands.start('pilot', '--token', commands.token('pilot'), log='pilot.log')
        end = time.monotonic() + 60
        while 'claimed' not in commands.log('pilot.log'):
            assert time.monotonic() < end
            time.sleep(0.1)

        pilot.kill()

        while not (told := json.loads(commands.run('tasks', 'messages', task_id, '--json'))['messages']):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert [(each['mtype'], each['name'], each['text']) for each in told] == [
            ('error', 'rescue', 'its lease is over')
        ]
