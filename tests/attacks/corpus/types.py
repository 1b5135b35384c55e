"""A value of each wrong type in each field of each body, made from the schemas as they are."""

from collections.abc import Iterator, Mapping
from typing import Any

from iceprod_tasks.rest.bodies import whole_schema
from tests.attacks.case import Case

ROUTES: Mapping[str, tuple[str, str]] = {
    'auth': ('POST', '/auths'),
    'bulk_requirements': ('PATCH', '/datasets/@play@/task_actions/bulk_requirements/precious'),
    'bulk_status': ('POST', '/task_actions/bulk_status/waiting'),
    'claim': ('POST', '/task_actions/process'),
    'dataset': ('POST', '/datasets'),
    'dataset_action': ('POST', '/datasets/@play@/dataset_actions/suspend'),
    'dataset_config': ('PUT', '/config/@play@'),
    'dataset_description': ('PUT', '/datasets/@play@/description'),
    'dataset_file': ('POST', '/datasets/@play@/files'),
    'dataset_jobs_submitted': ('PUT', '/datasets/@play@/jobs_submitted'),
    'dataset_priority': ('PUT', '/datasets/@play@/priority'),
    'dataset_status': ('PUT', '/datasets/@play@/status'),
    'file': ('POST', '/datasets/@play@/files/@play_task@'),
    'grid': ('POST', '/grids'),
    'grid_patch': ('PATCH', '/grids/@play_grid@'),
    'hand_back': ('POST', '/tasks/@play_task@/task_actions/hand_back'),
    'heartbeat': ('POST', '/tasks/@play_task@/task_actions/heartbeat'),
    'job': ('POST', '/jobs'),
    'job_action': ('POST', '/datasets/@play@/job_actions/suspend'),
    'job_bulk_status': ('POST', '/datasets/@play@/job_actions/bulk_status/suspended'),
    'job_patch': ('PATCH', '/jobs/@play_job@'),
    'job_status': ('PUT', '/datasets/@play@/jobs/@play_job@/status'),
    'log': ('POST', '/logs'),
    'pilot': ('POST', '/pilots'),
    'pilot_patch': ('PATCH', '/pilots/@play_pilot@'),
    'queue': ('POST', '/task_actions/queue'),
    'report': ('POST', '/tasks/@play_task@/task_actions/complete'),
    'retention': ('PUT', '/datasets/@play@/retention'),
    'share': ('PUT', '/users/root/priority'),
    'status': ('PUT', '/tasks/@play_task@/status'),
    'task': ('POST', '/tasks'),
    'task_action': ('POST', '/datasets/@play@/task_actions/suspend'),
    'task_patch': ('PATCH', '/tasks/@play_task@'),
    'user': ('PUT', '/users/typed'),
    'task_stats': ('POST', '/tasks/@play_task@/task_stats'),
}
"""A route for the body of each schema that a request brings."""

_GOOD: Mapping[str, Any] = {'string': 'x', 'integer': 1, 'number': 1.5, 'object': {}, 'array': ['x'], 'boolean': True}
_WRONG: Mapping[str, Any] = {
    'null': None, 'boolean': True, 'integer': -7, 'string': '\u00e9 x', 'array': [[None]], 'object': {'a': {'b': 1}},
}  # fmt: skip
_CLAIM = 'ab' * 16


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """The types that a field may have."""
    if 'enum' in schema or 'const' in schema:
        values = schema.get('enum', [schema.get('const')])
        return {name for value in values for name, kind in _KIND_OF.items() if type(value) is kind}
    if 'anyOf' in schema:
        return set().union(*(_kinds(each) for each in schema['anyOf']))
    named = schema.get('type', list(_WRONG))
    kinds = {named} if isinstance(named, str) else set(named)
    return kinds | ({'integer'} if 'number' in kinds else set())


_KIND_OF = {'string': str, 'integer': int, 'boolean': bool, 'null': type(None), 'object': dict, 'array': list}


def _good(name: str, schema: Mapping[str, Any]) -> Any:
    """A value that fits."""
    if name == 'claim_id':
        return _CLAIM
    if 'enum' in schema:
        return schema['enum'][0]
    kind = next(iter(sorted(_kinds(schema) - {'null'})), 'string')
    return max(schema.get('minimum', 1), 1) if kind in ('integer', 'number') else _GOOD[kind]


def _bodies(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    fields = schema.get('properties', {})
    needed = {name: _good(name, fields[name]) for name in schema.get('required', ())}
    for turn, (name, field) in enumerate(fields.items()):
        kinds = sorted(set(_WRONG) - _kinds(field))
        # An object could be an operator; of the other types each field gets one.
        for kind in kinds and sorted({'object', kinds[turn % len(kinds)]} & set(kinds)):
            yield name, kind, {**needed, name: _WRONG[kind]}


CASES = tuple(
    Case(f'type: {name}.{field} {kind}', (400,), *ROUTES[name], body=body)
    for name in ROUTES
    for field, kind, body in _bodies(whole_schema(name))
    # A number may stand where digits do, and a config of another version is not ours to check.
    if (field, kind) != ('jobs_submitted', 'integer') and (name, field) != ('dataset_config', 'version')
)
