"""A body is JSON and says so. Issue 5, section 3."""

import pytest

from tests.conftest import Api
from tests.rest.answers import DONE, seen

STATUS = b'{"status":"waiting"}'


async def put_status(api: Api, **headers: str) -> int:
    task_id = await api.add_task()
    content_type = {name.replace('_', '-'): value for name, value in headers.items()}
    return (await api('PUT', f'/tasks/{task_id}/status', content=STATUS, headers=content_type)).status


@pytest.mark.parametrize(
    'said',
    ['application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;charset="UTF-8"',
     'application/json ; charset=utf-8;', 'application/json;'],
)  # fmt: skip
async def test_json_in_utf_8_is_read(api: Api, said: str) -> None:
    assert await put_status(api, Content_Type=said) == 200


@pytest.mark.parametrize(
    'said',
    ['', 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx',
     'application/json; charset=utf-16', 'application/json, text/plain', 'application/json; charset=utf-8; a=b',
     'application/merge-patch+json'],
)  # fmt: skip
async def test_a_body_of_another_type_is_refused(api: Api, said: str) -> None:
    assert await put_status(api, Content_Type=said) == 415


@pytest.mark.parametrize('coding', ['gzip', 'deflate', 'br', 'identity, gzip', ''])
async def test_a_body_that_is_packed_is_refused(api: Api, coding: str) -> None:
    assert await put_status(api, Content_Encoding=coding) == 415


async def test_a_body_that_says_it_is_not_packed_is_read(api: Api) -> None:
    assert await put_status(api, Content_Encoding='identity') == 200


async def test_what_has_no_body_needs_no_type(api: Api) -> None:
    task_id = await api.add_task(status='processing')

    assert seen(await api('POST', f'/tasks/{task_id}/task_actions/complete')) == DONE
    assert (await api('GET', '/healthz', headers={'Content-Type': 'text/plain'})).status == 200


async def test_the_refusal_says_what_to_do(api: Api) -> None:
    answer = await api('POST', '/tasks', content=b'a=1', headers={'Content-Type': 'application/x-www-form-urlencoded'})

    assert answer.status == 415
    assert answer.body == {
        'code': 415,
        'error': 'A body must be JSON: send it with Content-Type: application/json',
    }
