"""What a path and a query may be. Issue 5, section 3."""

from urllib.parse import quote

import pytest

from tests.conftest import Api
from tests.rest.answers import refusal, seen

NO_PLAIN_NAMES = ['$x', 'a.b', '$where', 'a b', '$$ROOT', 'ä', '٣', 'a%5Cb', 'a=b', 'x' * 256, "a'", '{a}', 'a:1']


@pytest.mark.parametrize(
    'number', ['٣', '1_0', '1.0', '0x1', '1e1', '²', '\uff11', '--1', '+', '1 2', '9' * 20, '9' * 5000]
)
@pytest.mark.parametrize(
    'path', ['/datasets/d1/tasks?job_index=', '/datasets/d1/jobs?job_index=', '/logs?limit=', '/task_order?limit=',
             '/datasets/d1/bulk/task_stats?buffer_size='],
)  # fmt: skip
async def test_only_ascii_digits_make_an_integer(api: Api, path: str, number: str) -> None:
    assert (await api('GET', path + quote(number))).status == 400


@pytest.mark.parametrize('number', ['9223372036854775808', '-9223372036854775809', '9999999999999999999'])
async def test_an_integer_has_64_bits(api: Api, number: str) -> None:
    answer = await api('GET', f'/datasets/d1/tasks?job_index={number}')

    assert seen(answer) == refusal(400, 'an integer has more than 64 bits')


@pytest.mark.parametrize('limit', ['٣', '1_0', 'x', '1.5', '9' * 5000])
async def test_a_limit_of_tasks_that_is_no_integer_means_all(api: Api, limit: str) -> None:
    tasks = [await api.add_task() for _ in range(3)]

    answer = await api('GET', f'/tasks?keys=task_id&limit={quote(limit)}')

    assert [task['task_id'] for task in answer.body['tasks']] == tasks


@pytest.mark.parametrize('name', NO_PLAIN_NAMES)
@pytest.mark.parametrize('path', ['/tasks', '/datasets', '/logs', '/pilots', '/datasets/d1/bulk/task_stats'])
async def test_keys_are_plain_names(api: Api, path: str, name: str) -> None:
    assert (await api('GET', f'{path}?keys=task_id|{quote(name)}')).status == 400


@pytest.mark.parametrize('name', [name for name in NO_PLAIN_NAMES if '=' not in name])
async def test_what_is_sorted_by_is_a_plain_name(api: Api, name: str) -> None:
    assert (await api('GET', f'/tasks?sort=priority|{quote(name)}=-1')).status == 400


@pytest.mark.parametrize(
    'query', ['name=%ff', 'name=%c0%af', 'name=%ed%a0%80', 'name=%00', 'name=a%0ab', 'name=%7f', 'name=%c2%85',
              'unasked=%ff', '%ff=1', '%00=1', 'name=' + 'x' * 8193, '&'.join(f'a{i}=1' for i in range(65)),
              '&'.join(['name=a'] * 65)],
)  # fmt: skip
async def test_a_query_is_text_and_not_too_much_of_it(api: Api, query: str) -> None:
    answer = await api('GET', f'/datasets/d1/tasks?{query}')

    assert answer.status == answer.body['code'] == 400


async def test_a_query_may_have_so_much(api: Api) -> None:
    query = '&'.join([f'a{i}=ä' for i in range(63)] + ['name=' + 'x' * 8192])

    assert seen(await api('GET', f'/datasets/d1/tasks?{query}')) == (200, {})


@pytest.mark.parametrize('text', ['a\nb', 'a\0', 'a\x7f', '\x85'])
async def test_an_argument_in_the_body_of_a_get_is_read_as_strictly(api: Api, text: str) -> None:
    assert (await api('GET', '/datasets/d1/tasks', {'name': text})).status == 400


@pytest.mark.parametrize(
    'given', ['%D9%A3', 'é', '%C3%A9', 'a%20b', 'a%00', '%2e%2ea', 'a%2fb', '$where', 'a.b', 'a-b', 'x' * 256,
              '%24ne', '{}', 'a%0a', '%0a'],
)  # fmt: skip
@pytest.mark.parametrize(
    'path', ['/tasks/%s', '/jobs/%s', '/logs/%s', '/pilots/%s', '/grids/%s', '/datasets/d/tasks/%s']
)
async def test_an_id_in_a_path_is_letters_digits_and_underscores(api: Api, path: str, given: str) -> None:
    assert seen(await api('GET', path % given)) == refusal(404, 'Not found')


@pytest.mark.parametrize(
    'name', ['%00', 'a%0ab', '%7f', '%ff', '%c0%ae', '%ed%a0%80', '%c2%9f', 'x' * 256, '%f0' * 300]
)
async def test_a_name_in_a_path_is_a_text_of_so_many_characters(api: Api, name: str) -> None:
    answer = await api('PUT', f'/users/{name}')

    assert answer.status == answer.body['code'] == 400
    assert seen(await api('GET', '/users')) == (200, {'results': []})


@pytest.mark.parametrize('name', ['a/b', '$$ROOT', 'ä ö', 'a.b', "'", '{"$gt": ""}', '😀' * 255])
async def test_any_other_name_may_stand_in_a_path(api: Api, name: str) -> None:
    assert seen(await api('PUT', f'/users/{quote(name, safe="")}')) == (200, {})

    assert [user['username'] for user in (await api('GET', '/users')).body['results']] == [name]


async def test_a_name_that_no_path_can_have_is_404(api: Api) -> None:
    assert (await api('PUT', f'/users/{"%41" * 1021}')).status == 404
