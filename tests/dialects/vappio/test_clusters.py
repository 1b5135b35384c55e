"""Requests for other clusters are passed on once, to services that are listed, and whatever these do is an answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from iceprod_tasks.dialects.vappio import clusters
from tests.conftest import Api
from tests.dialects.vappio.conftest import PATH, failure, get, post, serving, tasks_in, without_token

NO_ANSWER = 'cluster far answers what cannot be understood'


class Far:
    """Another cluster, which does what a test wants."""

    def __init__(self) -> None:
        (socket,) = bind_sockets(0, '127.0.0.1')
        self.url = f'http://127.0.0.1:{socket.getsockname()[1]}'
        self.reset()
        far = self

        class TaskWs(RequestHandler):
            async def post(self) -> None:
                headers = self.request.headers
                assert headers['Content-Type'] == 'application/x-www-form-urlencoded'
                far.asked.append((json.loads(self.get_body_argument('request')), headers.get('Authorization')))
                if far.hangs:
                    await far.go_on.wait()
                self.set_status(far.status)
                for name, value in far.headers.items():
                    self.set_header(name, value)
                self.finish(far.body)

        self._server = HTTPServer(Application([(PATH, TaskWs)], log_function=lambda handler: None))
        self._server.add_sockets([socket])

    def reset(self) -> None:
        """Answer as if nothing had been."""
        self.status = 200
        self.body: str | bytes = '{"success":true,"data":[]}'
        self.headers: dict[str, str] = {}
        self.hangs = False
        self.asked: list[tuple[Any, str | None]] = []
        self.go_on = asyncio.Event()

    async def close(self) -> None:
        self.go_on.set()
        self._server.stop()
        await self._server.close_all_connections()


@pytest.fixture(scope='module')
async def shared(mongodb_url: str) -> AsyncIterator[tuple[Far, Api]]:
    """Another cluster, and a service that is called `near` and knows it as `far`."""
    far, name = Far(), f'test_{uuid4().hex}'
    async with serving(mongodb_url, name, cluster_name='near', clusters=(f'far={far.url}/',)) as api:
        yield far, api
    await far.close()
    with pymongo.MongoClient(mongodb_url) as client:
        client.drop_database(name)


@pytest.fixture
async def far(shared: tuple[Far, Api]) -> Far:
    shared[0].reset()
    return shared[0]


@pytest.fixture
async def near(shared: tuple[Far, Api]) -> Api:
    await shared[1].database.tasks.delete_many({})
    return shared[1]


@pytest.fixture
async def second(mongodb_url: str) -> AsyncIterator[Api]:
    """A real second service, on a database of its own, whose view is open."""
    name = f'test_{uuid4().hex}'
    async with serving(mongodb_url, name, open_describe=True) as api:
        yield api
    with pymongo.MongoClient(mongodb_url) as client:
        client.drop_database(name)


async def test_two_services_answer_for_each_other(mongodb_url: str, database_name: str, second: Api) -> None:
    await second.add_task(name='over_there')
    async with serving(mongodb_url, database_name, clusters=(f'far={second.url}',)) as first:
        await first.add_task(name='here')
        (here,), (there,) = [tasks_in(await post(first, {'cluster': name})) for name in ('local', 'far')]
        (again,) = tasks_in(await get(first, {'cluster': 'far', 'task_name': there['name']}))
        unknown = await post(first, {'cluster': 'far', 'task_name': here['name']})

    assert (here['tType'], there['tType']) == ('here', 'over_there')
    assert again == there
    assert failure(unknown) == f'Task not found: {here["name"]}'
    assert unknown.body['data']['name'] == 'TaskNotFoundError'


async def test_a_service_whose_view_is_closed_refuses_what_comes_without_a_token(
    mongodb_url: str, database_name: str, api: Api
) -> None:
    await api.add_task()
    for share_tokens, wanted in ((False, 'authentication failed'), (True, None)):
        given: dict[str, Any] = {'clusters': (f'far={api.url}',), 'share_tokens': share_tokens}
        async with serving(mongodb_url, database_name, **given) as first:
            answer = await post(first, {'cluster': 'far'})
        assert answer.status == 200
        assert (failure(answer) if wanted else len(tasks_in(answer))) == (wanted or 1)


@pytest.mark.parametrize('name', ['local', 'near'])
async def test_a_service_answers_to_both_of_its_names(near: Api, far: Far, name: str) -> None:
    await near.add_task()

    assert len(tasks_in(await post(near, {'cluster': name}))) == 1
    assert far.asked == []


async def test_the_same_request_is_sent_as_one_for_the_local_cluster_without_a_token(near: Api, far: Far) -> None:
    await post(near, {'cluster': 'far', 'task_name': 'a-1.5', 'user_name': 'guest', 'more': [1]})
    await post(near, {'name': 'far'})

    assert far.asked == [
        ({'cluster': 'local', 'task_name': 'a-1.5', 'user_name': 'guest', 'more': [1]}, None),
        ({'name': 'local'}, None),
    ]  # fmt: skip


async def test_a_token_is_handed_on_where_operators_share_them(mongodb_url: str, database_name: str, far: Far) -> None:
    given: dict[str, Any] = {'clusters': (f'far={far.url}',), 'share_tokens': True, 'open_describe': True}
    async with serving(mongodb_url, database_name, **given) as api:
        await post(api, {'cluster': 'far'}, Authorization='Bearer abc')
        await post(without_token(api), {'cluster': 'far'}, Authorization='')

    assert [token for _, token in far.asked] == ['Bearer abc', None]


async def test_who_may_not_ask_here_asks_nobody(near: Api, far: Far) -> None:
    answers = [await post(asker, {'cluster': 'far'}) for asker in (without_token(near), near.as_('pilot'))]

    assert [answer.status for answer in answers] == [401, 403]
    assert far.asked == []


@pytest.mark.parametrize('name', ['Far', 'far ', 'http://127.0.0.1', '127.0.0.1', 'x' * 200])
async def test_a_cluster_that_is_not_listed_is_unknown(near: Api, far: Far, name: str) -> None:
    answer = await post(near, {'cluster': name})

    assert (answer.status, failure(answer)) == (200, f'Unknown cluster: {name[:100]}')
    assert far.asked == []


async def test_what_another_cluster_knows_is_handed_back_as_it_is(near: Api, far: Far) -> None:
    tasks: list[Any] = [{'name': 'é', 'numTasks': 5, 'of their own': [None, 1.5]}, {}]
    far.body = json.dumps({'success': True, 'data': tasks, 'more': 1})

    assert tasks_in(await post(near, {'cluster': 'far'})) == tasks


@pytest.mark.parametrize('status', [200, 401, 503])
async def test_the_failure_of_another_cluster_is_passed_on(near: Api, far: Far, status: int) -> None:
    said = {'msg': 'no such thing', 'name': 'TaskDoesNotExistError', 'stacktrace': 'a\nb'}
    far.status, far.body = status, json.dumps({'success': False, 'data': said})

    answer = await post(near, {'cluster': 'far'})

    assert (answer.status, answer.body) == (200, {'success': False, 'data': said})


async def test_what_a_failure_lacks_is_empty(near: Api, far: Far) -> None:
    far.body = '{"success":false,"data":{"msg":"x","name":5}}'

    answer = await post(near, {'cluster': 'far'})

    assert answer.body['data'] == {'msg': 'x', 'name': '', 'stacktrace': ''}


DEEP = '[' * 300 + ']' * 300


@pytest.mark.parametrize(
    'body',
    ['', 'rubbish', '[]', '{}', 'null', '{"success":true}', '{"success":true,"data":{}}', '{"success":true,"data":[1]}',
     '{"success":1,"data":[]}', '{"success":false,"data":[]}', '{"success":false,"data":{}}', '{"data":[]}',
     '{"success":true,"data":[{"a":NaN}]}', '{"success":true,"data":[{"a":"\\ud800"}]}', b'\xff', '[' * 100_000,
     f'{{"success":true,"data":[{{"a":{DEEP}}}]}}', '{"success":false,"data":{"msg":5}}', '<html>'],
)  # fmt: skip
async def test_rubbish_is_a_failure(near: Api, far: Far, body: str | bytes) -> None:
    far.body = body

    answer = await post(near, {'cluster': 'far'})

    assert answer.status == 200
    assert failure(answer).startswith(NO_ANSWER)


@pytest.mark.parametrize('status', [404, 500, 502])
async def test_tasks_with_another_status_than_200_are_no_answer(near: Api, far: Far, status: int) -> None:
    far.status = status

    assert failure(await post(near, {'cluster': 'far'})) == f'{NO_ANSWER} (HTTP {status})'


@pytest.mark.parametrize('status', [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(near: Api, far: Far, status: int) -> None:
    far.status, far.headers, far.body = status, {'Location': f'{far.url}{PATH}'}, ''

    answer = await post(near, {'cluster': 'far'})

    assert failure(answer) == f'{NO_ANSWER} (HTTP {status})'
    assert len(far.asked) == 1


async def test_who_does_not_answer_in_time_is_not_waited_for(
    near: Api, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, '_PATIENCE_SECONDS', 0.2)
    far.hangs = True

    answer = await post(near, {'cluster': 'far'})

    assert (answer.status, failure(answer)) == (200, 'Timed out waiting for response')


async def test_who_hangs_keeps_nobody_from_looking_at_this_cluster(near: Api, far: Far) -> None:
    far.hangs = True
    waiting = [asyncio.create_task(post(near, {'cluster': 'far'})) for _ in range(20)]
    while len(far.asked) < 4:
        await asyncio.sleep(0.01)

    async with asyncio.timeout(2):
        assert tasks_in(await post(near, {'cluster': 'local'})) == []
        assert (await near('GET', '/tasks')).status == 200
    assert len(far.asked) == 4
    far.go_on.set()
    assert {(await answer).status for answer in waiting} == {200}


async def test_who_is_not_there_is_a_failure_of_one_line(mongodb_url: str, database_name: str) -> None:
    gone = Far()
    await gone.close()
    async with serving(mongodb_url, database_name, clusters=(f'far={gone.url}',)) as api:
        answer = await post(api, {'cluster': 'far'})

    assert (answer.status, failure(answer)) == (200, 'cluster far does not answer')


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(
    near: Api, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, '_LONGEST_BYTES', 1000)
    far.body = json.dumps({'success': True, 'data': [{'a': 'x' * 1000}]})

    assert failure(await post(near, {'cluster': 'far'})) == 'the answer of cluster far is too long'


async def test_an_answer_of_many_tasks_comes_whole(near: Api, far: Far) -> None:
    tasks = [{'name': f'n{place}', 'text': 'x' * 500} for place in range(5000)]
    far.body = json.dumps({'success': True, 'data': tasks})

    assert tasks_in(await post(near, {'cluster': 'far'})) == tasks
