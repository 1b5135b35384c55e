"""A pilot touches what it has claimed with its own token, and nobody else ever sees the key to its claim."""

from typing import Any

import pytest

from iceprod_tasks.domain.tasks import KEY_FIELDS
from tests.conftest import Answer, Api
from tests.rest.answers import DONE, refusal, seen

CLAIM = '/task_actions/process'
MINE, OTHER = 'a' * 32, 'b' * 32
REFUSED = refusal(403, 'authorization failed')
REPORTS = ('complete', 'reset', 'error', 'failed')


@pytest.fixture
def pilot(api: Api) -> Api:
    return api.as_('pilot', 'p')


@pytest.fixture
def stranger(api: Api) -> Api:
    return api.as_('pilot', 'q')


async def claimed(api: Api, pilot: Api, claim_id: str = MINE, **fields: Any) -> str:
    """A task in the hands of a pilot; of an old one where there is no claim id."""
    task_id = await api.add_task(**fields)
    answer = await pilot('POST', CLAIM, {'claim_id': claim_id} if claim_id else {})
    assert answer.body['task_id'] == task_id
    return task_id


async def act(pilot: Api, task_id: str, action: str, **body: Any) -> Answer:
    return await pilot('POST', f'/tasks/{task_id}/task_actions/{action}', body)


async def forget_claimant(api: Api) -> None:
    """Claims as the release before has opened them."""
    await api.database.tasks.update_many({}, {'$unset': {'claimed_by': ''}})


# Claims


async def test_a_claim_that_another_pilot_repeats_is_over_for_it_and_holds_as_long_as_before(
    api: Api, pilot: Api, stranger: Api
) -> None:
    task_id = await claimed(api, pilot)
    await api.add_task()
    before = await api.task(task_id)

    answer = await stranger('POST', CLAIM, {'claim_id': MINE})

    assert seen(answer) == refusal(410, 'This claim is over')
    assert await api.task(task_id) == before
    again = await pilot('POST', CLAIM, {'claim_id': MINE})
    assert (again.status, again.body['task_id']) == (200, task_id)


async def test_a_claim_of_the_release_before_can_be_repeated_and_reported(api: Api, pilot: Api) -> None:
    task_id = await claimed(api, pilot)
    await forget_claimant(api)

    again = await pilot('POST', CLAIM, {'claim_id': MINE})
    beat = await act(pilot, task_id, 'heartbeat', claim_id=MINE)
    config = await pilot('GET', '/datasets/d1/files')
    done = await act(pilot, task_id, 'complete', claim_id=MINE)

    assert [again.status, beat.status, config.status, done.status] == [200] * 4


# Reports


@pytest.mark.parametrize('action', REPORTS)
async def test_a_report_without_a_claim_id_is_taken_from_whoever_claimed_the_task(
    api: Api, pilot: Api, stranger: Api, action: str
) -> None:
    task_id = await claimed(api, pilot, '')

    assert seen(await act(stranger, task_id, action)) == REFUSED
    assert (await api.task(task_id))['status'] == 'processing'
    assert seen(await act(pilot, task_id, action)) == DONE


@pytest.mark.parametrize('status', ['queued', 'waiting', 'processing', 'suspended', 'failed', 'complete'])
@pytest.mark.parametrize('action', REPORTS)
async def test_a_task_that_a_pilot_never_claimed_is_none_of_its_business(
    api: Api, pilot: Api, action: str, status: str
) -> None:
    task_id = await api.add_task(status=status)

    assert seen(await act(pilot, task_id, action)) == REFUSED
    assert seen(await act(pilot, 'nobody', action)) == REFUSED
    assert (await api.task(task_id))['status'] == status


@pytest.mark.parametrize('action', REPORTS)
async def test_a_report_without_a_claim_id_on_a_claim_of_the_release_before_is_taken(
    api: Api, pilot: Api, action: str
) -> None:
    task_id = await claimed(api, pilot, '')
    await forget_claimant(api)

    assert seen(await act(pilot, task_id, action)) == DONE


@pytest.mark.parametrize('status', ['queued', 'suspended', 'reset', 'failed'])
@pytest.mark.parametrize('action', REPORTS)
async def test_a_report_without_a_claim_id_changes_nothing_of_a_task_that_was_taken_from_its_pilot(
    api: Api, pilot: Api, action: str, status: str
) -> None:
    task_id = await claimed(api, pilot, '')
    await api('PUT', f'/tasks/{task_id}/status', {'status': status})

    answer = await act(pilot, task_id, action)

    assert answer.status == 400
    assert (await api.task(task_id))['status'] == status


async def test_a_task_that_was_put_into_processing_by_hand_is_no_pilots(api: Api, pilot: Api) -> None:
    task_id = await claimed(api, pilot, '')
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'processing'})
    await forget_claimant(api)

    assert seen(await act(pilot, task_id, 'complete')) == REFUSED
    assert (await pilot('GET', f'/tasks/{task_id}')).status == 403
    assert (await pilot('GET', '/datasets/d1/files')).status == 403


async def test_a_report_of_a_claim_that_another_pilot_has_followed_is_409(api: Api, pilot: Api, stranger: Api) -> None:
    task_id = await claimed(api, pilot)
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})
    await stranger('POST', CLAIM, {'claim_id': OTHER})

    answer = await act(pilot, task_id, 'complete', claim_id=MINE)

    assert answer.status == 409
    assert (await api.task(task_id))['claim_id'] == OTHER


async def test_a_heartbeat_for_the_task_of_another_pilot_is_403_with_the_order_to_stop(
    api: Api, pilot: Api, stranger: Api
) -> None:
    order = {'action': 'stop', 'why': 'the task is not held with this token', 'again_in': 0, 'orders': []}
    task_id = await claimed(api, pilot)

    for place in (task_id, 'nobody'):
        assert seen(await act(stranger, place, 'heartbeat', claim_id=MINE)) == refusal(
            403, 'authorization failed', **order
        )


@pytest.mark.parametrize('role', ['admin', 'system'])
async def test_operators_stand_above_the_claims_of_others(api: Api, pilot: Api, role: str) -> None:
    task_id = await claimed(api, pilot)
    operator = api.as_(role, 'else')

    assert (await act(operator, task_id, 'heartbeat', claim_id=MINE)).status == 200
    assert seen(await act(operator, task_id, 'complete', claim_id=MINE)) == DONE


# What a pilot reads, and leaves behind


async def test_a_pilot_that_has_reported_reads_its_task_until_somebody_else_claims_it(
    api: Api, pilot: Api, stranger: Api
) -> None:
    task_id = await claimed(api, pilot)
    await act(pilot, task_id, 'hand_back', claim_id=MINE)
    paths = [f'/tasks/{task_id}{part}' for part in ('', '/messages', '/history')]

    before = [(await pilot('GET', path)).status for path in paths]
    await stranger('POST', CLAIM, {'claim_id': OTHER})
    after = [(await pilot('GET', path)).status for path in paths]

    assert (before, after) == ([200] * 3, [403] * 3)


async def test_a_pilot_that_has_reported_reads_the_dataset_no_more(api: Api, pilot: Api) -> None:
    task_id = await claimed(api, pilot)
    before = await pilot('GET', '/datasets/d1/files')

    await act(pilot, task_id, 'complete', claim_id=MINE)

    assert (before.status, seen(await pilot('GET', '/datasets/d1/files'))) == (200, REFUSED)


async def test_a_pilot_that_has_reported_leaves_its_log_and_statistics(api: Api, pilot: Api) -> None:
    task_id = await claimed(api, pilot)
    await act(pilot, task_id, 'complete', claim_id=MINE)

    log = await pilot('POST', '/logs', {'task_id': task_id, 'dataset_id': 'd1', 'data': 'x'})
    stats = await pilot('POST', f'/tasks/{task_id}/task_stats', {'dataset_id': 'd1'})

    assert (log.status, stats.status) == (201, 201)


@pytest.mark.parametrize('said', [{}, {'task_id': 'nobody'}, {'dataset_id': 'd1'}])
async def test_a_pilot_leaves_no_log_of_what_it_has_not_claimed(api: Api, pilot: Api, said: dict[str, str]) -> None:
    await claimed(api, pilot)

    assert seen(await pilot('POST', '/logs', {'data': 'x', **said})) == REFUSED


async def test_a_pilot_writes_nothing_into_another_dataset_than_its_task_s(api: Api, pilot: Api) -> None:
    task_id = await claimed(api, pilot)

    log = await pilot('POST', '/logs', {'task_id': task_id, 'dataset_id': 'd2', 'data': 'x'})
    stats = await pilot('POST', f'/tasks/{task_id}/task_stats', {'dataset_id': 'd2'})

    assert (seen(log), seen(stats)) == (REFUSED, REFUSED)


async def test_a_pilot_lists_the_entries_that_it_made(api: Api, pilot: Api, stranger: Api) -> None:
    entry = {'queue_host': 'x', 'queue_version': '1', 'resources': {}}
    mine, theirs = [(await each('POST', '/pilots', entry)).body['result'] for each in (pilot, stranger)]

    assert list((await pilot('GET', '/pilots')).body) == [mine]
    assert list((await api('GET', '/pilots')).body) == [mine, theirs]


# Keys to claims


async def test_nobody_but_the_claimant_sees_the_key_to_a_claim(api: Api, pilot: Api) -> None:
    ada = api.as_('user', 'p')
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], group='users')
    task_id = await claimed(api, pilot, dataset_id=dataset_id)
    in_dataset = f'/datasets/{dataset_id}/tasks'
    keys = f'?keys={"|".join(sorted(KEY_FIELDS))}|log'
    for_all = [in_dataset, in_dataset + keys, f'{in_dataset}/{task_id}', f'{in_dataset}/{task_id}{keys}']
    for_operators = ['/tasks', '/tasks' + keys, f'/tasks/{task_id}', f'/datasets/{dataset_id}/archive']

    answers = [await ada('GET', path) for path in for_all]
    for operator in (api, api.as_('system')):
        answers += [await operator('GET', path) for path in (*for_all, *for_operators)]
        answers.append(await operator('PATCH', f'/tasks/{task_id}', {'colour': 'blue'}))

    assert {answer.status for answer in answers} == {200}
    assert not any(MINE in answer.text for answer in answers)
    assert not any(name in (answer.body or {}) for answer in answers for name in KEY_FIELDS)


async def test_the_claimant_sees_the_key_to_its_own_claim_and_to_no_other(api: Api, pilot: Api, stranger: Api) -> None:
    task_id = await claimed(api, stranger, OTHER)
    await act(stranger, task_id, 'hand_back', claim_id=OTHER)

    claim = await pilot('POST', CLAIM, {'claim_id': MINE})
    task = await pilot('GET', f'/tasks/{task_id}')

    assert seen(claim) == seen(task)
    assert (claim.body['claim_id'], claim.body['claims']) == (MINE, [MINE])
    assert [entry.get('claim') for entry in claim.body['log']] == [None, None, MINE]
    assert OTHER not in claim.text + task.text


async def test_operators_see_who_claimed_a_task_and_users_do_not(api: Api, pilot: Api) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], group='users')
    path = f'/datasets/{dataset_id}/tasks/{await claimed(api, pilot, dataset_id=dataset_id)}'

    assert (await api('GET', path)).body['claimed_by'] == 'p'
    assert 'claimed_by' not in (await api.as_('user')('GET', path)).body
