"""DELETE /datasets/D: what it removes, what it refuses, and who is told what."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from iceprod_tasks.actions import delete as deleting
from iceprod_tasks.actions import materialize as materializing
from iceprod_tasks.actions.clear import clear
from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.storage.deletions import Demand
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen
from tests.rest.belongings import COUNTS, TASKS, add_whole, counts, everything

GONE = {'deleted': COUNTS, 'archive': None}
BEING_DELETED = refusal(409, 'the dataset is being deleted')


async def claim(api: Api, dataset_id: str, claim_id: str = '') -> dict[str, Any]:
    body = {'query_params': {'dataset_id': dataset_id}, **({'claim_id': claim_id} if claim_id else {})}
    answer = await api('POST', '/task_actions/process', body)
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def marked(api: Api, dataset_id: str, **asked: Any) -> dict[str, Any]:
    """The dataset's record, marked as by a process that has the deletion in hand."""
    dataset = await api.service.store.deletions.begin(dataset_id, Demand('ada', new_id(), **asked))
    assert dataset is not None
    return dataset


async def test_all_that_belongs_to_a_dataset_goes_and_nothing_of_another(api: Api) -> None:
    kept, gone = await add_whole(api), await add_whole(api)
    before = await everything(api, kept)

    answer = await api('DELETE', f'/datasets/{gone}')

    assert seen(answer) == (200, GONE)
    assert await counts(api, gone) == {}
    assert await everything(api, kept) == before


async def test_a_deletion_goes_on_in_portions(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.belongings._AT_ONCE', 2)
    monkeypatch.setattr(deleting, '_AT_ONCE', 2)
    dataset_id = await add_whole(api)

    assert seen(await api('DELETE', f'/datasets/{dataset_id}')) == (200, GONE)
    assert await counts(api, dataset_id) == {}


async def test_once_all_is_gone_a_repeat_is_404_for_operators_and_403_for_users(api: Api) -> None:
    ada = api.as_('user', 'ada')
    dataset_id = await ada.add_dataset(TASKS)

    assert (await ada('DELETE', f'/datasets/{dataset_id}')).status == 200
    assert seen(await ada('DELETE', f'/datasets/{dataset_id}')) == refusal(403, 'authorization failed')
    for role in ('admin', 'system'):
        assert seen(await api.as_(role)('DELETE', f'/datasets/{dataset_id}')) == refusal(404, 'Dataset not found')
    assert seen(await api('GET', f'/datasets/{dataset_id}')) == refusal(404, 'Dataset not found')


async def test_only_who_may_write_a_dataset_deletes_it(api: Api) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset(TASKS)

    for role in ('user', 'pilot'):
        answer = await api.as_(role, 'eve')('DELETE', f'/datasets/{dataset_id}')
        assert seen(answer) == refusal(403, 'authorization failed')
    assert (await api.as_('user', 'bob', ('simprod',))('DELETE', f'/datasets/{dataset_id}')).status == 200


@pytest.mark.parametrize('query', ['force=1', 'force=', 'force=True', 'archive=yes', 'archive=0', 'archive=null'])
async def test_what_is_neither_true_nor_false_is_400_and_changes_nothing(api: Api, query: str) -> None:
    dataset_id = await add_whole(api)
    before = await everything(api, dataset_id)

    answer = await api('DELETE', f'/datasets/{dataset_id}?{query}')

    assert seen(answer) == refusal(400, f'Bad argument "{query.partition("=")[0]}": must be true or false')
    assert await everything(api, dataset_id) == before


@pytest.mark.parametrize(('running', 'reason'), [(1, '1 task is processing'), (2, '2 tasks are processing')])
async def test_while_work_runs_nothing_is_deleted_and_nothing_changes(api: Api, running: int, reason: str) -> None:
    dataset_id = await add_whole(api)
    for _ in range(running):
        await claim(api, dataset_id)
    before = await everything(api, dataset_id)

    assert seen(await api('DELETE', f'/datasets/{dataset_id}')) == refusal(409, reason)
    assert await everything(api, dataset_id) == before


async def test_forced_work_is_asked_to_stop_first_and_late_reports_are_refused(api: Api) -> None:
    dataset_id = await add_whole(api)
    ours, theirs = new_id(), await claim(api, dataset_id)
    task = await claim(api, dataset_id, ours)

    answer = await api('DELETE', f'/datasets/{dataset_id}?force=true')
    asked = await api.task(task['task_id'])
    handed_back = await api('POST', f'/tasks/{task["task_id"]}/task_actions/hand_back', {'claim_id': ours})
    again = await api('DELETE', f'/datasets/{dataset_id}?force=true')

    assert seen(answer) == (202, {'deleting': True, 'stopping': 1})
    assert (asked['status'], asked['stop']['then']) == ('processing', 'cancel')
    assert (handed_back.status, again.status) == (200, 200)
    for task_id, body in ((task['task_id'], {'claim_id': ours, 'reason': 'x', 'resources': {'memory': 9}}),
                          (theirs['task_id'], {'reason': 'x', 'resources': {'memory': 9}})):  # fmt: skip
        for action in ('reset', 'failed', 'complete'):
            late = await api('POST', f'/tasks/{task_id}/task_actions/{action}', body)
            reason = 'Task not found or not processing' if action == 'complete' else 'Task not found'
            assert seen(late) == refusal(400, reason)
    assert (await api('POST', f'/tasks/{task["task_id"]}/task_actions/hand_back', {'claim_id': ours})).status == 400
    assert await counts(api, dataset_id) == {}


async def test_an_unfinished_dataset_holds_those_that_it_depends_on(api: Api) -> None:
    first, second = await add_whole(api), await add_whole(api)
    await api.database.datasets.update_one({'dataset_id': second}, {'$set': {'depends_on': ['x', first]}})
    before = await everything(api, first)

    answer = await api('DELETE', f'/datasets/{first}')

    assert seen(answer) == refusal(409, f'unfinished datasets depend on it: {second}')
    assert await everything(api, first) == before
    assert (await api('DELETE', f'/datasets/{first}?force=true')).status == 200


async def test_a_user_is_not_told_which_datasets_of_others_depend_on_it(api: Api) -> None:
    ada = api.as_('user', 'ada')
    first = await ada.add_dataset(TASKS)
    shared, closed = [await api.add_dataset(TASKS, group='users') for _ in range(2)]
    await api.database.auths.update_one({'dataset_id': closed}, {'$set': {'read_groups': ['admin']}})
    await api.database.datasets.update_many({'dataset_id': {'$ne': first}}, {'$set': {'depends_on': [first]}})

    answer = await ada('DELETE', f'/datasets/{first}')

    told = f'unfinished datasets depend on it: {shared}, others that you may not read'
    assert seen(answer) == refusal(409, told)


@pytest.mark.parametrize('change', [{'status': 'complete'}, {'deleting': {'stage': 'asked'}}])
async def test_a_dataset_that_is_complete_or_being_deleted_itself_holds_none(api: Api, change: dict[str, Any]) -> None:
    first, second = await add_whole(api), await add_whole(api)
    await api.database.datasets.update_one({'dataset_id': second}, {'$set': {'depends_on': [first], **change}})

    assert (await api('DELETE', f'/datasets/{first}')).status == 200


async def test_a_claim_that_slips_in_after_the_decision_is_stopped_as_if_forced(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    claimed: list[str] = []
    original = deleting._cancelled

    async def slow(*arguments: Any) -> AsyncIterator[int]:
        if not claimed:
            claimed.append((await claim(api, dataset_id))['task_id'])
        async for each in original(*arguments):
            yield each

    monkeypatch.setattr(deleting, '_cancelled', slow)

    assert seen(await api('DELETE', f'/datasets/{dataset_id}')) == (200, GONE)
    assert claimed
    assert (await api('POST', f'/tasks/{claimed[0]}/task_actions/complete')).status == 400


async def test_what_is_cancelled_while_it_is_being_stopped_can_not_be_claimed_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    await claim(api, dataset_id)
    asked = 0

    async def hands_back(service: Any, who: str, of: str) -> int:
        nonlocal asked
        asked += 1
        await api.database.tasks.update_many({'dataset_id': of, 'status': 'processing'}, {'$set': {'status': 'queued'}})
        assert asked < 3
        return 0

    monkeypatch.setattr(deleting, '_stop_work', hands_back)
    removed: list[dict[str, int]] = []
    original = deleting._Run._remove

    async def remove(run: Any) -> Any:
        removed.append((await api('GET', f'/datasets/{dataset_id}/task_counts/status')).body)
        return await original(run)

    monkeypatch.setattr(deleting._Run, '_remove', remove)

    assert (await api('DELETE', f'/datasets/{dataset_id}?force=true')).status == 200
    assert removed == [{'failed': 6}]


async def test_while_work_is_stopping_the_answer_is_202_and_shows_how_much(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    await claim(api, dataset_id)

    async def one(*_: Any) -> int:
        return 1

    with monkeypatch.context() as patch:
        patch.setattr(deleting, '_stop_work', one)
        first = await api('DELETE', f'/datasets/{dataset_id}?force=true')
        shown = (await api('GET', f'/datasets/{dataset_id}')).body['deleting']

    assert seen(first) == (202, {'deleting': True, 'stopping': 1})
    assert shown.items() >= {'who': 'root', 'force': True, 'archive': False, 'stage': 'stopping'}.items()
    assert seen(await api('DELETE', f'/datasets/{dataset_id}')) == (200, GONE)


async def test_a_deletion_that_takes_long_goes_on_without_the_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    monkeypatch.setattr(deleting, 'ANSWER_WITHIN_SECONDS', -1.0)

    answer = await api('DELETE', f'/datasets/{dataset_id}')

    assert seen(answer) == (202, {'deleting': True, 'stopping': 0})
    assert (await counts(api, dataset_id)).keys() == {'jobs', 'files', 'messages', 'logs', 'task_stats', 'outputs',
                                                      'node_results', 'auths', 'datasets'}  # fmt: skip
    deletion = await deleting.take_up(api.service)
    assert deletion is not None
    assert deletion.deleted == COUNTS | {'tasks': 0}


async def test_a_deletion_in_other_hands_is_only_told_of_and_can_be_forced(api: Api) -> None:
    dataset_id = await add_whole(api)
    await claim(api, dataset_id)
    await marked(api, dataset_id)
    before = await counts(api, dataset_id)

    first = await api('DELETE', f'/datasets/{dataset_id}')
    not_forced = (await api('GET', f'/datasets/{dataset_id}')).body['deleting']
    second = await api('DELETE', f'/datasets/{dataset_id}?force=true')

    assert seen(first) == seen(second) == (202, {'deleting': True, 'stopping': 1})
    assert not not_forced['force']
    assert (await api('GET', f'/datasets/{dataset_id}')).body['deleting'] == not_forced | {'force': True}
    assert await counts(api, dataset_id) == before


async def test_a_deletion_that_is_forced_while_it_is_refused_is_not_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    await claim(api, dataset_id)
    original = deleting._Run._objection

    async def slow(run: Any) -> Any:
        objection = await original(run)
        if objection:
            assert (await api('DELETE', f'/datasets/{dataset_id}?force=true')).status == 202
        return objection

    monkeypatch.setattr(deleting._Run, '_objection', slow)

    assert seen(await api('DELETE', f'/datasets/{dataset_id}')) == (200, GONE)


async def test_of_many_deletions_at_once_one_removes_everything(api: Api) -> None:
    kept, dataset_id = await add_whole(api), await add_whole(api)
    before = await everything(api, kept)

    answers = await asyncio.gather(*(api('DELETE', f'/datasets/{dataset_id}') for _ in range(8)))

    assert [answer.body for answer in answers if answer.status == 200] == [GONE]
    assert {answer.status for answer in answers} <= {200, 202, 404}
    assert await counts(api, dataset_id) == {}
    assert await everything(api, kept) == before


async def test_what_comes_while_a_part_is_removed_is_removed_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await add_whole(api)
    belongings = api.service.store.belongings
    original, late = belongings._remove, [{'dataset_id': dataset_id, 'log_id': new_id()} for _ in range(3)]

    async def remove(part: str, ids: list[object]) -> int:
        if part == 'logs' and late:
            await api.database.logs.insert_one(late.pop())
        return await original(part, ids)

    monkeypatch.setattr(belongings, '_remove', remove)

    assert (await api('DELETE', f'/datasets/{dataset_id}')).body['deleted']['logs'] == COUNTS['logs'] + 3
    assert await counts(api, dataset_id) == {}


async def test_pilots_go_on_claiming_other_datasets_meanwhile(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.belongings._AT_ONCE', 1)
    other, dataset_id = await api.add_dataset(TASKS[:1], jobs=30), await add_whole(api)
    await Scheduler(api.service).sweep()

    async def work() -> None:
        for _ in range(30):
            task = await claim(api, other)
            assert (await api('POST', f'/tasks/{task["task_id"]}/task_actions/complete')).status == 200

    answer, _ = await asyncio.gather(api('DELETE', f'/datasets/{dataset_id}'), work())

    assert seen(answer) == (200, GONE)
    assert (await api('GET', f'/datasets/{other}/task_counts/status')).body == {'complete': 30}


@pytest.mark.parametrize(
    ('method', 'path', 'body'),
    [
        ('PUT', '/config/{0}', {'version': 3}), ('PUT', '/datasets/{0}/retention', {'days': 1}),
        ('PUT', '/datasets/{0}/tasks/{1}/status', {'status': 'waiting'}),
        ('POST', '/datasets/{0}/task_actions/bulk_status/reset', {'tasks': ['{1}']}),
        ('PATCH', '/datasets/{0}/task_actions/bulk_requirements/gen', {'memory': 1}),
        ('POST', '/datasets/{0}/files/{1}', {'filename': 'f', 'movement': 'input'}),
        ('DELETE', '/datasets/{0}/files/{1}', None),
    ],
)  # fmt: skip
async def test_a_dataset_that_is_being_deleted_takes_no_changes(api: Api, method: str, path: str, body: Any) -> None:
    dataset_id = await add_whole(api)
    task_id = (await everything(api, dataset_id))['tasks'][0]['task_id']
    await marked(api, dataset_id)
    before = await everything(api, dataset_id)

    for asked_by in (api, api.as_('user', 'root')):
        assert seen(await asked_by(method, path.format(dataset_id, task_id), body)) == BEING_DELETED
    assert await everything(api, dataset_id) == before


async def test_who_may_not_write_is_not_told_that_a_dataset_is_being_deleted(api: Api) -> None:
    dataset_id = await add_whole(api)
    await marked(api, dataset_id)

    answer = await api.as_('user', 'eve')('PUT', f'/config/{dataset_id}', {'version': 3})

    assert seen(answer) == refusal(403, 'authorization failed')


async def test_no_task_is_posted_to_a_dataset_that_is_being_deleted(api: Api) -> None:
    dataset_id = await add_whole(api)
    await marked(api, dataset_id)
    task = {'dataset_id': dataset_id, 'job_id': 'j', 'task_index': 0, 'job_index': 0, 'name': 'n', 'depends': [],
            'requirements': {}}  # fmt: skip

    assert seen(await api('POST', '/tasks', task)) == BEING_DELETED
    assert (await api('POST', '/tasks', task | {'dataset_id': 'nobody'})).status == 201


async def test_a_dataset_that_is_being_deleted_makes_no_jobs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materializing, '_TASKS_AT_ONCE', 2)
    dataset_id = await api.add_dataset(TASKS, jobs=3)
    stale = await api.service.store.datasets.get(dataset_id)
    await marked(api, dataset_id)

    assert await materialize_all(api.service) == 0
    assert (await api('POST', '/task_actions/process')).body['left'] == 0
    # One that read the record before stops after its first portion.
    assert stale is not None
    await materializing.materialize(api.service, stale)
    assert await api.database.jobs.count_documents({}) == 1
    assert (await api('GET', f'/datasets/{dataset_id}')).body['jobs_materialized'] == 0


async def test_chores_leave_a_dataset_alone_that_is_being_deleted(api: Api) -> None:
    dataset_id = await add_whole(api)
    await marked(api, dataset_id)
    await api.database.tasks.update_many({'name': 'sim'}, {'$set': {'depends': []}})
    before = await everything(api, dataset_id)

    await Scheduler(api.service).sweep()

    assert await everything(api, dataset_id) == before


async def test_what_comes_for_a_dataset_after_it_is_gone_is_removed_later(api: Api) -> None:
    kept, dataset_id = await add_whole(api), await add_whole(api)
    left = await everything(api, dataset_id)
    await api('DELETE', f'/datasets/{dataset_id}')
    before = await everything(api, kept)
    for name, documents in left.items():
        if name != 'datasets':
            await api.database[name].insert_many(documents)

    at_once = await clear(api.service, 10)
    await api.database.deletions.update_many({}, [{'$set': {'clear_after': '$$NOW'}}])
    later = await clear(api.service, 10)

    assert (at_once, later) == (0, 1)
    assert await counts(api, dataset_id) == {}
    assert await everything(api, kept) == before
    assert await api.database.deletions.count_documents({}) == 0


async def test_a_trace_clears_nothing_while_the_record_is_there(api: Api) -> None:
    dataset_id = await add_whole(api)
    before = await everything(api, dataset_id)
    await api.database.deletions.insert_one({'dataset_id': dataset_id, 'clear_after': before['jobs'][0]['create_date']})

    assert await clear(api.service, 10) == 0
    assert await everything(api, dataset_id) == before


async def test_new_datasets_keep_and_say_their_retention(api: Api) -> None:
    plain, told = await api.add_dataset(TASKS), await api.add_dataset(TASKS, retention_days=0.5, archive=True)

    fields = ('retention_days', 'archive', 'deleting', 'expires')
    shown = [(await api('GET', f'/datasets/{each}')).body for each in (plain, told)]
    assert [[each[field] for field in fields] for each in shown] == [[None, False, None, None], [0.5, True, None, None]]
    await api.database.datasets.update_one({'dataset_id': told}, {'$set': {'status': 'complete'}})
    ended = (await api('GET', f'/datasets/{told}')).body
    assert ended['expires'] > ended['status_changed']


async def test_a_retention_is_set_with_or_without_an_archive(api: Api) -> None:
    ada = api.as_('user', 'ada')
    dataset_id = await ada.add_dataset(TASKS)
    path = f'/datasets/{dataset_id}'

    for body, expected in (({'days': 30}, (30, False)), ({'days': 1.5, 'archive': True}, (1.5, True)),
                           ({'days': None}, (None, True)), ({'days': 0, 'archive': False}, (0, False))):  # fmt: skip
        assert seen(await ada('PUT', f'{path}/retention', body)) == DONE
        shown = (await ada('GET', path)).body
        assert (shown['retention_days'], shown['archive']) == expected


@pytest.mark.parametrize(
    'body', [{}, {'archive': True}, {'days': -1}, {'days': '1'}, {'days': True}, {'days': 40_000}, {'days': [1]},
             {'days': 1, 'archive': 1}, {'days': 1, 'archive': None}, {'days': 1, 'colour': 1}],
)  # fmt: skip
async def test_a_retention_that_is_not_valid_is_400_and_changes_nothing(api: Api, body: dict[str, Any]) -> None:
    dataset_id = await api.add_dataset(TASKS, retention_days=7)
    before = await everything(api, dataset_id)

    assert (await api('PUT', f'/datasets/{dataset_id}/retention', body)).status == 400
    submission = {'retention_days': body.get('days', 'missing'), 'archive': body.get('archive', False)}
    sizes = {'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1}
    answer = await api('POST', '/datasets', {'description': 'd', 'group': 'g', **sizes, **submission})
    assert answer.status == 400 or 'colour' in body
    assert await everything(api, dataset_id) == before


async def test_the_retention_of_an_unknown_dataset_is_404(api: Api) -> None:
    answer = await api('PUT', '/datasets/nobody/retention', {'days': 1})

    assert seen(answer) == refusal(404, 'Dataset not found')


async def test_a_retention_that_comes_after_the_mark_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await add_whole(api)
    await marked(api, dataset_id)

    async def passes(*_: Any) -> bool:
        return False

    monkeypatch.setattr(api.service.store.datasets, 'is_deleting', passes)

    assert seen(await api('PUT', f'/datasets/{dataset_id}/retention', {'days': 1})) == BEING_DELETED
