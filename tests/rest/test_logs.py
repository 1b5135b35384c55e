"""Logs: stored whole whatever their size, found by time, name, dataset and task; contract 4, trap 16."""

import asyncio
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iceprod_tasks.domain.datasets import access_record
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

LOG = {'data': 'it began\nit ended', 'name': 'stdlog', 'dataset_id': 'd1', 'task_id': 't1'}
EARLY = datetime(2024, 3, 1, 12, tzinfo=UTC)


async def kept(api: Api, **fields: Any) -> str:
    answer = await api('POST', '/logs', LOG | fields)
    assert answer.status == 201, answer.text
    return str(answer.body['result'])


async def kept_at(api: Api, hour: int, **fields: Any) -> str:
    log_id = await kept(api, **fields)
    time = EARLY + timedelta(hours=hour)
    await api.database.logs.update_one({'log_id': log_id}, {'$set': {'timestamp': time}})
    return log_id


async def permitted(api: Api, dataset_id: str, **fields: Any) -> None:
    await api.database.auths.insert_one(access_record(dataset_id, 'ada', 'simprod') | fields)


@pytest.mark.parametrize('role', ['admin', 'system'])
async def test_a_log_comes_back_as_it_was_sent_with_an_id_and_a_time(api: Api, role: str) -> None:
    answer = await api.as_(role)('POST', '/logs', {**LOG, 'host': 'node7'})

    assert (answer.status, set(answer.body)) == (201, {'result'})
    log = (await api('GET', f'/logs/{answer.body["result"]}')).body
    time = datetime.strptime(log.pop('timestamp'), '%Y-%m-%dT%H:%M:%S.%f')
    assert abs(datetime.now(UTC).replace(tzinfo=None) - time) < timedelta(minutes=1)
    assert log == {**LOG, 'host': 'node7', 'log_id': answer.body['result']}


async def test_a_log_needs_nothing_but_data(api: Api) -> None:
    answer = await api('POST', '/logs', {'data': ''})

    log = (await api('GET', f'/logs/{answer.body["result"]}')).body
    assert (log['data'], log['name'], set(log)) == ('', 'log', {'data', 'name', 'log_id', 'timestamp'})


async def test_what_the_service_sets_cannot_be_sent(api: Api) -> None:
    log_id, other = [await kept(api, log_id='mine', timestamp='2001-01-01', _id=5) for _ in range(2)]

    assert log_id != 'mine' != other
    assert (await api('GET', f'/logs/{log_id}')).body['timestamp'] > '2024'
    assert (await api('GET', '/logs/mine')).status == 404


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'data': 5}, "key data should be of type <class 'str'>"), ({'data': None}, "key data should be of"),
        ({'name': ''}, 'key name'), ({'name': 5}, 'key name'), ({'task_id': 'a b'}, 'key task_id'),
        ({'dataset_id': ['d']}, 'key dataset_id'), ({'a.b': 1}, 'key body'), ({'$x': 1}, 'key body'),
        ({'extra': {'deep': 1}}, 'key extra'), ({f'k{n}': n for n in range(60)}, 'key body'),
    ],
)  # fmt: skip
@pytest.mark.parametrize('path', ['/logs', '/datasets/d1/logs'])
async def test_a_log_that_is_not_valid_is_refused(api: Api, path: str, changes: dict[str, Any], reason: str) -> None:
    answer = await api('POST', path, LOG | changes)

    assert answer.status == 400
    assert answer.body['error'].startswith(reason)
    assert await api.database.logs.count_documents({}) == 0


async def test_a_log_without_data_is_refused(api: Api) -> None:
    assert seen(await api('POST', '/logs', {'name': 'stdlog'})) == refusal(400, 'missing key: data')


async def test_a_log_of_millions_of_characters_is_kept_whole(api: Api) -> None:
    data = 'ä€:\n"\\' * 400_000

    log_id = await kept(api, data=data)

    assert (await api('GET', f'/logs/{log_id}')).body['data'] == data
    assert (await api('GET', '/datasets/d1/tasks/t1/logs')).body['logs'][0]['data'] == data


async def test_a_body_that_is_too_long_is_413_and_the_service_goes_on(api: Api) -> None:
    limit = 8 * 1024 * 1024
    frame = len('{"data":""}')

    fits = await api('POST', '/logs', content=b'{"data":"' + b'x' * (limit - frame) + b'"}')
    too_long = await api('POST', '/logs', content=b'{"data":"' + b'x' * (limit - frame + 1) + b'"}')

    assert fits.status == 201
    assert seen(too_long) == refusal(413, f'The request is too large: a body has at most {limit} bytes')
    assert await api.database.logs.count_documents({}) == 1


async def test_a_client_that_goes_on_sending_too_long_a_body_still_reads_the_413(api: Api) -> None:
    reader, writer = await asyncio.open_connection('127.0.0.1', int(api.url.rpartition(':')[2]))
    writer.write(b'POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n')
    for _ in range(200):
        writer.write(b'x' * 10_000)
        await writer.drain()

    head = await reader.readuntil(b'\r\n\r\n')

    assert head.startswith(b'HTTP/1.1 413 ')
    assert b'Connection: close' in head
    writer.close()
    assert (await api('GET', '/healthz')).status == 200


async def test_the_list_has_all_logs_oldest_first(api: Api) -> None:
    late, early = await kept_at(api, 5), await kept_at(api, 1, name='stderr')

    answer = await api.as_('system')('GET', '/logs')

    assert list(answer.body) == [early, late]
    assert answer.body[early] == {
        'log_id': early, 'data': LOG['data'], 'name': 'stderr', 'task_id': 't1', 'dataset_id': 'd1',
        'timestamp': '2024-03-01T13:00:00.000000',
    }  # fmt: skip
    assert (await api('GET', '/logs?keys=name|nope')).body[late] == {'log_id': late, 'name': 'stdlog'}


@pytest.mark.parametrize(
    ('query', 'found'),
    [
        ('', 'abcd'), ('from=2024-03-01T14:00:00', 'bcd'), ('to=2024-03-01T14:00:00.000000', 'ab'),
        ('from=2024-03-01T14:00:00Z&to=2024-03-01T16:00:00%2B01:00', 'bc'), ('from=2024-03-02', ''),
        ('name=stderr', 'bd'), ('dataset_id=d2', 'c'), ('task_id=t2', 'd'), ('task_id=t2&dataset_id=d2', ''),
        ('name=stderr&to=2024-03-01T15:00:00', 'b'), ('limit=2', 'ab'), ('limit=0', 'abcd'), ('name=', 'abcd'),
        ('name=nope', ''), ('dataset_id=d1&name=stderr', 'bd'), ('dataset_id=d1&name=stderr&limit=1', 'b'),
        ('task_id=t1&name=stdlog&from=2024-03-01T14:00:00', 'c'),
    ],
)  # fmt: skip
async def test_the_list_can_be_narrowed(api: Api, query: str, found: str) -> None:
    ids = {
        await kept_at(api, 1): 'a',
        await kept_at(api, 2, name='stderr'): 'b',
        await kept_at(api, 3, dataset_id='d2'): 'c',
        await kept_at(api, 4, name='stderr', task_id='t2'): 'd',
    }

    assert ''.join(ids[log_id] for log_id in (await api('GET', f'/logs?{query}')).body) == found


async def test_old_clients_send_their_arguments_in_the_body(api: Api) -> None:
    first = await kept_at(api, 1)
    await kept_at(api, 2)
    await kept_at(api, 3)

    answer = await api('GET', '/logs', {'to': '2024-03-01T14:00:00', 'name': 'stdlog', 'keys': 'log_id', 'limit': 1})

    assert answer.body == {first: {'log_id': first}}


@pytest.mark.parametrize(
    ('query', 'reason'),
    [
        ('from=yesterday', '"from" is not a time, like 2026-11-21T06:14:15.985000'),
        ('to=2024-13-01', '"to" is not a time, like 2026-11-21T06:14:15.985000'),
        ('to=0001-01-01T00:00:00%2B23:00', '"to" is not a time, like 2026-11-21T06:14:15.985000'),
        ('limit=many', 'Bad argument "limit": must be integer'),
        ('limit=-1', 'Bad argument "limit": must be from 0 to 2147483647'),
        ('limit=2147483648', 'Bad argument "limit": must be from 0 to 2147483647'),
        ('keys=a.b', '"keys" takes plain field names, not \'a.b\''),
    ],
)
async def test_an_argument_that_is_not_valid_is_400(api: Api, query: str, reason: str) -> None:
    assert seen(await api('GET', f'/logs?{query}')) == refusal(400, reason)


async def test_a_log_that_is_not_there_is_404_and_its_removal_does_no_harm(api: Api) -> None:
    log_id, other = await kept(api), await kept(api)

    assert [seen(await api.as_('system')('DELETE', f'/logs/{log_id}')) for _ in range(2)] == [DONE, DONE]
    assert seen(await api('GET', f'/logs/{log_id}')) == refusal(404, 'Log not found')
    assert (await api('GET', f'/logs/{other}')).status == 200


async def test_a_dataset_log_belongs_to_the_dataset_of_the_path(api: Api) -> None:
    answer = await api('POST', '/datasets/d1/logs', {'data': 'x', 'dataset_id': 'other', 'task_id': 't1'})

    assert answer.status == 201
    path = f'/datasets/d1/logs/{answer.body["result"]}'
    assert (await api('GET', path)).body.items() >= {'data': 'x', 'dataset_id': 'd1', 'name': 'log'}.items()
    assert seen(await api('GET', path.replace('d1', 'other'))) == refusal(404, 'Log not found')


async def test_reading_a_log_of_a_dataset_needs_read_permission_only(api: Api) -> None:
    await permitted(api, 'd1', read_groups=['filtering'], write_groups=['simprod'])
    reader, writer = (api.as_('user', name, (group,)) for name, group in (('bob', 'filtering'), ('eve', 'simprod')))
    log_id = (await api.as_('user', 'ada')('POST', '/datasets/d1/logs', {'data': 'x', 'task_id': 't1'})).body['result']
    one, all_of_task = f'/datasets/d1/logs/{log_id}', '/datasets/d1/tasks/t1/logs'

    assert [(await reader('GET', path)).status for path in (one, all_of_task)] == [200, 200]
    assert [(await writer('GET', path)).status for path in (one, all_of_task)] == [403, 403]
    assert (await reader('POST', '/datasets/d1/logs', {'data': 'y'})).status == 403
    assert (await reader('DELETE', all_of_task)).status == 403
    assert (await writer('POST', '/datasets/d1/logs', {'data': 'y'})).status == 201
    assert seen(await writer('DELETE', all_of_task)) == DONE


async def test_the_logs_of_a_task_are_listed_newest_first(api: Api) -> None:
    first, second = await kept_at(api, 1), await kept_at(api, 2)
    await kept_at(api, 3, dataset_id='d2')
    await kept_at(api, 4, task_id='t2')

    async def listed(query: str) -> list[str]:
        return [log['log_id'] for log in (await api('GET', f'/datasets/d1/tasks/t1/logs?{query}')).body['logs']]

    assert await listed('') == await listed('order=DESC') == [second, first]
    assert await listed('order=asc') == [first, second]
    assert await listed('num=1') == [second]
    assert await listed('num=1&order=asc') == [first]
    whole = (await api('GET', '/datasets/d1/tasks/t1/logs?num=1')).body['logs'][0]
    assert set(whole) == {*LOG, 'log_id', 'timestamp'}
    shown = (await api('GET', '/datasets/d1/tasks/t1/logs?keys=name|data')).body['logs']
    assert shown == [{'name': 'stdlog', 'data': LOG['data']}] * 2


async def test_grouped_logs_are_the_newest_of_each_name(api: Api) -> None:
    for hour, name in enumerate(('stdlog', 'stdout', 'stdlog', 'stderr', 'stdout')):
        await kept_at(api, hour, name=name, data=f'{name} {hour}')
    await kept_at(api, 9, name='stdlog', data='of another dataset', dataset_id='d2')

    async def listed(query: str) -> list[str]:
        path = f'/datasets/d1/tasks/t1/logs?group=true&keys=data&{query}'
        return [log['data'] for log in (await api('GET', path)).body['logs']]

    assert await listed('') == ['stdout 4', 'stderr 3', 'stdlog 2']
    assert await listed('order=asc') == ['stdlog 2', 'stderr 3', 'stdout 4']
    assert await listed('num=2') == ['stdout 4', 'stderr 3']
    assert await listed('num=2&order=asc') == ['stdlog 2', 'stderr 3']
    assert len((await api('GET', '/datasets/d1/tasks/t1/logs?group=false')).body['logs']) == 5


@pytest.mark.parametrize('query', ['', 'group=true', 'num=3'])
async def test_a_task_without_logs_is_404(api: Api, query: str) -> None:
    await kept(api, task_id='t2')

    assert seen(await api('GET', f'/datasets/d1/tasks/t1/logs?{query}')) == refusal(404, 'Log not found')


@pytest.mark.parametrize(
    ('query', 'reason'),
    [
        ('num=few', 'Bad argument "num": must be integer'),
        ('num=-1', 'Bad argument "num": must be from 0 to 2147483647'),
        ('order=up', 'Bad argument "order": must be asc or desc'),
    ],
)
async def test_an_argument_of_task_logs_that_is_not_valid_is_400(api: Api, query: str, reason: str) -> None:
    await kept(api)

    assert seen(await api('GET', f'/datasets/d1/tasks/t1/logs?{query}')) == refusal(400, reason)


async def test_the_logs_of_a_task_are_removed_together(api: Api) -> None:
    kinds = ({}, {'name': 'stderr'}, {'task_id': 't2'}, {'dataset_id': 'd2'})
    ids = [await kept(api, **fields) for fields in kinds]

    assert [seen(await api('DELETE', '/datasets/d1/tasks/t1/logs')) for _ in range(2)] == [DONE, DONE]

    assert list((await api('GET', '/logs')).body) == ids[2:]


async def test_a_list_of_many_long_logs_is_not_held_in_memory(api: Api) -> None:
    megabyte = 'x' * 1_000_000
    now = datetime.now(UTC)
    for start in range(0, 120, 10):
        await api.database.logs.insert_many([
            {'log_id': f'l{number}', 'task_id': 't1', 'dataset_id': 'd1', 'name': 'n', 'timestamp': now,
             'data': megabyte} for number in range(start, start + 10)
        ])  # fmt: skip
    headers = {'Authorization': f'Bearer {api.token("admin")}'}

    tracemalloc.start()
    try:
        for path in ('/logs', '/datasets/d1/tasks/t1/logs'):
            size = 0
            async with api._http.stream('GET', path, headers=headers) as response:
                async for chunk in response.aiter_raw():
                    size += len(chunk)
            assert size > 120_000_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 90_000_000
