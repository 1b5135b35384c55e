"""Services on one database are restarted one after the other: no request is lost, no task is done twice."""

import json
import time
from collections import Counter
from pathlib import Path

import pymongo

from tests.conftest import SECRET
from tests.journeys.commands import Commands, free_port

JOBS = 150


def test_no_task_is_lost_or_done_twice_when_services_are_restarted_one_after_the_other(
    tmp_path: Path, mongodb_url: str, database_name: str
) -> None:
    tasks = [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]
    (tmp_path / 'two.json').write_text(json.dumps({'version': 1, 'description': 'two', 'tasks': tasks}))
    with Commands(tmp_path) as commands:
        commands.environment |= {
            'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET,
        }  # fmt: skip
        ports = [free_port(), free_port()]
        services = [commands.serve('--port', str(port)) for port in ports]
        servers = [f'http://127.0.0.1:{port}' for port in ports]
        commands.environment |= {
            'ICEPROD_TASKS_SERVER': servers[0], 'ICEPROD_TASKS_TOKEN': commands.token('user', 'users'),
        }  # fmt: skip
        pilot = ('pilot', '--token', commands.token('pilot'), '--slots', '3', '--until-empty', '--poll-seconds', '1')
        dataset = commands.run('submit', 'two.json', '--jobs', str(JOBS)).strip()
        pilots = [commands.start(*pilot, '--server', server, log='pilots.log') for server in servers]

        codes, restarts = [], 0
        while all(each.poll() is None for each in pilots) and restarts < 6:
            number = restarts % 2
            services[number].terminate()
            codes.append(services[number].wait(60))
            services[number] = commands.serve('--port', str(ports[number]))
            restarts += 1
            time.sleep(1)
        pilot_codes = [each.wait(240) for each in pilots]
        status = json.loads(commands.run('status', '--wait', '--json', dataset))
        said = commands.log('serve.log')

    assert restarts >= 2
    assert set(codes) == {0}, said
    assert pilot_codes == [0, 0], commands.log('pilots.log')
    assert status['tasks'] == {'gen': {'complete': JOBS}, 'sim': {'complete': JOBS}}
    assert 'broken off' not in said
    assert 'Traceback' not in said
    with pymongo.MongoClient(mongodb_url) as client:
        found = list(client[database_name].tasks.find())
    assert Counter(len(task['claims']) for task in found) == {1: 2 * JOBS}
    assert {(task['failures'], task['evictions']) for task in found} == {(0, 0)}
