"""File entries of tasks. Seed 004, contract 3, trap 26."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

FILE = {'filename': 'gsiftp://host/a b', 'movement': 'input'}
SHOWN = {'type': 'permanent', 'movement': 'input', 'remote': 'gsiftp://host/a b', 'local': '', 'compression': False,
         'transfer': True}  # fmt: skip
NOT_FOUND = refusal(400, 'task referred to not found')


async def files(api: Api, task_id: str = '') -> list[dict[str, Any]]:
    answer = await api('GET', f'/datasets/d1/files/{task_id}' if task_id else '/datasets/d1/files')
    assert answer.status == 200
    return list(answer.body['files'])


async def test_a_file_is_added_to_a_task(api: Api) -> None:
    task_id, other = await api.add_task(), await api.add_task(name='other')

    assert seen(await api('POST', f'/datasets/d1/files/{task_id}', FILE)) == (201, {})
    assert await files(api, task_id) == await files(api) == [SHOWN]
    assert await files(api, other) == []


async def test_a_file_is_added_to_the_task_of_a_job_and_a_name(api: Api) -> None:
    await api.add_task(job_index=1, name='sim')
    task_id = await api.add_task(job_index=2, name='sim')

    answer = await api('POST', '/datasets/d1/files', FILE | {'job_index': 2, 'task_name': 'sim'})

    assert seen(answer) == (201, {'result': task_id})
    assert await files(api, task_id) == [SHOWN]


@pytest.mark.parametrize('filename', ['blah', '/abs/x', '../up', 'http://h/?a=$x', '$$ROOT', 'é', 'x' * 4096])
async def test_any_url_or_name_is_kept_as_sent(api: Api, filename: str) -> None:
    task_id = await api.add_task()

    await api('POST', f'/datasets/d1/files/{task_id}', FILE | {'filename': filename})

    assert [file['remote'] for file in await files(api)] == [filename]


@pytest.mark.parametrize('given', [False, True, 'none', 'gzip', 'gz', 'bzip', 'bz2', 'lzma'])
async def test_every_compression_of_the_contract_is_taken(api: Api, given: bool | str) -> None:
    task_id = await api.add_task()

    await api('POST', f'/datasets/d1/files/{task_id}', FILE | {'compression': given, 'local': 'a/b'})

    assert await files(api) == [SHOWN | {'compression': given, 'local': 'a/b'}]


@pytest.mark.parametrize(
    ('given', 'rule'),
    [(True, True), (False, False), ('n', False), ('No', False), ('not', False), ('f', False), ('FALSE', False),
     ('m', 'maybe'), ('maybe', 'maybe'), ('exists', 'maybe'), ('if exists', 'maybe'), ('yes', True), ('', True)],
)  # fmt: skip
async def test_transfer_is_yes_no_or_maybe(api: Api, given: Any, rule: Any) -> None:
    task_id = await api.add_task()

    await api('POST', f'/datasets/d1/files/{task_id}', FILE | {'transfer': given})

    assert [file['transfer'] for file in await files(api)] == [rule]


SHA256 = 'sha256:' + 'a0' * 32


@pytest.mark.parametrize(
    'given',
    [{'checksum': SHA256}, {'checksum': 'md5:' + 'b1' * 16}, {'checksum': 'adler32:0123abcd'},
     {'checksum': 'sha512:' + 'c2' * 64, 'max_gb': 0.5}, {'max_gb': 3}],
)  # fmt: skip
async def test_a_checksum_and_a_bound_are_kept_and_shown_where_they_were_given(api: Api, given: dict[str, Any]) -> None:
    task_id = await api.add_task()

    await api('POST', f'/datasets/d1/files/{task_id}', FILE | given)
    await api('POST', f'/datasets/d1/files/{task_id}', FILE | {'filename': 'other'})

    assert await files(api) == [SHOWN | given, SHOWN | {'remote': 'other'}]


async def test_a_checksum_is_kept_in_lower_case(api: Api) -> None:
    task_id = await api.add_task()

    await api('POST', f'/datasets/d1/files/{task_id}', FILE | {'checksum': 'md5:' + 'AB' * 16})

    assert await files(api) == [SHOWN | {'checksum': 'md5:' + 'ab' * 16}]


async def test_tasks_of_a_config_get_the_checksums_of_its_files(api: Api, chores: Callable[[], Any]) -> None:
    entry = FILE | {'checksum': SHA256, 'max_gb': 2.5}
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true', 'files': [entry]}])

    await chores()

    answer = await api('GET', f'/datasets/{dataset_id}/files')
    assert answer.body['files'] == [SHOWN | {'checksum': SHA256, 'max_gb': 2.5}]


INVALID = 'invalid file data'


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'filename': 5}, "key filename should be of type <class 'str'>"), ({'filename': ''}, 'key filename'),
        ({'filename': 'a\n'}, 'key filename'), ({'filename': 'a\x7fb'}, 'key filename'), ({'movement': 'up'}, INVALID),
        ({'movement': 5}, INVALID), ({'movement': ['input']}, INVALID), ({'local': 5}, 'key local should be of type'),
        ({'local': '/etc/passwd'}, INVALID), ({'local': '../x'}, INVALID), ({'local': 'a/../../x'}, INVALID),
        ({'local': './a'}, INVALID), ({'local': 'a//b'}, INVALID), ({'local': 'a/'}, INVALID),
        ({'local': '.'}, INVALID), ({'local': '-rf'}, INVALID), ({'local': '..'}, INVALID),
        ({'local': 'a\x85'}, 'key local'), ({'local': 'a\nb'}, 'key local'),
        ({'compression': 'rar'}, INVALID), ({'compression': 1}, INVALID),
        ({'compression': None}, INVALID), ({'transfer': 1}, 'key transfer should be of type'),
        ({'checksum': 'a0' * 32}, INVALID), ({'checksum': 'crc:00'}, INVALID), ({'checksum': 'md5:00'}, INVALID),
        ({'checksum': ''}, INVALID), ({'checksum': 'sha256:' + 'g' * 64}, INVALID), ({'checksum': 5}, INVALID),
        ({'checksum': SHA256 + '\n'}, INVALID), ({'checksum': None}, INVALID), ({'max_gb': 0}, 'key max_gb'),
        ({'max_gb': -1}, 'key max_gb'), ({'max_gb': '1'}, 'key max_gb'), ({'max_gb': True}, 'key max_gb'),
        ({'transfer': None}, 'key transfer should be of type'), ({'type': 'blah'}, INVALID), ({'a': {'$b': 1}}, ''),
    ],
)  # fmt: skip
@pytest.mark.parametrize('by_place', [False, True])
async def test_a_file_that_is_not_valid_is_refused(
    api: Api, changes: dict[str, Any], reason: str, by_place: bool
) -> None:
    task_id = await api.add_task()
    path, place = ('', {'job_index': 0, 'task_name': 'gen'}) if by_place else (f'/{task_id}', {})

    answer = await api('POST', f'/datasets/d1/files{path}', FILE | place | changes)

    assert answer.status == answer.body['code'] == 400
    assert answer.body['error'].startswith(reason)
    assert await files(api) == []


@pytest.mark.parametrize('missing', ['filename', 'movement', 'job_index', 'task_name'])
async def test_a_missing_key_is_named(api: Api, missing: str) -> None:
    task_id = await api.add_task()
    body = {key: value for key, value in {**FILE, 'job_index': 0, 'task_name': 'gen'}.items() if key != missing}

    assert seen(await api('POST', '/datasets/d1/files', body)) == refusal(400, f'missing key: {missing}')
    if missing in FILE:
        assert seen(await api('POST', f'/datasets/d1/files/{task_id}', body)) == refusal(400, f'missing key: {missing}')


@pytest.mark.parametrize(('key', 'value', 'kind'), [('job_index', True, 'int'), ('job_index', '0', 'int'),
                                                    ('task_name', 5, 'str')])  # fmt: skip
async def test_a_place_of_the_wrong_type_is_named(api: Api, key: str, value: Any, kind: str) -> None:
    answer = await api('POST', '/datasets/d1/files', {**FILE, 'job_index': 0, 'task_name': 'gen', key: value})

    assert seen(answer) == refusal(400, f"key {key} should be of type <class '{kind}'>")


async def test_a_file_must_belong_to_a_task_of_the_dataset(api: Api) -> None:
    elsewhere = await api.add_task(dataset_id='d2')

    assert seen(await api('POST', '/datasets/d1/files/nobody', FILE)) == NOT_FOUND
    assert seen(await api('POST', f'/datasets/d1/files/{elsewhere}', FILE)) == NOT_FOUND
    place = {'job_index': 0, 'task_name': 'gen'}
    assert seen(await api('POST', '/datasets/d1/files', FILE | place)) == NOT_FOUND
    assert await api.database.files.count_documents({}) == 0


async def test_the_same_file_again_is_the_same_entry(api: Api) -> None:
    task_id = await api.add_task()

    for changes in ({}, {}, {'transfer': 'no'}, {'movement': 'output'}):
        await api('POST', f'/datasets/d1/files/{task_id}', FILE | changes)

    assert await files(api) == [SHOWN | {'transfer': False}, SHOWN | {'movement': 'output'}]


async def test_files_of_a_task_are_removed_all_or_one(api: Api) -> None:
    task_id, other = await api.add_task(), await api.add_task(name='other')
    for owner, name in ((task_id, 'a'), (task_id, 'b'), (other, 'a')):
        await api('POST', f'/datasets/d1/files/{owner}', FILE | {'filename': name})

    assert seen(await api('DELETE', f'/datasets/d1/files/{task_id}', params={'filename': 'b'})) == DONE
    assert [file['remote'] for file in await files(api, task_id)] == ['a']
    assert seen(await api('DELETE', f'/datasets/d2/files/{task_id}')) == DONE
    assert len(await files(api)) == 2
    assert seen(await api('DELETE', f'/datasets/d1/files/{task_id}')) == DONE
    assert seen(await api('DELETE', f'/datasets/d1/files/{task_id}')) == DONE
    assert await files(api) == await files(api, other) != []


async def test_only_who_may_write_the_dataset_changes_its_files(api: Api) -> None:
    ada = api.as_('user', 'ada', ('simprod',))
    dataset_id = await ada.add_dataset([{'name': 'gen', 'command': 'true'}])
    path = f'/datasets/{dataset_id}/files/{await api.add_task(dataset_id=dataset_id)}'

    assert (await ada('POST', path, FILE)).status == 201
    assert (await api.as_('user', 'eve')('GET', path)).body['files'] == [SHOWN]
    for role in ('user', 'pilot'):
        for method in ('POST', 'DELETE'):
            assert seen(await api.as_(role, 'eve')(method, path, FILE)) == refusal(403, 'authorization failed')
