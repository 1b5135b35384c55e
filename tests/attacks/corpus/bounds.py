"""Too long, too many, too large, too small."""

from typing import Any

from tests.attacks.case import Case

_D = '/datasets/@play@'
_T = '/tasks/@play_task@'
_CLAIM = '/task_actions/process'
_PILOT = {'queue_host': 'h', 'queue_version': '1', 'resources': {}}
_DATASET = {'description': '', 'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'group': 'p'}
_TASK = {
    'dataset_id': '@play@', 'job_id': '@play_job@', 'task_index': 0, 'job_index': 0, 'name': 'n', 'depends': [],
    'requirements': {},
}  # fmt: skip
_AUTH = {'name': 'dataset_id', 'value': 'x', 'role': 'read', 'username': 'a', 'groups': []}
_FILE = {'filename': 'f', 'movement': 'input'}
_ENTRY = {**_FILE, 'job_index': 0, 'task_name': 'precious'}
_LONG, _TEXT = 'n' * 300, 't' * 70_000

_TOO_MUCH: tuple[tuple[str, str, str, Any], ...] = (
    ('name of a task', 'POST', '/tasks', {**_TASK, 'name': _LONG}),
    ('dataset of a task', 'POST', '/tasks', {**_TASK, 'dataset_id': _LONG}),
    ('index of a task', 'POST', '/tasks', {**_TASK, 'task_index': -1}),
    ('index of a job of a task', 'POST', '/tasks', {**_TASK, 'job_index': 2**62}),
    ('dependencies', 'POST', '/tasks', {**_TASK, 'depends': ['x'] * 10_001}),
    ('a dependency', 'POST', '/tasks', {**_TASK, 'depends': [_LONG]}),
    ('requirements', 'POST', '/tasks', {**_TASK, 'requirements': {f'k{n}': 1 for n in range(101)}}),
    ('a requirement', 'POST', '/tasks', {**_TASK, 'requirements': {'memory': -1}}),
    ('a text of a requirement', 'POST', '/tasks', {**_TASK, 'requirements': {'x': _TEXT}}),
    ('a list of a requirement', 'POST', '/tasks', {**_TASK, 'requirements': {'x': [1] * 1001}}),
    ('keys of a task', 'POST', '/tasks', {**_TASK, **{f'k{n}': 1 for n in range(300)}}),
    ('a key of a task', 'PATCH', _T, {_LONG: 1}),
    ('failures', 'PATCH', _T, {'failures': -1}), ('failures that cannot grow', 'PATCH', _T, {'failures': 2**63 - 1}),
    ('walltime', 'PATCH', _T, {'walltime': -1}), ('priority', 'PATCH', _T, {'priority': 1e308}),
    ('status list', 'POST', f'{_D}/task_actions/suspend', {'statuses': ['waiting'] * 1000}),
    ('ids', 'POST', f'{_D}/task_actions/suspend', {'tasks': ['x'] * 100_001}),
    ('no ids', 'POST', f'{_D}/task_actions/suspend', {'tasks': []}),
    ('an id', 'POST', f'{_D}/task_actions/suspend', {'tasks': ['x' * 100_000]}),
    ('names', 'POST', f'{_D}/task_actions/suspend', {'names': ['x'] * 1001}),
    ('reason', 'POST', f'{_D}/task_actions/suspend', {'reason': 'x' * 1001}),
    ('ids of jobs', 'POST', f'{_D}/job_actions/suspend', {'jobs': ['x'] * 100_001}),
    ('an id of a job', 'POST', f'{_D}/job_actions/suspend', {'jobs': ['x' * 100_000]}),
    ('ids in bulk', 'POST', '/task_actions/bulk_status/waiting', {'tasks': ['x'] * 100_001}),
    ('an id in bulk', 'POST', '/task_actions/bulk_status/waiting', {'tasks': ['x' * 100_000]}),
    ('ids of jobs in bulk', 'POST', f'{_D}/job_actions/bulk_status/suspended', {'jobs': ['x'] * 100_001}),
    ('number to queue', 'POST', '/task_actions/queue', {'num_tasks': 2**63}),
    ('lease', 'POST', _CLAIM, {'claim_id': '3' * 32, 'lease_seconds': -1}),
    ('site of a claim', 'POST', _CLAIM, {'site': _LONG}), ('pilot of a claim', 'POST', _CLAIM, {'pilot': _LONG}),
    ('offers', 'POST', _CLAIM, {'requirements': {f'k{n}': 1 for n in range(101)}}),
    ('an offer', 'POST', _CLAIM, {'requirements': {_LONG: 1}}),
    ('a text of an offer', 'POST', _CLAIM, {'requirements': {'x': _TEXT}}),
    ('conditions', 'POST', _CLAIM, {'query_params': {f'requirements.k{n}': 1 for n in range(101)}}),
    ('a text of a condition', 'POST', _CLAIM, {'query_params': {'name': _TEXT}}),
    ('name of a condition', 'POST', _CLAIM, {'query_params': {f'requirements.{_LONG}': 1}}),
    ('time used', 'POST', f'{_T}/task_actions/reset', {'time_used': -1}),
    ('time used by far', 'POST', f'{_T}/task_actions/reset', {'time_used': 1e300}),
    ('memory used', 'POST', f'{_T}/task_actions/reset', {'resources': {'memory': -1}}),
    ('resources', 'POST', f'{_T}/task_actions/reset', {'resources': {f'k{n}': 1 for n in range(101)}}),
    ('reason of a report', 'POST', f'{_T}/task_actions/reset', {'reason': _TEXT}),
    ('stdout', 'POST', f'{_T}/task_actions/reset', {'stdout': _TEXT}),
    ('epoch', 'POST', f'{_T}/task_actions/reset', {'epoch': -1}),
    ('progress', 'POST', f'{_T}/task_actions/heartbeat', {'claim_id': '1' * 32, 'progress': {'completed': -1, 'total': 1}}),
    ('description', 'POST', '/datasets', {**_DATASET, 'description': _TEXT}),
    ('group', 'POST', '/datasets', {**_DATASET, 'group': _LONG}),
    ('jobs', 'POST', '/datasets', {**_DATASET, 'jobs_submitted': 10**9, 'tasks_submitted': 10**9}),
    ('jobs below zero', 'POST', '/datasets', {**_DATASET, 'jobs_submitted': -1, 'tasks_submitted': -1}),
    ('tasks a job', 'POST', '/datasets', {**_DATASET, 'tasks_per_job': 10**9, 'tasks_submitted': 10**9}),
    ('tasks a job below zero', 'POST', '/datasets', {**_DATASET, 'tasks_per_job': -5, 'jobs_submitted': 0, 'tasks_submitted': 0}),
    ('retention', 'PUT', f'{_D}/retention', {'days': 1e9}), ('retention below zero', 'PUT', f'{_D}/retention', {'days': -1}),
    ('new description', 'PUT', f'{_D}/description', {'description': _TEXT}),
    ('new number of jobs', 'PUT', f'{_D}/jobs_submitted', {'jobs_submitted': 10**9}),
    ('new number of jobs as a text', 'PUT', f'{_D}/jobs_submitted', {'jobs_submitted': '9' * 20}),
    ('config of no tasks', 'PUT', '/config/@play@', {'version': 1, 'description': '', 'tasks': []}),
    ('tasks of a config', 'PUT', '/config/@play@',
     {'version': 1, 'description': '', 'tasks': [{'name': f'n{n}', 'command': 'x'} for n in range(10_001)]}),
    ('command', 'PUT', '/config/@play@',
     {'version': 1, 'description': '', 'tasks': [{'name': n, 'command': 'x' * 140_000} for n in 'ab']}),
    ('file', 'POST', f'{_D}/files/@play_task@', {**_FILE, 'filename': 'x' * 5000}),
    ('local file', 'POST', f'{_D}/files/@play_task@', {**_FILE, 'local': 'x' * 5000}),
    ('transfer', 'POST', f'{_D}/files/@play_task@', {**_FILE, 'transfer': _LONG}),
    ('task name of a file', 'POST', f'{_D}/files', {**_ENTRY, 'task_name': _TEXT}),
    ('job index of a file', 'POST', f'{_D}/files', {**_ENTRY, 'job_index': -1}),
    ('name of a log', 'POST', '/logs', {'data': '', 'name': _LONG}),
    ('keys of a log', 'POST', '/logs', {'data': '', **{f'k{n}': 1 for n in range(60)}}),
    ('host of a pilot', 'POST', '/pilots', {**_PILOT, 'host': _LONG}),
    ('tasks of a pilot', 'POST', '/pilots', {**_PILOT, 'tasks': ['x'] * 1001}),
    ('a task of a pilot', 'POST', '/pilots', {**_PILOT, 'tasks': [_TEXT]}),
    ('keys of a pilot', 'POST', '/pilots', {**_PILOT, **{f'k{n}': 1 for n in range(200)}}),
    ('resources of a pilot', 'POST', '/pilots', {**_PILOT, 'resources': {f'k{n}': 1 for n in range(1001)}}),
    ('version of a grid', 'PATCH', '/grids/@play_grid@', {'version': _LONG}),
    ('share', 'PUT', '/users/root/priority', {'priority': 1.5}), ('share below zero', 'PUT', '/users/root/priority', {'priority': -0.1}),
    ('name of a question', 'POST', '/auths', {**_AUTH, 'username': _TEXT}),
    ('value of a question', 'POST', '/auths', {**_AUTH, 'value': _TEXT}),
    ('groups of a question', 'POST', '/auths', {**_AUTH, 'groups': ['x'] * 1001}),
    ('a group of a question', 'POST', '/auths', {**_AUTH, 'groups': [_TEXT]}),
    ('role of a question', 'POST', '/auths', {**_AUTH, 'role': 'admin'}),
    ('requirement for all below zero', 'PATCH', f'{_D}/task_actions/bulk_requirements/precious', {'memory': -1.0}),
    ('requirement for all', 'PATCH', f'{_D}/task_actions/bulk_requirements/precious', {'cpu': 2**63}),
    ('job index', 'POST', '/jobs', {'dataset_id': '@play@', 'job_index': -1}),
    ('job id', 'POST', '/jobs', {'dataset_id': '@play@', 'job_index': 3, 'job_id': '../x'}),
)  # fmt: skip
_TOO_LARGE: tuple[tuple[str, str, str, int], ...] = (
    ('task', 'POST', '/tasks', 1_200_000), ('claim', 'POST', _CLAIM, 1_200_000), ('status', 'PUT', f'{_T}/status', 1_200_000),
    ('question', 'POST', '/auths', 1_200_000), ('heartbeat', 'POST', f'{_T}/task_actions/heartbeat', 1_200_000),
    ('report', 'POST', f'{_T}/task_actions/complete', 1_200_000), ('change', 'PATCH', _T, 1_200_000),
    ('log', 'POST', '/logs', 8_500_000), ('measurement', 'POST', f'{_T}/task_stats', 8_500_000),
    ('config', 'PUT', '/config/@play@', 8_500_000), ('bulk', 'POST', '/task_actions/bulk_status/waiting', 8_500_000),
)  # fmt: skip


def _announcing(name: str, length: str, expect: tuple[int, ...], path: str = '/logs') -> Case:
    headers = (('Content-Type', 'application/json'), ('Content-Length', length))
    return Case(f'announced: {name}', expect, 'POST', path, headers=headers, bare=True, patience_seconds=1)


CASES = (
    *(
        Case(f'bounds: {name}', (400, 403) if path == '/auths' else (400,), method, path, body=body)
        for name, method, path, body in _TOO_MUCH
    ),
    *(
        Case(f'too large: {name}', (413,), method, path, body=b'{"data":"' + b'x' * size + b'"}')
        for name, method, path, size in _TOO_LARGE
    ),
    Case('large enough: a log of 3 MB', (201,), 'POST', '/logs', body={'data': 'x' * 3_000_000}),
    _announcing('9 GB', '9000000000', (413,)),
    _announcing('9 GB for a small route', '9000000000', (413,), '/task_actions/queue'),
    _announcing('more than a machine can count', '9' * 400, (400, 413)),
    _announcing('a length with a sign', '+5', (400, 0)),
    _announcing('a negative length', '-1', (400, 0)),
    _announcing('a hexadecimal length', '0x10', (400, 0)),
    _announcing('a length with a point', '5.0', (400, 0)),
    _announcing('a length with an underscore', '1_0', (400, 0)),
    _announcing('an empty length', '', (400, 0)),
    _announcing('a text as a length', 'many', (400, 0)),
    _announcing('two lengths in one', '5, 6', (400, 0)),
    Case('redos: name', (200, 201, 400, 409), 'PUT', '/users/' + 'a' * 200 + '!'),
    Case('redos: claim id', (400,), 'POST', _CLAIM, body={'claim_id': 'a' * 500_000 + '!'}),
    Case('redos: id', (400,), 'POST', '/tasks', body={**_TASK, 'dataset_id': 'a' * 500_000 + '!'}),
    Case('redos: number of jobs', (400,), 'PUT', f'{_D}/jobs_submitted', body={'jobs_submitted': '0' * 500_000 + 'x'}),
    Case('redos: requirement', (400,), 'POST', _CLAIM, body={'query_params': {'requirements.' + 'a' * 500_000 + '.': 1}}),
    Case('redos: placeholders', (200, 400), 'PUT', '/config/@play@',
         body={'version': 1, 'description': '', 'tasks': [{'name': n, 'command': '${' * 60_000} for n in 'ab']}),
    Case('redos: file', (400,), 'POST', f'{_D}/files/@play_task@', body={**_FILE, 'local': 'a/' * 2000 + '../' * 2000}),
    Case('redos: a time', (400,), path='/logs?from=' + '2' * 20_000),
)  # fmt: skip
