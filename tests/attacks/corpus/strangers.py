"""A user, a reader, an owner: things of somebody else, by every kind of id and every way in."""

from typing import Any

from tests.attacks.case import Case

_D = '/datasets/@dataset@'
_ENTRY = {'filename': 'f', 'movement': 'input'}
_READS = (
    _D, '/config/@dataset@', f'{_D}/tasks', f'{_D}/tasks/@task@', f'{_D}/tasks/@held@/history', f'{_D}/jobs',
    f'{_D}/jobs/@job@', f'{_D}/job_summaries/status', f'{_D}/job_counts/status', f'{_D}/task_summaries/status',
    f'{_D}/task_counts/status', f'{_D}/task_counts/name_status', f'{_D}/task_stats', f'{_D}/files',
    f'{_D}/files/@task@', f'{_D}/logs/@log@', f'{_D}/tasks/@task@/logs', f'{_D}/bulk/task_stats',
    f'{_D}/tasks/@task@/task_stats', f'{_D}/tasks/@task@/task_stats/@stat@', f'{_D}/archive',
    '/tasks/@held@/messages', '/tasks/@held@/history',
)  # fmt: skip
_WRITES: tuple[tuple[str, str, Any], ...] = (
    ('DELETE', _D, None), ('DELETE', f'{_D}?force=true&archive=false', None),
    ('PUT', f'{_D}/description', {'description': 'mine'}), ('PUT', f'{_D}/status', {'status': 'suspended'}),
    ('PUT', f'{_D}/priority', {'priority': 1.0}), ('PUT', f'{_D}/jobs_submitted', {'jobs_submitted': 50}),
    ('PUT', f'{_D}/retention', {'days': 0}), ('PUT', '/config/@dataset@', {'version': 3, 'tasks': []}),
    ('PUT', f'{_D}/tasks/@task@/status', {'status': 'complete'}),
    ('PUT', f'{_D}/jobs/@job@/status', {'status': 'complete'}),
    ('POST', f'{_D}/task_actions/bulk_status/complete', {'tasks': ['@task@']}),
    ('POST', f'{_D}/job_actions/bulk_status/complete', {'jobs': ['@job@']}),
    ('PATCH', f'{_D}/task_actions/bulk_requirements/precious', {'memory': 100000.0}),
    ('POST', f'{_D}/task_actions/cancel', {}), ('POST', f'{_D}/job_actions/cancel', {}),
    ('POST', f'{_D}/dataset_actions/hard_reset', {}), ('POST', f'{_D}/task_actions/suspend', {'dry_run': True}),
    ('POST', f'{_D}/files', {**_ENTRY, 'job_index': 0, 'task_name': 'precious'}),
    ('POST', f'{_D}/files/@task@', _ENTRY), ('DELETE', f'{_D}/files/@task@', None),
    ('POST', f'{_D}/logs', {'data': 'x', 'task_id': '@task@'}), ('DELETE', f'{_D}/tasks/@task@/logs', None),
)  # fmt: skip
_MINE = '/datasets/@own@'
# Through a dataset of one's own to what is in another one: as if it were not there.
_THROUGH: tuple[tuple[str, str, Any], ...] = (
    ('GET', f'{_MINE}/tasks/@task@', None), ('GET', f'{_MINE}/tasks/@held@/history', None),
    ('GET', f'{_MINE}/jobs/@job@', None), ('GET', f'{_MINE}/logs/@log@', None),
    ('GET', f'{_MINE}/tasks/@task@/logs', None), ('DELETE', f'{_MINE}/tasks/@task@/logs', None),
    ('GET', f'{_MINE}/tasks/@task@/task_stats', None), ('GET', f'{_MINE}/tasks/@task@/task_stats/@stat@', None),
    ('GET', f'{_MINE}/files/@task@', None), ('DELETE', f'{_MINE}/files/@task@', None),
    ('POST', f'{_MINE}/files/@task@', _ENTRY), ('PUT', f'{_MINE}/tasks/@task@/status', {'status': 'suspended'}),
    ('PUT', f'{_MINE}/jobs/@job@/status', {'status': 'complete'}),
    ('POST', f'{_MINE}/task_actions/bulk_status/suspended', {'tasks': ['@task@', '@held@']}),
    ('POST', f'{_MINE}/job_actions/bulk_status/suspended', {'jobs': ['@job@']}),
    ('POST', f'{_MINE}/task_actions/cancel', {'tasks': ['@task@', '@held@']}),
    ('POST', f'{_MINE}/task_actions/cancel', {'jobs': ['@job@']}),
    ('POST', f'{_MINE}/job_actions/cancel', {'jobs': ['@job@']}),
    ('GET', f'{_MINE}/tasks?job_id=@job@', None), ('GET', f'{_MINE}/tasks?dataset_id=@dataset@', None),
    ('GET', f'{_MINE}/bulk/task_stats?dataset_id=@dataset@', None),
    ('GET', '/task_order?dataset_id=@dataset@', None), ('GET', '/datasets?keys=dataset_id&groups=simprod', None),
    ('GET', '/datasets?users=alice', None),
)  # fmt: skip
_OPERATORS_ONLY: tuple[tuple[str, str, Any], ...] = (
    ('GET', '/tasks', None), ('POST', '/tasks', {}), ('GET', '/tasks/@own_task@', None),
    ('PATCH', '/tasks/@own_task@', {'priority': 5}), ('PUT', '/tasks/@own_task@/status', {'status': 'waiting'}),
    ('GET', '/task_counts/status', None), ('GET', '/task_demand', None), ('POST', '/task_actions/queue', {}), ('POST', '/task_actions/process', {}),
    ('POST', '/task_actions/bulk_status/complete', {'tasks': ['@own_task@']}), ('GET', '/logs', None),
    ('POST', '/tasks/@own_task@/task_actions/complete', {}), ('POST', '/tasks/@own_task@/task_actions/reset', {}),
    ('POST', '/jobs', {'dataset_id': '@own@', 'job_index': 7}), ('GET', '/jobs/@own_job@', None),
    ('PATCH', '/jobs/@own_job@', {'x': 1}), ('POST', '/logs', {'data': 'x'}), ('GET', '/logs/@own_log@', None),
    ('DELETE', '/logs/@own_log@', None), ('POST', '/tasks/@own_task@/task_stats', {'dataset_id': '@own@'}),
    ('GET', '/pilots', None), ('POST', '/pilots', {}), ('PATCH', '/pilots/@pilot@', {'host': 'x'}),
    ('DELETE', '/pilots/@pilot@', None), ('GET', '/grids', None), ('POST', '/grids', {}),
    ('PATCH', '/grids/@grid@', {'debug': True}), ('GET', '/roles', None), ('GET', '/users', None),
    ('PUT', '/users/mallory/priority', {'priority': 1}), ('DELETE', '/users/alice', None), ('GET', '/groups', None),
    ('PUT', '/groups/users/priority', {'priority': 1}),
    ('POST', '/auths', {'name': 'dataset_id', 'value': '@dataset@', 'role': 'read', 'username': 'bob', 'groups': []}),
)  # fmt: skip
_CONFIG = {'version': 1, 'description': '', 'tasks': [{'name': 'a', 'command': 'true'}]}


def _depending(on: str) -> dict[str, Any]:
    sizes = {'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1}
    config = {**_CONFIG, 'tasks': [{'name': 'a', 'command': 'true', 'depends': [on]}]}
    return {'description': '', 'group': 'm', **sizes, 'config': config}


def _refused(name: str, sender: str, method: str, path: str, body: Any) -> Case:
    return Case(
        f'{name}: {method} {path}', (403,), method, path, sender, body, twin=True, says=('authorization failed',)
    )


CASES = (
    *(_refused('stranger', 'mallory', 'GET', path, None) for path in _READS),
    *(_refused('stranger', 'mallory', *write) for write in _WRITES),
    *(_refused('reader', 'bob', method, path, body) for method, path, body in _WRITES[::3]),
    *(
        Case(f'through own dataset: {method} {path} {list(body or "")}', (200, 400, 403, 404), method, path, 'mallory', body, twin=True,
             silent=('@dataset@', 'precious.txt'))
        for method, path, body in _THROUGH
    ),
    *(
        Case(f'user: {method} {path}', (403,), method, path, 'mallory', body, says=('authorization failed',))
        for method, path, body in _OPERATORS_ONLY
    ),
    Case('stranger: list of datasets', (200,), path='/datasets', sender='mallory', silent=('@dataset@',)),
    Case('stranger: datasets by status', (200,), path='/dataset_summaries/status', sender='mallory', silent=('@dataset@',)),
    Case('stranger: order of tasks', (200,), path='/task_order', sender='mallory', silent=('@dataset@', '@task@')),
    Case('stranger: depends on a name', (400, 403), 'POST', '/datasets', 'mallory', _depending('@dataset@:precious'), twin=True),
    Case('stranger: depends on a task', (400, 403), 'POST', '/datasets', 'mallory', _depending('@task@'), twin=True),
    Case('stranger: config that depends on a task', (400, 403), 'PUT', '/config/@own@', 'mallory',
         {**_CONFIG, 'tasks': [{'name': n, 'command': 'true', 'depends': ['@held@']} for n in 'ab']}, twin=True),
    Case('owner: a log of another dataset\'s task', (201, 400, 403, 404), 'POST', '/datasets/@own@/logs', 'mallory',
         {'data': 'planted', 'task_id': '@task@'}, then=('/datasets/@dataset@/tasks/@task@/logs', '"precious"')),
    Case('owner: a log that names another dataset', (201, 400, 403), 'POST', '/datasets/@own@/logs', 'mallory',
         {'data': 'planted', 'task_id': '@own_task@', 'dataset_id': '@dataset@'},
         then=('/logs?dataset_id=@dataset@', '"precious"')),
    Case('owner: config of another dataset', (400,), 'PUT', '/config/@own@', 'mallory',
         {**_CONFIG, 'dataset_id': '@dataset@'}),
    Case('stranger: a key of two roles', (403,), path=_D, sender='hybrid', twin=True),
    Case('no role: nothing', (403,), path='/datasets', sender='no role'),
    Case('no role: a claim', (403,), 'POST', '/task_actions/process', 'no role', {}),
    Case('stranger: by a part of the id', (403,), path='/datasets/@dataset@0', sender='mallory', twin=True),
    Case('system: reads a log of people', (403,), path=f'{_D}/logs/@log@', sender='system'),
    Case('system: makes itself an admin', (403,), 'PUT', '/users/system', 'system', {}),
)  # fmt: skip
