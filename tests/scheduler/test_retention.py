"""The timer that deletes: whatever crashes is taken up, and datasets go when their retention is over, never before."""

import asyncio
import contextlib
import gzip
import itertools
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.actions import archive as archiving
from iceprod_tasks.actions import delete as deleting
from iceprod_tasks.actions.delete import delete, delete_expired
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.retention import expires
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.scheduler import retention
from iceprod_tasks.scheduler.retention import Retention, expire
from iceprod_tasks.storage.archives import Archives
from iceprod_tasks.storage.client import Collection, utc_now
from iceprod_tasks.storage.deletions import Demand
from tests.conftest import Api
from tests.rest.belongings import COUNTS, TASKS, add_whole, counts, end, everything, let_go

ROOT = Caller('root', frozenset({'admin'}))
WRITES = ('insert_one', 'update_one', 'update_many', 'find_one_and_update', 'replace_one', 'delete_many')


class Crash(BaseException):
    """The process dies here."""


@contextlib.contextmanager
def dying_at(monkeypatch: pytest.MonkeyPatch, survived: int, *, done: bool) -> Iterator[None]:
    """The process dies at one of its writes to the database, right after it or just before it."""
    writes = itertools.count()
    dead = False

    def dying(original: Any) -> Any:
        async def write(*arguments: Any, **options: Any) -> Any:
            nonlocal dead
            last = next(writes) == survived
            result = None if dead or (last and not done) else await original(*arguments, **options)
            dead = dead or last
            if dead:
                raise Crash
            return result

        return write

    with monkeypatch.context() as patch:
        for name in WRITES:
            patch.setattr(Collection, name, dying(getattr(Collection, name)))
        yield


def with_folder(api: Api, folder: Path, **limits: Any) -> Any:
    return replace(api.service, archives=Archives(folder), limits=replace(api.service.limits, **limits))


async def put_back(api: Api, documents: dict[str, list[dict[str, Any]]]) -> None:
    for name, found in documents.items():
        await api.database[name].delete_many({'_id': {'$in': [each['_id'] for each in found]}})
        await api.database[name].insert_many(found)


@pytest.mark.parametrize('done', [False, True])
async def test_a_deletion_that_dies_at_any_write_is_taken_up_and_ends_the_same(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    monkeypatch.setattr('iceprod_tasks.storage.belongings._AT_ONCE', 3)
    kept, dataset_id = await add_whole(api), await add_whole(api)
    other, whole = await everything(api, kept), await everything(api, dataset_id)
    number = {name: len(found) for name, found in whole.items()}
    service = with_folder(api, tmp_path)

    for survived in itertools.count():
        await put_back(api, whole)
        await api.database.deletions.delete_many({})
        try:
            with dying_at(monkeypatch, survived, done=done):
                await delete(service, ROOT, dataset_id, archive=True)
            break
        except Crash:
            pass
        if survived == 0 and not done:
            assert await everything(api, dataset_id) == whole
            continue
        await let_go(api)
        await Retention(service).turn()
        await api.database.deletions.update_many({}, [{'$set': {'clear_after': '$$NOW'}}])
        await Retention(service).turn()

        assert await counts(api, dataset_id) == {}, f'after {survived} writes'
        assert await everything(api, kept) == other
        archive = tmp_path / f'{dataset_id}.ndjson.gz'
        last = json.loads(gzip.decompress(archive.read_bytes()).splitlines()[-1])
        parts = ('jobs', 'tasks', 'files', 'messages', 'logs', 'task_stats', 'outputs', 'node_results')
        assert list(last['counts'].values())[3:] == [number[name] for name in parts]
    assert survived > 12


async def test_the_owner_can_repeat_a_deletion_that_died_between_record_and_access(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)

    async def dies(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(api.service.store.deletions, 'remove_access', dies)
        with pytest.raises(Crash):
            await delete(api.service, ROOT, dataset_id)
    left = await counts(api, dataset_id)

    answers = [await api.as_('user', 'root')('DELETE', f'/datasets/{dataset_id}') for _ in range(2)]

    assert left == {'auths': 1}
    assert [answer.body['error'] for answer in answers] == ['Dataset not found', 'authorization failed']
    assert await counts(api, dataset_id) == {}


async def test_a_deletion_in_hand_is_left_alone_until_its_time_is_over(api: Api) -> None:
    dataset_id = await add_whole(api)
    await api.service.store.deletions.begin(dataset_id, Demand('ada', new_id()))
    before = await counts(api, dataset_id)

    early = await Retention(api.service).turn()
    still = await counts(api, dataset_id)
    await let_go(api)

    assert (early, still) == (0, before)
    assert await Retention(api.service).turn() == 1
    assert await counts(api, dataset_id) == {}


async def test_two_processes_take_up_deletions_at_once(api: Api) -> None:
    kept, ids = await add_whole(api), [await add_whole(api) for _ in range(3)]
    before = await everything(api, kept)
    for dataset_id in ids:
        await api.service.store.deletions.begin(dataset_id, Demand('ada', new_id()))
    await let_go(api)

    gone = await asyncio.gather(*(Retention(api.service).turn() for _ in range(2)))

    assert sum(gone) == 3
    for dataset_id in ids:
        assert await counts(api, dataset_id) == {}
    assert await everything(api, kept) == before


async def test_one_that_lost_its_deletion_to_another_stops_and_spoils_no_archive(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    service = with_folder(api, tmp_path)
    original = archiving._documents
    others: list[Any] = []

    async def slow(*arguments: Any) -> AsyncIterator[Any]:
        async for each in original(*arguments):
            yield each
            if not others:
                others.append(None)
                # As after a minute of silence.
                await let_go(api)
                others[0] = await delete(service, ROOT, dataset_id, archive=True)

    monkeypatch.setattr(archiving, '_documents', slow)

    late = await delete(service, ROOT, dataset_id, archive=True)

    (path,) = tmp_path.iterdir()  # noqa: ASYNC240
    assert late.deleted is None
    assert others[0].archive == path.name
    assert len(gzip.decompress(path.read_bytes()).splitlines()) == 2 + 3 + sum(COUNTS.values())
    assert await counts(api, dataset_id) == {}


async def test_a_mark_that_is_found_refused_is_taken_back(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    dataset_id = await add_whole(api)
    claim = {'query_params': {'dataset_id': dataset_id}}
    assert (await api('POST', '/task_actions/process', claim)).status == 200
    before = await everything(api, dataset_id)
    await api.service.store.deletions.begin(dataset_id, Demand('ada', new_id()))
    await let_go(api)

    with caplog.at_level(logging.INFO):
        assert await Retention(api.service).turn() == 0

    assert 'a deletion is given up: 1 task is processing' in caplog.text
    assert await everything(api, dataset_id) == before


async def test_a_deletion_that_waits_for_work_ends_when_the_work_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    claim = {'query_params': {'dataset_id': dataset_id}}
    task_id = (await api('POST', '/task_actions/process', claim)).body['task_id']

    async def wait(service: Any, who: str, of: str) -> int:
        return int(await service.store.counts.in_statuses(of, ('processing',)))

    monkeypatch.setattr(deleting, '_stop_work', wait)
    first = await api('DELETE', f'/datasets/{dataset_id}?force=true')
    waiting = await Retention(api.service).turn()
    # The pilot ends its work in its own way, even one that would be tried again.
    assert (await api('POST', f'/tasks/{task_id}/task_actions/reset')).status == 200

    assert (first.status, first.body['stopping'], waiting) == (202, 1, 0)
    assert await Retention(api.service).turn() == 1
    assert await counts(api, dataset_id) == {}


@pytest.mark.parametrize('status', ['complete', 'errors'])
async def test_a_dataset_goes_when_its_retention_is_over_and_not_before(api: Api, status: str) -> None:
    early, due = [await add_whole(api, retention_days=2) for _ in range(2)]
    await end(api, early, status, days_ago=1.99)
    await end(api, due, status, days_ago=2.01)
    before = await everything(api, early)

    assert await Retention(api.service).turn() == 1
    assert await counts(api, due) == {}
    assert await everything(api, early) == before
    assert await Retention(api.service).turn() == 0


@pytest.mark.parametrize('status', ['processing', 'truncated', 'suspended'])
async def test_a_dataset_that_has_not_ended_is_kept(api: Api, status: str) -> None:
    dataset_id = await add_whole(api, retention_days=0)
    await end(api, dataset_id, status, days_ago=10)

    assert await Retention(api.service).turn() == 0


async def test_the_service_decides_for_datasets_that_say_nothing(api: Api, tmp_path: Path) -> None:
    silent, long, short, old = [await add_whole(api, retention_days=days) for days in (None, 30, 0.5, None)]
    await api.database.datasets.update_one({'dataset_id': old}, {'$unset': {'retention_days': '', 'archive': ''}})
    for dataset_id in (silent, long, short, old):
        await end(api, dataset_id, days_ago=5)

    assert await Retention(api.service).turn() == 1
    assert await counts(api, short) == {}
    assert await Retention(with_folder(api, tmp_path, retention_days=7)).turn() == 0
    assert await Retention(with_folder(api, tmp_path, retention_days=4)).turn() == 2
    assert [bool(await counts(api, each)) for each in (silent, long, old)] == [False, True, False]


async def test_what_the_timer_deletes_is_what_the_domain_says(api: Api) -> None:
    service = replace(api.service, limits=replace(api.service.limits, retention_days=3.0))
    grid = itertools.product(
        ('processing', 'suspended', 'errors', 'complete'), (None, 0, 0.25, 3, 9.5), (0.1, 2, 5, 20)
    )
    for status, days, ago in grid:
        dataset_id = await api.add_dataset(TASKS, retention_days=days)
        await end(api, dataset_id, status, days_ago=ago)
    stored = [each async for each in api.database.datasets.find()]
    now = utc_now().replace(tzinfo=None)

    await Retention(service).turn()

    left = {each['dataset_id'] async for each in api.database.datasets.find()}
    over = {each['dataset_id']: expires(each, 3.0) for each in stored}
    # A little slack: the database has a clock of its own.
    assert not any(time is not None and abs(time - now) < timedelta(minutes=5) for time in over.values())
    assert left == {name for name, time in over.items() if time is None or time > now}
    assert 0 < len(left) < len(stored)


async def test_a_dataset_is_archived_first_where_it_says_so(api: Api, tmp_path: Path) -> None:
    archived, plain = [await add_whole(api, retention_days=0, archive=archive) for archive in (True, False)]
    for dataset_id in (archived, plain):
        await end(api, dataset_id)

    assert await Retention(with_folder(api, tmp_path)).turn() == 2
    assert [path.name for path in tmp_path.iterdir()] == [f'{archived}.ndjson.gz']  # noqa: ASYNC240


async def test_without_a_place_for_the_archive_nothing_is_deleted_and_the_log_says_so_once(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [await add_whole(api, retention_days=0, archive=True) for _ in range(2)]
    for dataset_id in ids:
        await end(api, dataset_id)
    before = [await everything(api, dataset_id) for dataset_id in ids]
    (tmp_path / 'file').write_text('in the way')

    assert await Retention(with_folder(api, tmp_path / 'file')).turn() == 0
    assert [await everything(api, dataset_id) for dataset_id in ids] == before
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        'expire: the archive cannot be written: File exists'
    ]  # fmt: skip
    assert await Retention(with_folder(api, tmp_path / 'folder')).turn() == 2


async def test_an_unfinished_dataset_keeps_those_that_it_depends_on_and_no_others(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, '_AT_ONCE', 1)
    needed, free, user = [await add_whole(api, retention_days=0) for _ in range(3)]
    for dataset_id, days in ((needed, 9), (free, 1)):
        await end(api, dataset_id, days_ago=days)
    await api.database.datasets.update_one({'dataset_id': user}, {'$set': {'depends_on': [needed]}})
    before = await everything(api, needed)
    marked: list[str] = []

    async def watched(service: Any, seen: Any, who: str) -> Any:
        marked.append(seen['dataset_id'])
        return await delete_expired(service, seen, who)

    monkeypatch.setattr(retention, 'delete_expired', watched)

    assert await expire(api.service) == 1
    assert marked == [free]
    assert await counts(api, free) == {}
    assert await everything(api, needed) == before
    await end(api, user, 'complete', days_ago=-1)
    assert await expire(api.service) == 1
    assert await counts(api, needed) == {}


@pytest.mark.parametrize('change', [
    {'status': 'processing'}, {'status': 'errors'}, {'retention_days': None}, {'status_changed': None},
    {'deleting': {'stage': 'asked'}},
])  # fmt: skip
async def test_a_dataset_that_changes_between_the_look_and_the_mark_is_kept(api: Api, change: dict[str, Any]) -> None:
    dataset_id = await add_whole(api, retention_days=0)
    await end(api, dataset_id, days_ago=1)
    (seen,) = [each async for each in api.service.store.deletions.expired(None)]
    await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': change})
    before = await everything(api, dataset_id)

    assert await delete_expired(api.service, seen, 'scheduler') is None
    assert await everything(api, dataset_id) == before


@pytest.mark.parametrize('status', ['waiting', 'queued', 'processing', 'reset'])
async def test_an_ended_dataset_whose_tasks_go_on_is_kept(api: Api, status: str) -> None:
    dataset_id = await add_whole(api, retention_days=0)
    await end(api, dataset_id, days_ago=1)
    await api.database.tasks.update_one({'dataset_id': dataset_id}, {'$set': {'status': status}})
    before = await everything(api, dataset_id)

    assert await expire(api.service) == 0
    assert await everything(api, dataset_id) == before


@pytest.mark.parametrize('status', ['idle', 'suspended', 'failed'])
async def test_tasks_that_nothing_will_move_keep_no_dataset(api: Api, status: str) -> None:
    dataset_id = await add_whole(api, retention_days=0)
    await end(api, dataset_id, 'errors', days_ago=1)
    await api.database.tasks.update_one({'dataset_id': dataset_id}, {'$set': {'status': status}})

    assert await expire(api.service) == 1


async def test_a_turn_deletes_a_portion_and_the_next_one_the_rest(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, '_AT_ONCE', 2)
    for _ in range(3):
        await end(api, await api.add_dataset(TASKS, retention_days=0))

    assert [await Retention(api.service).turn() for _ in range(3)] == [2, 1, 0]


async def test_two_processes_expire_at_once(api: Api) -> None:
    ids = [await add_whole(api, retention_days=0) for _ in range(4)]
    for dataset_id in ids:
        await end(api, dataset_id)

    gone = await asyncio.gather(*(Retention(api.service).turn() for _ in range(2)))

    assert sum(gone) == 4
    for dataset_id in ids:
        assert await counts(api, dataset_id) == {}


async def test_what_fails_is_logged_and_does_not_stop_the_rest(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await end(api, await add_whole(api, retention_days=0))

    async def broken(*_: Any) -> int:
        raise RuntimeError('broken on purpose')

    monkeypatch.setattr(retention, 'take_up_deletions', broken)

    assert await Retention(api.service).turn() == 1
    assert 'take up deletions failed' in caplog.text


async def test_the_timer_looks_again_and_again(api: Api) -> None:
    dataset_id = await add_whole(api, retention_days=0)
    timer = asyncio.create_task(Retention(api.service, interval_seconds=0.01).run())
    try:
        await end(api, dataset_id)
        async with asyncio.timeout(30):
            while await counts(api, dataset_id):
                await asyncio.sleep(0.01)
    finally:
        timer.cancel()
        await asyncio.gather(timer, return_exceptions=True)
