"""How tasks are asked for at `/vappio/task_ws.py`, and what becomes of each answer."""

import json
from types import SimpleNamespace

import httpx2
import pytest

from iceprod_tasks.client import ClientError, NotAuthenticated, NotFound, NotPermitted, Retry, ServerError, Unreachable
from iceprod_tasks.client import vappio as module
from iceprod_tasks.client.vappio import TRIES, Vappio
from tests.client.task_service import Reply, TaskService, a_task, bad, good
from tests.client.wire import Wire, says


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client does not wait; the waits asked for are here."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(module, 'asyncio', SimpleNamespace(sleep=sleep))
    return waits


async def asked(service: TaskService, *names: str, token: str = '', cluster: str = 'local') -> list[object]:
    """The tasks named, or all."""
    async with Vappio(service.url, token, cluster) as client:
        return [await client.task(name) for name in names] if names else list(await client.tasks())


async def refused(*script: Reply, retry_after: str = '') -> ClientError:
    """How a listing ends when these are the answers."""
    with TaskService(script=list(script), retry_after=retry_after) as service, pytest.raises(ClientError) as caught:
        await asked(service)
    return caught.value


async def test_all_tasks_are_asked_for_by_one_form() -> None:
    tasks = [a_task(), a_task('b-1', 'completed')]
    with TaskService(tasks) as service:
        found = await asked(service, cluster='far away')

    assert found == tasks
    (request,) = service.asked
    assert (request.path, request.kind) == ('/vappio/task_ws.py', 'application/x-www-form-urlencoded')
    assert [name for name, _ in request.form] == ['request']
    assert request.wanted == {'cluster': 'far away'}


@pytest.mark.parametrize('name', ['b-1', 'ü & = + %41 "', 'a\nb', '\udcff', '\x00'])
async def test_a_task_is_asked_for_by_its_name_whatever_is_in_it(name: str) -> None:
    with TaskService(script=[good([a_task()])]) as service:
        found = await asked(service, name)

    assert found == [a_task()]
    assert service.asked[0].wanted == {'cluster': 'local', 'task_name': name}


@pytest.mark.parametrize(('token', 'header'), [('', None), ('abc', 'Bearer abc')])
async def test_a_token_is_sent_where_there_is_one(token: str, header: str | None) -> None:
    with TaskService() as service:
        await asked(service, token=token)

    assert service.asked[0].token == header


async def test_the_address_may_have_a_path() -> None:
    with TaskService() as service:
        async with Vappio(f'{service.url}/behind/') as client:
            await client.tasks()

    assert service.asked[0].path == '/behind/vappio/task_ws.py'


@pytest.mark.parametrize(
    'server',
    [
        '',
        'http://',
        'localhost',
        'ftp://h',
        'http://h:x',
        'http://h:99999',
        'http://h:-1',
        'http://[x]',
        'http://h?a=b',
    ],
)
async def test_what_is_no_address_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match='not the address of a service'):
        Vappio(server)


@pytest.mark.parametrize('token', ['ü', 'a\nb', '\udcff'])
async def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match='not a token: it has characters that cannot be sent'):
        Vappio('http://h', token)


async def test_a_failure_is_told_in_the_words_of_the_service() -> None:
    error = await refused(bad('Unknown cluster: x'))

    assert type(error) is ClientError
    assert str(error) == 'Unknown cluster: x'


@pytest.mark.parametrize('name', ['TaskNotFoundError', 'a.b.TaskDoesNotExistError'])
async def test_an_unknown_task_is_told_from_other_failures(name: str) -> None:
    error = await refused(bad('x', name))

    assert type(error) is NotFound
    assert str(error) == 'x'


@pytest.mark.parametrize(('status', 'kind'), [(401, NotAuthenticated), (403, NotPermitted), (500, ServerError)])
async def test_a_failure_may_have_another_status(status: int, kind: type[ClientError]) -> None:
    error = await refused(bad('why', status=status))

    assert type(error) is kind
    assert str(error) == f'why ({status})'


@pytest.mark.parametrize(
    'data', [None, [], 'x', {}, {'msg': None}, {'msg': ''}, {'msg': 7, 'name': ['x']}], ids=json.dumps
)
async def test_a_failure_without_words_is_one_too(data: object) -> None:
    error = await refused((200, json.dumps({'success': False, 'data': data}).encode()))

    assert str(error) == 'the service gives no reason'


@pytest.mark.parametrize(
    'body',
    [b'', b'null', b'[]', b'{}', b'7', b'{"success": true}', b'{"data": []}', b'{"success": 1, "data": []}'],
)
async def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    error = await refused((200, body))

    assert type(error) is ServerError
    assert str(error) == 'the answer is not that of a service that describes tasks'


@pytest.mark.parametrize('body', [b'<html>', b'{"success": true, "data": [', b'\xff', b'[' * 100_000, b'NaN'])
async def test_what_is_no_json_is_refused(body: bytes) -> None:
    error = await refused((200, body))

    assert type(error) is ServerError
    assert 'is not JSON' in str(error)


@pytest.mark.parametrize('status', [301, 400, 404, 405, 500])
async def test_a_page_is_no_service_that_describes_tasks(status: int) -> None:
    error = await refused((status, b'<html>'))

    assert 'does not describe tasks' in str(error)
    assert f'({status})' in str(error)
    assert not isinstance(error, NotFound)


@pytest.mark.parametrize('found', [[], [a_task(), a_task()]], ids=['none', 'two'])
async def test_one_name_is_answered_by_one_task(found: list[object]) -> None:
    with TaskService(script=[good(found)]) as service, pytest.raises(ServerError, match='for the one named'):
        await asked(service, 'b-1')


TROUBLES = [
    (429, b''), (502, b'<html>'), (503, b''), (504, b''), bad('busy', status=503), bad('busy', status=429), None,
]  # fmt: skip


@pytest.mark.parametrize('trouble', TROUBLES, ids=str)
async def test_trouble_that_passes_is_waited_for(waits: list[float], trouble: Reply) -> None:
    with TaskService([a_task()], [trouble] * (TRIES - 1)) as service:
        found = await asked(service)

    assert found == [a_task()]
    assert len(service.asked) == TRIES


@pytest.mark.parametrize('trouble', TROUBLES, ids=str)
async def test_trouble_that_stays_is_told_after_a_few_tries_within_five_seconds(
    waits: list[float], trouble: Reply
) -> None:
    with TaskService([a_task()], [trouble] * 9) as service, pytest.raises(ClientError):
        await asked(service)

    assert len(service.asked) == TRIES
    assert sum(waits) <= 5


async def test_what_stays_is_told_in_the_words_of_the_service(waits: list[float]) -> None:
    error = await refused(*[bad('the service is full', status=503)] * 4)

    assert str(error) == 'the service is full (503)'


@pytest.mark.parametrize('trouble', [httpx2.ConnectTimeout(''), httpx2.ReadTimeout(''), httpx2.ConnectError('no')])
async def test_timeouts_are_tried_again_however_long_they_took(waits: list[float], trouble: Exception) -> None:
    wire = Wire([trouble, trouble, trouble, says(200, {'success': True, 'data': []})])
    async with Vappio('http://service', transport=httpx2.MockTransport(wire.answer)) as client:
        found = await client.tasks()

    assert found == []
    assert wire.requests[0].extensions['timeout'] == {'connect': 10.0, 'read': 60.0, 'write': 10.0, 'pool': 10.0}


async def test_the_service_may_ask_for_a_pause(waits: list[float]) -> None:
    with TaskService([a_task()], [(503, b'')], retry_after='3') as service:
        await asked(service)

    assert 3 <= waits[0] <= 5


async def test_a_pause_that_nobody_waits_for_is_an_end(waits: list[float]) -> None:
    error = await refused((503, b''), retry_after='60')

    assert error.code == 503
    assert waits == []


async def test_pauses_that_are_asked_for_come_to_no_more_than_five_seconds(waits: list[float]) -> None:
    await refused(*[(503, b'')] * 9, retry_after='2')

    assert 2 <= sum(waits) <= 5


async def test_a_service_that_is_away_is_named_without_its_password(waits: list[float]) -> None:
    with TaskService() as service:
        pass

    with pytest.raises(Unreachable) as caught:
        async with Vappio(f'http://ada:secret@127.0.0.1:{service.port}/') as client:
            await client.tasks()

    assert str(caught.value).startswith(f'{service.url} does not answer: ConnectError')


@pytest.mark.parametrize('trouble', TROUBLES, ids=str)
async def test_one_who_waits_for_tasks_goes_on_for_longer_after_an_answer(waits: list[float], trouble: Reply) -> None:
    with TaskService([a_task()], [good([]), *[trouble] * 20]) as service:
        async with Vappio(service.url, patience=Retry(seconds=60)) as client:
            await client.tasks()
            found = await client.tasks()

    assert found == [a_task()]
    assert len(service.asked) == 22


async def test_that_patience_counts_from_the_last_answer() -> None:
    trouble = [bad('busy', status=503)] * 9
    with TaskService([a_task()], [good([]), *trouble]) as service:
        async with Vappio(service.url, patience=Retry(seconds=0.0)) as client:
            await client.tasks()
            with pytest.raises(ServerError, match='busy'):
                await client.tasks()

    assert len(service.asked) == 2


async def test_nobody_is_that_patient_before_the_first_answer(waits: list[float]) -> None:
    with TaskService(script=[None] * 9) as service, pytest.raises(Unreachable):
        async with Vappio(service.url, patience=Retry(seconds=None)) as client:
            await client.tasks()

    assert len(service.asked) == TRIES
