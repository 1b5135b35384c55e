"""Long lists of ids are read in steps, and others have a turn after each; the verdict is that of reading it at once."""

import asyncio
import json
from typing import Any

import pytest

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.rest import bodies, long_bodies, strict_json
from tests.conftest import Api

IDS = [f'{number:032x}' for number in range(30_000)]


def text_of(more: str = '', ids: list[Any] = IDS) -> bytes:
    return (f'{{"tasks": {json.dumps(ids)}' + more + '}').encode()


async def turns_during(reading: Any) -> int:
    """How often somebody else had a turn meanwhile."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    await reading
    others.cancel()
    return turns


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items were looked at without a turn for others."""
    found: list[int] = []
    are_ids, look = long_bodies.are_ids, strict_json._Seen.look

    def looked(seen: Any, items: Any, deeper: int) -> None:
        found.append(len(items))
        look(seen, items, deeper)

    def checked(ids: list[Any]) -> bool:
        found.append(len(ids))
        return are_ids(ids)

    monkeypatch.setattr(long_bodies, 'are_ids', checked)
    monkeypatch.setattr(strict_json._Seen, 'look', looked)
    return found


async def test_others_have_turns_while_a_long_list_is_read(lengths: list[int]) -> None:
    turns = await turns_during(long_bodies.read(text_of(), 'bulk_status'))

    assert max(lengths) <= 10_000
    assert sum(lengths) >= 2 * len(IDS)
    assert turns >= len(lengths)


async def test_others_have_turns_while_repeats_are_left_out() -> None:
    ids = [*IDS, *reversed(IDS)]

    assert await long_bodies.unique(ids) == IDS
    assert await turns_during(long_bodies.unique(ids)) >= len(ids) / 5000


@pytest.mark.parametrize(
    'text',
    [
        text_of(), text_of(', "reason": "why"'), text_of(', "a": {"b": [1.5, null, {}]}'), text_of(', "tasks": []'),
        text_of(', "a": 1, "a": 1'), text_of(', "a": ' + '[' * 31 + ']' * 31), text_of(', "a": ' + '[' * 32 + ']' * 32),
        text_of(', "$a": 1'), text_of(', "a": {"b.c": 1}'), text_of(', "a": [{"$b": 1}]'), text_of(', "a": "\\u0000"'),
        text_of(', "a": 9223372036854775808'), text_of(ids=[*IDS, 2**63]), text_of(ids=[*IDS, 1e400]),
        text_of(ids=[*IDS, 5]), text_of(ids=[*IDS, 'a-b']), text_of(ids=[*IDS, '']), text_of(ids=[*IDS, 'x' * 256]),
        text_of(ids=[*IDS, [[]]]), text_of(ids=[*IDS, {'a': 1}]), text_of(ids=['é', *IDS]),
        text_of(ids=[*IDS, *IDS, *IDS, *IDS]), text_of(', "a": ' + json.dumps([*IDS, {'b': 'x' * (1024 * 1024 + 1)}])),
        b'{"tasks": []}', b'{"tasks": {"a": 1}}', b'{"tasks": "abc"}', b'{}', b'[]', b'', text_of()[:-2],
    ],
)  # fmt: skip
async def test_the_verdict_is_that_of_reading_it_at_once(text: bytes) -> None:
    expected: Any = None
    try:
        expected = strict_json.parse(text)
        bodies.check(expected, 'bulk_status')
        bodies.check_keys(expected)
    except InvalidRequest as error:
        expected = str(error)

    found: Any = None
    try:
        found = await long_bodies.read(text, 'bulk_status')
    except InvalidRequest as error:
        found = str(error)

    assert found == expected


@pytest.mark.parametrize(
    ('path', 'name'),
    [('/task_actions/bulk_status/failed', 'tasks'), ('/datasets/d1/task_actions/bulk_status/failed', 'tasks'),
     ('/datasets/d1/job_actions/bulk_status/suspended', 'jobs'), ('/datasets/d1/task_actions/suspend', 'tasks'),
     ('/datasets/d1/task_actions/suspend', 'jobs'), ('/datasets/d1/job_actions/suspend', 'jobs')],
)  # fmt: skip
async def test_all_routes_that_take_long_lists_read_them_so(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    read: list[str] = []
    turns: list[int] = []
    reading = long_bodies.read

    async def watched(text: bytes, schema: str) -> dict[str, Any]:
        read.append(schema)
        return await reading(text, schema)

    async def turn() -> None:
        turns.append(1)

    monkeypatch.setattr(long_bodies, 'read', watched)
    monkeypatch.setattr(long_bodies, '_turn', turn)

    answer = await api('POST', path, {name: IDS[:10_000]})

    assert (answer.status, len(read)) == (404, 1)
    # One after the parser, two while they are checked, two while repeats are left out.
    assert len(turns) >= 5
