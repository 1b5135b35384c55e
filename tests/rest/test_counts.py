"""Counts, summaries and statistics. Seed 004, contract 2 and 2.5."""

from contextlib import aclosing

import pytest

from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.storage.tasks import in_dataset
from tests.conftest import Api

STATS = ['count', 'gpu', 'total_hrs', 'total_err_hrs', 'avg_hrs', 'stddev_hrs', 'min_hrs', 'max_hrs', 'efficiency']


async def test_all_statuses_are_counted_in_their_order(api: Api) -> None:
    for number, status in enumerate(reversed(STATUSES)):
        for _ in range(number):
            await api.add_task(status=status)

    answer = await api('GET', '/task_counts/status')

    assert answer.status == 200
    assert list(answer.body.items()) == [(status, 7 - place) for place, status in enumerate(STATUSES)]


@pytest.mark.parametrize('path', ['task_counts/status', 'task_counts/name_status', 'task_summaries/status',
                                  'task_stats', 'tasks', 'jobs', 'job_counts/status',
                                  'job_summaries/status'])  # fmt: skip
@pytest.mark.parametrize('role', ['admin', 'system'])
async def test_a_dataset_that_is_unknown_has_nothing(api: Api, path: str, role: str) -> None:
    answer = await api.as_(role)('GET', f'/datasets/nobody/{path}')

    assert (answer.status, answer.body) == (200, {})


async def test_a_dataset_s_counts_and_summaries_name_the_statuses_that_occur(api: Api) -> None:
    ids = {status: [await api.add_task(status=status) for _ in range(2)] for status in ('complete', 'waiting', 'reset')}
    await api.add_task(dataset_id='d2', status='failed')

    counts = (await api('GET', '/datasets/d1/task_counts/status')).body
    summaries = (await api('GET', '/datasets/d1/task_summaries/status')).body

    assert list(counts.items()) == [('waiting', 2), ('reset', 2), ('complete', 2)]
    assert list(summaries.items()) == [(status, ids[status]) for status in ('waiting', 'reset', 'complete')]


async def test_a_long_summary_is_whole(api: Api) -> None:
    documents = [{'task_id': f'{number:032x}', 'dataset_id': 'd1', 'status': 'idle'} for number in range(12_000)]
    await api.database.tasks.insert_many(documents)

    answer = await api('GET', '/datasets/d1/task_summaries/status')

    assert answer.body == {'idle': [document['task_id'] for document in documents]}


async def test_a_task_that_moves_while_a_summary_is_read_is_in_it_once(api: Api) -> None:
    ids = {status: await api.add_task(status=status) for status in ('waiting', 'queued', 'processing', 'complete')}
    seen: list[tuple[str, str]] = []

    async with aclosing(api.service.store.counts.ids_by_status('d1')) as groups:
        async for status, found in groups:
            seen += [(status, task_id) async for task_id in found]
            if status == 'queued':
                await api('PUT', f'/tasks/{ids["waiting"]}/status', {'status': 'complete'})
                await api('PUT', f'/tasks/{ids["complete"]}/status', {'status': 'waiting'})

    assert seen == list(ids.items())


async def test_a_task_that_moves_while_a_list_is_read_is_in_it_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.tasks._READ_AT_ONCE', 2)
    ids = [await api.add_task(status='waiting') for _ in range(6)]
    await api.add_task(status='queued')
    tasks = api.service.store.tasks.select(in_dataset('d1', ['queued', 'waiting']), keys=('task_id',), still=True)

    seen = [(await anext(tasks))['task_id'] for _ in range(2)]
    await api('POST', '/task_actions/bulk_status/queued', {'tasks': ids[2:4]})
    await api('PUT', f'/tasks/{seen[0]}/status', {'status': 'waiting'})
    seen += [task['task_id'] async for task in tasks]

    assert len(seen) == len(set(seen)) == 7


async def test_names_are_ordered_by_task_index_and_their_statuses_as_always(api: Api) -> None:
    for name, index, status in [('a', 2, 'complete'), ('z', 0, 'failed'), ('z', 0, 'idle'), ('m', 1, 'queued'),
                                ('$name.x', 3, 'reset')]:  # fmt: skip
        await api.add_task(name=name, task_index=index, status=status)

    answer = await api('GET', '/datasets/d1/task_counts/name_status')

    assert list(answer.body) == ['z', 'm', 'a', '$name.x']
    assert list(answer.body['z'].items()) == [('idle', 1), ('failed', 1)]


async def test_statistics_are_those_of_the_complete_tasks_of_each_name(api: Api) -> None:
    for name, index, status, gpu, wall, wasted in [
        ('sim', 1, 'complete', 2, 1.0, 0.5), ('sim', 1, 'complete', 1, 2.0, 0.0), ('sim', 1, 'complete', 0, 6.0, 0.0),
        ('sim', 1, 'failed', 4, 50.0, 50.0), ('gen', 0, 'complete', None, 0.0, 0.0), ('none', 2, 'idle', 1, 1.0, 1.0),
    ]:  # fmt: skip
        needs = {} if gpu is None else {'gpu': gpu}
        task_id = await api.add_task(name=name, task_index=index, status=status, requirements=needs)
        await api('PATCH', f'/tasks/{task_id}', {'walltime': wall, 'walltime_err': wasted})

    answer = await api('GET', '/datasets/d1/task_stats')

    assert list(answer.body) == ['gen', 'sim']
    assert list(answer.body['sim']) == STATS
    assert answer.body['sim'] == {
        'count': 3, 'gpu': 3, 'total_hrs': 9.0, 'total_err_hrs': 0.5, 'avg_hrs': 3.0, 'min_hrs': 1.0, 'max_hrs': 6.0,
        'stddev_hrs': pytest.approx(7**0.5), 'efficiency': pytest.approx(9 / 9.5),
    }  # fmt: skip
    # A sample of one has no deviation, and no time spent is no efficiency.
    assert (answer.body['gen']['stddev_hrs'], answer.body['gen']['efficiency']) == (None, 0.0)
