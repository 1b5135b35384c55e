"""What pilots do with a task is kept, each phase of an attempt once, and told by its history."""

from datetime import datetime
from typing import Any

import pytest

from tests.conftest import Api
from tests.rest.test_outputs import LATER, MINE, claimed


async def beat(api: Api, task_id: str, **says: Any) -> None:
    answer = await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': MINE, **says})
    assert answer.status == 200, answer.text


def gone(*phases: str) -> list[dict[str, Any]]:
    """Phases that began ten seconds after each other, the last one just now."""
    return [{'phase': phase, 'seconds_ago': 10 * (len(phases) - n - 1)} for n, phase in enumerate(phases)]


async def phases(api: Api, task_id: str) -> list[tuple[str, int]]:
    told = (await api('GET', f'/tasks/{task_id}/history')).body['phases']
    return [(each['phase'], each['epoch']) for each in told]


async def test_heartbeats_tell_phases_and_each_is_kept_once(api: Api) -> None:
    task_id = await claimed(api)

    await beat(api, task_id, phase='starting', phases=gone('provisioning', 'starting'))
    await beat(api, task_id, phase='starting', phases=gone('provisioning', 'starting'))
    await beat(api, task_id, phase='running')
    await beat(api, task_id, phase='running')

    assert await phases(api, task_id) == [('provisioning', 1), ('starting', 1), ('running', 1)]
    assert (await api.task(task_id))['phase'] == 'running'
    first, second, _ = (await api('GET', f'/tasks/{task_id}/history')).body['phases']
    apart = datetime.fromisoformat(second['when']) - datetime.fromisoformat(first['when'])
    assert abs(apart.total_seconds() - 10) < 0.01


@pytest.mark.parametrize('action', ['complete', 'reset', 'failed', 'hand_back'])
async def test_a_report_tells_the_last_ones_and_the_next_attempt_has_its_own(api: Api, action: str) -> None:
    task_id = await claimed(api)
    await beat(api, task_id, phase='running')

    body = {'claim_id': MINE, 'phases': gone('running', 'run_completed')}
    assert (await api('POST', f'/tasks/{task_id}/task_actions/{action}', body)).status == 200
    before = await phases(api, task_id)
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})
    await claimed(api, LATER, task_id)
    await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': LATER, 'phase': 'running'})

    assert before == [('running', 1), ('run_completed', 1)]
    assert await phases(api, task_id) == [*before, ('running', 2)]


async def test_reports_that_come_together_tell_their_own_phases(api: Api) -> None:
    ids = [await api.add_task() for _ in range(3)]
    batch = await api('POST', '/task_actions/process', {'claim_id': MINE, 'num_tasks': 3})
    ways = (gone('running'), gone('starting', 'running'), gone('provisioning'))
    reports = [
        {'task_id': task['task_id'], 'action': 'complete', 'claim_id': task['claim_id'], 'phases': way}
        for task, way in zip(batch.body['tasks'], ways, strict=True)
    ]

    answer = await api('POST', '/task_actions/report', {'reports': reports})

    assert {each['code'] for each in answer.body['results']} == {200}
    told = {report['task_id']: [(each['phase'], 1) for each in report['phases']] for report in reports}
    assert {task_id: await phases(api, task_id) for task_id in ids} == told


async def test_only_the_newest_are_kept(api: Api) -> None:
    task_id = await claimed(api)
    many = [{'phase': 'running', 'when': None, 'epoch': 1 - number} for number in range(100, 0, -1)]
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'phases': many}})

    await beat(api, task_id, phase='running')

    kept = await phases(api, task_id)
    assert (len(kept), kept[-1]) == (50, ('running', 1))


@pytest.mark.parametrize(
    'wrong', [5, [5], [{'phase': 'resting', 'seconds_ago': 1}], [{'phase': 'running'}], gone('running') * 17,
              [{'phase': 'running', 'seconds_ago': -1}], [{'phase': 'running', 'seconds_ago': 1e12}]],
)  # fmt: skip
async def test_what_is_no_phase_is_refused(api: Api, wrong: Any) -> None:
    task_id = await claimed(api)
    body = {'claim_id': MINE, 'phases': wrong}

    assert (await api('POST', f'/tasks/{task_id}/task_actions/heartbeat', body)).status == 400
    assert (await api('POST', f'/tasks/{task_id}/task_actions/complete', body)).status == 400
    assert await phases(api, task_id) == []
