"""Queries and paths that nobody means, to every route: never a 5xx."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Api
from tests.fuzz.conftest import check
from tests.fuzz.generated import ANYTHING, KNOWN, TEXTS
from tests.fuzz.routes import Taken, taken

ROUTES = taken()
READING = [route for route in ROUTES if route.method in ('GET', 'DELETE')]
PLAIN = {name: values[0] for name, values in KNOWN.items()}
VALUES = st.sampled_from([
    'true', 'false', '0', '1', '-1', '10', '9' * 19, '9' * 30, '1e3', 'NaN', '٣', '1_0', '2024-01-01', '0001-01-01',
    '9999-12-31T23:59:59.999999+00:00', '9999-12-31T23:59:59-23:59', '0001-01-01T00:00+14:00', '_id', 'task_id|_id',
    '_id=-1', 'status|status=-1', 'log', 'claims', 'reset|queued', '{"$ne":""}', 'W10', 'WzFd', 'bnVsbA', 'e30', 'asc',
    'W3siZGF0ZSI6MWU5OTl9LCI1ZjVmNWY1ZjVmNWY1ZjVmNWY1ZjVmNWYiXQ', 'WzFlOTk5LCI1ZjVmNWY1ZjVmNWY1ZjVmNWY1ZjVmNWYiXQ',
    'WyI1ZjVmNWY1ZjVmNWY1ZjVmNWY1ZjVmNWYiXQ', 'd1', 'real', 't1', '\U0010ffff', '%', '||', '=',
]) | TEXTS.map(lambda text: text[:9000])  # fmt: skip
PIECES = st.sampled_from([*'ab=&;%+|?#/\\\'"<>$.{}[]0', '%00', '%ff', '%c0%af', '%F0%9F', '%25', '&&'])
RAW = st.lists(PIECES, max_size=30).map(''.join)
FUZZ = settings(
    derandomize=True,
    deadline=None,
    max_examples=15,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


@pytest.mark.parametrize('route', READING, ids=str)
@FUZZ
@given(data=st.data())
async def test_no_query_is_answered_5xx(world: Api, route: Taken, data: st.DataObject) -> None:
    named = st.dictionaries(st.sampled_from([*route.arguments, 'sort', 'limit', 'after']), VALUES, max_size=4)
    pairs = data.draw(
        named.map(lambda found: '&'.join(f'{name}={quote(value)}' for name, value in found.items())) | RAW
    )

    check(await world(route.method, f'{route.path(PLAIN)}?{pairs}'))


@pytest.mark.parametrize('route', [route for route in READING if route.method == 'GET'], ids=str)
@settings(FUZZ, max_examples=8)
@given(data=st.data())
async def test_no_argument_in_a_body_is_answered_5xx(world: Api, route: Taken, data: st.DataObject) -> None:
    names = st.sampled_from([*route.arguments, 'sort', 'limit', 'after'])
    body = data.draw(st.dictionaries(names, VALUES | ANYTHING, max_size=4))

    check(await world('GET', route.path(PLAIN), **route.sent(json.dumps(body).encode())))


@pytest.mark.parametrize('route', [route for route in ROUTES if '{' in route.template], ids=str)
@settings(FUZZ, max_examples=10)
@given(data=st.data())
async def test_no_path_is_answered_5xx(world: Api, route: Taken, data: st.DataObject) -> None:
    places = {name: data.draw(TEXTS.map(lambda text: quote(text[:9000], safe='')) | RAW) for name in KNOWN}

    check(await world(route.method, route.path(places), {} if route.schemas else None))
