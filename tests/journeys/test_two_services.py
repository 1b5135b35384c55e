"""Two services on one database are equal: no twin, no task handed out twice, chores done once."""

import json
from collections import Counter
from pathlib import Path

import pymongo

from tests.conftest import SECRET
from tests.journeys.commands import Commands, free_port


def test_two_services_do_the_work_of_one(tmp_path: Path, mongodb_url: str, database_name: str) -> None:
    tasks = [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]
    (tmp_path / 'two.json').write_text(json.dumps({'version': 1, 'description': 'two', 'tasks': tasks}))
    with Commands(tmp_path) as commands:
        commands.environment |= {
            'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': database_name, 'TOKEN_SECRET': SECRET,
        }  # fmt: skip
        ports = [free_port(), free_port()]
        for port in ports:
            commands.serve('--port', str(port))
        servers = [f'http://127.0.0.1:{port}' for port in ports]
        commands.environment |= {
            'ICEPROD_TASKS_SERVER': servers[0], 'ICEPROD_TASKS_TOKEN': commands.token('user', 'users'),
        }  # fmt: skip
        pilot = ('pilot', '--token', commands.token('pilot'), '--slots', '3', '--until-empty')

        dataset = commands.run('submit', 'two.json', '--jobs', '60').strip()
        pilots = [commands.start(*pilot, '--server', server, log='pilots.log') for server in servers]
        codes = [each.wait(180) for each in pilots]
        status = json.loads(commands.run('status', '--wait', '--json', '--server', servers[1], dataset))

    assert codes == [0, 0], commands.log('pilots.log')
    assert status['tasks'] == {'gen': {'complete': 60}, 'sim': {'complete': 60}}
    assert status['jobs'] == {'complete': 60}
    with pymongo.MongoClient(mongodb_url) as client:
        found = list(client[database_name].tasks.find())
    assert len(found) == 120
    assert Counter(len(task['claims']) for task in found) == {1: 120}
    gen, sim = ['queue', 'claim', 'complete'], ['release', 'queue', 'claim', 'complete']
    for task in found:
        assert [entry['transition'] for entry in task['log']] == (gen if task['name'] == 'gen' else sim)
