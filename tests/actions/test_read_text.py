"""Reading outputs as text: nobody is held up, whatever is printed, and whatever of it never came."""

import random
from collections.abc import Iterator

import pytest

from iceprod_tasks.actions.read_text import Text, read_text
from iceprod_tasks.domain.outputs import BLOCK_BYTES, KEPT_BYTES, Piece
from iceprod_tasks.storage.outputs import Stream
from tests.actions.operated import claimed, made
from tests.conftest import Api

END = 'the end'


def printed(chosen: random.Random) -> Iterator[Piece]:
    """What comes of a command that prints text and no text, cut anywhere and with holes; its end is text."""
    offset = 0
    for _ in range(chosen.randrange(2, 9)):
        offset += chosen.choice((0, 0, 0, 1, 9, BLOCK_BYTES, 3 * BLOCK_BYTES))
        unit = chosen.choice(('aé€😀'.encode(), '日本'.encode(), b'\x9f', chosen.randbytes(50)))
        data = (unit * chosen.choice((1, 7, 3000, 20_000)))[chosen.randrange(3) :] or b'x'
        data = data[: len(data) - chosen.randrange(3)] or b'x'
        yield Piece(offset, data)
        offset += len(data)
    yield Piece(offset, END.encode())


class Reader:
    """Whoever goes on where the last answer ended."""

    def __init__(self, api: Api, task_id: str) -> None:
        self._api = api
        self._task_id = task_id
        self.offset = 0
        self.text = ''

    async def read(self, length: int) -> Text:
        found = await read_text(self._api.service, self._task_id, 'stdout', self.offset, length)
        assert found.offset >= self.offset
        self.text += found.text
        self.offset = found.offset + len(found.text)
        return found


@pytest.mark.parametrize('seed', range(12))
async def test_who_goes_on_where_they_are_told_comes_to_the_end(api: Api, seed: int) -> None:
    chosen = random.Random(seed)
    task_id = await made(api)
    stream = Stream(task_id, 'stdout', (await claimed(api))['epoch'])
    reader = Reader(api, task_id)

    for piece in printed(chosen):
        await api.service.store.outputs.append(stream, 'd', piece)
        for _ in range(chosen.randrange(3)):
            await reader.read(chosen.choice((1, 5, 32_768)))
    while (await reader.read(chosen.choice((20_000, 32_768, 1_000_000)))).text:
        pass

    assert reader.text.endswith(END)
    assert await read_text(api.service, task_id, 'stdout', -1, -1) == Text(reader.offset, '')


async def test_where_nothing_is_wanted_nothing_is_skipped(api: Api) -> None:
    task_id = await made(api)
    stream = Stream(task_id, 'stdout', (await claimed(api))['epoch'])
    for offset in (0, 3 * BLOCK_BYTES):
        await api.service.store.outputs.append(stream, 'd', Piece(offset, b'abc'))

    assert await read_text(api.service, task_id, 'stdout', 1, 0) == Text(1, '')


async def test_a_character_is_whole_wherever_the_bytes_that_are_read_end(api: Api) -> None:
    task_id = await made(api)
    stream = Stream(task_id, 'stdout', (await claimed(api))['epoch'])
    reader = Reader(api, task_id)
    # Four bytes are read for each character that is wanted, and for one more.
    data = b'a' + b'\x80' * (4 * 10_001 - 2) + '€b'.encode()
    await api.service.store.outputs.append(stream, 'd', Piece(0, data))

    while (await reader.read(10_000)).text:
        pass

    assert reader.text == 'a€b'


async def test_what_is_replaced_while_it_is_looked_for_is_looked_for_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await made(api)
    stream = Stream(task_id, 'stdout', (await claimed(api))['epoch'])
    outputs = api.service.store.outputs
    await outputs.append(stream, 'd', Piece(0, b'old'))
    old, now = await outputs.places(stream), outputs.places

    async def once_old(_: Stream) -> list[tuple[int, int]]:
        await outputs.append(stream, 'd', Piece(KEPT_BYTES, b'new'))
        monkeypatch.setattr(outputs, 'places', now)
        return old

    monkeypatch.setattr(outputs, 'places', once_old)

    assert await read_text(api.service, task_id, 'stdout', 0, 10) == Text(len('old'), 'new')
