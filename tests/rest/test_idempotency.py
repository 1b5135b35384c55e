"""`Idempotency-Key`: the work once, the same answer each time. Source: claims.md 1.9, docs/claims.md."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.actions import remember
from iceprod_tasks.domain.errors import CannotStart, Unavailable
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.rest.repeating import _VISIBLE
from iceprod_tasks.rest.routing import OPERATORS, Route, specs
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import idempotency
from tests.conftest import SECRET, Answer, Api
from tests.rest.answers import refusal, seen
from tests.rest.test_errors import RULES, path_of

TASK = {
    'dataset_id': 'd1', 'job_id': 'j1', 'task_index': 0, 'job_index': 0, 'name': 'gen', 'depends': [],
    'requirements': {},
}  # fmt: skip
DATASET = {
    'description': 'd', 'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'group': 'users',
    'config': {'version': 1, 'description': 'd', 'tasks': [{'name': 'gen', 'command': 'true'}]},
}  # fmt: skip
CREATES: list[tuple[str, dict[str, Any], str]] = [
    ('/tasks', TASK, 'tasks'),
    ('/jobs', {'dataset_id': 'd1', 'job_index': 0}, 'jobs'),
    ('/datasets', DATASET, 'datasets'),
    ('/logs', {'data': 'it began'}, 'logs'),
    ('/datasets/d1/logs', {'data': 'it began'}, 'logs'),
    ('/tasks/t1/task_stats', {'dataset_id': 'd1'}, 'task_stats'),
    ('/pilots', {'queue_host': 'a', 'queue_version': '1', 'resources': {}}, 'pilots'),
    ('/grids', {'host': 'a', 'queues': {}, 'version': '1'}, 'grids'),
]
ROUTES = [
    (rule.target_kwargs.get('keyed', ''), path_of(rule.matcher.regex.pattern), list(rule.target_kwargs['access']))
    for rule in RULES
    if 'access' in rule.target_kwargs
]
KEYED = [(method.upper(), path) for method, path, _ in ROUTES if method]
REUSED = refusal(409, 'This Idempotency-Key was used for another request: repeat that one, or make a new key')
NO_KEY = refusal(400, 'Idempotency-Key must be 1 to 255 visible ASCII characters')
UNDER_WAY = refusal(503, 'The same request is being worked on; repeat it to get its answer')


async def ask(api: Api, path: str, body: Any, key: str = 'k', method: str = 'POST') -> Answer:
    return await api(method, path, body, headers={'Idempotency-Key': key})


def same(first: Answer, second: Answer) -> bool:
    """Whether two answers are the same to a client."""
    return (first.status, first.text, first.headers.get('Location'), first.headers['Content-Type']) == (
        second.status, second.text, second.headers.get('Location'), second.headers['Content-Type'],
    )  # fmt: skip


@pytest.fixture
async def second(api: Api) -> AsyncIterator[Api]:
    """Another service on the same database."""
    tokens = Tokens(SECRET)
    settings = Settings(token_secret=SECRET, port=0, scheduler=False, mongodb_database=api.database.name)
    url = f'mongodb://{":".join(map(str, await api.database.client.address))}/?directConnection=true'
    async with running(settings, url, tokens) as up:
        other = Api(up, tokens, api.database)
        yield other
        await other.close()


class Crash(pytest.MonkeyPatch):
    """A service that dies after its work and before it keeps the answer."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api

    def __enter__(self) -> 'Crash':
        async def nothing(*_: Any, **__: Any) -> int:
            raise Unavailable

        self.setattr(self._api.service.store.keys, 'answer', nothing)
        self.setattr(self._api.service.store.keys, 'put_down', nothing)
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


async def lease_is_over(api: Api) -> None:
    await api.database.idempotency_keys.update_many({}, {'$set': {'until': datetime(2020, 1, 1, tzinfo=UTC)}})


async def crashed(api: Api, path: str, body: Any, method: str = 'POST') -> None:
    """A request whose work was done by a service that is gone by now."""
    with Crash(api):
        assert (await ask(api, path, body, method=method)).status == 503
    await lease_is_over(api)


def test_every_post_takes_a_key_or_has_another_way_to_be_repeated() -> None:
    without = {path for keyed, path, methods in ROUTES if 'post' in methods and keyed != 'post'}

    reports = {path for path in without if re.fullmatch(r'/tasks/nobody/task_actions/\w+', path)}
    # To revoke once more does no harm, and no token may be kept with the answer of a key.
    assert without - reports == {'/task_actions/process', '/task_actions/report', '/auths', '/revocations', '/tokens'}


def test_a_route_cannot_take_a_key_for_a_method_that_it_does_not_have() -> None:
    class Posting(Handler):
        async def post(self) -> None: ...

    with pytest.raises(ValueError, match='takes a key'):
        specs([Route('/x', Posting, {'post': OPERATORS}, keyed='put')], {})


@pytest.mark.parametrize(('path', 'body', 'collection'), CREATES)
async def test_the_same_request_makes_one_thing_and_gets_one_answer(
    api: Api, path: str, body: dict[str, Any], collection: str
) -> None:
    first = await ask(api, path, body)
    again = [await ask(api, path, body) for _ in range(2)]

    assert first.status == 201
    assert all(same(first, each) for each in again)
    assert await api.database[collection].count_documents({}) == 1
    assert 'Idempotency-Replayed' not in first.headers
    assert [each.headers['Idempotency-Replayed'] for each in again] == ['true', 'true']


@pytest.mark.parametrize(('path', 'body', 'collection'), CREATES)
async def test_after_a_crash_a_repeat_makes_the_same_thing(
    api: Api, path: str, body: dict[str, Any], collection: str
) -> None:
    await crashed(api, path, body)
    made = [each async for each in api.database[collection].find()]

    answer = await ask(api, path, body)

    assert answer.status == 201
    assert [each async for each in api.database[collection].find()] == made
    assert answer.body['result'].rpartition('/')[2] in made[0].values()
    assert same(answer, await ask(api, path, body))


@pytest.mark.parametrize(('path', 'body', 'collection'), CREATES)
async def test_without_a_key_each_request_is_one_of_its_own(
    api: Api, path: str, body: dict[str, Any], collection: str
) -> None:
    results = {(await api('POST', path, body)).body['result'] for _ in range(2)}

    assert len(results) == await api.database[collection].count_documents({}) == 2


async def test_another_body_under_the_same_key_is_409_and_makes_nothing(api: Api) -> None:
    await ask(api, '/tasks', TASK)

    answers = [await ask(api, '/tasks', {**TASK, 'name': 'other'}), await ask(api, '/tasks?x=1', TASK)]

    assert [seen(answer) for answer in answers] == [REUSED, REUSED]
    assert await api.database.tasks.count_documents({}) == 1


async def test_a_key_is_one_of_its_caller_and_route(api: Api) -> None:
    log = {'data': 'x'}
    pairs = [
        (api, '/logs'), (api, '/datasets/d1/logs'), (api, '/datasets/d2/logs'), (api.as_('system', 'root'), '/logs'),
        (api.as_('admin', 'other'), '/logs'),
    ]  # fmt: skip

    first = [(await ask(who, path, log)).text for who, path in pairs]
    again = [(await ask(who, path, log)).text for who, path in pairs]
    other = [(await ask(who, path, log, key='K')).text for who, path in pairs]

    assert first == again
    assert len({*first, *other}) == 2 * len(pairs)


@pytest.mark.parametrize('key', [b'', b'a b', b'\xc3\xa9', b'a\tb', b'x' * 256])
async def test_what_is_no_key_is_400(api: Api, key: bytes) -> None:
    answer = await api('POST', '/tasks', TASK, headers={'Idempotency-Key': key})

    assert seen(answer) == NO_KEY
    assert await api.database.tasks.count_documents({}) == 0


async def test_two_keys_are_no_key(api: Api) -> None:
    headers = [
        ('Authorization', f'Bearer {api.token("admin")}'),
        ('Idempotency-Key', 'one'),
        ('Idempotency-Key', 'two'),
    ]

    async with httpx2.AsyncClient(base_url=api.url) as http:
        answer = await http.post('/tasks', json=TASK, headers=headers)

    assert (answer.status_code, answer.json()['error']) == (400, NO_KEY[1]['error'])
    assert await api.database.tasks.count_documents({}) == 0


@pytest.mark.parametrize(('method', 'path'), KEYED)
async def test_every_route_that_takes_a_key_looks_at_it(api: Api, method: str, path: str) -> None:
    assert seen(await ask(api, path, {}, key='no key', method=method)) == NO_KEY


@pytest.mark.parametrize('key', ['a', '!', '~', '"x"', 'x' * 255, '$where', '../..'])
async def test_any_visible_characters_are_a_key(api: Api, key: str) -> None:
    first, again = [await ask(api, '/logs', {'data': ''}, key=key) for _ in range(2)]

    assert first.status == 201
    assert same(first, again)


@given(st.text(max_size=300))
def test_a_key_has_visible_ascii_characters_only(text: str) -> None:
    visible = all('!' <= character <= '~' for character in text)

    assert bool(_VISIBLE.fullmatch(text)) == (visible and 1 <= len(text) <= 255)


@pytest.mark.parametrize(
    ('method', 'path', 'status'),
    [('GET', '/tasks', 200), ('DELETE', '/logs/x', 200), ('PUT', '/users/ada', 200), ('POST', '/auths', 400),
     ('POST', '/task_actions/process', 404), ('POST', '/tasks/x/task_actions/complete', 400)],
)  # fmt: skip
async def test_routes_that_need_no_key_do_not_look_at_one(api: Api, method: str, path: str, status: int) -> None:
    body = None if method in ('GET', 'DELETE') else {}

    answer = await api(method, path, body, headers={'Idempotency-Key': 'not a key'})

    assert answer.status == status
    assert await api.database.idempotency_keys.count_documents({}) == 0


async def test_who_may_not_do_it_is_told_so_before_the_key_is_looked_at(api: Api) -> None:
    await ask(api, '/tasks', TASK)
    bad = {'Idempotency-Key': 'not a key'}

    assert (await api.as_('pilot')('POST', '/tasks', TASK, headers=bad)).status == 403
    assert (await api('POST', '/tasks', TASK, headers={**bad, 'Authorization': ''})).status == 401


REFUSED: list[tuple[str, Any, int, Any]] = [
    ('/tasks', {}, 400, TASK),
    ('/datasets', {**DATASET, 'tasks_submitted': 7}, 400, DATASET),
    ('/task_actions/bulk_status/reset', {'tasks': ['unknown']}, 404, {'tasks': ['known']}),
    ('/jobs', {'dataset_id': 'd1', 'job_index': 0, 'job_id': 'x'}, 400, {'dataset_id': 'd1', 'job_index': 0}),
]


@pytest.mark.parametrize(('path', 'wrong', 'status', 'mended'), REFUSED)
async def test_a_refusal_leaves_the_key_to_a_mended_request(
    api: Api, path: str, wrong: Any, status: int, mended: Any
) -> None:
    known = await api.add_task()
    mended = {'tasks': [known]} if 'tasks' in mended else mended

    answers = [await ask(api, path, wrong), await ask(api, path, wrong), await ask(api, path, mended)]

    assert [answer.status for answer in answers[:2]] == [status, status]
    assert answers[2].status in (200, 201)


async def test_an_error_of_ours_leaves_the_key_to_a_repeat_of_the_same_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(api.service.store.tasks, 'add', broken)
        failed = await ask(api, '/tasks', TASK)

    assert failed.status == 500
    assert seen(await ask(api, '/tasks', {**TASK, 'name': 'other'})) == REUSED
    assert (await ask(api, '/tasks', TASK)).status == 201


async def test_an_unknown_outcome_leaves_the_key_to_a_repeat_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    add = api.service.store.tasks.add

    async def lost(task: Any) -> None:
        await add(task)
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(api.service.store.tasks, 'add', lost)
        unknown = await ask(api, '/tasks', TASK)

    assert unknown.status == 503
    answer = await ask(api, '/tasks', TASK)
    assert answer.status == 201
    assert [task['task_id'] async for task in api.database.tasks.find()] == [answer.body['result']]


async def test_while_somebody_may_be_at_work_a_repeat_is_told_to_come_back(api: Api) -> None:
    with Crash(api):
        await ask(api, '/tasks', TASK)

    answer = await ask(api, '/tasks', TASK)

    assert seen(answer) == UNDER_WAY
    assert int(answer.headers['Retry-After']) > 0
    await lease_is_over(api)
    assert (await ask(api, '/tasks', TASK)).status == 201
    assert await api.database.tasks.count_documents({}) == 1


async def test_a_redone_request_tells_what_was_made_though_it_would_be_refused_by_now(api: Api) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    first = {**TASK, 'dataset_id': dataset_id}
    await crashed(api, '/tasks', first)
    await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'deleting': {'stage': 'asked'}}})

    answer = await ask(api, '/tasks', first)

    assert answer.status == 201
    assert (await ask(api, '/tasks', first, key='other')).status == 409


async def test_an_answer_is_given_again_though_the_dataset_is_being_deleted(api: Api) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    path = f'/datasets/{dataset_id}/logs'
    first = await ask(api, path, {'data': 'x'})
    await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'deleting': {'stage': 'asked'}}})

    assert same(first, await ask(api, path, {'data': 'x'}))
    assert seen(await ask(api, path, {'data': 'x'}, key='other')) == refusal(409, 'the dataset is being deleted')


@pytest.mark.parametrize('recorded', [True, False])
async def test_a_job_made_before_a_crash_is_told_from_one_that_was_there(api: Api, recorded: bool) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=2) if recorded else 'd1'
    ours, theirs = ({'dataset_id': dataset_id, 'job_index': index, 'job_id': 32 * str(index)} for index in (0, 1))
    await api('POST', '/jobs', theirs)
    await crashed(api, '/jobs', ours)

    assert (await ask(api, '/jobs', ours)).status == 201
    assert (await ask(api, '/jobs', theirs, key='other')).status == 409
    assert await api.database.jobs.count_documents({}) == 2


async def test_a_job_that_others_made_is_not_called_made_by_a_redone_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> None:
        raise Unavailable

    job = {'dataset_id': 'd1', 'job_index': 0, 'job_id': '0' * 32}
    await api('POST', '/jobs', job)
    with monkeypatch.context() as patched:
        patched.setattr(api.service.store.jobs, 'add', lost)
        assert (await ask(api, '/jobs', job)).status == 503

    assert (await ask(api, '/jobs', job)).status == 409


async def test_a_dataset_that_was_made_before_a_crash_stays_as_it_is_by_now(api: Api) -> None:
    await crashed(api, '/datasets', DATASET)
    made = await api.database.datasets.find_one()
    other = {**DATASET['config'], 'description': 'changed since'}
    await api('PUT', f'/config/{made["dataset_id"]}', other)

    answer = await ask(api, '/datasets', DATASET)

    assert answer.body == {'result': f'/datasets/{made["dataset_id"]}'}
    assert (await api('GET', f'/config/{made["dataset_id"]}')).body['description'] == 'changed since'


async def test_a_dataset_that_was_half_made_is_made_whole(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(api.service.store.datasets._datasets, 'insert_one', lost)
        assert (await ask(api, '/datasets', DATASET)).status == 503

    dataset_id = (await ask(api, '/datasets', DATASET)).body['result'].rpartition('/')[2]

    for name in ('datasets', 'config', 'auths'):
        assert [each['dataset_id'] async for each in api.database[name].find()] == [dataset_id]


BULK = ['/task_actions/bulk_status/suspended', '/datasets/d1/task_actions/bulk_status/suspended']


@pytest.mark.parametrize('path', BULK)
async def test_after_a_crash_a_bulk_change_moves_no_task_twice(api: Api, path: str) -> None:
    tasks = [await api.add_task() for _ in range(3)]
    await crashed(api, path, {'tasks': tasks[:2]})
    await api('PUT', f'/tasks/{tasks[0]}/status', {'status': 'queued'})
    await api.database.tasks.update_one({'task_id': tasks[1]}, {'$set': {'status': 'queued', 'log': []}})

    answer = await ask(api, path, {'tasks': tasks[:2]})

    assert seen(answer) == (200, {})
    found = [await api.task(task_id) for task_id in tasks]
    # The first was moved on since, the second looks as if it had never been moved.
    assert [task['status'] for task in found] == ['queued', 'suspended', 'queued']
    assert [len(task['log']) for task in found] == [2, 1, 0]


@pytest.mark.parametrize('path', BULK)
async def test_a_bulk_change_that_was_all_done_before_a_crash_is_done(api: Api, path: str) -> None:
    task_id = await api.add_task()
    await crashed(api, path, {'tasks': [task_id]})
    before = await api.task(task_id)

    assert seen(await ask(api, path, {'tasks': [task_id]})) == (200, {})
    assert await api.task(task_id) == before


@pytest.mark.parametrize('kind', ['task_actions', 'job_actions', 'dataset_actions'])
async def test_after_a_crash_an_action_moves_no_task_twice(api: Api, chores: Any, kind: str) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=3)
    await chores()
    path = f'/datasets/{dataset_id}/{kind}/reset'
    tasks = [task['task_id'] async for task in api.database.tasks.find()]
    await api('POST', '/task_actions/bulk_status/failed', {'tasks': tasks})
    await crashed(api, path, {})
    await api('POST', '/task_actions/bulk_status/failed', {'tasks': tasks[:1]})
    logs = [len((await api.task(task_id))['log']) for task_id in tasks]

    answer = await ask(api, path, {})

    assert answer.status == 200
    assert answer.body.get('tasks', answer.body)['changed'] == 0
    assert [len((await api.task(task_id))['log']) for task_id in tasks] == logs
    assert same(answer, await ask(api, path, {}))


async def test_after_a_crash_no_more_tasks_are_queued_than_were_asked_for(api: Api) -> None:
    for _ in range(5):
        await api.add_task(status='waiting')
    await crashed(api, '/task_actions/queue', {'num_tasks': 2})
    await api('POST', '/task_actions/process', {})

    answer = await ask(api, '/task_actions/queue', {'num_tasks': 2})

    assert seen(answer) == (200, {'queued': 2})
    assert await api.database.tasks.count_documents({'status': 'waiting'}) == 3


@pytest.mark.parametrize(
    ('method', 'path', 'body'),
    [('POST', '/datasets/d1/files', {'filename': 'f', 'movement': 'input', 'job_index': 0, 'task_name': 'gen'}),
     ('POST', '/datasets/d1/files/{}', {'filename': 'f', 'movement': 'input'}),
     ('PATCH', '/datasets/d1/task_actions/bulk_requirements/gen', {'cpu': 2}),
     ('POST', '/task_actions/queue', {'num_tasks': 1}),
     ('POST', '/datasets/d1/task_actions/suspend', {})],
)  # fmt: skip
async def test_operations_are_carried_out_once(api: Api, method: str, path: str, body: dict[str, Any]) -> None:
    path = path.format(await api.add_task(status='waiting'))
    await api.add_task(status='waiting', name='other')
    first = await ask(api, path, body, method=method)
    after = [each async for each in api.database.tasks.find()]

    again = await ask(api, path, body, method=method)

    assert first.status in (200, 201)
    assert same(first, again)
    assert [each async for each in api.database.tasks.find()] == after


async def test_many_at_once_on_two_services_do_the_work_once(api: Api, second: Api) -> None:
    async def until_answered(service: Api) -> Answer:
        while True:
            answer = await ask(service, '/tasks', TASK)
            if answer.status != 503:
                return answer
            assert seen(answer) == UNDER_WAY

    answers = await asyncio.gather(*(until_answered(service) for service in (api, second) * 20))

    assert {answer.text for answer in answers} == {answers[0].text}
    assert {answer.status for answer in answers} == {201}
    assert sum('Idempotency-Replayed' not in answer.headers for answer in answers) == 1
    assert await api.database.tasks.count_documents({}) == 1
    assert [key['tries'] async for key in api.database.idempotency_keys.find()] == [1]


async def test_a_repeat_on_another_service_finishes_what_a_crash_left(api: Api, second: Api) -> None:
    await crashed(api, '/datasets', DATASET)

    answer = await ask(second, '/datasets', DATASET)

    assert answer.status == 201
    assert same(answer, await ask(api, '/datasets', DATASET))
    assert await api.database.datasets.count_documents({}) == 1


class Slow:
    """Storage that waits before it stores what is created next."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch, collection: str = 'tasks') -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        stored = getattr(api.service.store, collection)
        self._add = stored.add
        monkeypatch.setattr(stored, 'add', self._wait)

    async def _wait(self, *arguments: Any) -> None:
        self.begun.set()
        await self.end.wait()
        await self._add(*arguments)


async def test_a_key_is_held_as_long_as_the_work_takes(api: Api, second: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, 'LEASE_SECONDS', 1.0)
    slow = Slow(api, monkeypatch)
    working = asyncio.ensure_future(ask(api, '/tasks', TASK))
    await slow.begun.wait()
    until = (await api.database.idempotency_keys.find_one())['until']

    while (await api.database.idempotency_keys.find_one())['until'] < until + timedelta(seconds=1.5):
        assert seen(await ask(second, '/tasks', TASK)) == UNDER_WAY
    slow.end.set()

    assert (await working).status == 201
    assert await api.database.tasks.count_documents({}) == 1


@pytest.mark.parametrize(('path', 'body', 'collection'), CREATES)
async def test_who_was_taken_for_dead_does_not_answer(
    api: Api, second: Api, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any], collection: str
) -> None:
    slow = Slow(api, monkeypatch, collection)
    sleeper = asyncio.ensure_future(ask(api, path, body))
    await slow.begun.wait()
    await lease_is_over(api)

    answer = await ask(second, path, body)
    slow.end.set()

    assert answer.status == 201
    assert seen(await sleeper) == UNDER_WAY
    assert same(answer, await ask(api, path, body))
    assert await api.database[collection].count_documents({}) == 1


async def test_an_answer_that_is_too_long_to_keep_is_worked_out_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remember, 'LARGEST_ANSWER_BYTES', 10)
    first = await ask(api, '/tasks', TASK)

    again = await ask(api, '/tasks', TASK)

    assert same(first, again)
    assert 'Idempotency-Replayed' not in again.headers
    assert await api.database.tasks.count_documents({}) == 1
    assert seen(await ask(api, '/tasks', {**TASK, 'name': 'other'})) == REUSED


async def test_a_key_is_kept_for_as_long_as_the_settings_say(api: Api) -> None:
    await ask(api, '/tasks', TASK)
    key = await api.database.idempotency_keys.find_one()
    ttl = (await api.database.idempotency_keys.index_information())['expires']

    assert key['expires'] - key['began'] == pytest.approx(timedelta(hours=24), abs=timedelta(minutes=5))
    assert (ttl['key'], ttl['expireAfterSeconds']) == ([('expires', 1)], 0)


async def test_an_expired_key_may_be_used_for_something_else(api: Api) -> None:
    first = await ask(api, '/tasks', TASK)
    await api.database.idempotency_keys.delete_many({})

    second = await ask(api, '/tasks', TASK)

    assert first.body != second.body
    assert await api.database.tasks.count_documents({}) == 2


@pytest.mark.parametrize('hours', [0, -1, 8761])
def test_keys_cannot_be_kept_for_no_time_or_for_ever(hours: float) -> None:
    with pytest.raises(CannotStart, match='idempotency keys'):
        Settings(token_secret=SECRET).override(idempotency_hours=hours)


async def test_nothing_of_a_key_or_a_body_is_stored_as_it_is(api: Api) -> None:
    await ask(api, '/logs', {'data': 'secret words'}, key='secret-key')

    assert 'secret' not in str([each async for each in api.database.idempotency_keys.find()])
