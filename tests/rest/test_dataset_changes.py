"""Datasets as they are changed: description, status, priority, number of jobs. Contract 4."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iceprod_tasks.domain.datasets import DATASET_STATUSES
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

Chores = Callable[[], Awaitable[None]]

GEN = [{'name': 'gen', 'command': 'true'}]
TWO = [*GEN, {'name': 'sim', 'command': 'true'}]
CHANGES = {'description': 'new', 'status': 'suspended', 'priority': 0.75, 'jobs_submitted': 9}


async def dataset_of(api: Api, dataset_id: str) -> dict[str, Any]:
    answer = await api.as_('admin')('GET', f'/datasets/{dataset_id}')
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def put(api: Api, dataset_id: str, **change: Any) -> tuple[int, Any]:
    field = next(iter(change))
    return seen(await api('PUT', f'/datasets/{dataset_id}/{field}', change))


@pytest.mark.parametrize('field', CHANGES)
async def test_a_change_changes_one_thing(api: Api, field: str) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)
    before = await dataset_of(api, dataset_id)

    assert await put(api, dataset_id, **{field: CHANGES[field]}) == DONE

    after = await dataset_of(api, dataset_id)
    follows = {'status': 'status_changed', 'jobs_submitted': 'tasks_submitted'}.get(field, field)
    assert {key for key in after if after[key] != before[key]} == {field, follows}
    assert after[field] == CHANGES[field]


@pytest.mark.parametrize(
    ('field', 'value', 'reason'),
    [
        *((field, None, f'missing {field}') for field in CHANGES),
        ('description', 5, 'bad description'), ('description', 'x' * 65537, 'bad description'),
        ('status', 'blah', 'bad status'), ('status', 5, 'bad status'), ('status', ['complete'], 'bad status'),
        ('priority', '1', 'priority is not a number'), ('priority', True, 'priority is not a number'),
        *(('jobs_submitted', value, 'jobs_submitted is not an int') for value in
          (5.5, True, '5.5', [], '-5', '', '9\n', '100000001')),
        ('jobs_submitted', 1, 'jobs_submitted must be larger than before'),
        ('jobs_submitted', -1, 'jobs_submitted must be larger than before'),
    ],
)  # fmt: skip
async def test_a_change_that_is_not_valid_is_refused_with_a_reason(
    api: Api, field: str, value: Any, reason: str
) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)
    before = await dataset_of(api, dataset_id)

    answer = await api('PUT', f'/datasets/{dataset_id}/{field}', {} if value is None else {field: value})

    assert seen(answer) == refusal(400, reason)
    assert await dataset_of(api, dataset_id) == before


async def test_more_jobs_than_a_service_can_hold_are_refused(api: Api) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)

    for number in (100_000_001, '100000001', 2**63):
        assert (await put(api, dataset_id, jobs_submitted=number))[0] == 400
    assert (await dataset_of(api, dataset_id))['jobs_submitted'] == 2


@pytest.mark.parametrize('text', [b'{"priority": NaN}', b'{"priority": Infinity}', b'{"priority": 1e999}'])
async def test_a_priority_that_is_not_finite_is_400(api: Api, text: bytes) -> None:
    dataset_id = await api.add_dataset(GEN)

    answer = await api('PUT', f'/datasets/{dataset_id}/priority', content=text)

    assert answer.status == 400
    assert (await dataset_of(api, dataset_id))['priority'] == 0.5


@pytest.mark.parametrize('priority', [1, 0, -2, 0.25])
async def test_any_number_is_a_priority(api: Api, priority: float) -> None:
    dataset_id = await api.add_dataset(GEN)

    assert await put(api, dataset_id, priority=priority) == DONE
    assert (await dataset_of(api, dataset_id))['priority'] == priority


@pytest.mark.parametrize('field', CHANGES)
async def test_a_dataset_that_does_not_exist_is_404(api: Api, field: str) -> None:
    assert await put(api, 'nobody', **{field: CHANGES[field]}) == refusal(404, 'Dataset not found')


@pytest.mark.parametrize('field', CHANGES)
async def test_who_may_write_a_dataset_may_change_it(api: Api, field: str) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset(TWO)
    change = {field: CHANGES[field]}

    for name, groups in (('ada', ()), ('bob', ('simprod',))):
        assert await put(api.as_('user', name, groups), dataset_id, **change) == DONE
    for role in ('user', 'pilot'):
        assert await put(api.as_(role, 'eve'), dataset_id, **change) == refusal(403, 'authorization failed')
    system = await put(api.as_('system'), dataset_id, **change)
    assert system == (DONE if field in ('status', 'priority') else refusal(403, 'authorization failed'))


@pytest.mark.parametrize('status', DATASET_STATUSES)
async def test_a_status_set_by_hand_leaves_jobs_and_tasks_alone(api: Api, chores: Chores, status: str) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=2)
    await chores()
    counts = [f'/datasets/{dataset_id}/{kind}_counts/status' for kind in ('task', 'job')]

    assert await put(api, dataset_id, status=status) == DONE

    assert (await dataset_of(api, dataset_id))['status'] == status
    assert [(await api('GET', path)).body for path in counts] == [{'queued': 2}, {'processing': 2}]


async def test_the_end_date_comes_with_an_end_and_goes_when_the_dataset_goes_on(api: Api) -> None:
    dataset_id = await api.add_dataset(GEN)
    dates = []
    for status in ('errors', 'errors', 'complete', 'suspended', 'complete', 'processing', 'errors', 'truncated'):
        assert await put(api, dataset_id, status=status) == DONE
        dates.append((await dataset_of(api, dataset_id))['end_date'])

    first, same, second, *others = dates
    assert first == same < second
    assert [date is None for date in others] == [True, False, True, False, True]


# More jobs


async def test_more_jobs_are_made_and_counted(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=2)
    await chores()

    assert await put(api, dataset_id, jobs_submitted='5') == DONE
    await chores()

    assert (await dataset_of(api, dataset_id)).items() >= {'jobs_submitted': 5, 'tasks_submitted': 10}.items()
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'processing': 5}


async def test_a_dataset_without_jobs_is_there_to_grow(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=0)
    await chores()
    before = (await dataset_of(api, dataset_id))['status']

    assert await put(api, dataset_id, jobs_submitted=1) == DONE
    await chores()

    assert before == 'processing'
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'processing': 1}


async def test_as_many_jobs_as_before_change_nothing(api: Api) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=2)
    await put(api, dataset_id, status='complete')
    before = await dataset_of(api, dataset_id)

    assert await put(api, dataset_id, jobs_submitted=2) == DONE
    assert await dataset_of(api, dataset_id) == before


async def test_a_dataset_of_fixed_size_does_not_grow(api: Api) -> None:
    dataset_id = await api.add_dataset(GEN, jobs=2, jobs_immutable=True)

    for number in (1, 2, 3):
        assert await put(api, dataset_id, jobs_submitted=number) == refusal(400, 'jobs_submitted is immutable')


@pytest.mark.parametrize('tasks_per_job', [0, -1])
async def test_a_dataset_that_does_not_know_its_tasks_a_job_does_not_grow(api: Api, tasks_per_job: int) -> None:
    sizes = {'description': '', 'jobs_submitted': 1, 'tasks_submitted': 0, 'tasks_per_job': tasks_per_job, 'group': 'x'}
    dataset_id = (await api('POST', '/datasets', sizes)).body['result'].rpartition('/')[2]

    assert await put(api, dataset_id, jobs_submitted=2) == refusal(400, 'tasks_per_job not valid')


async def test_changes_at_once_never_shrink_a_dataset(api: Api) -> None:
    dataset_id = await api.add_dataset(TWO, jobs=1)

    answers = await asyncio.gather(*(put(api, dataset_id, jobs_submitted=number) for number in range(40, 1, -1)))

    assert answers[0] == DONE
    assert {answer[0] for answer in answers} <= {200, 400}
    assert (await dataset_of(api, dataset_id)).items() >= {'jobs_submitted': 40, 'tasks_submitted': 80}.items()


@pytest.mark.parametrize('status', DATASET_STATUSES)
async def test_a_dataset_that_had_ended_goes_on_with_more_jobs(api: Api, status: str) -> None:
    dataset_id = await api.add_dataset(GEN)
    await put(api, dataset_id, status=status)
    before = await dataset_of(api, dataset_id)

    assert await put(api, dataset_id, jobs_submitted=2) == DONE

    after = await dataset_of(api, dataset_id)
    had_ended = status in ('errors', 'complete')
    assert after['status'] == ('processing' if had_ended else status)
    assert after['end_date'] is None
    assert (after['status_changed'] != before['status_changed']) == had_ended


async def test_a_truncated_dataset_that_had_ended_stays_ended_until_it_is_set_processing(
    api: Api, chores: Chores
) -> None:
    dataset_id = await api.add_dataset(GEN)
    for status in ('truncated', 'complete'):
        await put(api, dataset_id, status=status)

    assert await put(api, dataset_id, jobs_submitted=2) == DONE
    stays = await dataset_of(api, dataset_id)
    assert await put(api, dataset_id, status='processing') == DONE
    await chores()

    assert (stays['status'], stays['truncated']) == ('complete', True)
    assert (await dataset_of(api, dataset_id)).items() >= {'status': 'processing', 'truncated': False}.items()
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'processing': 2}


async def test_a_complete_dataset_completes_again_with_its_new_jobs(api: Api, chores: Chores) -> None:
    dataset_id = await api.add_dataset(GEN)
    ends = []
    for jobs in (1, 3):
        await put(api, dataset_id, jobs_submitted=jobs)
        await chores()
        while (task := await api('POST', '/task_actions/process')).status == 200:
            await api('POST', f'/tasks/{task.body["task_id"]}/task_actions/complete')
        await chores()
        ends.append(await dataset_of(api, dataset_id))

    assert [end['status'] for end in ends] == ['complete', 'complete']
    assert ends[0]['end_date'] < ends[1]['end_date']
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'complete': 3}
