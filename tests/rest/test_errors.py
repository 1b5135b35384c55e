"""Every route refuses in one shape: JSON with the code and the reason, whatever is wrong and whoever asks."""

import re
import time
from typing import Any

import jwt
import pytest

from iceprod_tasks.domain.callers import ROLES
from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.rest.application import make_application
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.identity.tokens import ISSUER
from iceprod_tasks.rest.routing import METHODS, Access, Route, specs
from tests.conftest import SECRET, Api
from tests.rest.answers import refusal, seen

NOTHING: Any = None
RULES: list[Any] = make_application(NOTHING, NOTHING).wildcard_router.rules


WORDS = {'status': 'waiting', 'action': 'suspend'}


def path_of(pattern: str) -> str:
    """A path that a route answers."""
    path = re.sub(r'\(\?P<(\w+)>.*?\)', lambda match: WORDS.get(match[1], 'nobody'), pattern)
    return re.sub(r'\(\?:(\w+)\|\w+\)', r'\1', path).rstrip('$')


ACCESS: dict[tuple[str, str], Access] = {
    (method.upper(), path_of(rule.matcher.regex.pattern)): access
    for rule in RULES
    for method, access in rule.target_kwargs.get('access', {}).items()
}
CALLS = list(ACCESS)
PATHS = sorted({path for _, path in CALLS})
GUARDED = [call for call in CALLS if call[1] not in ('/healthz', '/readyz')]
WITH_BODY = [call for call in CALLS if call[0] in ('POST', 'PUT', 'PATCH')]
FORBIDDEN = [(*call, role) for call in GUARDED for role in ROLES if role not in ACCESS[call].roles]
OPTIONAL_BODY = ('process', 'reset', 'failed', 'complete', 'suspend', 'tokens')

BAD_BODIES = [
    b'{bad', b'[1]', b'[]', b'5', b'null', b'"x"', b'\xff{}', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}',
    b'{"a": 9223372036854775808}', b'{"a": "\\ud800"}', b'{"a": ' + b'[' * 40 + b']' * 40 + b'}',
]  # fmt: skip


LONG = 'x' * 64


def signed(key: str = SECRET, algorithm: str = 'HS256', **changes: Any) -> str:
    now = int(time.time())
    claims = {'iss': ISSUER, 'aud': ISSUER, 'sub': 'root', 'roles': ['admin'], 'iat': now, 'exp': now + 60, **changes}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


@pytest.mark.parametrize(('method', 'path'), GUARDED)
async def test_without_a_token_every_route_answers_401(api: Api, method: str, path: str) -> None:
    answer = await api(method, path, headers={'Authorization': ''})

    assert seen(answer) == refusal(401, 'authentication failed')
    assert answer.headers['WWW-Authenticate'].startswith('Basic ' if ACCESS[method, path].basic else 'Bearer')


@pytest.mark.parametrize(
    'changes',
    [
        {'key': 'another secret, of more than 32 bytes too'}, {'key': LONG, 'algorithm': 'HS512'},
        {'key': '', 'algorithm': 'none'}, {'exp': 1}, {'exp': None}, {'sub': None}, {'sub': 5},
        {'sub': ''}, {'sub': ' '}, {'sub': 'a\nb'}, {'sub': 'a' * 256}, {'iss': 'other'},
        {'iss': None}, {'aud': 'other'}, {'aud': None}, {'iat': None}, {'nbf': 2**33},
    ],
)  # fmt: skip
async def test_a_token_that_is_not_valid_is_401(api: Api, changes: dict[str, Any]) -> None:
    answer = await api('GET', '/task_counts/status', headers={'Authorization': 'Bearer ' + signed(**changes)})

    assert seen(answer) == refusal(401, 'authentication failed')


@pytest.mark.parametrize('header', ['Bearer', 'Bearer x.y.z', 'Basic cm9vdDpyb290', 'Token {}', '{}', 'Bearer {}x'])
async def test_a_header_that_is_no_bearer_token_is_401(api: Api, header: str) -> None:
    answer = await api('GET', '/task_counts/status', headers={'Authorization': header.format(signed())})

    assert seen(answer) == refusal(401, 'authentication failed')


@pytest.mark.parametrize('header', ['Bearer {}', 'bearer  {}'])
async def test_a_good_token_is_taken(api: Api, header: str) -> None:
    answer = await api('GET', '/task_counts/status', headers={'Authorization': header.format(signed(groups=5))})

    assert answer.status == 200


@pytest.mark.parametrize('roles', [[], 'admin', ['root'], [['admin']], None])
async def test_a_token_without_a_known_role_is_403(api: Api, roles: Any) -> None:
    answer = await api('GET', '/task_counts/status', headers={'Authorization': 'Bearer ' + signed(roles=roles)})

    assert seen(answer) == refusal(403, 'authorization failed')


@pytest.mark.parametrize(('method', 'path', 'role'), FORBIDDEN)
async def test_a_role_that_the_route_does_not_accept_is_403(api: Api, method: str, path: str, role: str) -> None:
    answer = await api.as_(role)(method, path, {})

    assert seen(answer) == refusal(403, 'authorization failed')


@pytest.mark.parametrize(('method', 'path'), [call for call in GUARDED if ACCESS[call].dataset])
async def test_a_user_of_an_unknown_dataset_is_403(api: Api, method: str, path: str) -> None:
    answer = await api.as_('user')(method, path, {})

    assert seen(answer) == refusal(403, 'authorization failed')


@pytest.mark.parametrize('path', PATHS)
async def test_other_methods_are_405(api: Api, path: str) -> None:
    known = {method for method, of in CALLS if of == path}

    for method in {name.upper() for name in METHODS} - known:
        assert seen(await api(method, path)) == refusal(405, 'Method Not Allowed')
    assert [(await api(method, path)).status for method in ('OPTIONS', 'BREW')] == [405, 405]


@pytest.mark.parametrize('body', BAD_BODIES)
@pytest.mark.parametrize(('method', 'path'), WITH_BODY)
async def test_a_body_that_is_no_proper_json_object_is_400(api: Api, method: str, path: str, body: bytes) -> None:
    answer = await api(method, path, content=body)

    assert answer.status == 400
    assert set(answer.body) == {'code', 'error'}
    assert answer.body['error'].startswith(('the body', 'an integer'))


@pytest.mark.parametrize(('method', 'path'), WITH_BODY)
async def test_an_empty_body_is_400_unless_the_body_is_optional(api: Api, method: str, path: str) -> None:
    answer = await api(method, path, content=b'')

    optional = path.rpartition('/')[2] in OPTIONAL_BODY or path == '/users/nobody'
    assert (answer.body.get('error') == 'the body is not valid JSON') != optional
    assert answer.status in ((200, 201, 400, 404) if optional else (400,))


@pytest.mark.parametrize('action', ['reset', 'error', 'failed', 'complete'])
async def test_a_refused_report_changes_nothing(api: Api, action: str) -> None:
    task_id = await api.add_task(status='processing')
    before = await api.task(task_id)

    answer = await api('POST', f'/tasks/{task_id}/task_actions/{action}', content=b'[1]')

    assert answer.status == 400
    assert await api.task(task_id) == before


@pytest.mark.parametrize(
    'path',
    ['/', '/nope', '/tasks/', '/tasks/a-b', '/tasks/a.b/status', '/tasks/%61%2f', '/task_actions', '//tasks', '/Tasks',
     '/datasets/d/tasks/t/nope', '/tasks/$where', '/tasks/%c3%a9', '/datasets/d/task_actions/bulk_requirements/a/b'],
)  # fmt: skip
@pytest.mark.parametrize('method', ['GET', 'POST'])
async def test_an_unknown_route_is_404_in_json(api: Api, method: str, path: str) -> None:
    answer = await api(method, path, headers={'Authorization': ''})

    assert seen(answer) == refusal(404, 'Not found')


@pytest.mark.parametrize('query', ['keys=%ff', 'keys=$x', 'keys=a.b'])
@pytest.mark.parametrize(
    'path', ['/tasks', '/datasets/d/tasks', '/datasets/d/tasks/t', '/datasets', '/datasets/d/jobs']
)
async def test_keys_that_are_no_plain_names_are_400(api: Api, path: str, query: str) -> None:
    answer = await api('GET', f'{path}?{query}')

    assert answer.status == answer.body['code'] == 400


async def test_nothing_of_a_request_comes_back_in_the_reason_phrase(api: Api) -> None:
    raw = await api._http.post('/task_actions/process', json={'query_params': {'evil phrase': 1}},
                               headers={'Authorization': 'Bearer ' + signed()})  # fmt: skip

    assert 'evil phrase' in raw.json()['error']
    assert raw.reason_phrase == 'Bad Request'


async def test_an_unexpected_error_is_500_with_an_id_and_no_trace(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError('secret detail')

    monkeypatch.setattr(api.service.store.counts, 'by_status', broken)

    answer = await api('GET', '/task_counts/status')

    assert answer.status == answer.body['code'] == 500
    error_id = answer.body['error'].removeprefix('Internal error ')
    assert len(error_id) == 32
    assert 'secret' not in answer.text
    assert error_id in caplog.text


async def test_a_database_that_does_not_answer_is_503_with_a_time_to_retry(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(api.service.store.counts, 'by_status', unreachable)

    answer = await api('GET', '/task_counts/status')

    assert seen(answer) == refusal(503, 'The database does not answer; repeat the same request')
    assert int(answer.headers['Retry-After']) > 0


async def test_everybody_may_ask_whether_the_service_is_there(api: Api) -> None:
    answer = await api('GET', '/healthz', headers={'Authorization': ''})

    assert seen(answer) == (200, {})
    assert answer.headers['Cache-Control'] == 'no-store'


def test_a_route_without_a_rule_for_a_method_is_refused_at_start() -> None:
    class Open(Handler):
        async def get(self) -> None: ...

    with pytest.raises(ValueError, match='no access rule'):
        specs([Route('/open', Open, {})], {})
    with pytest.raises(ValueError, match='no method'):
        specs([Route('/open', Open, {'get': Access(), 'put': Access()})], {})
