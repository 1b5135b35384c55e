"""Exports: every collection, no type lost, everything that was there, and an interrupted one goes on."""

import gzip
import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import Conflict, NotFound
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage import export_writing, exports, store
from iceprod_tasks.storage.export_lines import (
    EXPORTED,
    LEFT_OUT,
    OF_DATASETS,
    collection_of,
    document_line,
    document_of,
)
from iceprod_tasks.storage.export_writing import PartFile
from iceprod_tasks.storage.indexes import INDEXES
from tests.conftest import Api
from tests.rest.belongings import add_whole
from tests.storage.backups import everything, exported, exported_to, fill, store_of

milliseconds = st.integers(-62_000_000_000_000, 250_000_000_000_000)
scalars = st.one_of(
    st.none(), st.booleans(), st.text(), st.floats(), st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64), st.binary(max_size=20),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    milliseconds.map(lambda number: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)),
    st.sampled_from([Decimal128('1.10'), Timestamp(3, 4), Regex('a', 'i'), Binary(b'a', 5)]),
)  # fmt: skip
keys = st.text(min_size=1).filter(lambda key: key[0] != '$' and '\0' not in key)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def same(one: Any, other: Any) -> bool:
    """Equal, in type as well; not a number is equal to itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and repr(one) == repr(other)


@given(st.dictionaries(keys, values, max_size=5))
def test_every_type_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    document = {'_id': ObjectId(), 'task_id': 't', **fields}

    raw = document_line('tasks', document)

    assert collection_of(raw) == 'tasks'
    assert raw.count(b'\n') == 1
    assert same(document_of(raw), document)


def test_every_collection_is_exported_or_said_to_be_left_out() -> None:
    known = {*store._COLLECTIONS, *INDEXES, *LEFT_OUT}

    assert known - EXPORTED.keys() == LEFT_OUT.keys()
    assert not EXPORTED.keys() & LEFT_OUT.keys()
    assert EXPORTED.keys() <= known


@pytest.mark.parametrize('name', EXPORTED)
def test_every_document_is_known_by_a_unique_id(name: str) -> None:
    key = EXPORTED[name]

    unique = [index['keys'] for index in INDEXES.get(name, {}).values() if index.get('unique')]
    assert key == '_id' or [(key, 1)] in unique


async def test_an_export_has_every_document_of_every_collection(api: Api, mongodb_url: str) -> None:
    await fill(api)
    source = store_of(api, mongodb_url)

    header, *lines, end = (await exported(source)).splitlines(keepends=True)

    there = await everything(source)
    await source.close()
    assert all(there.values()), {name for name, documents in there.items() if not documents}
    assert [json.loads(line)['collection'] for line in lines] == [
        name for name, documents in there.items() for _ in documents
    ]
    assert [document_of(line) for line in lines] == [each for documents in there.values() for each in documents]
    assert json.loads(header)['counts'] == {name: len(documents) for name, documents in there.items()}
    assert json.loads(end)['counts'] == {name: len(documents) for name, documents in there.items()}


async def test_an_export_of_an_empty_database_is_one(api: Api, mongodb_url: str) -> None:
    source = store_of(api, mongodb_url)

    lines = (await exported(source)).splitlines()

    await source.close()
    assert len(lines) == 2
    assert json.loads(lines[0])['format'] == 'iceprod-tasks export'
    assert json.loads(lines[1])['end'] is True


async def test_an_export_of_some_datasets_has_what_belongs_to_them(api: Api, mongodb_url: str) -> None:
    ids = sorted([await add_whole(api) for _ in range(3)])
    await fill(api)
    source = store_of(api, mongodb_url)

    _, *lines, _ = (await exported(source, ids[0], ids[2], ids[0])).splitlines(keepends=True)

    there = await everything(source)
    await source.close()
    expected = [
        each['_id']
        for name in OF_DATASETS
        for dataset_id in (ids[0], ids[2])
        for each in there[name]
        if each['dataset_id'] == dataset_id
    ]
    assert [document_of(line)['_id'] for line in lines] == expected


async def test_a_dataset_that_is_not_there_is_named(api: Api, mongodb_url: str) -> None:
    dataset_id = await add_whole(api)
    source = store_of(api, mongodb_url)

    with pytest.raises(NotFound, match=r'^there is no dataset nosuch, other$'):
        await exported(source, 'other', dataset_id, 'nosuch')

    await source.close()


@pytest.mark.parametrize('moment', [1, 2])
async def test_a_dataset_that_comes_while_it_runs_is_in_it_wholly_or_not_at_all(
    api: Api, mongodb_url: str, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await add_whole(api)
    monkeypatch.setattr(exports, '_AT_ONCE', 1)
    source, came = store_of(api, mongodb_url), new_id()

    def come(done: int, about: int) -> None:
        if done == moment:
            with pymongo.MongoClient(mongodb_url) as client:
                database = client[api.database.name]
                for name in ('datasets', 'config', 'auths'):
                    database[name].insert_one({'dataset_id': came})
                database.tasks.insert_one({'dataset_id': came, 'task_id': new_id(), 'managed': True})
                # Neither of a dataset that is new, nor of one at all.
                database.tasks.insert_one({'dataset_id': old, 'task_id': 'late'})
                database.tasks.insert_one({'dataset_id': 'of a client', 'task_id': 'free'})

    _, *lines, _ = (await exported(source, told=come)).splitlines(keepends=True)

    await source.close()
    documents = [document_of(line) for line in lines]
    # At the first document the datasets are still being read.
    assert [each.get('dataset_id') for each in documents].count(came) == (4 if moment == 1 else 0)
    assert {'late', 'free'} <= {each.get('task_id') for each in documents}


@pytest.mark.parametrize('name', ['x.ndjson', 'x.ndjson.gz'])
@pytest.mark.parametrize('chosen', [False, True])
async def test_an_interrupted_export_goes_on_wherever_it_was_cut(
    api: Api, mongodb_url: str, tmp_path: Path, name: str, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small that there are many pieces.
    monkeypatch.setattr(export_writing, '_PIECE_BYTES', 2000)
    await fill(api)
    ids = [await add_whole(api), await add_whole(api)] if chosen else []
    source, path = store_of(api, mongodb_url), tmp_path / name
    await exported_to(source, path, *ids)
    whole = path.read_bytes()
    chance = random.Random(7)
    unpacked = gzip.decompress(whole) if name.endswith('.gz') else whole

    for end in [1, len(whole) - 1, len(whole), *(chance.randrange(len(whole)) for _ in range(25))]:
        path.unlink(missing_ok=True)
        junk = chance.choice([b'', b'', b'\0' * 700, b'\0' * 700 + b'\n', b'{"collection":"tasks",'])
        (tmp_path / f'{name}.part').write_bytes(whole[:end] + (junk if end < len(whole) else b''))
        await exported_to(source, path, *ids)

        content = gzip.decompress(path.read_bytes()) if name.endswith('.gz') else path.read_bytes()
        assert content.splitlines()[1:-1] == unpacked.splitlines()[1:-1]
        assert not path.with_name(f'{name}.part').exists()
    await source.close()


async def test_only_the_owner_can_read_an_export(api: Api, mongodb_url: str, tmp_path: Path) -> None:
    source = store_of(api, mongodb_url)

    await exported_to(source, tmp_path / 'x.ndjson')

    await source.close()
    assert (tmp_path / 'x.ndjson').stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize('content', [b'5\n', b'{"format":"something else"}\n', b'{"collection":"tasks"}\n'])
async def test_what_is_no_export_is_not_gone_on_with(
    api: Api, mongodb_url: str, tmp_path: Path, content: bytes
) -> None:
    source = store_of(api, mongodb_url)
    (tmp_path / 'x.ndjson.part').write_bytes(content)

    with pytest.raises(Conflict, match='was begun under this name'):
        await exported_to(source, tmp_path / 'x.ndjson')

    await source.close()
    assert (tmp_path / 'x.ndjson.part').read_bytes() == content


async def test_an_export_of_something_else_is_not_gone_on_with(api: Api, mongodb_url: str, tmp_path: Path) -> None:
    dataset_id = await add_whole(api)
    source, path = store_of(api, mongodb_url), tmp_path / 'x.ndjson'
    await exported_to(source, path)
    path.rename(tmp_path / 'x.ndjson.part')

    with pytest.raises(Conflict, match='was begun under this name'):
        await exported_to(source, path, dataset_id)

    await source.close()


def test_two_cannot_write_one_file(tmp_path: Path) -> None:
    first = PartFile(tmp_path / 'x')

    with pytest.raises(Conflict, match='is being written by another export'):
        PartFile(tmp_path / 'x')

    first.close()


def test_an_export_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    part = PartFile(tmp_path / 'x')
    part.go_on()

    part.close()

    assert list(tmp_path.iterdir()) == []
