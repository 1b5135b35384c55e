"""Imports: all that was exported, nothing over what is there, and nothing of a file that is not good."""

import asyncio
import gzip
import hashlib
import io
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pymongo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import BrokenExport, CannotStart, Conflict
from iceprod_tasks.domain.statuses import STATUSES, TRANSITIONS
from iceprod_tasks.domain.tasks import LOG_LENGTH, new_id, new_task
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.storage import export_writing, imports
from iceprod_tasks.storage.client import Document, utc_now
from iceprod_tasks.storage.export_lines import EXPORTED, line
from iceprod_tasks.storage.export_reading import ExportFile
from iceprod_tasks.storage.imports import Import
from iceprod_tasks.storage.restoring import EPOCHS_SKIPPED, WHO, restored
from iceprod_tasks.storage.store import Store
from iceprod_tasks.storage.transitions import Note, Stop
from tests.conftest import DRIVER, Api
from tests.rest.belongings import add_whole
from tests.storage.backups import (
    NOW,
    but_for_claims,
    everything,
    exported,
    fill,
    imported,
    nothing,
    store_of,
)

GIVEN = {'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'gen', 'requirements': {}}


@pytest.fixture
async def target(mongodb_url: str, database_name: str) -> AsyncIterator[Store]:
    """An empty database."""
    store = Store(mongodb_url, database_name, DRIVER)
    yield store
    await store.close()


@pytest.fixture
async def source(api: Api, mongodb_url: str) -> AsyncIterator[Store]:
    """The database of the service under test."""
    store = store_of(api, mongodb_url)
    yield store
    await store.close()


def tasks() -> st.SearchStrategy[Document]:
    """Tasks as they may be exported, also by older releases."""
    entry = st.fixed_dictionaries({
        'when': st.integers(-1000, 1000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
        'from': st.sampled_from(STATUSES), 'to': st.sampled_from(STATUSES), 'claim': st.text(),
    })  # fmt: skip
    stop = st.none() | st.fixed_dictionaries({'then': st.sampled_from(['suspend', 'cancel']), 'why': st.text()})
    return st.fixed_dictionaries(
        {'task_id': st.text(), 'status': st.sampled_from(STATUSES)},
        optional={
            'epoch': st.none() | st.integers(0, 10**6),
            'claims': st.none() | st.lists(st.text(min_size=1), max_size=10), 'claim_id': st.text(), 'stop': stop,
            'log': st.none() | st.lists(entry, max_size=LOG_LENGTH),
            'failures': st.integers(0), 'evictions': st.integers(0), 'outcome': st.none() | st.just({'exit_code': 3}),
            'name': st.text(), 'log_dropped': st.integers(1),
        },
    )  # fmt: skip


@given(tasks())
def test_no_claim_from_before_goes_on_and_nothing_else_is_lost(task: Document) -> None:
    back = restored(task, NOW)

    assert back['status'] != 'processing'
    assert back['epoch'] == (task.get('epoch') or 0) + EPOCHS_SKIPPED
    assert back['claims'] == (task.get('claims') or back['claims'])
    assert back['claims']
    kept = ('task_id', 'name', 'failures', 'evictions')
    assert {name: back.get(name) for name in kept} == {name: task.get(name) for name in kept}
    if task['status'] == 'processing':
        assert (back['claim_id'], back['lease_until'], back['stop']) == ('', None, None)
        then = (task.get('stop') or {}).get('then')
        assert back['status'] == {None: 'queued', 'suspend': 'suspended', 'cancel': 'failed'}[then]
        assert (back['log'][-1]['claim'], back['log'][-1]['who']) == (task.get('claim_id', ''), 'import')
        assert len(back['log']) == min(LOG_LENGTH, len(task.get('log') or []) + 1)
        before = [entry['when'] for entry in (task.get('log') or [])[-1:]]
        assert all(earlier <= later for earlier, later in pairwise([*before, back['log'][-1]['when']]))
    else:
        assert {**task, 'epoch': 0, 'claims': []} == {**back, 'epoch': 0, 'claims': []}


@pytest.mark.parametrize('then', ['restore', 'suspend', 'cancel'])
async def test_it_is_the_transition_that_the_table_has(api: Api, then: str) -> None:
    """What the import does in Python and what the database does by the same row are one thing."""
    store = api.service.store
    task = new_task({**GIVEN, 'status': 'queued'}, new_id(), utc_now(), managed=False)
    await store.tasks.add(task)
    await api('POST', '/task_actions/process', {'claim_id': 'e' * 32})
    if then != 'restore':
        note = Note('ada', 'because', stop=Stop(then, 30.0))
        await store.tasks.move_one(TRANSITIONS['stop asked'], note, task['task_id'])
    before = await store.tasks.get(task['task_id'])
    assert before is not None

    await store.tasks.move_one(TRANSITIONS[then], Note(WHO, 'restored from an export'), task['task_id'])

    after = await store.tasks.get(task['task_id'])
    assert after is not None
    back = restored(before, after['status_changed'])
    assert {**back, 'epoch': 1} == after


async def test_a_round_trip_loses_nothing_but_claims(api: Api, source: Store, target: Store) -> None:
    await fill(api)
    content = await exported(source)

    done = await imported(target, content)

    there, here = await everything(source), await everything(target)
    assert all(there.values())
    assert but_for_claims(here) == but_for_claims(there)
    assert dict(done.imported) == {name: len(documents) for name, documents in there.items()}
    for before, after in zip(there['tasks'], here['tasks'], strict=True):
        assert after['epoch'] == before['epoch'] + EPOCHS_SKIPPED
        expected = 'queued' if before['status'] == 'processing' else before['status']
        assert after['status'] == expected
    again = [line.split(b'"document":')[1] for line in (await exported(target)).splitlines()[1:-1]]
    assert len(again) == content.count(b'"document":')


async def test_an_import_makes_the_indexes(source: Store, target: Store, mongodb_url: str) -> None:
    await imported(target, await exported(source))

    with pymongo.MongoClient(mongodb_url) as client:
        assert {'task_id', 'claims', 'queued'} <= client[target._database].tasks.index_information().keys()


async def test_a_compressed_export_is_read_alike(api: Api, source: Store, target: Store) -> None:
    await fill(api)

    await imported(target, gzip.compress(await exported(source)))

    assert but_for_claims(await everything(target)) == but_for_claims(await everything(source))


async def test_another_import_of_the_same_export_changes_nothing(api: Api, source: Store, target: Store) -> None:
    await fill(api)
    content = await exported(source)
    await imported(target, content)
    task_id = (await everything(target))['tasks'][0]['task_id']
    note = Note('ada')
    await target.tasks.move_one(TRANSITIONS['hard reset'], note, task_id)
    before = await everything(target)

    again = await imported(target, content)

    assert await everything(target) == before
    assert sum(again.imported.values()) == 1, 'only counters'


class Killed(Exception):
    """In place of a signal."""


@pytest.mark.parametrize('seed', range(6))
async def test_an_interrupted_import_goes_on(
    api: Api, source: Store, target: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, '_AT_ONCE', 1)
    await fill(api)
    content = await exported(source)
    chance = random.Random(seed)
    await target.prepare()

    for _ in range(3):
        end = chance.randrange(1, 25)

        def die(done: int, end: int = end) -> None:
            if done == end:
                raise Killed

        task = Import(target, ExportFile(io.BytesIO(content)))
        header = ExportFile(io.BytesIO(content)).header()
        await task.check(header, nothing)
        try:
            await task.run(header, die)
        except Killed:
            mark = await task.mark(header)
            assert mark is not None
            assert 'finished' not in mark
    # What a pilot did meanwhile stays.
    changed = [task['task_id'] for task in (await everything(target))['tasks']]
    if changed:
        await target.tasks.move_one(TRANSITIONS['cancel'], Note('ada'), changed[0])
    status = {task['task_id']: task['status'] for task in (await everything(target))['tasks']}

    await imported(target, content)

    there, here = await everything(source), await everything(target)
    assert [task['task_id'] for task in here['tasks']] == [task['task_id'] for task in there['tasks']]
    assert {**but_for_claims(here), 'tasks': []} == {**but_for_claims(there), 'tasks': []}
    assert status.items() <= {task['task_id']: task['status'] for task in here['tasks']}.items()


async def test_two_imports_at_once_do_no_harm(api: Api, source: Store, target: Store) -> None:
    await fill(api)
    content = await exported(source)
    await target.prepare()

    await asyncio.gather(*(imported(target, content) for _ in range(4)))

    assert but_for_claims(await everything(target)) == but_for_claims(await everything(source))


@pytest.mark.parametrize('name', [name for name in EXPORTED if name != 'counters'])
async def test_what_is_there_and_does_not_come_from_the_export_is_refused_and_nothing_changed(
    api: Api, source: Store, target: Store, name: str
) -> None:
    await fill(api)
    content = await exported(source)
    there = (await everything(source))[name][0]
    await target.prepare()
    key = EXPORTED[name]
    await target.collection(name).insert_one({key: there[key], 'mine': True})
    before = await everything(target)

    with pytest.raises(Conflict, match=rf'^line \d+: {key} {there[key]} of {name} is there already, .* --merge '):
        await imported(target, content)

    assert await everything(target) == before
    assert await target.collection('imports').count({}) == 0


async def test_a_merge_leaves_what_is_there(api: Api, source: Store, target: Store) -> None:
    await fill(api)
    content = await exported(source)
    await target.prepare()
    mine = {}
    for name, documents in (await everything(source)).items():
        if name != 'counters':
            mine[name] = {EXPORTED[name]: documents[0][EXPORTED[name]], 'mine': name}
            await target.collection(name).insert_one(mine[name])

    done = await imported(target, content, merge=True)

    here = await everything(target)
    assert dict(done.present) == dict.fromkeys(mine, 1) | {name: 0 for name in done.present if name not in mine}
    assert all(document in here[name] for name, document in mine.items())
    assert {name: len(documents) for name, documents in here.items()} == {
        name: len(documents) for name, documents in (await everything(source)).items()
    }


async def test_a_merge_stops_at_what_has_lost_its_place(api: Api, source: Store, target: Store) -> None:
    dataset_id = await add_whole(api)
    content = await exported(source)
    await target.prepare()
    place = {'dataset_id': dataset_id, 'job_index': 0, 'tasks_total': 2, 'job_id': 'another'}
    await target.collection('jobs').insert_one(place)

    with pytest.raises(Conflict, match=r'^job_id \w+ of jobs cannot be stored: another one has its place$'):
        await imported(target, content, merge=True)


@pytest.mark.parametrize(('theirs', 'mine'), [(7, 3), (3, 7)])
async def test_no_running_number_is_given_twice(api: Api, source: Store, target: Store, theirs: int, mine: int) -> None:
    await api.database.counters.insert_one({'_id': 'dataset', 'last': theirs})
    content = await exported(source)
    for _ in range(mine):
        await target.datasets.next_number()

    await imported(target, content)

    assert await target.datasets.next_number() == 8


def resealed(lines: Sequence[bytes]) -> bytes:
    """Lines as a file whose end is right for them."""
    counts: dict[str, int] = {}
    for raw in lines[1:]:
        name = json.loads(raw)['collection']
        counts[name] = counts.get(name, 0) + 1
    digest = hashlib.sha256(b''.join(lines)).hexdigest()
    return b''.join([*lines, line({'end': True, 'counts': counts, 'sha256': digest})])


@pytest.mark.parametrize('packed', [False, True])
async def test_of_a_file_that_is_cut_anywhere_nothing_is_imported(
    api: Api, source: Store, target: Store, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_writing, '_PIECE_BYTES', 3000)
    await fill(api)
    content = await exported(source)
    whole = gzip.compress(content) if packed else content
    chance = random.Random(3)
    await target.prepare()

    for end in [0, 1, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(25))]:
        with pytest.raises(BrokenExport, match=r'^line \d+: '):
            await imported(target, whole[:end])

    assert not any((await everything(target)).values())


@pytest.mark.parametrize('packed', [False, True])
async def test_of_a_file_with_a_wrong_byte_nothing_is_imported(
    api: Api, source: Store, target: Store, packed: bool
) -> None:
    await fill(api)
    content = await exported(source)
    whole = gzip.compress(content) if packed else content
    chance = random.Random(4)
    await target.prepare()

    for _ in range(40):
        # In front of this, gzip keeps the time of compression and the system.
        place = chance.randrange(10, len(whole))
        wrong = bytes([whole[place] ^ 1 << chance.randrange(8)])
        with pytest.raises(BrokenExport, match=r'^line \d+: '):
            await imported(target, whole[:place] + wrong + whole[place + 1 :])

    assert not any((await everything(target)).values())


BAD: dict[str, tuple[Callable[[list[bytes]], bytes], str]] = {
    'not an export': (lambda lines: b'{"format":"tar"}\n', 'line 1: this is not an export of iceprod-tasks'),
    'not JSON': (lambda lines: b'hello\n', 'line 1: this is no line of an export'),
    'nothing': (lambda lines: b'', 'line 1: this is not an export of iceprod-tasks'),
    'garbage in the middle': (
        lambda lines: b''.join([*lines[:3], b'garbage\n', *lines[3:]]), 'line 4: this is no line of an export',
    ),
    'half a line': (
        lambda lines: b''.join([*lines[:3], lines[3][:50] + b'\n', *lines[4:]]), 'line 4: this is no line of an export',
    ),
    'no document': (
        lambda lines: resealed([*lines[:-1], b'{"collection":"tasks","document":{}}\n']),
        'line {last}: this is no line of an export: it has no document with an id',
    ),
    'a line is missing': (lambda lines: b''.join([*lines[:3], *lines[4:]]), 'the checksum is wrong'),
    'a line comes twice': (lambda lines: b''.join([*lines[:4], *lines[3:]]), 'the checksum is wrong'),
    'no end': (lambda lines: b''.join(lines[:-1]), 'the file is cut off behind this line'),
    'more than the end': (lambda lines: b''.join([*lines, lines[1]]), 'there is something behind the end'),
    'two in one': (lambda lines: b''.join(lines * 2), 'there is something behind the end of the export'),
    'a new collection': (
        lambda lines: resealed([*lines[:-1], line({'collection': 'wishes', 'document': {'_id': 1}})]),
        'this release knows no collection wishes; the export was written by release 0.0.1',
    ),
    'a new schema': (
        lambda lines: resealed([lines[0].replace(b'"schema":1', b'"schema":2'), *lines[1:-1]]),
        'line 1: the documents have schema 2, written by release 0.0.1; this release knows schema 1',
    ),
    'a new format': (
        lambda lines: resealed([lines[0].replace(b'"version":1', b'"version":2'), *lines[1:-1]]),
        'line 1: the export has version 2 of the format, written by release 0.0.1; this release reads version 1',
    ),
}  # fmt: skip


@pytest.mark.parametrize('kind', BAD)
async def test_a_bad_file_is_refused_with_the_line_and_nothing_is_imported(
    api: Api, source: Store, target: Store, kind: str
) -> None:
    await fill(api)
    spoil, words = BAD[kind]
    lines = (await exported(source)).splitlines(keepends=True)
    await target.prepare()

    with pytest.raises(BrokenExport) as caught:
        await imported(target, spoil(lines))

    assert words.format(last=len(lines)) in str(caught.value)
    assert not any((await everything(target)).values())


async def test_a_resealed_file_is_good(api: Api, source: Store, target: Store) -> None:
    await fill(api)
    lines = (await exported(source)).splitlines(keepends=True)

    await imported(target, resealed(lines[:-1]))

    assert but_for_claims(await everything(target)) == but_for_claims(await everything(source))


async def test_a_service_on_the_database_does_no_harm_meanwhile(
    api: Api, source: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chores run, and pilots claim and complete, after every single document of an import."""
    tasks = [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}]
    dataset_id = await api.add_dataset(tasks, jobs=3)
    chores = Scheduler(api.service)

    async def work() -> None:
        claim_id = new_id()
        answer = await api('POST', '/task_actions/process', {'claim_id': claim_id})
        if answer.status == 200:
            config = await api('GET', f'/config/{dataset_id}')
            assert config.status == 200, 'a pilot could not have run it'
            path = f'/tasks/{answer.body["task_id"]}/task_actions/complete'
            assert (await api('POST', path, {'claim_id': claim_id})).status == 200
        await chores.follow()
        await chores.sweep()

    # One job has ended before; a look at it alone would end the dataset.
    while not await api.database.jobs.count_documents({'status': 'complete'}):
        await work()
    content = await exported(source)
    for collection in EXPORTED:
        await api.database[collection].delete_many({})
    store, stored = Import._store, 0
    monkeypatch.setattr(imports, '_AT_ONCE', 1)

    async def slowly(self: Import, name: str, documents: Sequence[Document]) -> None:
        nonlocal stored
        await store(self, name, documents)
        stored += 1
        await work()
        dataset = await api.database.datasets.find_one({}) or {}
        jobs = await api.database.jobs.count_documents({'status': 'complete'})
        assert dataset.get('status') != 'complete' or jobs == 3

    monkeypatch.setattr(Import, '_store', slowly)
    await imported(source, content)

    assert stored > 10
    for _ in range(30):
        await work()
    here = await api('GET', f'/datasets/{dataset_id}')
    assert (here.status, here.body['status']) == (200, 'complete')
    assert (await api('GET', f'/datasets/{dataset_id}/task_counts/status')).body == {'complete': 6}
    assert (await api('GET', f'/datasets/{dataset_id}/job_counts/status')).body == {'complete': 3}


async def test_a_standalone_is_refused_as_by_the_service(target: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def standalone(client: Any, said: Any, *, allow_weak: bool) -> list[str]:
        if allow_weak:
            return ['MongoDB runs standalone']
        raise CannotStart('MongoDB runs standalone')

    monkeypatch.setattr('iceprod_tasks.storage.store.check_durability', standalone)

    with pytest.raises(CannotStart):
        await target.prepare()
    assert await target.prepare(allow_weak_durability=True) == ['MongoDB runs standalone']
