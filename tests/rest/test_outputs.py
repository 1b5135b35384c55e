"""What commands print: sent by whoever has the task, kept up to a bound, read while it comes."""

import asyncio
import base64
import time
from datetime import timedelta
from typing import Any

import pytest

from iceprod_tasks.actions import outputs
from iceprod_tasks.domain.outputs import BLOCK_BYTES, KEPT_BYTES, Piece
from iceprod_tasks.scheduler.chores import prune
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.outputs import Stream
from tests.conftest import Answer, Api
from tests.rest.answers import refusal, seen

MINE, LATER = 'a' * 32, 'b' * 32


async def claimed(api: Api, claim_id: str = MINE, task_id: str = '') -> str:
    task_id = task_id or await api.add_task()
    answer = await api('POST', '/task_actions/process', {'claim_id': claim_id, 'lease_seconds': 600})
    assert answer.body['task_id'] == task_id
    return task_id


async def send(
    api: Api, task_id: str, data: bytes, offset: int = 0, stream: str = 'stdout', *, claim: str = MINE, epoch: int = 1
) -> Answer:
    piece = {'stream': stream, 'offset': offset, 'data': base64.b64encode(data).decode()}
    body = {'claim_id': claim, 'epoch': epoch, 'pieces': [piece]}
    return await api('POST', f'/tasks/{task_id}/task_actions/output', body)


async def read(api: Api, task_id: str, stream: str = 'stdout', **query: Any) -> Any:
    answer = await api('GET', f'/tasks/{task_id}/output/{stream}', params=query)
    assert answer.status == 200, answer.text
    return answer.body


async def test_what_was_sent_is_read(api: Api) -> None:
    task_id = await claimed(api)

    assert seen(await send(api, task_id, b'hello\n')) == (200, {})
    assert (await send(api, task_id, 'grüße\n'.encode(), 6)).status == 200
    await send(api, task_id, b'oh\n', stream='stderr')

    assert await read(api, task_id) == {
        'task_id': task_id, 'stream': 'stdout', 'epoch': 1, 'offset': 0, 'next_offset': 14, 'first_offset': 0,
        'size': 14, 'ended': False, 'data': 'hello\ngrüße\n',
    }  # fmt: skip
    assert (await read(api, task_id, 'stderr'))['data'] == 'oh\n'


async def test_the_same_again_changes_nothing(api: Api) -> None:
    task_id = await claimed(api)
    for data, offset in ((b'one', 0), (b'two', 3), (b'one', 0), (b'eto', 2), (b'onetwo', 0)):
        assert (await send(api, task_id, data, offset)).status == 200

    assert (await read(api, task_id))['data'] == 'onetwo'


async def test_reading_goes_on_where_it_stopped(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, b'0123456789' * 2)

    first = await read(api, task_id, limit=7)
    second = await read(api, task_id, limit=7, offset=first['next_offset'])
    tail = await read(api, task_id, offset=-3)
    behind = await read(api, task_id, offset=99)

    assert (first['data'], second['data'], second['next_offset']) == ('0123456', '7890123', 14)
    assert (tail['offset'], tail['data']) == (17, '789')
    assert (behind['data'], behind['next_offset'], behind['size']) == ('', 99, 20)


async def test_a_character_that_is_not_whole_yet_waits_for_its_rest(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, 'a€'.encode()[:-1])

    first = await read(api, task_id)
    await send(api, task_id, '€'.encode()[-1:], 3)

    assert (first['data'], first['next_offset']) == ('a', 1)
    assert (await read(api, task_id, offset=1))['data'] == '€'


async def test_bytes_that_are_no_text_are_marked_or_read_as_they_are(api: Api) -> None:
    task_id = await claimed(api)
    data = b'\xff\x00\x80a'
    await send(api, task_id, data)

    assert (await read(api, task_id))['data'] == '\ufffd\0\ufffda'
    assert base64.b64decode((await read(api, task_id, encoding='base64'))['data']) == data


async def test_ten_gigabytes_cost_no_more_than_the_bound(api: Api) -> None:
    task_id = await claimed(api)
    far = 10 * 2**30
    for offset in (0, far // 2, far - 4 * BLOCK_BYTES, far - 2 * BLOCK_BYTES):
        assert (await send(api, task_id, b'x' * 2 * BLOCK_BYTES, offset)).status == 200
    for number in range(60):
        await send(api, task_id, bytes([number + 33]) * BLOCK_BYTES, far + number * BLOCK_BYTES)

    kept = [block async for block in api.database.outputs.find({'task_id': task_id})]
    assert sum(len(block['data']) for block in kept) == KEPT_BYTES
    found = await read(api, task_id, limit=2**20)
    assert (found['size'], found['first_offset']) == (far + 60 * BLOCK_BYTES, far + 28 * BLOCK_BYTES)
    assert (found['offset'], len(found['data'])) == (far + 28 * BLOCK_BYTES, KEPT_BYTES)


async def test_a_later_attempt_has_an_output_of_its_own_and_the_one_before_can_say_no_more(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, b'first')
    await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': MINE})
    before = await read(api, task_id)
    await claimed(api, LATER, task_id)
    empty = await read(api, task_id)
    late = await send(api, task_id, b' and more', 5)
    await send(api, task_id, b'second', claim=LATER, epoch=2)

    assert (before['data'], before['epoch'], before['ended']) == ('first', 1, True)
    assert (empty['data'], empty['epoch'], empty['size']) == ('', 2, 0)
    assert late.status == 409
    assert (await read(api, task_id))['data'] == 'second'
    gone = await read(api, task_id, epoch=1)
    assert (gone['data'], gone['ended']) == ('', True)


async def test_of_an_earlier_attempt_nothing_is_left_once_a_later_one_prints(api: Api) -> None:
    store = api.service.store.outputs
    await store.append(Stream('t', 'stdout', 1), 'd', Piece(0, b'x' * 3 * BLOCK_BYTES))
    await store.append(Stream('t', 'stdout', 2), 'd', Piece(0, b'y'))
    # What was under way when the later one began.
    await store.append(Stream('t', 'stdout', 1), 'd', Piece(3, b'late'))

    left = [(block['epoch'], block['data']) async for block in api.database.outputs.find()]

    assert left == [(2, b'y')]


async def test_what_was_printed_last_may_come_after_the_report(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, b'work')
    await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': MINE})

    assert (await send(api, task_id, b' done', 4)).status == 200

    found = await read(api, task_id)
    assert (found['data'], found['ended']) == ('work done', True)


async def test_who_waits_reads_at_once_what_comes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, '_LOOK_SECONDS', 30)
    task_id = await claimed(api)
    waiting = asyncio.ensure_future(read(api, task_id, wait=30))
    await asyncio.sleep(0.3)
    assert not waiting.done()

    sent = time.monotonic()
    await send(api, task_id, b'news')

    assert (await waiting)['data'] == 'news'
    assert time.monotonic() - sent < 5


async def test_what_another_process_takes_in_is_read_within_a_second(api: Api) -> None:
    task_id = await claimed(api)
    waiting = asyncio.ensure_future(read(api, task_id, wait=30))
    await asyncio.sleep(0.3)

    sent = time.monotonic()
    block = {'output_id': f'{task_id}:stdout:0', 'task_id': task_id, 'stream': 'stdout', 'epoch': 1}
    await api.database.outputs.insert_one({**block, 'start': 0, 'end': 4, 'data': b'news'})

    assert (await waiting)['data'] == 'news'
    assert time.monotonic() - sent < 1


async def test_who_waits_hears_of_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, '_LOOK_SECONDS', 30)
    task_id = await claimed(api)
    waiting = asyncio.ensure_future(read(api, task_id, wait=30))
    await asyncio.sleep(0.2)

    await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': MINE})

    async with asyncio.timeout(5):
        assert (await waiting)['ended']


async def test_who_waits_for_too_long_reads_nothing(api: Api) -> None:
    task_id = await claimed(api)
    began = time.monotonic()

    assert (await read(api, task_id, wait=1))['data'] == ''
    assert 0.9 < time.monotonic() - began < 3


async def test_readers_that_wait_keep_nobody_from_reading(api: Api) -> None:
    task_id = await claimed(api)
    waiting = [asyncio.ensure_future(read(api, task_id, wait=20)) for _ in range(60)]
    await asyncio.sleep(0.5)

    async with asyncio.timeout(5):
        assert (await api('GET', f'/tasks/{task_id}')).status == 200
    await send(api, task_id, b'x')
    assert {each['data'] for each in await asyncio.gather(*waiting)} == {'x'}


@pytest.mark.parametrize(
    ('change', 'error'),
    [
        ({'pieces': []}, 'pieces'), ({'pieces': 5}, 'pieces'), ({'epoch': -1}, 'epoch'),
        ({'claim_id': 'x'}, 'claim_id'),
        ({'pieces': [{'stream': 'stdin', 'offset': 0, 'data': 'aaaa'}]}, 'stream'),
        ({'pieces': [{'stream': 'stdout', 'offset': -1, 'data': 'aaaa'}]}, 'offset'),
        ({'pieces': [{'stream': 'stdout', 'offset': 0, 'data': '###'}]}, 'data'),
        ({'pieces': [{'stream': 'stdout', 'offset': 0, 'data': 'aaaaa'}]}, 'data is not Base64'),
        ({'pieces': [{'stream': 'stdout', 'offset': 0, 'data': 'aaaa'}] * 17}, 'pieces'),
    ],
)  # fmt: skip
async def test_what_is_no_output_is_refused_and_nothing_is_kept(api: Api, change: dict[str, Any], error: str) -> None:
    task_id = await claimed(api)
    body = {'claim_id': MINE, 'epoch': 1, 'pieces': [{'stream': 'stdout', 'offset': 0, 'data': 'aaaa'}], **change}

    answer = await api('POST', f'/tasks/{task_id}/task_actions/output', body)

    assert answer.status == 400
    assert error in answer.body['error']
    assert await api.database.outputs.count_documents({}) == 0


@pytest.mark.parametrize(
    'query', [{'wait': 61}, {'wait': -1}, {'limit': 3}, {'limit': 2**20 + 1}, {'offset': 'x'}, {'encoding': 'latin-1'}]
)
async def test_a_question_that_is_none_is_refused(api: Api, query: dict[str, Any]) -> None:
    task_id = await claimed(api)

    assert (await api('GET', f'/tasks/{task_id}/output/stdout', params=query)).status == 400


async def test_whose_output_it_is_decides_who_may_send_and_read(api: Api) -> None:
    pilot, stranger = api.as_('pilot', 'p1'), api.as_('pilot', 'p2')
    dataset_id = await api.as_('user', 'ada').add_dataset([{'name': 'a', 'command': 'true'}])
    task_id = await api.add_task(dataset_id=dataset_id)
    await claimed(pilot, task_id=task_id)

    assert seen(await send(stranger, task_id, b'x'))[0] == 403
    assert (await send(pilot, task_id, b'mine')).status == 200
    assert (await read(pilot, task_id))['data'] == 'mine'
    assert (await read(api.as_('user', 'ada'), task_id))['data'] == 'mine'
    assert (await stranger('GET', f'/tasks/{task_id}/output/stdout')).status == 403
    assert (await api.as_('user', 'ada')('GET', '/tasks/none/output/stdout')).status == 403
    of_dataset = await api.as_('user', 'ada')('GET', f'/datasets/{dataset_id}/tasks/{task_id}/output/stdout')
    assert of_dataset.body['data'] == 'mine'


async def test_what_does_not_exist_is_not_found(api: Api) -> None:
    task_id = await claimed(api)

    assert seen(await api('GET', '/tasks/none/output/stdout')) == refusal(404, 'Task not found')
    assert (await api('GET', f'/tasks/{task_id}/output/stdin')).status == 404
    assert (await api('GET', f'/datasets/d2/tasks/{task_id}/output/stdout')).status == 404
    assert (await send(api, 'none', b'x')).status == 404
    assert (await send(api, task_id, b'x', claim=LATER)).status == 409


async def test_old_outputs_are_removed(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, b'old')
    await send(api, task_id, b'new', stream='stderr')
    long_ago = utc_now() - timedelta(days=32)
    await api.database.outputs.update_one({'stream': 'stdout'}, {'$set': {'updated': long_ago}})

    assert await prune(api.service) == 1

    assert (await read(api, task_id))['size'] == 0
    assert (await read(api, task_id, 'stderr'))['data'] == 'new'


async def test_what_little_was_printed_is_read_from_the_report(api: Api) -> None:
    task_id = await claimed(api)
    report = {'claim_id': MINE, 'stdout': 'grüße\n', 'stderr': 'oh\n'}
    await api('POST', f'/tasks/{task_id}/task_actions/reset', report)
    first = await read(api, task_id)
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})
    await claimed(api, LATER, task_id)
    running = await read(api, task_id)
    await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': LATER, 'stdout': 'well'})

    assert (first['data'], first['epoch'], first['size'], first['ended']) == ('grüße\n', 1, 8, True)
    assert (running['data'], running['epoch']) == ('', 2)
    assert (await read(api, task_id))['data'] == 'well'
    assert (await read(api, task_id, 'stderr'))['data'] == ''
    assert (await read(api, task_id, 'stderr', epoch=1))['data'] == 'oh\n'
    assert (await read(api, task_id, offset=-2))['data'] == 'll'


async def test_what_was_sent_goes_before_what_a_report_has(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, b'all of it')
    await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': MINE, 'stdout': 'the end of it'})

    assert (await read(api, task_id))['data'] == 'all of it'
