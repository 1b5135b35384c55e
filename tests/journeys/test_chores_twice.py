"""Two processes that run the chores at once for a minute leave what one alone leaves: nothing twice, nothing out."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pymongo

from iceprod_tasks.rest.identity.tokens import Tokens
from tests.conftest import SECRET
from tests.journeys.commands import Commands, free_port

SECONDS = 60
WEIGHED_WITHIN_SECONDS = 60
TIMEOUT_SECONDS = 240

GEN, SIM = {'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}
LAST = {'name': 'last', 'command': 'true', 'depends': ['gen', 'sim']}
DATASETS: list[tuple[str, str, int, list[dict[str, Any]]]] = [
    # owner, description, jobs, tasks: 20 000 in all
    ('ada', 'chain', 2000, [GEN, SIM]),
    ('ada', 'behind chain', 1000, [{'name': 'far', 'command': 'true', 'depends': ['chain:sim']}, GEN]),
    ('bob', 'diamond', 3000, [GEN, SIM, LAST]),
    ('eve', 'single', 4000, [{**GEN, 'requirements': {'memory': 2}}]),
    ('eve', 'held back', 1000, [GEN]),
]


class World:
    """Some processes of the service on a database of their own, and a driver that does the pilots' work in bulk."""

    def __init__(self, commands: Commands, url: str, database: str) -> None:
        self._commands = commands
        self._tokens = Tokens(SECRET)
        self._http = httpx2.AsyncClient(base_url=url, timeout=60)
        self._database = database
        self._ids: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: Any = None, *, name: str = 'root', role: str = 'admin') -> Any:
        token = self._tokens.mint(name, [role], [], 3600)
        answer = await self._http.request(method, path, json=body, headers={'Authorization': f'Bearer {token}'})
        assert answer.is_success, answer.text
        return answer.json()

    async def live(self) -> None:
        """Submit everything, and work until all has ended and the minute is over."""
        for owner, description, jobs, tasks in DATASETS:
            await self._submit(owner, description, jobs, tasks)
        began = time.monotonic()
        await self._hold_back(self._ids['held back'])
        while not await self._ended() or time.monotonic() < began + SECONDS:
            assert time.monotonic() < began + TIMEOUT_SECONDS, 'the chores do not come to rest'
            for description, dataset_id in self._ids.items():
                await self._work(description, dataset_id)
            await asyncio.sleep(0.2)
        await self._http.aclose()

    async def _submit(self, owner: str, description: str, jobs: int, tasks: list[dict[str, Any]]) -> None:
        text = json.dumps(tasks).replace('chain:', self._ids.get('chain', '') + ':')
        dataset = {
            'description': description, 'jobs_submitted': jobs, 'tasks_submitted': 0, 'tasks_per_job': len(tasks),
            'group': 'simprod', 'config': {'version': 1, 'description': description, 'tasks': json.loads(text)},
        }  # fmt: skip
        answer = await self.ask('POST', '/datasets', dataset, name=owner, role='user')
        self._ids[description] = answer['result'].rpartition('/')[2]

    async def _hold_back(self, dataset_id: str) -> None:
        """Suspend a dataset once all of it has been made."""
        while (await self.ask('GET', f'/datasets/{dataset_id}'))['jobs_materialized'] < 1000:
            await asyncio.sleep(0.1)
        await self.ask('POST', f'/datasets/{dataset_id}/dataset_actions/suspend')

    async def _work(self, description: str, dataset_id: str) -> None:
        """Complete what is queued, but fail the first task of every seventh job."""
        path = f'/datasets/{dataset_id}'
        queued = await self.ask('GET', f'{path}/tasks?status=queued&keys=job_index|name')
        failed = [each for each, task in queued.items() if task['job_index'] % 7 == 3 and task['name'] == 'gen']
        for status, task_ids in (('failed', failed), ('complete', sorted(set(queued) - set(failed)))):
            if task_ids:
                await self.ask('POST', f'{path}/task_actions/bulk_status/{status}', {'tasks': task_ids})

    async def _ended(self) -> bool:
        datasets = await self.ask('GET', '/datasets?keys=status')
        return all(each['status'] in ('errors', 'complete', 'suspended') for each in datasets.values())

    def state(self, mongodb_url: str) -> dict[str, Any]:
        """All that chores decide, by names that are the same in every world."""
        names = {dataset_id: description for description, dataset_id in self._ids.items()}
        with pymongo.MongoClient(mongodb_url) as client:
            database = client[self._database]
            tasks = {
                (names[task['dataset_id']], task['job_index'], task['name']): _brief(task, names)
                for task in database.tasks.find()
            }
            jobs = {(names[job['dataset_id']], job['job_index']): job['status'] for job in database.jobs.find()}
            datasets = {
                each['description']: (each['status'], each['jobs_materialized'])
                for each in database.datasets.find()
            }  # fmt: skip
            twins = database.jobs.count_documents({}) - len(jobs) + database.tasks.count_documents({}) - len(tasks)
        return {'tasks': tasks, 'jobs': jobs, 'datasets': datasets, 'twins': twins}


async def test_two_processes_end_where_one_ends(tmp_path: Path, mongodb_url: str) -> None:
    worlds: list[World] = []
    names = [f'test_{uuid4().hex}' for _ in range(2)]
    try:
        with Commands(tmp_path) as commands:
            for processes, name in zip((1, 2), names, strict=True):
                commands.environment |= {
                    'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': name, 'TOKEN_SECRET': SECRET,
                }  # fmt: skip
                ports = [free_port() for _ in range(processes)]
                for port in ports:
                    commands.serve('--port', str(port))
                worlds.append(World(commands, f'http://127.0.0.1:{ports[0]}', name))
            await asyncio.gather(*(world.live() for world in worlds))
            one, two = await _at_rest(worlds, mongodb_url)
    finally:
        with pymongo.MongoClient(mongodb_url) as client:
            for name in names:
                client.drop_database(name)

    assert len(one['tasks']) == 20_000
    assert (one['twins'], two['twins']) == (0, 0)
    assert one['datasets'] == two['datasets']
    assert one['jobs'] == two['jobs']
    assert [(one['tasks'][place], task) for place, task in two['tasks'].items() if one['tasks'][place] != task] == []


async def _at_rest(worlds: list[World], mongodb_url: str) -> list[dict[str, Any]]:
    """The states of worlds: what has ended changes the weight of what is left, some seconds later in each of them."""
    for _ in range(WEIGHED_WITHIN_SECONDS):
        one, two = states = [world.state(mongodb_url) for world in worlds]
        if one == two:
            break
        await asyncio.sleep(1)
    return states


def _brief(task: dict[str, Any], names: dict[str, str]) -> tuple[Any, ...]:
    ended = task['status'] in ('complete', 'failed')
    # What was held back may have been queued before or not.
    log = [entry['transition'] for entry in task['log']] if ended else None
    # What has ended keeps the priority that it had then, and so does what is stuck in a dataset that has.
    weighed = not ended and names[task['dataset_id']] in ('behind chain', 'held back')
    return task['status'], task['failures'], log, task['priority'] if weighed else None
