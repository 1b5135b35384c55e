"""Every role asks for everything, by every route and method: what is allowed is what the table of rules says."""

import asyncio
import inspect
import json
import re
from typing import Any

import pytest

from iceprod_tasks.rest.bodies import load_schema
from iceprod_tasks.rest.content_type import FORM
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import Access, Route, specs
from tests.conftest import Answer, Api
from tests.rest.answers import refusal, seen
from tests.rest.places import ASKERS, NOBODY, PLACES, Asker, dump, ids, said, settle
from tests.routes import rules

RULES = rules()
CALLS = [
    pytest.param(method, rule, id=f'{method.upper()} {rule.matcher.regex.pattern.rstrip("$")}')
    for rule in RULES
    for method in rule.target_kwargs.get('access', {})
]

_PART = re.compile(r'\(\?P<(\w+)>.*?\)')
_CHOICE = re.compile(r'\(\?:(\w+)\|[^)]*\)')
_BODY = re.compile(r"(?:self\.body|bodies\.check)\((?:\w+, )?'(\w+)'")
REFUSED = refusal(403, 'authorization failed')


def path_in(rule: Any, place: str) -> str:
    """The path of a route to what is in a place."""
    known = ids(place)
    path = _PART.sub(lambda match: known.get(match[1], f'x_{place}'), rule.matcher.regex.pattern.rstrip('$'))
    return _CHOICE.sub(r'\1', path).replace('\\', '')


def body_for(method: str, rule: Any, place: str) -> dict[str, Any] | None:
    """What a request says: all that its schema has room for."""
    if method in ('get', 'delete'):
        return None
    named = _BODY.findall(inspect.getsource(getattr(rule.target, method)))
    known: set[str] = set().union(*(load_schema(name).get('properties', {}) for name in named))
    return {key: value for key, value in said(place).items() if key in known}


def may(asker: Asker, access: Access, place: str, *, named: bool) -> bool:
    """Whether the table lets somebody ask for something in a place.

    Args:
        asker: who asks.
        access: the row of the table.
        place: where.
        named: whether the request names something there.
    """
    roles = set(asker.roles) & set(access.roles)
    if roles & {'admin', 'system'}:
        return True
    granted = {None: PLACES, 'read': asker.reads, 'write': asker.writes}[access.dataset]
    if 'user' in roles and place in granted:
        return True
    return 'pilot' in roles and (access.own is None or place in asker.holds or not named)


async def ask(api: Api, asker: Asker, method: str, rule: Any, place: str) -> Answer:
    headers = {} if asker.name else {'Authorization': ''}
    body = body_for(method, rule, place)
    if rule.target.body_type is FORM and body is not None:
        return await asker.of(api)(
            method.upper(), path_in(rule, place), data={'request': json.dumps(body)}, headers=headers
        )
    return await asker.of(api)(method.upper(), path_in(rule, place), body, headers=headers)


def refusal_in(answer: Answer) -> tuple[int, dict[str, Any]]:
    """What an answer refuses, in the native words if it comes from a dialect."""
    body = answer.body or {}
    if 'success' in body:
        return refusal(answer.status, body['data']['msg'])
    if 'status' in body:
        return refusal(answer.status, body['message'])
    return answer.status, {key: body.get(key) for key in ('code', 'error')}


def names_something(method: str, rule: Any, access: Access) -> bool:
    """Whether a request is about one thing: a list of entries has only those that the pilot made."""
    return access.own != 'entry' or path_in(rule, 'ours') != path_in(rule, 'theirs')


def askings(access: Access, *, named: bool, allowed: bool) -> list[tuple[Asker, str]]:
    """Who asks where, of those that are to be let in or to be refused."""
    return [
        (asker, place)
        for place in PLACES
        for asker in ASKERS
        if (not access.roles or may(asker, access, place, named=named)) == allowed
    ]


@pytest.mark.parametrize(('method', 'rule'), CALLS)
async def test_a_route_is_closed_to_all_whom_the_table_does_not_name(api: Api, method: str, rule: Any) -> None:
    access: Access = rule.target_kwargs['access'][method]
    asked = askings(access, named=names_something(method, rule, access), allowed=False)
    await settle(api)
    before = await dump(api)

    answers = await asyncio.gather(*(ask(api, asker, method, rule, place) for asker, place in asked))
    strangers = await asyncio.gather(*(ask(api, NOBODY, method, rule, place) for place in PLACES))

    told = [refusal_in(answer) for answer in answers]
    wrong = [(str(asker), place, what) for (asker, place), what in zip(asked, told, strict=True) if what != REFUSED]
    assert wrong == []
    assert [answer.status == 401 for answer in strangers] == [bool(access.roles)] * len(PLACES)
    assert await dump(api) == before


@pytest.mark.parametrize(('method', 'rule'), CALLS)
async def test_a_route_is_open_to_all_whom_the_table_names(api: Api, method: str, rule: Any) -> None:
    access: Access = rule.target_kwargs['access'][method]
    shut_out = []
    await settle(api)

    for asker, place in askings(access, named=names_something(method, rule, access), allowed=True):
        answer = await ask(api, asker, method, rule, place)
        if answer.status in (401, 403):
            shut_out.append((str(asker), place, seen(answer)))
        elif method != 'get' and answer.status < 400:
            await settle(api)

    assert shut_out == []


OF_PILOTS = {
    'POST /task_actions/(?:process|processing)': None,
    # What waits, by what it needs: no task is named.
    'GET /task_demand': None,
    # Each report is refused by itself where the claim is not its sender's.
    'POST /task_actions/report': None,
    'POST /tasks/{task_id}/task_actions/heartbeat': 'claim',
    'POST /tasks/{task_id}/task_actions/(?:reset|error)': 'claim',
    'POST /tasks/{task_id}/task_actions/failed': 'claim',
    'POST /tasks/{task_id}/task_actions/complete': 'claim',
    'POST /tasks/{task_id}/task_actions/hand_back': 'claim',
    'POST /tasks/{task_id}/task_actions/output': 'claim', 'POST /tasks/{task_id}/task_actions/nodes': 'claim',
    'GET /tasks/{task_id}/output/{stream}': 'task', 'GET /tasks/{task_id}/nodes': 'task',
    'POST /tasks/{task_id}/messages': 'claim', 'POST /tasks/{task_id}/progress': 'claim',
    'GET /tasks/{task_id}': 'task', 'GET /tasks/{task_id}/messages': 'task', 'GET /tasks/{task_id}/history': 'task',
    'POST /tasks/{task_id}/task_stats': 'task', 'POST /logs': 'named', 'GET /jobs/{job_id}': 'dataset',
    'GET /datasets/{dataset_id}': 'dataset', 'GET /config/{dataset_id}': 'dataset',
    'GET /datasets/{dataset_id}/files': 'dataset', 'GET /datasets/{dataset_id}/files/{task_id}': 'dataset',
    'POST /pilots': None, 'GET /pilots': 'entry', 'GET /pilots/{pilot_id}': 'entry',
    'PATCH /pilots/{pilot_id}': 'entry', 'DELETE /pilots/{pilot_id}': 'entry',
    'POST /tokens': None,
}  # fmt: skip
"""All that pilots may use, and what has to be their own. Whoever adds to it opens the service to any worker machine."""


def test_pilots_may_use_what_they_need_and_nothing_else() -> None:
    rows = {
        f'{method.upper()} {_PART.sub(_in_braces, rule.matcher.regex.pattern.rstrip("$"))}': access
        for rule in RULES
        for method, access in rule.target_kwargs.get('access', {}).items()
    }

    open_to_pilots = {name: access.own for name, access in rows.items() if 'pilot' in access.roles}

    assert open_to_pilots == {name: own for name, own in OF_PILOTS.items() if name in rows}


def _in_braces(part: re.Match[str]) -> str:
    return f'{{{part[1]}}}'


@pytest.mark.parametrize(
    ('path', 'access'),
    [('/x', Access(('user',), 'read')), ('/x', Access(('pilot',), own='dataset')),
     (r'/datasets/(?P<dataset_id>\w+)', Access(('pilot',), own='task'))],
)  # fmt: skip
def test_a_rule_about_something_that_the_path_does_not_name_keeps_the_service_from_starting(
    path: str, access: Access
) -> None:
    class Reads(Handler):
        async def get(self) -> None: ...

    with pytest.raises(ValueError, match='the rule of get needs a'):
        specs([Route(path, Reads, {'get': access})], {})


def test_a_rule_that_opens_all_datasets_to_pilots_keeps_the_service_from_starting() -> None:
    class Reads(Handler):
        async def get(self) -> None: ...

    with pytest.raises(ValueError, match="what must be a pilot's own"):
        specs([Route(r'/datasets/(?P<dataset_id>\w+)', Reads, {'get': Access(('user', 'pilot'), 'read')})], {})
