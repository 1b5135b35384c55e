"""Queries: too many arguments, too long ones, numbers that are none, cursors made by hand."""

import base64
import json
from typing import Any

from tests.attacks.case import Case

_D = '/datasets/@play@/tasks'
_INTEGERS = {
    'digits of another script': '%D9%A3', 'wide digits': '%EF%BC%91', 'superscript': '%C2%B2', 'underscore': '1_0', 'hexadecimal': '0x1',
    'fraction': '1.0', 'exponent': '1e1', 'text': 'one', '2**63': '9223372036854775808', '-2**63-1': '-9223372036854775809',
    '5000 digits': '9' * 5000, 'NaN': 'NaN', 'infinity': 'Infinity', 'list': '[1]', 'object': '{}', 'two words': '1%202', 'comma': '1,2',
}  # fmt: skip


def _cursor(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip('=')


_ID = '0' * 24
_CURSORS = {
    'text': 'x', 'no base64': '!!!', 'empty JSON': _cursor(), 'a number': base64.urlsafe_b64encode(b'5').decode(), 'one too many': _cursor('a', 'b', _ID),
    'operator for the id': _cursor('a', {'$gt': ''}), 'number for the id': _cursor('a', 5), 'null for the id': _cursor('a', None),
    'short id': _cursor('a', 'abc'), 'deep': base64.urlsafe_b64encode(b'[' * 10_000).decode(), 'NUL': 'a%00b', 'letters of another script': '%D0%B0',
}  # fmt: skip
# These fit the order, and hold a value that no task has.
_VALUES: dict[str, Any] = {
    'operator': {'$gt': ''}, 'operator of an update': {'$set': 1}, 'variable': '$$ROOT', 'field': '$claim_id', 'integer too large': 2**70,
    'negative integer too large': -(2**70), 'list': [1, [2]], 'surrogate': '\ud800', 'NUL': 'a\0b', 'NaN': float('nan'), 'long': 'x' * 20_000,
    'time too late': {'$date': 1e300}, 'time that is a text': {'$date': 'x'}, 'time that is NaN': {'$date': float('nan')}, 'true': True, 'null': None,
    'object with a surrogate': {'$date': 0, '\ud800': 1}, 'deep': [[[[[[1]]]]]],
}  # fmt: skip
_ANYTHING: dict[str, tuple[str, tuple[int, ...]]] = {
    '5000 arguments': ('/tasks?limit=1&' + '&'.join(f'a{n}=1' for n in range(5000)), (400,)),
    '300 arguments': ('/tasks?limit=1&' + '&'.join(f'a{n}=1' for n in range(300)), (400,)),
    'one argument 300 times': ('/tasks?' + '&'.join(['limit=1'] * 300), (400,)),
    'a long argument': ('/tasks?limit=1&status=' + 'x' * 50_000, (400,)),
    'a long name': ('/tasks?limit=1&' + 'x' * 50_000 + '=1', (400,)),
    '10 000 keys': ('/tasks?limit=1&keys=' + '|'.join(f'k{n}' for n in range(8_000)), (400,)),
    '1000 orders': ('/tasks?limit=1&sort=' + '|'.join(f'k{n}=1' for n in range(1000)), (200, 400)),
    '10 000 statuses': ('/tasks?limit=1&status=' + 'waiting|' * 6_000, (400,)),
    '10 000 groups': ('/datasets?groups=' + 'g|' * 10_000, (400,)),
    'bad UTF-8': ('/tasks?limit=1&status=%ff', (400,)),
    'bad UTF-8 in a name': ('/tasks?limit=1&%ff=1', (400,)),
    'bad UTF-8 in an unknown argument': ('/tasks?limit=1&x=%c3%28', (400,)),
    'overlong UTF-8': ('/tasks?limit=1&status=%c0%af', (400,)),
    'a surrogate': ('/tasks?limit=1&status=%ed%a0%80', (400,)),
    'NUL in a status': ('/tasks?limit=1&status=a%00b', (200, 400)),
    'NUL in a key': ('/tasks?limit=1&keys=a%00b', (400,)),
    'NUL in a name of a task': (f'{_D}?name=a%00b', (200, 400)),
    'a key with a line break': ('/tasks?limit=1&keys=a%0ab', (400,)),
    'an empty key': ('/tasks?limit=1&keys=||', (200, 400)),
    'a long key': ('/tasks?limit=1&keys=' + 'k' * 1000, (400,)),
    'a key of other letters': ('/tasks?limit=1&keys=%D0%B0', (200, 400)),
    'a key and one inside it': ('/tasks?limit=1&keys=log|log.claim', (400,)),
    '_id': ('/tasks?limit=1&keys=_id', (200, 400)),
    'a slice': ('/tasks?limit=1&keys=log[0]', (200, 400)),
    'prototype': ('/tasks?limit=1&keys=__proto__|constructor', (200, 400)),
    'order of secrets': ('/tasks?sort=claim_id=-1&limit=1&keys=task_id', (200, 400)),
    'order of nothing': ('/tasks?sort==1&limit=1', (200, 400)),
    'order and a path': ('/tasks?sort=log.claim=1&limit=1', (200, 400)),
    'no value': ('/tasks?limit&status', (200, 400)),
    'nothing but marks': ('/tasks?&&&===&limit=1', (200, 400)),
    'semicolons': ('/tasks?limit=1;status=x', (200, 400)),
    'brackets': ('/tasks?limit=1&status[]=x&status[0]=y', (200, 400)),
    'JSON as a query': ('/tasks?{"limit":1}', (200, 400)),
    'plus and percent': ('/tasks?limit=1&status=%2B%25', (200, 400)),
    'bad escape': ('/tasks?limit=1&status=%zz', (200, 400)),
    'a second question mark': ('/tasks?limit=1?status=x', (200, 400)),
    'time that is none': ('/logs?from=yesterday', (400,)),
    'time in the year 99999': ('/logs?from=99999-01-01', (400,)),
    'time with 30 digits of a second': ('/logs?limit=1&from=2024-01-01T00:00:00.' + '1' * 30, (200, 400)),
    'time with a huge zone': ('/logs?from=0001-01-01T00:00:00%2B23:59', (200, 400)),
    'time of other digits': ('/logs?from=%D9%A2%D9%A0%D9%A2%D9%A4-01-01', (400,)),
    'negative limit of logs': ('/logs?limit=-1', (400,)),
    'flag that is none': ('/datasets/@play@?force=maybe', (200, 400)),
    'limit of the order': ('/task_order?limit=-1', (400,)),
    'huge limit of the order': ('/task_order?limit=99999999999', (400,)),
    'secrets in the query': ('/tasks?limit=1&password=querysecret&token=querysecret', (200, 400)),
    'secrets in a query that fails': ('/tasks?keys=$querysecret', (400,)),
    'secrets in a query of nothing': ('/nothing?password=querysecret', (404,)),
}  # fmt: skip

CASES = (
    *(Case(f'query: job_index {name}', (400,), path=f'{_D}?job_index={text}') for name, text in _INTEGERS.items()),
    *(Case(f'query: limit of logs {name}', (400,), path=f'/logs?limit={text}') for name, text in _INTEGERS.items()),
    # Old clients get all tasks for a limit that is no number.
    *(Case(f'query: limit {name}', (200, 400), path=f'/tasks?status=none&limit={text}') for name, text in _INTEGERS.items()),
    *(Case(f'cursor: {name}', (400,), path=f'/tasks?sort=name&limit=1&after={text}') for name, text in _CURSORS.items()),
    *(
        Case(f'cursor: with {name}', (200, 400), path=f'/tasks?sort=name=1&limit=1&after={_cursor(value, _ID)}', silent=('@held_claim@',))
        for name, value in _VALUES.items()
    ),
    *(
        Case(f'cursor of a dataset: with {name}', (200, 400), path=f'{_D}?limit=1&after={_cursor(value, "precious", _ID)}')
        for name, value in _VALUES.items()
    ),
    *(Case(f'query: {name}', expect, path=path, bare=name == '5000 arguments') for name, (path, expect) in _ANYTHING.items()),
    Case('query: in the body of a GET', (400,), path='/tasks?limit=1', body={'keys': '$where'}),
    Case('query: an operator in the body of a GET', (200, 400), path='/tasks?limit=1', body={'status': {'$ne': 'x'}}),
    Case('query: a list in the body of a GET', (200, 400), path='/tasks?limit=1', body={'keys': ['$where']}),
    Case('query: claim ids by the body of a GET', (200, 400), path='/datasets/@dataset@/tasks', sender='alice',
         body={'keys': 'claim_id|claims'}, silent=('@held_claim@',)),
)  # fmt: skip
