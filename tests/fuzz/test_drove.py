"""Bodies near to those of Drove's clients, and wild ones: always an answer of theirs; what is accepted can be run."""

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.requirements import TAGGED
from iceprod_tasks.domain.tasks import new_id
from tests.conftest import Answer, Api
from tests.dialects.drove import bodies
from tests.dialects.drove.conftest import has_no_null
from tests.fuzz.conftest import check
from tests.fuzz.generated import ANYTHING, TEXTS, WILD, nearly

ROOT = '/apis/v1'
OPERATIONS, VALIDATE = f'{ROOT}/tasks/operations', f'{ROOT}/tasks/validate/spec'
SIMULATE = f'{ROOT}/cluster/placement/simulate'
FUZZ = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)

_NAMES = st.from_regex(r'[a-zA-Z0-9_-]{1,128}', fullmatch=True) | st.sampled_from(['A', '1', 'TEST_APP', 'x' * 128])
_WORDS = TEXTS.filter(lambda text: '\0' not in text and len(text) <= 128)
_VARIABLES = st.from_regex(r'[A-CE-Z_][A-Z0-9_]{0,9}', fullmatch=True)
_DURATIONS = st.sampled_from(['5m', '300 seconds', '1ns', '30d', '720 hours', '1 min', '0001s'])
_EXECUTABLES = st.one_of(
    st.just({'type': 'SHELL', 'url': '/bin/true'}),
    st.just({'url': 'docker.io/library/alpine:3', 'dockerPullTimeout': '100 seconds'}),
    st.fixed_dictionaries({'type': st.just('SHELL'), 'url': st.sampled_from(['true', '/a b', 'a/b', '${x}', '$(x)'])}),
)
_TAGS = st.builds(
    lambda tag: {'type': 'MATCH_TAG', 'tag': tag}, st.sampled_from(['a', 'b', '${x}', 'a.b', '$or', 'x' * 128])
)
_POLICIES = st.recursive(
    _TAGS | st.just({'type': 'ANY'}),
    lambda inner: st.fixed_dictionaries(
        {'type': st.just('COMPOSITE'), 'policies': st.lists(inner, min_size=1, max_size=3)},
        optional={'combiner': st.sampled_from(['AND', 'OR', 'or'])},
    ),
    max_leaves=5,
)
_CONFIGS = st.lists(
    st.sampled_from('abc').map(lambda name: {'type': 'INLINE', 'localFilename': name, 'data': 'eA=='}),
    max_size=2, unique_by=lambda config: config['localFilename'],
)  # fmt: skip
SPECS = st.fixed_dictionaries(
    {
        'sourceAppName': _NAMES, 'taskId': _NAMES, 'executable': _EXECUTABLES,
        'resources': st.builds(
            lambda cores, size: [{'type': 'CPU', 'count': cores}, {'type': 'MEMORY', 'sizeInMB': size}],
            st.sampled_from([1, 2, 1024]), st.sampled_from([1, 512, 10**9]),
        ),
    },
    optional={
        'args': st.lists(_WORDS, max_size=3), 'env': st.dictionaries(_VARIABLES, _WORDS, max_size=3),
        'configs': _CONFIGS, 'placementPolicy': _POLICIES,
        'tags': st.dictionaries(_VARIABLES, _WORDS, max_size=3),
        'logging': st.just({'type': 'LOCAL', 'maxSize': '10m', 'maxFiles': 2, 'compress': False}),
        'maxRunTime': _DURATIONS, 'killGrace': st.sampled_from(['1s', '1h', '3600 s']), 'keepFor': _DURATIONS,
        'retries': st.integers(0, 100), 'volumes': st.none(), 'devices': st.just([]), 'more': st.just({'a': [None]}),
    },
)  # fmt: skip
"""Tasks as they should be."""
CREATES = st.builds(lambda spec, timeout: bodies.create(spec, timeout=timeout), SPECS, _DURATIONS)
KILLS = st.builds(bodies.kill, _NAMES, _NAMES)
SIMULATIONS = st.fixed_dictionaries(
    {'spec': SPECS}, optional={'numInstances': st.integers(1, 10_000), 'placementPolicy': _POLICIES}
)


@st.composite
def spoilt(draw: st.DrawFn, fitting: st.SearchStrategy[Any]) -> Any:
    """A body with one wrong value, at any depth, or with one more key."""
    value = draw(fitting)
    place = draw(st.sampled_from(list(places(value))))
    if isinstance(inside := at(value, place), dict) and draw(st.booleans()):
        return changed(value, place, {**inside, draw(TEXTS): draw(ANYTHING)})
    return changed(value, place, draw(ANYTHING))


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in a body: keys and indexes from the outside in."""
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from places(each, (*place, key))


def at(value: Any, place: tuple[Any, ...]) -> Any:
    """What stands there."""
    return functools.reduce(lambda inside, key: inside[key], place, value)


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """The same with something else there."""
    if not place:
        return new
    key, *rest = place
    inside = changed(value[key], tuple(rest), new)
    return {**value, key: inside} if isinstance(value, dict) else [*value[:key], inside, *value[key + 1 :]]


def written(fitting: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Bodies as they are sent: mostly nearly right ones."""
    made = (spoilt(fitting) | spoilt(fitting) | nearly(fitting) | fitting).map(lambda value: json.dumps(value).encode())
    return st.one_of(made, made, made, made, WILD, st.binary(max_size=50))


def judge(answer: Answer) -> None:
    """The rule of every answer of the dialect: its envelope, and never a null."""
    check(answer)
    assert has_no_null(answer.body), answer.text
    assert answer.body['status'] == ('SUCCESS' if answer.status == 200 else 'FAILED'), answer.text
    assert isinstance(answer.body['message'], str)
    if answer.status == 400:
        errors = answer.body['data']['validationErrors']
        assert errors
        assert all(isinstance(each, str) and each.isprintable() for each in errors), errors


async def claimed(api: Api, name: Mapping[str, str]) -> dict[str, Any]:
    """A task in the hands of a pilot that has all there is."""
    task = await api.database.tasks.find_one({'external.app': name['app'], 'external.id': name['id']})
    assert task is not None
    tags = sorted({tag for tags in task['requirements'].get(TAGGED, ()) for tag in tags})
    offer = {'cpu': 1024, 'memory': 2e6, 'work': True, 'container': True, TAGGED: tags}
    body = {'requirements': offer, 'claim_id': new_id(), 'lease_seconds': 60}
    answer = await api.as_('pilot', 'p')('POST', '/task_actions/process', body)
    assert answer.status == 200, answer.text
    assert answer.body['task_id'] == task['task_id']
    return dict(answer.body)


async def forget_all(api: Api) -> None:
    """Nothing of the dialect is there, and nothing else to be claimed."""
    for collection in (api.database.tasks, api.database.operations, api.database.datasets):
        await collection.delete_many({})


@settings(FUZZ, max_examples=120)
@given(text=written(CREATES | KILLS))
async def test_every_operation_is_answered_in_the_envelope_and_what_is_accepted_can_be_run(
    api: Api, text: bytes
) -> None:
    await forget_all(api)

    answer = await api('POST', OPERATIONS, content=text)

    judge(answer)
    if answer.status == 200:
        await check_accepted(api, json.loads(text)['spec'])


@given(spec=SPECS)
@FUZZ
async def test_a_task_as_it_should_be_is_accepted_and_can_be_run(api: Api, spec: dict[str, Any]) -> None:
    await forget_all(api)

    answer = await api('POST', OPERATIONS, bodies.create(spec))

    assert (answer.status, answer.body['status']) == (200, 'SUCCESS'), answer.text
    await check_accepted(api, spec)


async def check_accepted(api: Api, spec: Mapping[str, Any]) -> None:
    """It is read back as it was sent, and a pilot gets it."""
    app, task = spec['sourceAppName'], spec['taskId']
    path = f'{ROOT}/tasks/{app}/instances/{task}'
    before = await api('GET', path)
    claim = await claimed(api, {'app': app, 'id': task})
    after = await api('GET', path)

    judge(before)
    judge(after)
    info = before.body['data']
    assert (info['sourceAppName'], info['taskId'], info['state']) == (app, task, 'PENDING')
    assert info['tags'] == (spec.get('tags') or {})
    assert {**info['env'], **(spec.get('env') or {})} == info['env']
    assert after.body['data']['state'] != 'PENDING'
    assert claim['work']['command'][-len(spec.get('args') or ()) or len(claim['work']['command']) :] == (
        spec.get('args') or []
    )


@pytest.mark.parametrize(
    ('path', 'fitting'), [(VALIDATE, SPECS), (SIMULATE, SIMULATIONS)], ids=['validate', 'simulate']
)
@settings(FUZZ, max_examples=120)
@given(data=st.data())
async def test_looks_at_specifications_are_answered_in_the_envelope_and_leave_nothing(
    api: Api, path: str, fitting: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    judge(await api('POST', path, content=data.draw(written(fitting))))

    assert await api.database.tasks.count_documents({}) == 0


@settings(FUZZ, max_examples=60)
@given(spec=spoilt(SPECS) | SPECS)
async def test_what_is_valid_can_be_created_and_what_is_not_cannot(api: Api, spec: Any) -> None:
    await forget_all(api)

    looked = await api('POST', VALIDATE, content=json.dumps(spec))
    made = await api('POST', OPERATIONS, content=json.dumps({**bodies.create(), 'spec': spec}))

    assert looked.status == made.status, (looked.text, made.text)


@FUZZ
@given(fields=st.dictionaries(st.sampled_from(['taskSearchAppName', 'taskSearchTaskID', 'x']), TEXTS), raw=st.binary())
async def test_every_search_leads_somewhere_here_or_is_refused(api: Api, fields: dict[str, str], raw: bytes) -> None:
    form = {'Content-Type': 'application/x-www-form-urlencoded'}

    for content in (urlencode(fields).encode(), raw):
        answer = await api('POST', f'{ROOT}/tasks/search', content=content, headers=form)

        assert answer.status in (303, 400), answer.text
        assert answer.status == 400 or answer.headers['Location'] == '/'
