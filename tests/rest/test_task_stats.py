"""Statistics of tries: kept under whatever keys, read by task, streamed by dataset; contract 4."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.datasets import access_record
from tests.conftest import Answer, Api
from tests.rest.answers import refusal, seen

STATS = {'dataset_id': 'd1', 'hostname': 'node7.example', 'time_used': 12.5, 'task_stats': {'tray_0.module': 3}}
EARLY = datetime(2024, 3, 1, 12, tzinfo=UTC)

texts = st.text(st.characters(codec='utf-8', exclude_characters='\0'))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
finite = scalars.filter(lambda value: not isinstance(value, float) or abs(value) != float('inf'))
values = st.recursive(finite, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=10)


async def kept(api: Api, task_id: str = 't1', **fields: Any) -> str:
    answer = await api('POST', f'/tasks/{task_id}/task_stats', STATS | fields)
    assert answer.status == 201, answer.text
    return str(answer.body['result'])


async def kept_at(api: Api, hour: int, task_id: str, **fields: Any) -> str:
    task_stat_id = await kept(api, task_id, **fields)
    time = EARLY + timedelta(hours=hour)
    await api.database.task_stats.update_one({'task_stat_id': task_stat_id}, {'$set': {'create_date': time}})
    return task_stat_id


def lines(answer: Answer) -> list[dict[str, Any]]:
    assert (answer.status, answer.headers['Content-Type']) == (200, 'application/x-ndjson')
    assert answer.text == '' or answer.text.endswith('\n')
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize('role', ['admin', 'system'])
async def test_statistics_come_back_as_they_were_sent(api: Api, role: str) -> None:
    answer = await api.as_(role)('POST', '/tasks/t1/task_stats', STATS)

    assert (answer.status, set(answer.body)) == (201, {'result'})
    task_stat_id = answer.body['result']
    stat = (await api('GET', f'/datasets/d1/tasks/t1/task_stats/{task_stat_id}')).body
    time = datetime.strptime(stat.pop('create_date'), '%Y-%m-%dT%H:%M:%S.%f')
    assert abs(datetime.now(UTC).replace(tzinfo=None) - time) < timedelta(minutes=1)
    assert stat == {'task_stat_id': task_stat_id, 'task_id': 't1', 'dataset_id': 'd1', 'stats': STATS}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(texts, values))
async def test_pilots_may_name_their_numbers_as_they_like(api: Api, stats: dict[str, Any]) -> None:
    sent = {**stats, 'dataset_id': 'd1'}

    answer = await api('POST', '/tasks/t1/task_stats', content=json.dumps(sent).encode())

    path = f'/datasets/d1/tasks/t1/task_stats/{answer.body.get("result")}'
    assert (answer.status, (await api('GET', path)).body['stats']) == (201, sent)


@pytest.mark.parametrize('key', ['a.b', '$set', '$where', '', '_id', 'task_stat_id', 'stats', 'ä.$\n'])
async def test_no_key_is_special(api: Api, key: str) -> None:
    task_stat_id = await kept(api, **{key: {key: 1}})

    stat = (await api('GET', f'/datasets/d1/tasks/t1/task_stats/{task_stat_id}')).body
    assert stat['stats'] == {**STATS, key: {key: 1}}
    assert lines(await api('GET', '/datasets/d1/bulk/task_stats'))[0]['stats'] == {**STATS, key: {key: 1}}


async def test_statistics_without_a_dataset_are_refused(api: Api) -> None:
    assert seen(await api('POST', '/tasks/t1/task_stats', {'a': 1})) == refusal(400, 'Missing dataset_id in body')


@pytest.mark.parametrize('content', [b'{"dataset_id": 5}', b'{"dataset_id": "a b"}', b'{"dataset_id": ""}',
                                     b'{"dataset_id": "d", "x": NaN}'])  # fmt: skip
async def test_statistics_that_are_not_valid_are_refused(api: Api, content: bytes) -> None:
    assert (await api('POST', '/tasks/t1/task_stats', content=content)).status == 400
    assert await api.database.task_stats.count_documents({}) == 0


async def test_statistics_are_found_under_their_task_and_dataset_only(api: Api) -> None:
    task_stat_id = await kept(api)

    for path in ('d1/tasks/t2', 'd2/tasks/t1'):
        answer = await api('GET', f'/datasets/{path}/task_stats/{task_stat_id}')
        assert seen(answer) == refusal(404, 'Task stat not found')
        assert seen(await api('GET', f'/datasets/{path}/task_stats')) == (200, {})


async def test_the_statistics_of_a_task_are_listed_oldest_first(api: Api) -> None:
    late, early = await kept_at(api, 2, 't1', n=2), await kept_at(api, 1, 't1', n=1)
    await kept_at(api, 3, 't2')
    path = '/datasets/d1/tasks/t1/task_stats'

    answer = await api('GET', path)

    assert list(answer.body) == [early, late]
    assert answer.body[late] == {
        'task_stat_id': late, 'task_id': 't1', 'dataset_id': 'd1', 'create_date': '2024-03-01T14:00:00.000000',
        'stats': {**STATS, 'n': 2},
    }  # fmt: skip
    assert list((await api('GET', f'{path}?last=false')).body) == [early, late]
    for word in ('true', 'True', 't', '1', 'yes', 'Y'):
        assert list((await api('GET', f'{path}?last={word}')).body) == [late]
    shown = (await api('GET', f'{path}?last=1&keys=task_id|nope')).body
    assert shown == {late: {'task_stat_id': late, 'task_id': 't1'}}


async def test_the_statistics_of_a_dataset_are_streamed_task_by_task(api: Api) -> None:
    places = [(3, 't2'), (1, 't1'), (2, 't2'), (4, 't1'), (1, 't3')]
    ids = {place: await kept_at(api, *place) for place in places}
    await kept_at(api, 1, 't1', dataset_id='d2')
    names = {task_stat_id: f'{task_id}@{hour}' for (hour, task_id), task_stat_id in ids.items()}

    async def listed(query: str) -> list[str]:
        answer = await api('GET', f'/datasets/d1/bulk/task_stats?{query}')
        return [names[stat['task_stat_id']] for stat in lines(answer)]

    assert await listed('') == await listed('buffer_size=1') == ['t1@1', 't1@4', 't2@2', 't2@3', 't3@1']
    assert await listed('last=true') == ['t1@4', 't2@3', 't3@1']
    assert await listed('after=2024-03-01T14:00:00') == ['t1@4', 't2@2', 't2@3']
    assert await listed('last=1&after=2024-03-01T14:00:00.000000') == ['t1@4', 't2@3']
    assert await listed('after=2025-01-01') == await listed('last=1&after=2025-01-01') == []


async def test_the_stream_shows_the_keys_that_are_asked_for(api: Api) -> None:
    task_stat_id = await kept(api)

    async def shown(query: str) -> list[dict[str, Any]]:
        return lines(await api('GET', f'/datasets/d1/bulk/task_stats?{query}'))

    assert await shown('keys=stats|nope') == [{'stats': STATS}]
    assert await shown('last=1&keys=task_stat_id') == [{'task_stat_id': task_stat_id}]


@pytest.mark.parametrize(
    ('query', 'reason'),
    [
        ('after=then', '"after" is not a time, like 2026-11-21T06:14:15.985000'),
        ('buffer_size=x', 'Bad argument "buffer_size": must be integer'),
        ('buffer_size=-5', 'Bad argument "buffer_size": must be from 0 to 2147483647'),
        ('keys=stats.a', '"keys" takes plain field names, not \'stats.a\''),
    ],
)
async def test_an_argument_of_the_stream_that_is_not_valid_is_400(api: Api, query: str, reason: str) -> None:
    assert seen(await api('GET', f'/datasets/d1/bulk/task_stats?{query}')) == refusal(400, reason)


@pytest.mark.parametrize('path', ['bulk/task_stats', 'tasks/t1/task_stats', 'tasks/t1/task_stats/s1'])
async def test_statistics_are_read_by_those_who_may_read_the_dataset(api: Api, path: str) -> None:
    await api.database.auths.insert_one(access_record('d1', 'ada', 'simprod') | {'read_groups': ['filtering']})

    async def status(role: str, name: str = 'x', *groups: str) -> int:
        return (await api.as_(role, name, groups)('GET', f'/datasets/d1/{path}')).status

    there = 404 if path.endswith('s1') else 200
    assert [await status('system'), await status('user', 'ada'), await status('user', 'bob', 'filtering')] == [
        there
    ] * 3
    assert [await status('user', 'eve', 'simprod'), await status('pilot')] == [403, 403]


async def test_a_long_stream_goes_out_as_it_is_read(api: Api) -> None:
    text = json.dumps({'dataset_id': 'd1', 'x': 'y' * 1000})
    given = {'dataset_id': 'd1', 'create_date': EARLY, 'stats': text}
    await api.database.task_stats.insert_many([
        {**given, 'task_stat_id': f's{number}', 'task_id': f't{number // 3:05}'} for number in range(6000)
    ])  # fmt: skip

    assert len(lines(await api('GET', '/datasets/d1/bulk/task_stats'))) == 6000
    last = lines(await api('GET', '/datasets/d1/bulk/task_stats?last=1&buffer_size=7&keys=task_stat_id'))
    assert [stat['task_stat_id'] for stat in last] == [f's{number}' for number in range(2, 6000, 3)]
