"""Log files, whose offsets count characters: who adds up the lengths of what they read has it all, nothing twice."""

import random
from typing import Any

import pytest

from iceprod_tasks.domain.outputs import BLOCK_BYTES, KEPT_BYTES
from tests.actions.operated import made, report
from tests.dialects.drove.reads.conftest import Drove, failed
from tests.dialects.drove.reads.printing import running, send

LOGS = '/logfiles/tasks/A/1'
WORDS = ('plain text, ', 'grüße, ', '日本語、', '😀 ', '\r\n', 'é', '€\n')


async def read(drove: Drove, file: str = 'output.log', **query: Any) -> tuple[str, int]:
    answer = await drove('GET', f'{LOGS}/read/{file}', params=query)
    assert answer.status == 200, answer.text
    assert set(answer.body) == {'data', 'offset'}
    return answer.body['data'], answer.body['offset']


async def files(drove: Drove) -> list[str]:
    answer = await drove('GET', f'{LOGS}/list')
    assert (answer.status, set(answer.body)) == (200, {'files'})
    return list(answer.body['files'])


async def all_from(drove: Drove, offset: int = 0, length: int = 32768) -> str:
    """What somebody reads who only adds up the lengths of what they get."""
    found = ''
    while data := (await read(drove, offset=offset + len(found), length=length))[0]:
        found += data
    return found


def text_of(characters: int, seed: int = 1) -> str:
    chosen = random.Random(seed)
    return ''.join(chosen.choice(WORDS) for _ in range(characters))[:characters]


async def test_before_a_task_has_run_it_has_no_files_and_nothing_to_read(drove: Drove) -> None:
    await made(drove.api)

    assert await files(drove) == []
    assert await read(drove) == ('', 0)
    assert await read(drove, offset=0) == ('', 0)


async def test_what_is_read_has_no_envelope_and_errors_are_a_file_of_their_own(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, b'out\r\n')
    await send(drove.api, claim, b'oh', stream='stderr')

    assert await files(drove) == ['output.log', 'error.log']
    assert await read(drove, offset=0) == ('out\r\n', 0)
    assert await read(drove, 'error.log', offset=0) == ('oh', 0)


async def test_without_an_offset_the_end_is_told_and_nothing_is_read(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, 'grüße'.encode())

    assert await read(drove) == ('', 5)
    assert await read(drove, offset=-1, length=-1) == ('', 5)
    assert await read(drove, offset=5) == ('', 5)
    assert await read(drove, offset=99) == ('', 99)


async def test_a_part_is_read_by_characters(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, '日本語 😀 text'.encode())

    assert await read(drove, offset=1, length=2) == ('本語', 1)
    assert await read(drove, offset=4, length=1) == ('😀', 4)
    assert await read(drove, offset=6) == ('text', 6)
    assert await read(drove, offset=2, length=0) == ('', 2)


async def test_no_more_than_32768_characters_come_unless_more_are_asked_for(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, b'x' * 70_000)

    assert len((await read(drove, offset=0))[0]) == 32768
    assert len((await read(drove, offset=0, length=-1))[0]) == 32768
    assert 32768 < len((await read(drove, offset=0, length=50_000))[0]) <= 50_000


async def test_a_character_waits_for_its_last_byte_and_is_not_lost_between_two_readings(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, 'a€'.encode()[:-1])

    first, end = await read(drove, offset=0), await read(drove)
    await send(drove.api, claim, '€'.encode()[-1:], 3)

    assert (first, end) == (('a', 0), ('', 1))
    assert await read(drove, offset=1) == ('€', 1)


async def test_who_adds_up_lengths_reads_all_of_a_long_text_while_it_grows(drove: Drove) -> None:
    claim = await running(drove.api)
    text = text_of(4 * BLOCK_BYTES)
    data, sent, found = text.encode(), 0, ''
    while sent < len(data):
        sent = await send(drove.api, claim, data[sent : sent + 23_456], sent)
        found += await all_from(drove, len(found))

    assert len(data) > 5 * BLOCK_BYTES
    assert found == text


@pytest.mark.parametrize('length', [1, 7, 5000])
async def test_however_little_is_read_at_once_it_is_the_same_text(drove: Drove, length: int) -> None:
    claim = await running(drove.api)
    text = text_of(length * 60)
    await send(drove.api, claim, text.encode())

    assert await all_from(drove, 0, length) == text


@pytest.mark.parametrize('before', range(1, 4))
async def test_a_character_in_two_blocks_is_read_by_itself(drove: Drove, before: int) -> None:
    claim = await running(drove.api)
    data = b'x' * (BLOCK_BYTES - before) + '😀y'.encode()
    await send(drove.api, claim, data)

    assert await read(drove, offset=BLOCK_BYTES - before, length=1) == ('😀', BLOCK_BYTES - before)
    assert await read(drove, offset=BLOCK_BYTES - before + 1) == ('y', BLOCK_BYTES - before + 1)


async def test_when_the_beginning_is_gone_characters_are_still_counted_from_it(drove: Drove) -> None:
    claim = await running(drove.api)
    text = text_of(KEPT_BYTES)
    await send(drove.api, claim, text.encode())

    data, offset = await read(drove, offset=0)

    assert 0 < offset < len(text)
    assert data == text[offset : offset + len(data)]
    assert await all_from(drove, offset) == text[offset:]
    assert await read(drove) == ('', len(text))


async def test_bytes_that_are_no_text_move_no_character_out_of_its_place(drove: Drove) -> None:
    claim = await running(drove.api)
    data = random.Random(3).randbytes(900) + 'grüße'.encode() + b'caf\xe9\n'
    await send(drove.api, claim, data)
    await report(drove.api, claim, 'complete')

    whole, _ = await read(drove, offset=0)

    assert whole.endswith('grüßecaf\ufffd\n')
    assert await all_from(drove, 0, 5) == whole
    assert await read(drove) == ('', len(whole))


async def test_text_of_one_byte_a_character_keeps_its_letters(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, 'Höhe 5\xa0m\n'.encode('latin-1'))

    assert await read(drove, offset=0) == ('H\ufffdhe 5m\n', 0)


async def test_a_hole_stops_no_reader(drove: Drove) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, 'vör'.encode())
    await send(drove.api, claim, b'behind', 3 * BLOCK_BYTES)

    found, offset = '', 0
    for _ in range(5):
        data, offset = await read(drove, offset=offset)
        found, offset = found + data, offset + len(data)

    assert found == 'vörbehind'


@pytest.mark.parametrize(('behind', 'mark'), [(10, ''), (3 * BLOCK_BYTES, '\ufffd')])
@pytest.mark.parametrize('is_over', [False, True])
async def test_a_character_that_a_hole_has_cut_stops_no_reader(
    drove: Drove, behind: int, mark: str, *, is_over: bool
) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, 'grü'.encode()[:-1])
    begun = await all_from(drove)
    await send(drove.api, claim, b'behind', behind)
    if is_over:
        await report(drove.api, claim, 'complete')

    found, offset = '', len(begun)
    for _ in range(3):
        data, offset = await read(drove, offset=offset)
        found, offset = found + data, offset + len(data)

    assert (begun, found) == ('gr', f'{mark}behind')
    assert (await read(drove))[1] == offset


@pytest.mark.parametrize('number', [20, BLOCK_BYTES - 2, BLOCK_BYTES, 5 * BLOCK_BYTES])
async def test_bytes_that_begin_no_character_stop_no_reader(drove: Drove, number: int) -> None:
    claim = await running(drove.api)
    await send(drove.api, claim, b'a' + b'\x80' * number + b'b')

    assert await all_from(drove, 0, 1) == 'ab'
    assert await all_from(drove) == 'ab'


async def test_what_little_was_printed_is_read_from_the_report(drove: Drove) -> None:
    claim = await running(drove.api)
    await report(drove.api, claim, 'complete', stdout='grüße\n')

    assert await files(drove) == ['output.log', 'error.log']
    assert await read(drove, offset=0) == ('grüße\n', 0)
    assert await read(drove) == ('', 6)
    assert (await drove('GET', f'{LOGS}/download/output.log')).text == 'grüße\n'


async def test_what_is_downloaded_are_the_bytes(drove: Drove) -> None:
    claim = await running(drove.api)
    data = random.Random(5).randbytes(200_000)
    await send(drove.api, claim, data)

    answer = await drove('GET', f'{LOGS}/download/output.log')
    got = await drove.api._http.get(
        f'/apis/v1{LOGS}/download/output.log', headers={'Authorization': f'Bearer {drove.api.token("user")}'}
    )

    assert answer.headers['Content-Disposition'] == 'attachment; filename=output.log'
    assert answer.headers['Content-Type'] == 'application/octet-stream'
    assert got.content == data


async def test_of_a_long_stream_its_end_is_downloaded(drove: Drove) -> None:
    claim = await running(drove.api)
    text = ''.join(f'{number}\n' for number in range(200_000))
    await send(drove.api, claim, text.encode())

    answer = await drove('GET', f'{LOGS}/download/output.log')

    assert KEPT_BYTES - BLOCK_BYTES <= len(answer.text) <= KEPT_BYTES
    assert text.endswith(answer.text)
    assert (await drove('GET', f'{LOGS}/download/error.log')).text == ''


async def test_a_task_that_nobody_knows_has_no_logs(drove: Drove) -> None:
    listed = await drove('GET', f'{LOGS}/list')

    assert (listed.status, listed.text) == (204, '')
    for what in ('read', 'download'):
        assert failed(await drove('GET', f'{LOGS}/{what}/output.log'), 404)[0] == 'No such task instance A/1'


async def test_other_files_are_none(drove: Drove) -> None:
    await made(drove.api)

    for what in ('read', 'download'):
        message, _ = failed(await drove('GET', f'{LOGS}/{what}/task.json'), 404)
        assert 'output.log and error.log' in message


@pytest.mark.parametrize('query', [{'offset': 'x'}, {'length': '1.5'}, {'offset': '0', 'length': '1048577'}])
async def test_an_offset_that_is_none_is_refused(drove: Drove, query: dict[str, str]) -> None:
    await made(drove.api)

    assert (await drove('GET', f'{LOGS}/read/output.log', params=query)).status == 400


async def test_people_read_logs_and_pilots_do_not(drove: Drove) -> None:
    await running(drove.api)

    statuses = {name: (await drove.as_(name)('GET', f'{LOGS}/list')).status for name in ('sys', 'una', 'pip', '')}

    assert statuses == {'sys': 200, 'una': 200, 'pip': 403, '': 401}
