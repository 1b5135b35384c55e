"""A pilot of the seed's era works for this service, call by call, and so do the old programs around it.

The order of the calls and what they carry are those of contract 4, *Pilot protocol*. Old programs run with the role
system; the second run of each test shows that the role pilot is enough.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import Answer, Api
from tests.rest.answers import DONE, refusal, seen

CONFIG = {
    'version': 3,
    'categories': [],
    'difplus': None,
    'options': {},
    'steering': {'parameters': {'seed': '$sprintf("%d", $(job))', 'energy.min': 1e5, '$name': ''}, 'batchsys': {}},
    'tasks': [
        {
            'name': 'generate',
            'requirements': {'memory': 4.0, 'disk': '$(disk)', 'os': ['RHEL_7_x86_64']},
            'trays': [{'iterations': 1, 'modules': [{'src': 'http://x/y.py', 'args': ['--n', 1.0, {'a.b': None}]}]}],
            'data': [{'remote': 'gsiftp://x/in.i3.zst', 'movement': 'input', 'type': 'permanent'}],
        }
    ],
}
REQUIREMENTS = {'cpu': 1, 'gpu': 0, 'memory': 4.0, 'disk': 10.0, 'time': 1.0, 'os': ['RHEL_7_x86_64']}
RESOURCES = {'cpu': 1, 'gpu': 0, 'memory': 8.0, 'disk': 100.0, 'time': 24.0}
INTERFACES = {'lo': {'ipv4': '127.0.0.1'}, 'eth0.100': {'ipv4': '10.0.0.7', 'mac': '00:00:00:00:00:01'}}
TIMES = ('status_changed', 'create_date', 'start_date', 'submit_date', 'last_update', 'timestamp', 'updated')


def with_times(answer: Answer) -> dict[str, Any]:
    """What an answer says, once old clients could read all of its times."""
    assert answer.status == 200, answer.text
    found = [answer.body[name] for name in TIMES if answer.body.get(name)]
    assert found
    for text in found:
        assert datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%f').year >= 2024
    return dict(answer.body)


class OldWorld:
    """The programs around a pilot: the one that submits, the one that makes jobs and tasks, the one that queues."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.system = api.as_('system', 'iceprod-system')

    async def submit(self, config: dict[str, Any] | None = CONFIG) -> str:
        """A dataset of one job with one task, its config put after it."""
        ada = self.api.as_('user', 'ada')
        sizes = {'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1}
        answer = await ada('POST', '/datasets', {'description': 'old', 'group': 'users', **sizes})
        assert answer.status == 201, answer.text
        dataset_id = answer.body['result'].removeprefix('/datasets/')
        if config is not None:
            assert seen(await ada('PUT', f'/config/{dataset_id}', config)) == DONE
        return str(dataset_id)

    async def materialize(self, dataset_id: str) -> str:
        """The job, the task, its priority and its file."""
        job_id = await self.post_job(dataset_id)
        task = {
            'dataset_id': dataset_id, 'job_id': job_id, 'task_index': 0, 'job_index': 0, 'name': 'generate',
            'depends': [], 'requirements': REQUIREMENTS,
        }  # fmt: skip
        made = await self.system('POST', '/tasks', task)
        assert (made.status, set(made.body)) == (201, {'result'})
        task_id = str(made.body['result'])
        patched = await self.system('PATCH', f'/tasks/{task_id}', {'priority': 0.75})
        assert (patched.status, patched.body['priority'], patched.body['status']) == (200, 0.75, 'waiting')
        file = {'filename': 'gsiftp://x/in.i3.zst', 'movement': 'input', 'local': 'in.i3.zst', 'transfer': 'maybe'}
        assert seen(await self.system('POST', f'/datasets/{dataset_id}/files/{task_id}', file)) == (201, {})
        return task_id

    async def post_job(self, dataset_id: str) -> str:
        answer = await self.system('POST', '/jobs', {'dataset_id': dataset_id, 'job_index': 0})
        assert (answer.status, set(answer.body)) == (201, {'result'})
        return str(answer.body['result'])

    async def queue(self) -> None:
        assert seen(await self.system('POST', '/task_actions/queue', {'num_tasks': 100})) == (200, {'queued': 1})

    async def task_of(self, dataset_id: str) -> str:
        """A task of the dataset, queued."""
        task_id = await self.materialize(dataset_id)
        await self.queue()
        return task_id


class OldPilot:
    """A pilot that knows of no claim ids."""

    def __init__(self, api: Api, role: str) -> None:
        self.role = role
        self.ask = api.as_(role, 'iceprod-system')

    async def start(self) -> str:
        """Be entered by the program that submitted it, then say where it runs."""
        entry = {'queue_host': 'sub.x', 'queue_version': '2.6.1', 'version': '2.6.1', 'resources': {'gpu': ['0']}}
        made = await self.ask('POST', '/pilots', entry)
        assert (made.status, set(made.body)) == (201, {'result'})
        pilot_id = str(made.body['result'])
        await self.update(pilot_id, grid_queue_id='1234.0')
        now = datetime.now(UTC).replace(tzinfo=None).isoformat()
        await self.update(pilot_id, host='node7.x', site='here', start_date=now)
        return pilot_id

    async def update(self, pilot_id: str, **fields: Any) -> None:
        pilot = with_times(await self.ask('PATCH', f'/pilots/{pilot_id}', fields))
        assert pilot['pilot_id'] == pilot_id
        assert pilot.items() >= {key: value for key, value in fields.items() if key != 'start_date'}.items()

    async def claim(self) -> Answer:
        return await self.ask(
            'POST',
            '/task_actions/process',
            {
                'gridspec': 'sub.x', 'hostname': 'node7.x', 'domain': 'x', 'ifaces': INTERFACES,
                'requirements': {**RESOURCES, 'os': 'RHEL_7_x86_64', 'site': 'here'},
                'query_params': {'requirements.site': {'$in': ['here', None]}},
            },
        )  # fmt: skip

    async def download_task(self) -> dict[str, Any]:
        """Claim a task and fetch all that it needs."""
        task = with_times(await self.claim())
        assert (task['status'], task['name'], task['site']) == ('processing', 'generate', 'here')
        assert set(task['requirements']) == set(REQUIREMENTS)
        dataset_id, job_id, task_id = task['dataset_id'], task['job_id'], task['task_id']
        assert seen(await self.ask('GET', f'/config/{dataset_id}')) == (200, CONFIG)
        job = with_times(await self.ask('GET', f'/jobs/{job_id}'))
        assert (job['job_id'], job['job_index'], job['dataset_id']) == (job_id, 0, dataset_id)
        dataset = with_times(await self.ask('GET', f'/datasets/{dataset_id}'))
        assert isinstance(dataset['dataset'], int)
        assert [dataset[key] for key in ('jobs_submitted', 'tasks_submitted', 'debug')] == [1, 1, False]
        files = await self.ask('GET', f'/datasets/{dataset_id}/files/{task_id}')
        assert seen(files) == (200, {'files': [{
            'type': 'permanent', 'movement': 'input', 'remote': 'gsiftp://x/in.i3.zst', 'local': 'in.i3.zst',
            'compression': False, 'transfer': 'maybe',
        }]})  # fmt: skip
        return task

    async def may_go_on(self, task_id: str) -> bool:
        """The question that it asks every few minutes while the task runs."""
        return bool(with_times(await self.ask('GET', f'/tasks/{task_id}'))['status'] == 'processing')

    async def post_stats(self, task: dict[str, Any], **more: Any) -> dict[str, Any]:
        stats = {
            'dataset_id': task['dataset_id'], 'hostname': 'node7.x', 'domain': 'x', 'time_used': None,
            'time': '2024-03-01T12:00:00', 'site': 'here', **more,
        }  # fmt: skip
        answer = await self.ask('POST', f'/tasks/{task["task_id"]}/task_stats', stats)
        assert (answer.status, set(answer.body)) == (201, {'result'})
        return stats

    async def end(self, task_id: str, action: str, **report: Any) -> None:
        assert seen(await self.ask('POST', f'/tasks/{task_id}/task_actions/{action}', report)) == DONE

    async def upload_logs(self, task: dict[str, Any], text: str) -> None:
        for name in ('stdlog', 'stdout', 'stderr'):
            ids = {'task_id': task['task_id'], 'dataset_id': task['dataset_id']}
            answer = await self.ask('POST', '/logs', {'name': name, **ids, 'data': f'{name} {text}'})
            assert (answer.status, set(answer.body)) == (201, {'result'})


@pytest.fixture
def world(api: Api) -> OldWorld:
    return OldWorld(api)


@pytest.fixture(params=['system', 'pilot'])
def pilot(api: Api, request: pytest.FixtureRequest) -> OldPilot:
    return OldPilot(api, request.param)


async def stats_of(api: Api, task: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await api('GET', f'/datasets/{task["dataset_id"]}/tasks/{task["task_id"]}/task_stats')
    return [with_times(Answer(200, stat, answer.headers, '')) for stat in answer.body.values()]


async def logs_of(api: Api, task: dict[str, Any]) -> dict[str, str]:
    ada = api.as_('user', 'ada')
    answer = await ada('GET', f'/datasets/{task["dataset_id"]}/tasks/{task["task_id"]}/logs?group=true')
    assert answer.status == 200, answer.text
    return {log['name']: with_times(Answer(200, log, answer.headers, ''))['data'] for log in answer.body['logs']}


async def test_an_old_pilot_runs_a_task_to_its_end(api: Api, world: OldWorld, pilot: OldPilot) -> None:
    pilot_id = await pilot.start()
    task_id = await world.task_of(await world.submit())

    task = await pilot.download_task()
    assert task['task_id'] == task_id
    await pilot.update(pilot_id, tasks=[task_id], resources_available={'cpu': 0}, resources_claimed={'gpu': ['0']})
    assert await pilot.may_go_on(task_id)
    stats = await pilot.post_stats(task, task_stats={'tray_0.mod$': {'a.b': 1.5}}, resources=RESOURCES)
    await pilot.end(task_id, 'complete', time_used=5400.0, site='here')
    await pilot.upload_logs(task, 'all went well')
    await pilot.update(pilot_id, tasks=[], resources_available={'cpu': 1}, resources_claimed={})

    ended = with_times(await api('GET', f'/tasks/{task_id}'))
    assert [ended[key] for key in ('status', 'walltime', 'site', 'failures')] == ['complete', 1.5, 'here', 0]
    assert [stat['stats'] for stat in await stats_of(api, task)] == [stats]
    assert await logs_of(api, task) == {name: f'{name} all went well' for name in ('stdlog', 'stdout', 'stderr')}
    assert not await pilot.may_go_on(task_id)
    again = await pilot.claim()
    assert (again.status, again.body['error']) == (404, 'Task not found')
    assert seen(await pilot.ask('DELETE', f'/pilots/{pilot_id}')) == DONE
    gone = refusal(404, 'Pilot not found') if pilot.role == 'system' else refusal(403, 'authorization failed')
    assert seen(await pilot.ask('GET', f'/pilots/{pilot_id}')) == gone


async def test_an_old_pilot_reports_a_try_that_failed_and_then_a_task_that_cannot_succeed(
    api: Api, world: OldWorld, pilot: OldPilot, chores: Callable[[], Awaitable[None]]
) -> None:
    task_id = await world.task_of(await world.submit())

    task = await pilot.download_task()
    used = {'cpu': 0.9, 'gpu': 0.0, 'memory': 4.5, 'disk': 3.0, 'time': 0.5}
    await pilot.post_stats(task, task_id=task_id, error_summary='memory', task_stats='{}', resources=used)
    await pilot.end(task_id, 'reset', time_used=1800, resources=used, site='here', reason='Resource overuse: memory')
    await pilot.upload_logs(task, 'no memory left')
    after = with_times(await api('GET', f'/tasks/{task_id}'))
    assert [after[key] for key in ('status', 'failures', 'walltime_err', 'walltime_err_n')] == ['reset', 1, 0.5, 1]
    assert after['requirements'] == {**REQUIREMENTS, 'memory': 6.75}
    assert await logs_of(api, task) == {name: f'{name} no memory left' for name in ('stdlog', 'stdout', 'stderr')}

    # Its dataset has a record, so that the scheduler cares for it; from the config of another system it makes nothing.
    await chores()
    again = await pilot.download_task()
    assert (again['task_id'], again['failures']) == (task_id, 1)
    await pilot.post_stats(again, error_summary='the input is broken')
    await pilot.end(task_id, 'failed', resources={'time': 0.25}, reason='the input is broken')

    ended = with_times(await api('GET', f'/tasks/{task_id}'))
    assert [ended[key] for key in ('status', 'failures', 'walltime_err', 'walltime_err_n')] == ['failed', 2, 0.75, 2]
    assert len(await stats_of(api, task)) == 2
    assert await api.database.tasks.count_documents({}) == await api.database.jobs.count_documents({}) == 1


async def test_an_old_pilot_stops_when_an_operator_has_taken_its_task(
    api: Api, world: OldWorld, pilot: OldPilot
) -> None:
    task_id = await world.task_of(await world.submit())
    task = await pilot.download_task()
    before = await pilot.may_go_on(task_id)

    assert seen(await api('PUT', f'/tasks/{task_id}/status', {'status': 'reset'})) == DONE

    assert (before, await pilot.may_go_on(task_id)) == (True, False)
    await pilot.upload_logs(task, 'stopped')
    late = await pilot.ask('POST', f'/tasks/{task_id}/task_actions/complete', {'time_used': 60})
    assert seen(late) == refusal(400, 'Task not found or not processing')
    assert (await api.task(task_id))['status'] == 'reset'


async def test_an_old_pilot_that_gets_no_config_gives_the_task_up(api: Api, world: OldWorld, pilot: OldPilot) -> None:
    task_id = await world.task_of(await world.submit(config=None))

    task = with_times(await pilot.claim())
    assert seen(await pilot.ask('GET', f'/config/{task["dataset_id"]}')) == refusal(404, 'Config not found')
    reason = 'failed to download dataset config'
    await pilot.post_stats(task, task_id=task_id, error_summary=reason)
    await pilot.end(task_id, 'reset', reason=reason)
    await pilot.upload_logs(task, reason)

    after = await api.task(task_id)
    assert [after[key] for key in ('status', 'failures', 'walltime_err_n')] == ['reset', 1, 0]
    assert (await api('GET', f'/tasks/{task_id}/messages')).body['messages'][0]['reason'] == reason
    assert (await logs_of(api, task))['stdlog'] == f'stdlog {reason}'


async def test_an_old_pilot_works_for_a_dataset_that_the_service_has_no_record_of(
    api: Api, world: OldWorld, pilot: OldPilot
) -> None:
    job_id = await world.post_job('elsewhere')
    assert seen(await world.system('PUT', '/config/elsewhere', CONFIG)) == DONE
    task_id = await api.add_task(dataset_id='elsewhere', job_id=job_id, status='waiting', requirements=REQUIREMENTS)
    await world.queue()

    task = with_times(await pilot.claim())
    assert seen(await pilot.ask('GET', '/config/elsewhere')) == (200, CONFIG)
    assert (await pilot.ask('GET', f'/jobs/{job_id}')).body['job_index'] == 0
    assert seen(await pilot.ask('GET', f'/datasets/elsewhere/files/{task_id}')) == (200, {'files': []})
    stats = await pilot.post_stats(task)
    await pilot.end(task_id, 'complete', time_used=36)
    await pilot.upload_logs(task, 'done')

    assert (await api.task(task_id))['walltime'] == 0.01
    assert [stat['stats'] for stat in await stats_of(api, task)] == [stats]
    found = await api('GET', '/logs', {'dataset_id': 'elsewhere', 'keys': 'name'})
    assert sorted(log['name'] for log in found.body.values()) == ['stderr', 'stdlog', 'stdout']
