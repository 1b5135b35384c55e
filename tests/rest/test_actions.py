"""Actions on many tasks, jobs and datasets: what they change, what they say, and what goes on meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from iceprod_tasks.domain.actions import ACTIONS, DATASET_STEPS
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.scheduler import chores as chore
from iceprod_tasks.scheduler.rescue import end_stops
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

Chores = Callable[[], Any]

GEN = [{'name': 'gen', 'command': 'true'}]
TWO = [*GEN, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]


def path(action: str, dataset_id: str = 'd1', level: str = 'task') -> str:
    return f'/datasets/{dataset_id}/{level}_actions/{action}'


def numbers(body: dict[str, Any]) -> tuple[int, int, int]:
    return body['changed'], body['unchanged'], body['refused']


async def statuses(api: Api, dataset_id: str = 'd1') -> dict[str, int]:
    return dict((await api('GET', f'/datasets/{dataset_id}/task_counts/status')).body)


async def claimed(api: Api, letter: str = 'c', **body: Any) -> dict[str, Any]:
    """A task held by a pilot with a claim id of its own."""
    answer = await api('POST', '/task_actions/process', {'claim_id': letter * 32, **body})
    assert answer.status == 200, answer.text
    return dict(answer.body)


@pytest.mark.parametrize('action', ACTIONS.values(), ids=lambda action: action.name)
async def test_an_action_does_to_each_task_what_the_table_says(api: Api, action: Any) -> None:
    ids = {status: await api.add_task(status=status, depends=['x']) for status in STATUSES}
    fields = {'claim_id': 'a' * 32, 'walltime': 2.0, 'evictions': 3}
    await api.database.tasks.update_many({}, {'$set': fields})
    expected = Counter(action.verdict(status) for status in STATUSES)

    answer = await api('POST', path(action.name), {'reason': 'for a test'})

    assert answer.status == 200
    assert (answer.body['action'], answer.body['dry_run'], answer.body['stopping']) == (action.name, False, 0)
    assert numbers(answer.body) == (expected['changed'], expected['unchanged'], expected['refused'])
    for status, task_id in ids.items():
        task, verdict = await api.task(task_id), action.verdict(status)
        row = action.transition
        assert task['status'] == (row.blocked_target or row.target if verdict == 'changed' else status)
        assert (task['claim_id'] == '') or verdict != 'changed' or status != 'processing'
        assert len(task['log']) == (verdict == 'changed')
        if verdict == 'changed':
            entry = task['log'][0]
            assert (entry['transition'], entry['who'], entry['why']) == (row.name, 'root', 'for a test')
        for shown in answer.body['examples'][verdict]:
            assert shown in ids.values() if verdict == 'changed' else shown['task_id'] in ids.values()
    for verdict in ('changed', 'unchanged', 'refused'):
        assert len(answer.body['examples'][verdict]) == min(5, expected[verdict])


async def test_a_dry_run_says_the_same_and_changes_nothing(api: Api) -> None:
    for status in STATUSES:
        await api.add_task(status=status)
    before = await statuses(api)

    for action in ACTIONS:
        dry = await api('POST', path(action), {'dry_run': True})
        assert await statuses(api) == before
        await api.database.tasks.aggregate([{'$out': 'kept'}])
        wet = await api('POST', path(action))
        await api.database.kept.aggregate([{'$out': 'tasks'}])

        assert dry.body['dry_run'] is True
        assert numbers(dry.body) == numbers(wet.body)
        assert sorted(dry.body['examples']['changed']) == sorted(wet.body['examples']['changed'])


async def test_the_same_again_changes_nothing_more(api: Api) -> None:
    for status in STATUSES:
        await api.add_task(status=status)

    for action in ('suspend', 'resume', 'reset', 'cancel', 'rerun', 'hard_reset'):
        first = await api('POST', path(action))
        again = await api('POST', path(action))

        assert first.body['changed'] > 0
        assert again.body['changed'] == 0
        assert sum(numbers(again.body)) == len(STATUSES)


async def test_only_the_tasks_named_are_touched_and_strangers_are_refused(api: Api) -> None:
    mine, left, other = await api.add_task(), await api.add_task(), await api.add_task(dataset_id='d2')

    answer = await api('POST', path('suspend'), {'tasks': [mine, other, 'nobody', mine]})

    assert numbers(answer.body) == (1, 0, 2)
    assert [each['task_id'] for each in answer.body['examples']['refused']] == [other, 'nobody']
    assert [(await api.task(each))['status'] for each in (mine, left, other)] == ['suspended', 'queued', 'queued']


async def test_the_tasks_of_jobs_of_names_and_in_statuses(api: Api) -> None:
    one = await api.add_task(job_id='j1', name='gen')
    two = await api.add_task(job_id='j2', name='gen')
    sim = await api.add_task(job_id='j2', name='sim')
    waiting = await api.add_task(job_id='j2', name='gen', status='waiting')

    by_job = await api('POST', path('suspend'), {'jobs': ['j2', 'j9'], 'names': ['gen'], 'statuses': ['queued']})

    assert numbers(by_job.body) == (1, 0, 0)
    assert [(await api.task(each))['status'] for each in (one, two, sim, waiting)] == [
        'queued', 'suspended', 'queued', 'waiting',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('body', 'reason'),
    [
        ({'tasks': []}, 'tasks is empty; leave it out to mean all'),
        ({'jobs': []}, 'jobs is empty; leave it out to mean all'),
        ({'tasks': ['a'], 'jobs': ['b']}, 'give tasks or jobs, not both'),
        ({'task': ['a']}, 'invalid keys found: task'),
        ({'tasks': ['x'] * 100_001}, 'Too many tasks specified (limit: 100k)'),
        ({'statuses': ['odd']}, 'Bad status'),
        ({'dry_run': 'yes'}, "key dry_run should be of type <class 'bool'>"),
        ({'reason': 5}, "key reason should be of type <class 'str'>"),
    ],
    ids=str,
)
async def test_a_request_that_could_mean_more_than_was_meant_is_refused(
    api: Api, body: dict[str, Any], reason: str
) -> None:
    task_id = await api.add_task()

    assert seen(await api('POST', path('cancel'), body)) == refusal(400, reason)
    assert (await api.task(task_id))['status'] == 'queued'


async def test_what_is_not_there_is_not_found(api: Api) -> None:
    await api.add_task()
    not_found = [
        (path('suspend', 'nowhere'), {}, 'Dataset not found'),
        (path('suspend'), {'tasks': ['x']}, 'Tasks not found'),
        (path('suspend'), {'jobs': ['x']}, 'Tasks not found'),
        (path('suspend', 'nowhere', 'job'), {}, 'Dataset not found'),
        (path('suspend', level='job'), {'jobs': ['x']}, 'Jobs not found'),
        (path('suspend', 'd1', 'dataset'), {}, 'Dataset not found'),
    ]

    for where, body, reason in not_found:
        assert seen(await api('POST', where, body)) == refusal(404, reason)
    assert (await api('POST', path('explode'))).status == 404


async def test_only_who_may_write_may_act(api: Api) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset(GEN)

    for level in ('task', 'job', 'dataset'):
        where = path('suspend', dataset_id, level)
        assert (await api.as_('user', 'eve', ('users',))('POST', where)).status == 403
        assert (await api.as_('pilot')('POST', where)).status == 403
        assert (await api.as_('user', 'ada')('POST', where)).status == 200


async def test_a_whole_dataset_is_suspended_with_its_jobs_and_makes_no_more(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=3)
    await chores()
    await api.database.datasets.update_one({}, {'$set': {'jobs_submitted': 5}})

    answer = await api('POST', path('suspend', dataset_id, 'dataset'), {'reason': 'later'})
    await chores()

    assert answer.body['dataset'] == {'result': 'changed', 'status': 'suspended'}
    assert (numbers(answer.body), answer.body['examples']['changed']) == ((1, 0, 0), [dataset_id])
    assert numbers(answer.body['jobs']) == (3, 0, 0)
    assert numbers(answer.body['tasks']) == (6, 0, 0)
    assert 'stopping' not in answer.body['jobs']
    assert await statuses(api, dataset_id) == {'suspended': 6}
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'suspended': 3}
    again = await api('POST', path('suspend', dataset_id, 'dataset'))
    assert again.body['dataset'] == {'result': 'unchanged', 'status': 'suspended'}
    assert numbers(again.body) == (0, 1, 0)
    assert again.body['examples']['unchanged'] == [{'dataset_id': dataset_id, 'status': 'suspended'}]

    resumed = await api('POST', path('resume', dataset_id, 'dataset'))
    await chores()

    assert resumed.body['dataset'] == {'result': 'changed', 'status': 'processing'}
    assert await statuses(api, dataset_id) == {'queued': 5, 'idle': 5}
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'processing': 5}


@pytest.mark.parametrize('action', ['suspend', 'cancel'])
async def test_a_dry_run_on_a_dataset_leaves_jobs_and_dataset_as_they_are(
    api: Api, chores: Chores, action: str
) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)
    await chores()

    answer = await api('POST', path(action, dataset_id, 'dataset'), {'dry_run': True})

    assert answer.body['dataset'] == {'result': 'changed', 'status': 'processing'}
    assert (numbers(answer.body['jobs']), numbers(answer.body['tasks'])) == ((2, 0, 0), (4, 0, 0))
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'processing'
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'processing': 2}
    assert await statuses(api, dataset_id) == {'idle': 2, 'queued': 2}


async def test_some_jobs_are_suspended_and_the_others_go_on(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=3)
    await chores()
    jobs = sorted((await api('GET', f'/datasets/{dataset_id}/jobs')).body)

    answer = await api('POST', path('suspend', dataset_id, 'job'), {'jobs': [jobs[0], 'other']})

    assert numbers(answer.body) == (1, 0, 0)
    assert numbers(answer.body['tasks']) == (1, 0, 0)
    assert await statuses(api, dataset_id) == {'queued': 2, 'suspended': 1}
    assert (await api('GET', f'/jobs/{jobs[0]}')).body['status'] == 'suspended'


@pytest.mark.parametrize('level', ['job', 'task'])
async def test_a_dataset_whose_jobs_were_all_suspended_goes_on_with_one_of_them(
    api: Api, chores: Chores, level: str
) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=2)
    await chores()
    jobs = sorted((await api('GET', f'/datasets/{dataset_id}/jobs')).body)
    await api('POST', path('suspend', dataset_id, 'job'))
    await chores()
    ended = (await api('GET', f'/datasets/{dataset_id}')).body['status']

    await api('POST', path('resume', dataset_id, level), {'jobs': jobs[:1]})

    assert (ended, (await api('GET', f'/datasets/{dataset_id}')).body['status']) == ('suspended', 'processing')


async def test_a_cancelled_dataset_ends_in_errors_and_makes_no_more_jobs(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)
    await chores()
    await api.database.datasets.update_one({}, {'$set': {'jobs_submitted': 4}})

    await api('POST', path('cancel', dataset_id, 'dataset'))
    await chores()

    assert await statuses(api, dataset_id) == {'failed': 4}
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'errors'
    outcomes = [each['outcome']['result'] async for each in api.database.tasks.find({})]
    assert set(outcomes) == {'cancelled'}

    await api('POST', path('rerun', dataset_id, 'dataset'))
    await chores()
    rerun = await statuses(api, dataset_id)
    await api('POST', path('hard_reset', dataset_id, 'dataset'))
    await chores()

    assert rerun == {'idle': 2, 'queued': 2}
    # Only a hard reset forgets that the dataset was cut short.
    assert await statuses(api, dataset_id) == {'idle': 4, 'queued': 4}


async def test_a_rerun_reopens_the_job_and_the_dataset(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO)
    await chores()
    task = await claimed(api)
    await api('POST', f'/tasks/{task["task_id"]}/task_actions/failed', {'claim_id': 'c' * 32})
    await chores()
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'errors'

    answer = await api('POST', path('rerun', dataset_id), {'statuses': ['failed']})
    await chores()

    assert numbers(answer.body) == (1, 0, 0)
    assert await statuses(api, dataset_id) == {'idle': 1, 'queued': 1}
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'processing'
    for letter in 'de':
        task = await claimed(api, letter)
        await api('POST', f'/tasks/{task["task_id"]}/task_actions/complete', {'claim_id': letter * 32})
        await chores()
    assert (await api('GET', f'/datasets/{dataset_id}')).body['status'] == 'complete'


async def test_a_hard_reset_makes_a_task_as_new(api: Api) -> None:
    task_id = await api.add_task()
    await claimed(api, site='there')
    report = {'claim_id': 'c' * 32, 'time_used': 3600, 'site': 'there'}
    await api('POST', f'/tasks/{task_id}/task_actions/complete', report)

    answer = await api('POST', path('hard_reset'))

    task = await api.task(task_id)
    assert numbers(answer.body) == (1, 0, 0)
    fresh = {'status': 'waiting', 'failures': 0, 'evictions': 0, 'walltime': 0.0, 'site': '', 'outcome': None}
    assert {key: task[key] for key in fresh} == fresh


async def test_a_reset_by_hand_is_no_failure(api: Api) -> None:
    task_id = await api.add_task(status='failed')
    await api.database.tasks.update_one({}, {'$set': {'failures': 11}})

    await api('POST', path('reset'), {'tasks': [task_id]})

    task = await api.task(task_id)
    assert (task['status'], task['failures']) == ('reset', 0)


# Work that runs


@pytest.mark.parametrize(('action', 'end'), [('suspend', 'suspended'), ('cancel', 'failed')])
@pytest.mark.parametrize('report', ['hand_back', 'reset'])
async def test_work_that_runs_is_asked_to_stop_and_ends_under_its_claim(
    api: Api, action: str, end: str, report: str
) -> None:
    task_id = await api.add_task()
    await claimed(api)

    answer = await api('POST', path(action), {'reason': 'enough'})
    running = await api('GET', f'/tasks/{task_id}')
    again = await api('POST', path(action))

    assert (numbers(answer.body), answer.body['stopping']) == ((1, 0, 0), 1)
    assert numbers(again.body) == (0, 1, 0)
    assert (running.body['status'], running.body['epoch']) == ('processing', 1)
    stop = running.body['stop']
    assert (stop['then'], stop['why'], stop['who']) == (action, 'enough', 'root')
    assert running.body['status_changed'] < stop['deadline']

    said = {'claim_id': 'c' * 32, 'reason': 'stopped', 'resources': {'memory': 9.0}} if report == 'reset' else {}
    said = said or {'claim_id': 'c' * 32, 'reason': 'stopped'}
    answers = [await api('POST', f'/tasks/{task_id}/task_actions/{report}', said) for _ in range(2)]

    task = await api.task(task_id)
    assert [seen(each) for each in answers] == [DONE, DONE]
    assert (task['status'], task['claim_id'], task['stop'], task['failures']) == (end, '', None, 0)
    assert len(task['log']) == 3
    if action == 'cancel':
        assert task['outcome']['result'] == 'cancelled'


async def test_what_completes_in_time_is_complete(api: Api) -> None:
    task_id = await api.add_task()
    await claimed(api)
    await api('POST', path('cancel'))

    answer = await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': 'c' * 32})

    task = await api.task(task_id)
    assert seen(answer) == DONE
    assert (task['status'], task['stop'], task['outcome']['result']) == ('complete', None, 'successful')


@pytest.mark.parametrize(('action', 'end'), [('suspend', 'suspended'), ('cancel', 'failed')])
async def test_work_that_does_not_stop_is_ended_at_the_deadline(api: Api, action: str, end: str) -> None:
    task_id = await api.add_task()
    await claimed(api)
    await api('POST', path(action))

    early = await end_stops(api.service)
    await api.database.tasks.update_one({}, [{'$set': {'stop.deadline': {'$subtract': ['$$NOW', 1]}}}])
    late = await end_stops(api.service)

    task = await api.task(task_id)
    assert (early, late) == (0, 1)
    assert (task['status'], task['claim_id'], task['stop']) == (end, '', None)
    assert (task['log'][-1]['who'], task['log'][-1]['why']) == ('scheduler', 'did not stop in time')
    # Late reports of the pilot, none of which was taken before, are refused.
    for report in ('complete', 'reset', 'failed', 'hand_back'):
        answer = await api('POST', f'/tasks/{task_id}/task_actions/{report}', {'claim_id': 'c' * 32})
        assert answer.status == 409
    assert await api.task(task_id) == task


async def test_the_deadline_is_the_grace_of_the_service(api: Api) -> None:
    await api.add_task()
    await claimed(api)

    await api('POST', path('suspend'))

    task = await api.database.tasks.find_one({})
    wait = (task['stop']['deadline'] - task['updated']).total_seconds()
    assert wait == api.service.limits.stop_grace_seconds


async def test_an_old_pilot_is_told_by_the_status(api: Api) -> None:
    task_id = await api.add_task()
    await api('POST', '/task_actions/process')

    answer = await api('POST', path('suspend'))

    assert (numbers(answer.body), answer.body['stopping']) == ((1, 0, 0), 0)
    assert (await api.task(task_id))['status'] == 'suspended'


async def test_a_cancel_outdoes_a_suspend_and_not_the_other_way_round(api: Api) -> None:
    task_id = await api.add_task()
    await claimed(api)

    changed = [(await api('POST', path(action))).body['changed'] for action in ('suspend', 'cancel', 'suspend')]

    assert changed == [1, 1, 0]
    assert (await api.task(task_id))['stop']['then'] == 'cancel'


async def test_a_resume_takes_a_suspend_back_that_has_not_come_to_pass(api: Api) -> None:
    task_id = await api.add_task()
    await claimed(api)
    await api('POST', path('suspend'))

    answer = await api('POST', path('resume'))

    assert numbers(answer.body) == (1, 0, 0)
    assert (await api.task(task_id))['stop'] is None
    await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': 'c' * 32})
    assert (await api.task(task_id))['status'] == 'queued'


async def test_a_stop_asked_for_while_a_report_is_on_its_way_decides(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = await api.add_task()
    await claimed(api)
    close = api.service.store.closings.close

    async def late(*arguments: Any) -> Any:
        monkeypatch.setattr(api.service.store.closings, 'close', close)
        await api('POST', path('cancel'))
        return await close(*arguments)

    monkeypatch.setattr(api.service.store.closings, 'close', late)
    answer = await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': 'c' * 32})

    assert seen(answer) == DONE
    assert (await api.task(task_id))['status'] == 'failed'


# In portions


async def test_portions_leave_nothing_out_while_tasks_go_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.moves.PORTION', 7)
    ids = [await api.add_task(status=status) for status in ('waiting', 'queued', 'reset') for _ in range(20)]

    async def pilot(letter: str) -> None:
        for number in range(8):
            claim_id = f'{letter}{number:031x}'
            answer = await api('POST', '/task_actions/process', {'claim_id': claim_id})
            if answer.status == 200:
                there = f'/tasks/{answer.body["task_id"]}/task_actions/hand_back'
                await api('POST', there, {'claim_id': claim_id})

    answer, *_ = await asyncio.gather(api('POST', path('suspend')), pilot('a'), pilot('b'))

    assert await statuses(api) == {'suspended': len(ids)}
    assert answer.body['refused'] == 0


@pytest.mark.parametrize(
    ('status', 'after', 'then'),
    [('waiting', 'waiting', 'queued'), ('queued', 'queued', 'waiting'), ('queued', 'idle', 'waiting')],
)
async def test_a_task_that_goes_on_or_back_behind_the_action_is_met(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: str, after: str, then: str
) -> None:
    task_id = await api.add_task(status=status)
    moves = api.service.store.moves
    portion = moves.portion

    async def and_it_goes(scope: Any, part: Any, walked: str, *rest: Any) -> Any:
        # On its first look at a status the action finds nothing, for the task is just on its way past it.
        if walked == after and not gone:
            gone.append(walked)
            await api('PUT', f'/tasks/{task_id}/status', {'status': then})
            return []
        return await portion(scope, part, walked, *rest)

    gone: list[str] = []
    monkeypatch.setattr(moves, 'portion', and_it_goes)
    answer = await api('POST', path('suspend'))

    assert gone
    assert (await api.task(task_id))['status'] == 'suspended'
    assert answer.body['changed'] == 1


async def test_a_task_that_ends_between_the_look_and_the_move_has_ended(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, other = await api.add_task(), await api.add_task()
    move = api.service.store.moves.move

    async def late(*arguments: Any) -> int:
        await api('PUT', f'/tasks/{task_id}/status', {'status': 'complete'})
        return int(await move(*arguments))

    monkeypatch.setattr(api.service.store.moves, 'move', late)
    answer = await api('POST', path('suspend'))

    assert answer.body['changed'] == 1
    assert [(await api.task(each))['status'] for each in (task_id, other)] == ['complete', 'suspended']


async def test_a_reset_task_that_waits_again_is_not_reset_twice(
    api: Api, chores: Chores, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=5)
    await chores()
    move = api.service.store.moves.move

    async def and_retried(*arguments: Any) -> int:
        moved = await move(*arguments)
        await chore.retry(api.service, [dataset_id])
        return int(moved)

    monkeypatch.setattr(api.service.store.moves, 'move', and_retried)
    answer = await api('POST', path('reset', dataset_id))

    resets = [
        [entry['transition'] for entry in task['log']].count('reset')
        async for task in api.database.tasks.find({'dataset_id': dataset_id})
    ]
    assert answer.body['changed'] == 5
    assert resets == [1] * 5


async def test_a_truncated_dataset_that_is_resumed_stays_truncated(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN)
    await chores()
    await api.service.store.datasets.set_status(dataset_id, ('processing',), 'truncated')

    await api('POST', path('suspend', dataset_id, 'dataset'))
    answer = await api('POST', path('resume', dataset_id, 'dataset'))

    assert answer.body['dataset'] == {'result': 'changed', 'status': 'truncated'}


@pytest.mark.parametrize('action', DATASET_STEPS)
async def test_a_complete_dataset_only_starts_over(api: Api, chores: Chores, action: str) -> None:
    dataset_id = await api.add_dataset(GEN)
    await chores()
    task = await claimed(api)
    await api('POST', f'/tasks/{task["task_id"]}/task_actions/complete', {'claim_id': 'c' * 32})
    await chores()

    answer = await api('POST', path(action, dataset_id, 'dataset'))

    expected = {'result': 'changed', 'status': 'processing'}
    refused = {'result': 'refused', 'status': 'complete'}
    assert answer.body['dataset'] == (expected if action == 'hard_reset' else refused)
    assert numbers(answer.body) == ((1, 0, 0) if action == 'hard_reset' else (0, 0, 1))
    assert numbers(answer.body['tasks']) == ((1, 0, 0) if action == 'hard_reset' else (0, 0, 1))


async def test_stops_go_by_index(api: Api) -> None:
    limits = replace(api.service.limits, stop_grace_seconds=0.0)
    service = replace(api.service, limits=limits)
    for letter in 'ab':
        await api.add_task()
        await claimed(api, letter)
    plan = await api.database.tasks.find({'stop.deadline': {'$exists': True}, 'stop.then': 'suspend'}).explain()

    assert service.limits.stop_grace_seconds == 0
    assert 'stop' in str(plan['queryPlanner']['winningPlan'])
