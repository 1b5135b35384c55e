"""The audit log: who asked for which change, of what, and what came of it; refused ones as well.

It has what the request picked, but no list of ids, and nothing that was stored.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from iceprod_tasks.rest.repeating import REPLAYED

if TYPE_CHECKING:
    from iceprod_tasks.rest.handler import Handler

log = logging.getLogger('iceprod_tasks.audit')

_CHANGING = frozenset({'POST', 'PUT', 'PATCH', 'DELETE'})
_PEOPLE = frozenset({'admin', 'user'})
_LONGEST_TEXT = 200
_LONGEST_LIST = 20
_LONGEST_ANSWER = 64 * 1024

_IDS = ('tasks', 'jobs')
_SHOWN = ('names', 'statuses', 'status', 'dry_run', 'num_tasks', 'days', 'archive', 'priority', 'jobs_submitted')
_FLAGS = ('force', 'archive')


def name_of(handler: 'Handler') -> str:
    """The name of whoever asks, '' as long as that is not known."""
    caller = getattr(handler, 'caller', None)
    return '' if caller is None else str(caller.name)[:_LONGEST_TEXT]


def record(handler: 'Handler', said: Mapping[str, Any]) -> None:
    """Write a line, unless the request changes nothing or is a pilot's work.

    Args:
        handler: what answered.
        said: method, route, status, actor and request_id of the request.
    """
    caller = getattr(handler, 'caller', None)
    changes = said['method'] in _CHANGING and not handler.only_reads
    if caller is None or not changes or _is_work(handler, caller.roles):
        return
    answer = _answer(handler)
    fields = {
        **said,
        'roles': sorted(caller.roles),
        'target': {name: str(value)[:_LONGEST_TEXT] for name, value in handler.path_kwargs.items()},
        'filter': _filter(handler),
        'count': _count(handler, said['status'], answer),
        'result': str(answer.get('result', ''))[:_LONGEST_TEXT],
        'replayed': REPLAYED in handler._headers,
    }
    log.info('%s %s by %s: %d', said['method'], said['route'], said['actor'], said['status'],
             extra={'action': 'audit', **fields})  # fmt: skip


def _is_work(handler: 'Handler', roles: frozenset[str]) -> bool:
    """Whether it is what pilots do all day, asked by none of those who are people."""
    access = handler.access.get((handler.request.method or '').lower())
    return access is not None and 'pilot' in access.roles and roles.isdisjoint(_PEOPLE)


def _filter(handler: 'Handler') -> dict[str, Any]:
    """What the request picked, and how."""
    picked: dict[str, Any] = {}
    for name in _IDS:
        if isinstance(handler.understood.get(name), list):
            picked[name] = len(handler.understood[name])
    for name in _SHOWN:
        if name in handler.understood:
            picked[name] = _short(handler.understood[name])
    for name in _FLAGS:
        values = handler.request.query_arguments.get(name)
        if values and values[0] in (b'true', b'false'):
            picked[name] = values[0] == b'true'
    return picked


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(item) for item in value[:_LONGEST_LIST]] + (['...'] if len(value) > _LONGEST_LIST else [])
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value


def _answer(handler: 'Handler') -> Mapping[str, Any]:
    text = handler.said
    answer = orjson.loads(text) if text and len(text) <= _LONGEST_ANSWER else {}
    return answer if isinstance(answer, dict) else {}


def _count(handler: 'Handler', status: int, answer: Mapping[str, Any]) -> int | None:
    """How many things were changed, None where nobody knows."""
    if status >= 500:
        return None
    if status >= 400 or REPLAYED in handler._headers or handler.understood.get('dry_run'):
        return 0
    for name in ('changed', 'queued'):
        if isinstance(answer.get(name), int):
            return int(answer[name])
    if isinstance(answer.get('deleted'), dict):
        return int(sum(answer['deleted'].values()))
    named = [len(handler.understood[name]) for name in _IDS if isinstance(handler.understood.get(name), list)]
    if named:
        return sum(named)
    access = handler.access[(handler.request.method or '').lower()]
    return None if access.lane == 'bulk' else 1
