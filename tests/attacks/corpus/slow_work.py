"""Small requests that could be much work: each is answered soon, and so is everybody else."""

from typing import Any

from tests.attacks.case import Case

_PLAY = '/tasks/@play_task@'
_CLAIM = '/task_actions/process'
_NOTHING = {'dataset_id': 'nothing'}


def _config(tasks: int, depends: int) -> dict[str, Any]:
    """Each task depends on those before it."""
    names = [f'n{number}' for number in range(tasks)]
    of_each = [
        {'name': name, 'command': 'x', 'depends': names[max(0, at - depends) : at]} for at, name in enumerate(names)
    ]
    return {'version': 1, 'description': '', 'tasks': of_each}


def _lists(keys: int, item: Any) -> dict[str, Any]:
    return {f'k{number}': [item] * 1000 for number in range(keys)}


_SLOW: tuple[tuple[str, str, str, str, Any], ...] = (
    ('a config in which all depends on all', 'alice', 'PUT', '/config/@dataset@', _config(1000, 700)),
    ('an offer of long lists', 'rival', 'POST', _CLAIM, {'requirements': _lists(100, 7), 'query_params': _NOTHING}),
    ('a log with long lists', 'root', 'POST', '/logs', {'data': '', **_lists(45, 1)}),
    ('a task with long lists', 'root', 'PATCH', _PLAY, {'note': [[1] * 1000] * 400}),
    ('100 000 ids', 'root', 'POST', '/datasets/@play@/task_actions/suspend', {'tasks': [f'{n:032x}' for n in range(100_000)]}),
    ('80 000 statuses', 'root', 'POST', '/datasets/@play@/task_actions/suspend', {'statuses': ['idle'] * 80_000}),
    ('100 lists to compare with', 'rival', 'POST', _CLAIM,
     {'query_params': {**_NOTHING, **{f'requirements.k{n}': {'$nin': list(range(1000))} for n in range(50)}}}),
)  # fmt: skip
# Each of these is refused, or the next one must cope with it.
_ONE_AFTER_ANOTHER: tuple[tuple[str, str, Any], ...] = (
    ('PATCH', _PLAY, {'failures': 2**63 - 1}), ('POST', f'{_PLAY}/task_actions/reset', {}),
    ('PATCH', _PLAY, {'walltime_err': 1.7e308, 'walltime_err_n': 2**63 - 1}),
    ('POST', f'{_PLAY}/task_actions/reset', {'time_used': 315_360_000}),
    ('PATCH', _PLAY, {'requirements': {'memory': 1.7e308}}),
    ('POST', f'{_PLAY}/task_actions/reset', {'resources': {'memory': 1.7e308, 'cpu': 1e308, 'time': 1e308}}),
    ('PATCH', _PLAY, {'priority': -1.7e308}), ('PUT', '/datasets/@play@/priority', {'priority': 1.7e308}),
    ('PUT', '/datasets/@play@/priority', {'priority': -1.7e308}), ('PUT', '/datasets/@play@/jobs_submitted', {'jobs_submitted': 10**8}),
    ('PUT', '/datasets/@play@/retention', {'days': 36_500}), ('PATCH', '/pilots/@play_pilot@', {'start_date': '0001-01-01T00:00:00+23:59'}),
    ('PATCH', '/pilots/@play_pilot@', {'start_date': '9999-12-31T23:59:59-23:59'}), ('PUT', '/users/root/priority', {'priority': 0}),
    ('PUT', '/groups/p/priority', {'priority': 0}), ('PUT', '/groups/p/priority', {'priority': 5e-324}),
)  # fmt: skip
_READ_AFTERWARDS = (
    _PLAY, '/tasks?status=reset', '/task_order?dataset_id=@play@', '/datasets/@play@', '/datasets/@play@/task_stats', '/datasets/@play@/archive',
    '/pilots/@play_pilot@',
)  # fmt: skip

CASES = (
    *(Case(f'slow: {name}', (200, 201, 400, 404, 413), method, path, sender, body, patience_seconds=20) for name, sender, method, path, body in _SLOW),
    *(
        Case(f'at the edge: {number} {method} {path}', (200, 400, 404, 409), method, path, body=body)
        for number, (method, path, body) in enumerate(_ONE_AFTER_ANOTHER)
    ),
    *(Case(f'at the edge: read {path}', (200,), path=path) for path in _READ_AFTERWARDS),
    Case('at the edge: a place on disk', (200,), 'DELETE', '/datasets/@doomed@?archive=true&force=true', silent=('"archive":"/',)),
    Case('at the edge: a link with a header in it', (200, 400), path='/tasks?limit=1&status=suspended%0d%0aX-Injected:1&%0d%0aX-Injected:2=1'),
)  # fmt: skip
