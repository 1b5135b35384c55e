"""The web service by form POST and GET: tasks by both of their names, and every failure."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.domain.task_names import read_name
from tests.conftest import Answer, Api
from tests.dialects.vappio.conftest import FORM, PATH, at, failure, get, post, renumber, tasks_in, tell

NAME = 'tagData-1291329692.91'
WAYS = pytest.mark.parametrize('ask', [post, get])


async def tagged(api: Api) -> str:
    """A task that is called NAME; its task_id."""
    task_id = await api.add_task(name='tagData', status='complete')
    message = {'mtype': 'notification', 'when': at(1291329692.5), 'text': 'Starting'}
    await tell(
        api, task_id, steps={'completed': 1, 'total': 2}, updated=at(1291329692.25), message_at=at(1291329692.5),
        messages=[message],
    )  # fmt: skip
    await renumber(api, task_id, (read_name(NAME) or ('', b''))[1])
    return task_id


@WAYS
async def test_a_task_is_found_by_its_name_and_by_its_id(api: Api, ask: Any) -> None:
    task_id = await tagged(api)

    answers = [await ask(api, {'cluster': 'local', 'task_name': name}) for name in (NAME, task_id)]

    for answer in answers:
        assert answer.headers['Content-Type'] == 'application/json; charset=utf-8'
        assert tasks_in(answer) == [{
            'name': NAME, 'tType': 'tagData', 'state': 'completed', 'completedTasks': 1, 'numTasks': 2,
            'timestamp': 1291329692.5,
            'messages': [{'mtype': 'notification', 'timestamp': 1291329692.5, 'text': 'Starting'}],
        }]  # fmt: skip


async def test_the_name_that_a_listing_shows_finds_its_task(api: Api) -> None:
    for name in ('a-b', 'c.5', 'x-1291329692.91'):
        await api.add_task(name=name)

    listed = tasks_in(await post(api, {'cluster': 'local'}))

    for task in listed:
        assert tasks_in(await post(api, {'cluster': 'local', 'task_name': task['name']})) == [task]
    assert [task['tType'] for task in listed] == ['a-b', 'c.5', 'x-1291329692.91']


@pytest.mark.parametrize(
    'name', ['other-1291329692.91', 'tagData-1291329692.910', 'tagData-1291329692.92', 'tagData', '', 'nosuch', 'é']
)  # fmt: skip
async def test_no_other_name_finds_it(api: Api, name: str) -> None:
    await tagged(api)

    answer = await post(api, {'cluster': 'local', 'task_name': name})

    assert answer.status == 200
    assert failure(answer) == (f'Task not found: {name}' if name else "key task_name: '' should be non-empty")


async def test_a_status_is_read_in_their_words(api: Api) -> None:
    task_id = await api.add_task(status='queued')
    await api('POST', '/task_actions/process', {})

    (task,) = tasks_in(await post(api, {'cluster': 'local', 'task_name': task_id}))

    assert (task['state'], task['messages']) == ('running', [])


@WAYS
async def test_name_stands_for_cluster_and_other_keys_do_not_matter(api: Api, ask: Any) -> None:
    await tagged(api)

    answers = [
        await ask(api, {**request, 'user_name': 'guest', '$where': 1})
        for request in (
            {'name': 'local'},
            {'name': 'nowhere', 'cluster': 'local'},
            {'cluster': 'local', 'task_name': None},
        )
    ]

    assert [[task['name'] for task in tasks_in(answer)] for answer in answers] == [[NAME]] * 3


BROKEN = 'request is not valid JSON'
FAILURES: list[tuple[str, str]] = [
    ('', BROKEN), ('{', BROKEN), ('x', BROKEN), ('{"cluster":NaN}', BROKEN), ('{"cluster":"\\ud800"}', BROKEN),
    ("{'cluster':'local'}", BROKEN), ('[' * 5000, BROKEN), ('[]', 'request must be a JSON object'),
    ('"local"', 'request must be a JSON object'), ('null', 'request must be a JSON object'),
    ('{"cluster":"local","cluster":"far"}', 'request has a key twice in one object'),
    ('{"cluster":"a\\u0000"}', 'request has a NUL character'),
    ('{"cluster":"local","x":18446744073709551616}', 'an integer has more than 64 bits'),
    ('{"cluster":' + '[' * 40 + ']' * 40 + '}', 'request is deeper than 32 levels'),
    ('{}', 'Missing keys in request: cluster'), ('{"task_name":"a"}', 'Missing keys in request: cluster'),
    ('{"cluster":null}', 'Missing keys in request: cluster'),
    ('{"cluster":5}', "key cluster should be of type <class 'str'>"),
    ('{"cluster":{"$ne":""}}', "key cluster should be of type <class 'str'>"),
    ('{"name":["local"]}', "key cluster should be of type <class 'str'>"),
    ('{"cluster":"local","task_name":{"$gt":""}}', "key task_name should be of type <class 'str'>"),
    ('{"cluster":"local","dataset_id":5}', "key dataset_id should be of type <class 'str'>"),
    ('{"cluster":"far"}', 'Unknown cluster: far'), ('{"cluster":"LOCAL"}', 'Unknown cluster: LOCAL'),
    ('{"cluster":"local","task_name":"nosuch"}', 'Task not found: nosuch'),
]  # fmt: skip


@WAYS
@pytest.mark.parametrize(('text', 'msg'), FAILURES)
async def test_a_request_that_cannot_be_served_is_a_failure_with_status_200(
    api: Api, ask: Any, text: str, msg: str
) -> None:
    answer = await ask(api, text)

    assert (answer.status, failure(answer)) == (200, msg)


@pytest.mark.parametrize(
    ('body', 'msg'),
    [('', 'Must pass request object'), ('a=b', 'Must pass request object'), ('Request={}', 'Must pass request object'),
     ('request', BROKEN), ('request=%ff', 'Must pass request object'), ('&' * 1000, 'Must pass request object'),
     ('a=&' * 64 + 'request={}', 'Must pass request object'),
     ('request={}&request={}', 'Must pass one request object only'), ('request=%ED%A0%80', 'Must pass request object'),
     ('request={%22cluster%22:%22lo%63al%22}', ''), (b'request={"cluster":"local","x":"\xc3\xa9"}', ''),
     (b'request=\xff', 'Must pass request object')],
)  # fmt: skip
async def test_a_form_has_one_object_in_utf_8(api: Api, body: str | bytes, msg: str) -> None:
    answer = await api('POST', PATH, content=body, headers=FORM)

    assert answer.status == 200
    assert (failure(answer) if msg else tasks_in(answer)) == (msg or [])


@pytest.mark.parametrize('query', ['', '?', '?a=b'])
async def test_a_get_without_a_request_is_a_failure(api: Api, query: str) -> None:
    answer = await api('GET', PATH + query)

    assert (answer.status, failure(answer)) == (200, 'Must pass request object')


async def refused(api: Api, method: str, **options: Any) -> tuple[int, str]:
    answer = await api(method, options.pop('path', PATH), **options)
    return answer.status, failure(answer)


GOOD = f'request={quote(json.dumps({"cluster": "local"}))}'


async def test_what_is_not_the_contract_s_keeps_its_status_and_has_the_envelope(api: Api) -> None:
    too_long = {'content': 'request=' + 'x' * 2**21, 'headers': FORM}
    bad_token = FORM | {'Authorization': 'Bearer none'}

    assert await refused(api, 'POST', content=GOOD, headers=bad_token) == (401, 'authentication failed')
    assert await refused(api.as_('pilot'), 'POST', content=GOOD, headers=FORM) == (403, 'authorization failed')
    assert await refused(api, 'DELETE') == (405, 'Method Not Allowed')
    assert (await refused(api, 'POST', **too_long))[0] == 413
    assert (await refused(api, 'GET', path=f'{PATH}?request={"x" * 9000}'))[0] == 400
    assert (await refused(api, 'GET', path=f'{PATH}?request=%ff'))[0] == 400


@pytest.mark.parametrize('said', ['application/json', 'text/plain', 'multipart/form-data; boundary=x', ''])
async def test_a_body_that_is_no_form_is_refused(api: Api, said: str) -> None:
    status, msg = await refused(api, 'POST', content=GOOD, headers={'Content-Type': said})

    assert (status, msg) == (
        415, 'A body must be a form: send it with Content-Type: application/x-www-form-urlencoded',
    )  # fmt: skip


async def test_a_fault_of_ours_has_an_id_and_the_envelope(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError('inside')

    monkeypatch.setattr('iceprod_tasks.dialects.vappio.handlers.observe_one', breaks)
    answer = await post(api, {'cluster': 'local', 'task_name': 'x'})

    assert answer.status == 500
    assert failure(answer).startswith('Internal error ')
    assert 'inside' not in answer.text


async def test_a_database_that_is_away_is_answered_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(api.service.store.views, 'stamps', away)
    answer = await post(api, {'cluster': 'local'})

    assert (answer.status, 'Retry-After' in answer.headers) == (503, True)
    assert failure(answer) == 'The database does not answer; repeat the same request'


async def test_looking_at_tasks_is_no_change_to_the_audit_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    await post(api.as_('user'), {'cluster': 'local'})

    assert [record for record in caplog.records if record.name == 'iceprod_tasks.audit'] == []


async def test_no_path_that_only_looks_like_it_is_served(api: Api) -> None:
    answers: list[Answer] = [await api('GET', path) for path in ('/vappio/task_wsXpy', '/vappio/task_ws', f'{PATH}/')]

    assert [answer.status for answer in answers] == [404] * 3
