"""Archives: every document of a dataset, in a file or as a download, whole or visibly not."""

import gzip
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from iceprod_tasks.actions import archive as archiving
from iceprod_tasks.actions.delete import delete, take_up
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import ArchiveFailed, InvalidRequest
from iceprod_tasks.domain.tasks import HIDDEN_FIELDS, SECRET_FIELDS
from iceprod_tasks.storage import archives
from iceprod_tasks.storage.archives import Archives
from tests.conftest import Api
from tests.rest.answers import refusal, seen
from tests.rest.belongings import COUNTS, TASKS, add_whole, counts, everything, let_go

KINDS = {'outputs': 'output', 'node_results': 'node_result',
         'tasks': 'task', 'jobs': 'job', 'files': 'file', 'messages': 'message', 'logs': 'log',
         'task_stats': 'task_stats'}  # fmt: skip
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}')
ROOT = Caller('root', frozenset({'admin'}))


def lines(packed: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(packed).splitlines()]


def folder(api: Api) -> Path:
    return api.service.archives._folder


@pytest.fixture(autouse=True)
def empty_folder(shared_api: Api) -> Iterator[None]:
    yield
    for path in folder(shared_api).iterdir():
        path.unlink()


async def downloaded(api: Api, dataset_id: str) -> bytes:
    headers = {'Authorization': f'Bearer {api._token}'}
    answer = await api._http.get(f'/datasets/{dataset_id}/archive', headers=headers)
    assert answer.status_code == 200
    return answer.content


async def test_a_deletion_leaves_an_archive_with_every_document_where_one_is_asked_for(api: Api) -> None:
    dataset_id = await add_whole(api)
    stored = await everything(api, dataset_id)

    answer = await api('DELETE', f'/datasets/{dataset_id}?archive=true')

    path = folder(api) / f'{dataset_id}.ndjson.gz'
    assert seen(answer) == (200, {'deleted': COUNTS, 'archive': path.name})
    assert [each.name for each in folder(api).iterdir()] == [path.name]
    header, *documents, last = lines(path.read_bytes())
    assert header.items() >= {
        'format': 'iceprod-tasks dataset archive', 'version': 1, 'dataset_id': dataset_id
    }.items()  # fmt: skip
    assert TIME.fullmatch(header['when'])
    counted = {KINDS[name]: number for name, number in COUNTS.items()} | {'dataset': 1, 'config': 1, 'access': 1}
    assert last == {'end': True, 'counts': counted}
    assert Counter(each['kind'] for each in documents) == Counter(counted)
    assert documents[0]['document']['deleting'] is None
    for name, key in (('tasks', 'task_id'), ('jobs', 'job_id'), ('files', 'file_id'), ('messages', 'message_id'),
                      ('logs', 'log_id'), ('task_stats', 'task_stat_id'), ('outputs', 'output_id'),
                      ('node_results', 'node_result_id')):  # fmt: skip
        kept = {each['document'][key] for each in documents if each['kind'] == KINDS[name]}
        assert kept == {document[key] for document in stored[name]}


async def test_an_archive_has_the_fields_of_the_documents_but_no_secrets(api: Api) -> None:
    dataset_id = await add_whole(api)
    stored = await everything(api, dataset_id)

    _, *documents, _ = lines(await downloaded(api, dataset_id))

    of = {kind: [each['document'] for each in documents if each['kind'] == kind] for kind in KINDS.values()}
    for name, kind in KINDS.items():
        left_out = {'_id', *(SECRET_FIELDS | HIDDEN_FIELDS if kind == 'task' else ())}
        wanted = sorted(sorted(set(document) - left_out) for document in stored[name])
        assert sorted(sorted(document) for document in of[kind]) == wanted
    claims = [claim for task in stored['tasks'] for claim in task['claims']]
    text = json.dumps(documents)
    assert claims
    assert not any(claim in text for claim in claims)
    assert '"_id"' not in text
    one = next(each['document'] for each in documents if each['kind'] == 'dataset')
    assert TIME.fullmatch(one['start_date'])
    assert next(each['document'] for each in documents if each['kind'] == 'config')['tasks'] == TASKS
    assert next(each['document'] for each in documents if each['kind'] == 'access')['write_users'] == ['root']


async def test_a_dataset_says_itself_whether_it_is_archived_unless_the_request_does(api: Api) -> None:
    archived, plain, overruled = [await add_whole(api, archive=archive) for archive in (True, False, True)]

    assert (await api('DELETE', f'/datasets/{archived}')).body['archive']
    assert (await api('DELETE', f'/datasets/{plain}')).body['archive'] is None
    assert (await api('DELETE', f'/datasets/{overruled}?archive=false')).body['archive'] is None


async def test_a_large_archive_is_the_same_in_many_pieces(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await add_whole(api)
    whole = lines(await downloaded(api, dataset_id))
    monkeypatch.setattr(archiving, '_PIECE_BYTES', 100)
    monkeypatch.setattr('iceprod_tasks.storage.belongings._READ_AT_ONCE', 2)

    assert lines(await downloaded(api, dataset_id))[1:] == whole[1:]


async def test_a_download_is_a_file_and_leaves_everything_as_it_is(api: Api) -> None:
    dataset_id = await add_whole(api)
    before = await everything(api, dataset_id)

    answer = await api.as_('user', 'root')('GET', f'/datasets/{dataset_id}/archive')

    assert answer.status == 200
    assert answer.headers['Content-Type'] == 'application/gzip'
    assert answer.headers['Content-Disposition'] == f'attachment; filename="{dataset_id}.ndjson.gz"'
    assert await everything(api, dataset_id) == before
    assert list(folder(api).iterdir()) == []


async def test_who_may_not_read_a_dataset_gets_no_archive(api: Api) -> None:
    dataset_id = await add_whole(api)
    await api.database.auths.update_one({'dataset_id': dataset_id}, {'$set': {'read_groups': []}})
    path = f'/datasets/{dataset_id}/archive'

    assert seen(await api.as_('user', 'eve')('GET', path)) == refusal(403, 'authorization failed')
    assert seen(await api.as_('pilot')('GET', path)) == refusal(403, 'authorization failed')
    assert seen(await api('GET', '/datasets/nobody/archive')) == refusal(404, 'Dataset not found')


async def test_a_dataset_that_is_not_whole_any_more_gives_no_archive(api: Api) -> None:
    dataset_id = await add_whole(api)
    path = f'/datasets/{dataset_id}/archive'

    await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'deleting': {'stage': 'stopping'}}})
    whole = await api('GET', path)
    await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'deleting.stage': 'removing'}})

    assert whole.status == 200
    assert seen(await api('GET', path)) == refusal(409, 'the dataset is being deleted')


async def test_a_download_that_a_deletion_overtakes_is_cut_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_id = await add_whole(api)
    monkeypatch.setattr(archiving, '_PIECE_BYTES', 1)
    monkeypatch.setattr('iceprod_tasks.rest.handler._FLUSH_BYTES', 1)
    original = archiving._documents

    async def overtaken(*arguments: Any) -> AsyncIterator[Any]:
        async for each in original(*arguments):
            yield each
        await api('DELETE', f'/datasets/{dataset_id}')

    monkeypatch.setattr(archiving, '_documents', overtaken)

    with pytest.raises(httpx2.RemoteProtocolError):
        await downloaded(api, dataset_id)


async def test_where_no_archive_can_be_written_nothing_is_done(api: Api, tmp_path: Path) -> None:
    dataset_id = await add_whole(api)
    (tmp_path / 'file').write_text('in the way')
    before = await everything(api, dataset_id)
    blocked = replace(api.service, archives=Archives(tmp_path / 'file' / 'archive'))

    for force in (False, True):
        with pytest.raises(ArchiveFailed, match='the archive cannot be written: Not a directory'):
            await delete(blocked, ROOT, dataset_id, force=force, archive=True)
        assert await everything(api, dataset_id) == before


async def test_an_archive_that_fails_in_the_middle_is_503_and_nothing_is_deleted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)
    before = await counts(api, dataset_id)

    def full(*_: Any) -> None:
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(archives, 'put_in_place', full)
        answer = await api('DELETE', f'/datasets/{dataset_id}?archive=true')

    assert seen(answer) == refusal(503, 'the archive cannot be written: No space left on device')
    assert await counts(api, dataset_id) == before
    assert list(folder(api).iterdir()) == []
    # The chore tries again after a while.
    assert await take_up(api.service) is None
    await let_go(api)
    deletion = await take_up(api.service)
    assert deletion is not None
    assert deletion.archive == f'{dataset_id}.ndjson.gz'
    assert await counts(api, dataset_id) == {}


async def test_a_repeated_deletion_may_do_without_the_archive_that_fails(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = await add_whole(api)

    def full(*_: Any) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(archives, 'put_in_place', full)
    assert (await api('DELETE', f'/datasets/{dataset_id}?archive=true')).status == 503

    answer = await api('DELETE', f'/datasets/{dataset_id}?archive=false')

    assert seen(answer) == (200, {'deleted': COUNTS, 'archive': None})


async def test_what_a_crash_left_of_an_archive_goes_with_the_next_attempt(api: Api) -> None:
    dataset_id, other = await add_whole(api), '.other.ndjson.gz.abc.part'
    (folder(api) / f'.{dataset_id}.ndjson.gz.abc.part').write_text('half')
    (folder(api) / other).write_text('half')

    await api('DELETE', f'/datasets/{dataset_id}?archive=true')

    assert {path.name for path in folder(api).iterdir()} == {f'{dataset_id}.ndjson.gz', other}


async def nothing() -> AsyncIterator[bytes]:
    yield b''


@pytest.mark.parametrize('name', ['', '../x', 'a/b', 'a.b', 'a b', 'ä', 'a\n'])
async def test_an_archive_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match='letters'):
        await Archives(tmp_path / 'archive').write(name, nothing())
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240


async def test_the_folder_is_private_and_made_when_it_is_needed(tmp_path: Path) -> None:
    path = await Archives(tmp_path / 'a' / 'archive').write('d', archives.packed(nothing()))

    assert gzip.decompress(path.read_bytes()) == b''
    assert path.parent.stat().st_mode & 0o777 == 0o700
