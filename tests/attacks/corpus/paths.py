"""Ids, names and file paths that try to be something else."""

from typing import Any

from tests.attacks.case import Case

_GONE = (400, 404)
_IDS = {
    'parent': '..', 'parent of a parent': '../../etc/passwd', 'encoded parent': '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    'half encoded parent': '..%2f..%2fetc', 'doubly encoded': '%252e%252e%252f', 'triply encoded': '%25252e',
    'backslash': '..\\..\\windows', 'encoded backslash': '..%5c..%5cwindows', 'NUL': 'a%00b', 'NUL and an ending': 'x%00.json',
    'line break': 'a%0d%0aX-Injected:%201', 'line feed': 'a%0ab', 'line feed behind': '@play_task@%0a', 'tab': 'a%09b',
    'blank': 'a%20b', 'DEL': 'a%7fb', 'overlong slash': '..%c0%af..', 'overlong dot': '%c0%ae%c0%ae', 'overlong NUL': '%c0%80',
    'bad UTF-8': '%ff%fe', 'surrogate': '%ed%a0%80', 'digits of other scripts': '%d9%a3', 'wide letters': '%ef%bd%81',
    'letter of another script': '%d0%b0', 'combining mark': 'e%cc%81', 'right to left': '%e2%80%ae', 'zero width': 'a%e2%80%8bb',
    'percent alone': '%', 'half an escape': '%4', 'bad escape': '%zz', 'escape of IIS': '%u0041', 'semicolon': 'a;b=c',
    'session': '@play_task@;jsessionid=1', 'dot': '@play_task@.json', 'tilde': '~root', 'star': '*', 'braces': '{task_id}',
    'template': '${7*7}', 'template of Jinja': '{{7*7}}', 'quote': "'%20OR%20'1'='1", 'script': '<script>', 'pipe': 'a|b',
    'at': '@play_task@%40x', 'colon': 'http:', 'address': 'http:%2f%2fevil.example', 'sign': '-1', 'undefined': 'a%2fb',
    'long': 'a' * 300, 'very long': 'a' * 20_000, 'hash': '%23', 'question': '%3f', 'ampersand': 'a&b', 'escaped letters': '%61%62',
}  # fmt: skip
_OTHER_PLACES = (
    '/', '//', '///', '//tasks', '/tasks/', '/tasks//status', '/tasks/@play_task@/', '/./tasks', '/tasks/../healthz', '/healthz/',
    '/healthz/.', '/healthz%00', '/healthz%20', '/Healthz', '/HEALTHZ', '/healthz;x', '/%68ealthz', '/healthz%2f..', '/.git/config',
    '/.env', '/static/../../etc/passwd', '/favicon.ico', '/robots.txt', '/server-status', '/metrics', '/debug', '/debug/pprof/',
    '/actuator/env', '/admin', '/docs', '/openapi.json', '/schemas/task.json', '/token', '/cgi-bin/%2e%2e/bin/sh', '/wp-login.php',
    '/tasks/@play_task@/task_actions', '/datasets/@play@/tasks/@play_task@/nothing', '/tasks%2f@play_task@',
    '/datasets/@play@/../@dataset@', '/\\evil.example', '/tasks\\@play_task@', '/%5c', '/%2e%2e/', '/..;/tasks', '/a' * 5000,
)  # fmt: skip
_NAMES = {
    'NUL': '%00', 'NUL inside': 'a%00b', 'line break': 'a%0d%0ab', 'line feed': 'a%0a', 'escape': '%1b[31m', 'DEL': 'a%7f',
    'bad UTF-8': '%ff', 'overlong UTF-8': '%c0%af', 'surrogate': '%ed%a0%80', 'cut off UTF-8': '%e2%82', 'long': 'n' * 300,
    'very long': 'n' * 30_000, 'forged line': 'a%0aFORGED', 'next line': 'a%c2%85b', 'half an escape': '%4',
}  # fmt: skip
# Kept as they are.
_NO_HARM = ('half an escape', 'next line')
_LOCALS = {
    'parent': '../x', 'parent alone': '..', 'parent inside': 'a/../../x', 'parent that comes back': 'a/../b', 'absolute': '/etc/passwd',
    'home': '~/.ssh/authorized_keys', 'flag': '-rf', 'long flag': '--output=/etc/x', 'flag in a folder': 'a/-rf', 'dot': './a', 'twice': 'a//b',
    'folder': 'a/', 'line break': 'a\nb', 'NUL': 'a\0b', 'escape': 'a\x1b[2J', 'tab': 'a\tb', 'DEL': 'a\x7f',
    'address': 'file:///etc/passwd',
}  # fmt: skip
# A tilde, an address, and a dash behind a slash are parts of names like others to a program that is no shell.
_NAMES_LIKE_OTHERS = ('home', 'address', 'flag in a folder')
_REMOTES = {
    'line break': 'gsiftp://x/a\nb',
    'NUL': 'gsiftp://x/\0',
    'escape': '\x1b]0;x\x07',
    'tab': 'a\tb',
    'empty': '',
}


def _file(**more: Any) -> dict[str, Any]:
    return {'filename': 'f', 'movement': 'input', **more}


def _config(**file: Any) -> dict[str, Any]:
    tasks = [{'name': name, 'command': 'true', 'files': [_file(**file)]} for name in 'ab']
    return {'version': 1, 'description': '', 'tasks': tasks}


CASES = (
    *(Case(f'id: {name}', _GONE, path=f'/tasks/{text}', silent=('X-Injected: 1',)) for name, text in _IDS.items()),
    *(
        Case(f'id of a dataset: {name}', (*_GONE, 403), path=f'/datasets/{_IDS[name]}/tasks', sender='mallory')
        for name in ('parent', 'encoded parent', 'NUL', 'line break', 'bad UTF-8', 'digits of other scripts', 'long', 'percent alone')
    ),
    *(Case(f'path: {path[:60]}', _GONE, path=path) for path in _OTHER_PLACES),
    *(Case(f'name of a user: {name}', _GONE, 'PUT', f'/users/{text}') for name, text in _NAMES.items() if name not in _NO_HARM),
    *(Case(f'name of a group: {name}', _GONE, 'PUT', f'/groups/{_NAMES[name]}/priority', body={'priority': 1}) for name in ('NUL', 'bad UTF-8', 'forged line')),
    *(
        Case(f'name of a task: {name}', _GONE, 'PATCH', f'/datasets/@play@/task_actions/bulk_requirements/{text}', body={'cpu': 1})
        for name, text in _NAMES.items()
    ),
    Case('name of a user: encoded slash', (200, 400, 404, 409), 'PUT', '/users/a%2fb'),
    Case('name of a user: parent', (200, 400, 404, 409), 'PUT', '/users/..'),
    Case('name of a user: encoded parent', (200, 400, 404, 409), 'PUT', '/users/%2e%2e%2f'),
    Case('name of a user: markup', (200, 400, 404, 409), 'PUT', '/users/%3Cscript%3Ealert(1)%3C%2fscript%3E'),
    Case('name of a user: doubly encoded', (200, 400, 404, 409), 'PUT', '/users/%2561'),
    *(
        Case(f'file of a task: {name}', (201, 400) if name in _NAMES_LIKE_OTHERS else (400,), 'POST',
             '/datasets/@play@/files/@play_task@', body=_file(local=text))
        for name, text in _LOCALS.items()
    ),
    *(
        Case(f'file of a config: {name}', (400,), 'PUT', '/config/@play@', body=_config(local=text))
        for name, text in _LOCALS.items()
        if name not in _NAMES_LIKE_OTHERS
    ),
    *(
        Case(f'remote file: {name}', (400,), 'POST', '/datasets/@play@/files/@play_task@', body=_file(filename=text))
        for name, text in _REMOTES.items()
    ),
    Case('path: bytes beyond ASCII', _GONE, path='/tasks/\xe9\xe8'),
    Case('path: bytes beyond ASCII in a dataset', (*_GONE, 403), path='/datasets/\xe9/tasks', sender='mallory'),
    Case('path: in full, of another host', (200, 400, 404), path='http://evil.example/healthz'),
    Case('path: in full, with another port', (200, 400, 404), path='http://127.0.0.1:22/tasks/@held@', silent=('@held_claim@',), sender='mallory'),
    Case('path: authority only', (400, 404, 0), path='evil.example:443', bare=True),
    Case('path: star', (400, 404, 0), path='*', bare=True),
    Case('path: without slash', (400, 404, 0), path='healthz', bare=True),
    Case('path: empty', (400, 404, 0), raw=b'GET  HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', bare=True),
    Case('path: fragment', (400, 404), path='/tasks/@play_task@#x'),
)  # fmt: skip
