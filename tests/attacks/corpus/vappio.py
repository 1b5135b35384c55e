"""The dialect /vappio/task_ws.py: forms that cost much, say odd things, or look at what others have."""

import json
from typing import Any
from urllib.parse import quote

from tests.attacks.case import Case, Headers

_PATH = '/vappio/task_ws.py'
_FORM: Headers = (('Content-Type', 'application/x-www-form-urlencoded'),)


def _sent(name: str, body: str | bytes, expect: tuple[int, ...] = (200,), sender: str = 'root', **more: Any) -> Case:
    headers = more.pop('headers', _FORM)
    return Case(f'vappio: {name}', expect, 'POST', _PATH, sender, body, headers, **more)


def _asked(name: str, request: Any, **more: Any) -> Case:
    text = request if isinstance(request, str) else json.dumps(request)
    # Names of the stage stand between @, which need not be quoted.
    return _sent(name, f'request={quote(text, safe="@")}', **more)


_FAILED = ('"success":false', '"stacktrace":""')
_JSON: tuple[tuple[str, str], ...] = (
    ('no JSON', '{'), ('single quotes', "{'cluster':'local'}"), ('NaN', '{"cluster":NaN}'),
    ('half a surrogate pair', '{"cluster":"\\ud800"}'), ('NUL', '{"cluster":"local\\u0000"}'),
    ('a key twice', '{"cluster":"local","cluster":"local"}'), ('a list', '[{"cluster":"local"}]'),
    ('33 levels', '{"cluster":' + '[' * 33 + ']' * 33 + '}'), ('10 000 levels', '[' * 10_000 + ']' * 10_000),
    ('20 000 open levels', '{"a":' * 10_000), ('a number too large', '{"cluster":"local","x":1e999}'),
    ('2**64', '{"cluster":"local","x":18446744073709551616}'), ('a byte order mark', '\ufeff{"cluster":"local"}'),
    ('a script', '<script>alert(1)</script>'), ('nothing', ''),
)  # fmt: skip
_TYPES: tuple[Any, ...] = (None, True, 5, 1.5, [], ['local'], {}, {'$ne': ''}, {'$gt': None}, '', 'x' * 256, 'a\nb')
_CLUSTERS = (
    'http://127.0.0.1:1', '127.0.0.1', '../local', 'local\r\nX: y', 'file:///etc/passwd', '@root', 'LOCAL', ' local',
)  # fmt: skip

CASES = (
    *(_asked(f'JSON, {name}', text, says=_FAILED) for name, text in _JSON),
    *(_asked(f'cluster of type {value!r:.20}', {'cluster': value}, says=_FAILED) for value in _TYPES),
    *(
        _asked(f'task_name of type {value!r:.20}', {'cluster': 'local', 'task_name': value}, says=_FAILED)
        for value in (*_TYPES[1:-2], 'x' * 301)
    ),
    *(
        _asked(f'dataset_id of type {value!r:.20}', {'cluster': 'local', 'dataset_id': value}, says=_FAILED)
        for value in (*_TYPES[1:], '../x', 'a.b', '$where')
    ),
    *(_asked(f'cluster {name!r}', {'cluster': name}, says=_FAILED) for name in _CLUSTERS),
    _asked('operators beside', {'cluster': 'local', 'task_name': 'x', '$where': 'sleep(9)'}, says=('not found: x',)),
    _sent('no field', 'a=b', says=('Must pass request object',)),
    _sent('two fields', 'request={}&request={}', says=_FAILED),
    _sent('100 000 fields', '&' * 100_000, says=('Must pass request object',)),
    _sent('60 000 fields with names', 'a=&' * 60_000, says=('Must pass request object',)),
    _sent('300 kB of per cent', b'request=' + b'%' * 300_000, says=_FAILED),
    _sent('bad UTF-8', b'request=%ff%fe', says=('Must pass request object',)),
    _sent('raw bytes', b'request=\xff\x00\x80', says=('Must pass request object',)),
    _sent('2 MiB', b'request=' + b'x' * 2**21, (413,)),
    _sent('JSON instead', '{"cluster":"local"}', (415,), headers=()),
    _sent('parts', b'--x\r\n\r\n\r\n--x--', (415,), headers=(('Content-Type', 'multipart/form-data; boundary=x'),)),
    _sent('packed', b'\x1f\x8b', (415,), headers=(*_FORM, ('Content-Encoding', 'gzip'))),
    _sent('from nobody', 'request={"cluster":"local"}', (401,), 'nobody'),
    _sent('long and from nobody', b'request=' + b'x' * 100_000, (401,), 'nobody'),
    _sent('from a pilot', 'request={"cluster":"local"}', (403,), 'holder'),
    _asked(
        'a task of others', {'cluster': 'local', 'task_name': '@task@'}, sender='mallory', twin=True, silent=('precious',)
    ),
    _asked(
        'a dataset of others', {'cluster': 'local', 'dataset_id': '@dataset@'}, sender='mallory', twin=True,
        silent=('precious',),
    ),
    _asked('an own task', {'cluster': 'local', 'task_name': '@own_task@'}, sender='mallory', says=('"success":true',)),
    *(Case(f'vappio: {method}', (405,), method, _PATH) for method in ('PUT', 'PATCH', 'DELETE')),
    Case('vappio: by the query', (200,), path=f'{_PATH}?request=%7B%22cluster%22%3A%5B%5D%7D', says=_FAILED),
    Case('vappio: bad UTF-8 in the query', (400,), path=f'{_PATH}?request=%ff'),
    Case('vappio: a long query', (400,), path=f'{_PATH}?request={"x" * 9000}'),
    Case('vappio: another path', (404,), path='/vappio/task_wsxpy'),
)  # fmt: skip
