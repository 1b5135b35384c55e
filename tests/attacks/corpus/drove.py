"""The dialect of Drove: bodies that are none, texts that lead elsewhere, names of others, odd headers and queries."""

import base64
import json
from typing import Any
from urllib.parse import quote

from tests.attacks.case import Case, Headers
from tests.dialects.drove import bodies

_ROOT = '/apis/v1'
_OPERATIONS = f'{_ROOT}/tasks/operations'
_VALIDATE = f'{_ROOT}/tasks/validate/spec'
_SIMULATE = f'{_ROOT}/cluster/placement/simulate'
_SEARCH = f'{_ROOT}/tasks/search'
_PRECIOUS = f'{_ROOT}/tasks/PRECIOUS/instances/T1'
_LOG = f'{_ROOT}/logfiles/tasks/PRECIOUS/T1'
_EVENTS = f'{_ROOT}/cluster/events'
_FORM: Headers = (('Content-Type', 'application/x-www-form-urlencoded'),)
_UNREADABLE = ('"status":"FAILED"', '"message":"JSON validation failure"')
_BROKEN = ('"status":"FAILED"', '"message":"Command validation failure"')
_REFUSED = ('"status":"FAILED"', '"validationErrors":[')
_JS = 'function() { sleep(5000) }'


def _posted(name: str, body: Any, expect: tuple[int, ...] = (400,), path: str = _OPERATIONS, **more: Any) -> Case:
    return Case(f'drove: {name}', expect, 'POST', path, body=body, **more)


def _spec(name: str, changes: dict[str, Any], says: tuple[str, ...] = _REFUSED, **more: Any) -> Case:
    """A task that must be refused for what is changed in it."""
    return _posted(name, bodies.create(bodies.docker(taskId='HOSTILE', **changes)), says=says, **more)


def _nested(depth: int) -> str:
    """A placement policy within others, as text: the writer of JSON has a limit of its own."""
    policy = '{"type":"COMPOSITE","policies":[' * depth + '{"type":"ANY"}' + ']}' * depth
    return json.dumps(bodies.create(bodies.spec(placementPolicy='HERE'))).replace('"HERE"', policy)


_JSON: tuple[tuple[str, str | bytes], ...] = (
    ('nothing', b''), ('null', 'null'), ('a list', '[]'), ('a text', '"CREATE"'), ('a number', '5'), ('half', '{'),
    ('two', '{}{}'), ('no UTF-8', b'\xff\xfe{}'), ('UTF-16', '{"type":"KILL"}'.encode('utf-16')), ('NaN', '{"type":NaN}'),
    ('a byte order mark', b'\xef\xbb\xbf{}'), ('a number too large', '{"type":"KILL","x":1e999}'),
    ('a number of 5000 digits', '{"x":' + '9' * 5000 + '}'), ('half a surrogate pair', '{"type":"KILL","x":"\\ud800"}'),
    ('a key twice', '{"type":"KILL","type":"CREATE"}'), ('10 000 open lists', '[' * 10_000),
    ('20 000 open objects', '{"a":' * 20_000), ('the marks of the page', bodies.SEED_KILL), ('a comment', '{/**/}'),
    ('a query', '{"$where":"sleep(3000)"}'), ('a path', '{"spec.taskId":"x"}'), ('NUL in a key', '{"a\\u0000":1}'),
)  # fmt: skip
_ODD: tuple[Any, ...] = (True, 5, 1.5, 2**63, [], ['x'], {'$ne': ''}, {'a': {'$where': _JS}}, 'x\0y')
"""Values that are right for nothing."""
_TEXTS = ('sourceAppName', 'maxRunTime', 'killGrace', 'keepFor')
_PARTS = ('executable', 'resources', 'env', 'args', 'configs', 'volumes', 'placementPolicy', 'tags', 'logging')
_NAMES = (
    '', ' ', '.', '..', '../x', 'a/b', 'a.b', 'a b', 'x' * 129, 'a\n', 'a\r\nX-Evil: 1', 'a\0', '$where', '\u0661', '\u00e9', '${x}', '%41',
)  # fmt: skip
_DURATIONS = (
    '0s', '-1s', '31d', '9' * 17 + 's', '1' * 5000 + 's', '1e3s', '5', 'm', '\u0665m', '5 m\n', '5m\0', 'NaN', '5M', '0x5s', '5\u2003m',
)  # fmt: skip
_NUMBERS = (-1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 1e300, 1.5, '1', True, [1])
_HOSTILE_SPECS: tuple[tuple[str, dict[str, Any]], ...] = (
    ('1 MB of args in one', {'args': ['x' * 1_000_000]}), ('300 000 args', {'args': [''] * 300_000}),
    ('1 MB of a value in env', {'env': {'A': 'x' * 1_000_000}}), ('5000 variables', {'env': {f'A{n}': '' for n in range(5000)}}),
    ('1 MB of a tag', {'tags': {'a': 'x' * 1_000_000}}), ('20 000 tags', {'tags': {f'a{n}': '' for n in range(20_000)}}),
    ('a long name of a tag', {'tags': {'x' * 129: ''}}), ('a long name of a variable', {'env': {'x' * 200_000: ''}}),
    ('NUL in args', {'args': ['a\0b']}), ('NUL in env', {'env': {'A': 'a\0b'}}), ('NUL in an image', {'executable': {'type': 'DOCKER', 'url': 'a\0', 'dockerPullTimeout': '1m'}}),
    ('an operator in env', {'env': {'$where': _JS}}), ('an operator in tags', {'tags': {'$where': _JS}}),
    ('a path in env', {'env': {'a.b': ''}}), ('a path in tags', {'tags': {'a.b': ''}}), ('no name in tags', {'tags': {'': 'x'}}),
    ('an operator beside', {'$set': {'status': 'complete'}}), ('a variable of ours', {'env': {'DROVE_TASK_ID': 'x'}}),
    ('a variable with =', {'env': {'A=B': 'x'}}), ('a variable with a line', {'env': {'A\nB': 'x'}}),
    ('a file above', {'configs': [{'type': 'INLINE', 'localFilename': '../x', 'data': 'eA=='}]}),
    ('a file far above', {'configs': [{'type': 'INLINE', 'localFilename': '/a/../../etc/passwd', 'data': 'eA=='}]}),
    ('a file with NUL', {'configs': [{'type': 'INLINE', 'localFilename': 'a\0', 'data': 'eA=='}]}),
    ('a file that is no base64', {'configs': [{'type': 'INLINE', 'localFilename': 'a', 'data': '!!!'}]}),
    ('a file of 1.3 MB', {'configs': [{'type': 'INLINE', 'localFilename': 'a', 'data': 'AAAA' * 450_000}]}),
    ('2000 files', {'configs': [{'type': 'INLINE', 'localFilename': f'{n}', 'data': 'eA=='} for n in range(2000)]}),
    ('a file of somebody', {'configs': [{'type': 'CONTROLLER_HTTP_FETCH', 'localFilename': 'a', 'http': {'hostname': '127.0.0.1'}}]}),
    ('a file of the pilot', {'configs': [{'type': 'EXECUTOR_LOCAL_FILE', 'localFilename': 'a', 'filePathOnHost': '/etc/shadow'}]}),
    ('a volume above', {'volumes': [{'pathOnHost': '/a/../..', 'pathInContainer': '/x', 'mode': 'READ_WRITE'}]}),
    ('a volume that is an option', {'volumes': [{'pathOnHost': '/a:/b:rw', 'pathInContainer': '/x,y', 'mode': 'READ_ONLY'}]}),
    ('an image that is an option', {'executable': {'type': 'DOCKER', 'url': '--privileged', 'dockerPullTimeout': '1m'}}),
    ('an image with a line', {'executable': {'type': 'DOCKER', 'url': 'a\nb', 'dockerPullTimeout': '1m'}}),
    ('an image of 1 MB', {'executable': {'type': 'DOCKER', 'url': 'x' * 1_000_000, 'dockerPullTimeout': '1m'}}),
    ('another type', {'executable': {'type': 'docker', 'url': 'x', 'dockerPullTimeout': '1m'}}),
    ('a user', {'userSpec': {'uid': 0, 'gid': 0}}), ('devices', {'devices': [{'pathOnHost': '/dev/sda'}]}),
    ('rules', {'placementPolicy': {'type': 'RULE_BASED', 'rule': _JS, 'ruleType': 'MVEL'}}),
    ('a tag of 1 MB', {'placementPolicy': {'type': 'MATCH_TAG', 'tag': 'x' * 1_000_000}}),
    ('a tag that is a query', {'placementPolicy': {'type': 'MATCH_TAG', 'tag': {'$gt': ''}}}),
    ('2**16 alternatives', {'placementPolicy': {'type': 'COMPOSITE', 'policies': [
        {'type': 'COMPOSITE', 'combiner': 'OR', 'policies': [{'type': 'MATCH_TAG', 'tag': f'{n}{m}'} for m in 'ab']}
        for n in range(16)
    ]}}),
    ('50 000 policies', {'placementPolicy': {'type': 'COMPOSITE', 'policies': [{'type': 'X'}] * 50_000}}),
    ('5000 names that grow where they are told', {'env': {f'{n}' + '\U0010ffff' * 95: 5 for n in range(5000)}}),
    ('30 000 resources', {'resources': [{'type': 'CPU', 'count': 1}] * 30_000}),
    ('logs elsewhere', {'logging': {'type': 'RSYSLOG', 'server': 'evil.example'}}),
)  # fmt: skip


def _basic(text: str | bytes) -> str:
    return 'Basic ' + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


_CREDENTIALS: tuple[tuple[str, str], ...] = (
    ('no colon', _basic('root')), ('nothing', 'Basic'), ('a blank', 'Basic '), ('bad base64', 'Basic !!!'), ('cut off base64', 'Basic cm9vd'),
    ('no UTF-8', _basic(b'\xff\xfe:\xff')), ('NUL', _basic('root\0:x')), ('a query', _basic('{"$ne":null}:x')), ('only a colon', _basic(':')),
    ('many colons', _basic(':' * 1000)), ('a long password', _basic('root:' + 'x' * 15_000)), ('a long name', _basic('x' * 15_000 + ':x')),
    ('a path', _basic('../root:x')), ('a line', _basic('root\nFORGED:x')), ('another scheme in front', f'Digest {_basic("root:x")}'),
    ('two schemes', f'Bearer @token_mallory@, {_basic("root:x")}'), ('a token as a password', _basic('root:@token_root@')),
    ('a token as Basic', 'Basic @token_root@'), ('BASIC', _basic('root:x').replace('Basic', 'BASIC')), ('a scheme alone', 'Negotiate'),
)  # fmt: skip
_PATHS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ('/tasks/..%2f..%2fetc/instances/x', (404,)), ('/tasks/a%2fb/instances/x', (404,)), (f'/tasks/{"x" * 129}/instances/x', (404,)),
    (f'/tasks/x/instances/{"x" * 129}', (404,)), ('/tasks/x/instances/%00', (404,)), ('/tasks/x/instances/a%0d%0aX-Evil:1', (404,)),
    ('/tasks/x/instances/a%0a', (404,)), ('/tasks/%D9%A1/instances/x', (404,)), ('/tasks/%ff/instances/x', (400, 404)),
    ('/tasks/x/instances/$where', (404,)), ('/tasks//instances/', (404,)), ('/tasks/x/instances/a.b', (404,)), ('//tasks', (404,)),
    ('/./tasks', (404,)), ('/tasks/', (404,)), ('/TASKS', (404,)), ('/logfiles/tasks/PRECIOUS/T1/read/..', (404,)),
    ('/logfiles/tasks/PRECIOUS/T1/read/%2e%2e%2fserve.log', (404,)), ('/logfiles/tasks/PRECIOUS/T1/download/..%2f..%2fetc%2fpasswd', (404,)),
    ('/logfiles/tasks/PRECIOUS/T1/download/output.log%0d%0aX-Evil:1', (404,)), ('/logfiles/tasks/PRECIOUS/T1/download/output.log%00', (404,)),
    (f'/logfiles/tasks/PRECIOUS/T1/read/{"x" * 256}', (404,)), ('/logfiles/tasks/PRECIOUS/T1/read/stdout', (404,)),
    ('/cluster/executors/..%2f', (404,)), (f'/cluster/executors/{"x" * 256}', (404,)), ('/cluster/executors/$ne', (404,)), ('/nothing', (404,)),
)  # fmt: skip
_QUERIES: tuple[str, ...] = (
    *(f'{_EVENTS}?size={value}' for value in ('0', '-1', '1025', '1e9', 'NaN', '', 'x', '9' * 30, '%00', '1.5')),
    *(f'{_EVENTS}/latest?lastSyncTime={value}' for value in ('NaN', '1e9', 'x', '%D9%A3', '{"$gt":0}')),
    *(f'{_PRECIOUS}?wait={value}' for value in ('-1', '61', '1e9', 'NaN', str(2**63), 'x')),
    *(f'{_PRECIOUS}?state={value}' for value in ('x', '$ne', 'running', '{"$ne":null}')),
    *(f'{_LOG}/read/output.log?length={value}' for value in ('1048577', str(2**62), '1e9', 'NaN', 'x')),
    *(f'{_LOG}/read/output.log?offset={value}' for value in ('NaN', '1e9', 'x', '0x10', '%00')),
    f'{_EVENTS}?lastSyncTime={2**63}', f'{_ROOT}/tasks?' + '&'.join(['tag=a:b'] * 65),
    f'{_ROOT}/tasks?state=$ne', f'{_ROOT}/tasks?app=%ff', f'{_ROOT}/tasks?tag={"x" * 9000}',
)  # fmt: skip
_HARMLESS_QUERIES: tuple[str, ...] = (
    *(f'{_EVENTS}{kind}?lastSyncTime={value}' for kind in ('', '/latest') for value in (-1, 2**63 - 1, -(2**63))),
    f'{_EVENTS}/summary?size=1&size=-1', f'{_EVENTS}?$where=1', f'{_ROOT}/tasks?app=$ne', f'{_ROOT}/tasks?app[$ne]=x',
    f'{_ROOT}/tasks?tag=:', f'{_ROOT}/tasks?tag=$where:1', f'{_ROOT}/tasks?' + '&'.join(['tag=a:b'] * 64),
    *(f'{_LOG}/read/output.log?offset={value}' for value in (-1, 2**31, 2**62, -(2**63))),
    f'{_LOG}/read/output.log?length=-1', f'{_LOG}/read/output.log?length=0&length=x',
)  # fmt: skip
_BAD_FORMS: tuple[tuple[str, str | bytes, tuple[int, ...]], ...] = (
    ('names with CRLF', 'taskSearchAppName=a%0d%0aX-Evil:%201&taskSearchTaskID=b', (303,)), ('nothing', '', (303,)),
    ('operators', 'taskSearchAppName[$ne]=x&taskSearchTaskID[$ne]=x', (303,)), ('another host', 'taskSearchAppName=//evil.example&taskSearchTaskID=x', (303,)),
    ('names with NUL', 'taskSearchAppName=%00&taskSearchTaskID=%00', (303,)), ('bad UTF-8', 'taskSearchAppName=%ff&taskSearchTaskID=%ff', (400,)),
    ('60 000 fields', 'a=&' * 60_000, (400,)), ('300 kB of a name', 'taskSearchAppName=' + 'x' * 300_000, (303,)), ('2 MiB', b'a=' + b'x' * 2**21, (413,)),
)  # fmt: skip
_KILL = bodies.kill('PRECIOUS', 'T1')
_WRITES: tuple[tuple[str, str, str, Any], ...] = (
    ('create', 'POST', _OPERATIONS, bodies.create(bodies.spec(sourceAppName='PRECIOUS', taskId='T2'))), ('kill', 'POST', _OPERATIONS, _KILL),
    ('kill for show', 'POST', f'{_OPERATIONS}?dryRun=true', _KILL), ('forget', 'DELETE', _PRECIOUS, None),
    ('maintenance', 'POST', f'{_ROOT}/cluster/maintenance/set', None), ('end of maintenance', 'POST', f'{_ROOT}/cluster/maintenance/unset', None),
    ('blacklist', 'POST', f'{_ROOT}/cluster/executors/blacklist?id=x', None), ('unblacklist', 'POST', f'{_ROOT}/cluster/executors/unblacklist?id=x', None),
)  # fmt: skip
_READS = (
    f'{_ROOT}/ping', f'{_ROOT}/tasks', _PRECIOUS, f'{_PRECIOUS}/operations', f'{_LOG}/list', f'{_LOG}/read/output.log', f'{_LOG}/download/error.log',
    f'{_ROOT}/cluster', _EVENTS, f'{_ROOT}/cluster/executors', f'{_ROOT}/endpoints',
)  # fmt: skip

CASES = (
    *(
        _posted(f'JSON, {name}, to {path}', text, path=path, says=('"status":"FAILED"',))
        for name, text in _JSON
        for path in (_OPERATIONS, _VALIDATE)
    ),
    *(_posted(f'simulated, {name}', text, path=_SIMULATE, says=('"status":"FAILED"',)) for name, text in _JSON[:6]),
    *(_posted(f'type {value!r:.30}', {'type': value}, says=_UNREADABLE) for value in (*_ODD, None, 'kill', '__init__')),
    *(_posted(f'spec {value!r:.30}', {**bodies.create(), 'spec': value}, says=_REFUSED) for value in _ODD),
    *(_posted(f'opSpec {value!r:.30}', {**bodies.create(), 'opSpec': value}, says=_REFUSED) for value in _ODD),
    *(
        _spec(f'{key} of {value!r:.30}', {key: value})
        for key in (*_TEXTS, *_PARTS)
        for value in (True, 5, [{'$ne': ''}], 'x\0y')
    ),
    *(_posted(f'task named {name!r:.30}', bodies.create(bodies.spec(taskId=name)), says=_REFUSED) for name in _NAMES),
    *(_posted(f'kill in {name!r:.30}', bodies.kill(name, 'x'), says=_REFUSED) for name in _NAMES),
    *(_posted(f'time {each!r:.30}', bodies.create(timeout=each), says=_REFUSED) for each in _DURATIONS),
    *(_posted(f'parallelism {each!r}', bodies.create(parallelism=each), says=_REFUSED) for each in _NUMBERS),
    *(_spec(f'retries {each!r}', {'retries': each}) for each in _NUMBERS),
    *(
        _spec(f'cores {each!r}', {'resources': [{'type': 'CPU', 'count': each}, {'type': 'MEMORY', 'sizeInMB': 1}]})
        for each in _NUMBERS
    ),
    *(
        _posted(f'instances {each!r}', {'spec': bodies.spec(), 'numInstances': each}, path=_SIMULATE, says=_REFUSED)
        for each in (*_NUMBERS, 0, 10_001)
    ),
    *(_spec(name, changes) for name, changes in _HOSTILE_SPECS),
    *(_posted(f'policies {depth} deep', _nested(depth), says=_REFUSED) for depth in (9, 14, 100, 10_000)),
    _posted('a reason of 1 MB', {**_KILL, 'reason': 'x' * 1_000_000}, says=_BROKEN),
    _posted('a reason with NUL', {**_KILL, 'reason': 'a\0b'}, says=_REFUSED),
    _posted('a kill of nothing', bodies.kill('NOBODY', 'x'), says=('Either task does not exist',)),
    _posted('a name that there is', bodies.create(bodies.spec(sourceAppName='PRECIOUS', taskId='T1')), says=('already exists',)),
    *(_posted(f'2 MiB to {path}', b'{"a":"' + b'x' * 40 * 2**20 + b'"}', (413,), path) for path in (_OPERATIONS, _VALIDATE, _SIMULATE)),
    *(
        _posted(f'body that is {kind}', '{}', (415,), headers=(('Content-Type', kind),))
        for kind in ('text/plain', 'application/x-www-form-urlencoded', 'application/yaml', '')
    ),
    _posted('packed', b'\x1f\x8b', (415,), headers=(('Content-Encoding', 'gzip'),)),
    *(_posted(f'dryRun {value}', _KILL, path=f'{_OPERATIONS}?dryRun={value}', says=_BROKEN) for value in ('x', 'TRUE', '1', '%00')),
    *(
        _posted(f'key {key!r:.20}', bodies.kill('NOBODY', 'x'), headers=(('Idempotency-Key', key),))
        for key in ('{"$ne":null}', 'x' * 5000, '\xe9', 'a b')
    ),
    *(
        Case(f'drove: credentials, {name}', (401,), path=f'{_ROOT}/ping', sender='nobody', headers=(('Authorization', value),))
        for name, value in _CREDENTIALS
    ),
    Case(
        'drove: credentials of 1 MB', (401, 431, 400, 0), path=f'{_ROOT}/ping', sender='nobody', bare=True,
        headers=(('Authorization', _basic('root:' + 'x' * 750_000)),),
    ),
    Case(
        'drove: NUL among credentials', (400, 0), path=f'{_ROOT}/ping', sender='nobody', bare=True,
        headers=(('Authorization', 'Basic cm9v\0dDp4'),),
    ),
    *(
        Case(f'drove: {name} as {sender}', (403,), method, path, sender, body, says=('"status":"FAILED"',))
        for name, method, path, body in _WRITES
        for sender in ('alice', 'holder')
    ),
    *(Case(f'drove: {name} as nobody', (401,), method, path, 'nobody', body) for name, method, path, body in _WRITES),
    *(Case(f'drove: {path} as a pilot', (403,), path=path, sender='holder', silent=('hidden-value',)) for path in _READS),
    *(Case(f'drove: {path} as nobody', (401,), path=path, sender='nobody', silent=('PRECIOUS:',)) for path in _READS),
    *(
        Case(f'drove: {path} as {sender}', (401,), path=path, sender=f'forger: {sender}')
        for path in (f'{_ROOT}/ping', _PRECIOUS)
        for sender in ('alg none', 'expired', 'wrong key')
    ),
    *(
        Case(f'drove: values of variables in {path}', (200,), path=path, sender='mallory', silent=('hidden-value',))
        for path in (f'{_ROOT}/tasks', _PRECIOUS, f'{_PRECIOUS}/operations', _EVENTS)
    ),
    Case('drove: forgotten before its end', (400,), 'DELETE', _PRECIOUS, says=('kill it first',)),
    *(Case(f'drove: path {path:.60}', expect, path=f'{_ROOT}{path}', bare=True) for path, expect in _PATHS),
    *(Case(f'drove: query {path:.90}', (400,), path=path.replace('"', '%22')) for path in _QUERIES),
    *(Case(f'drove: harmless query {path:.90}', (200,), path=path) for path in _HARMLESS_QUERIES),
    *(
        _posted(f'form, {name}', text, expect, _SEARCH, headers=_FORM, silent=('X-Evil', 'x-evil', 'evil.example'))
        for name, text, expect in _BAD_FORMS
    ),
    _posted('form, JSON instead', '{}', (415,), _SEARCH),
    *(
        Case(f'drove: blacklist of {ids:.30}', expect, 'POST', f'{_ROOT}/cluster/executors/blacklist{ids}')
        for ids, expect in (
            ('', (400,)), ('?id=$ne', (200,)), (f'?id={quote("a/../b")}', (200,)), ('?id=%ff', (400,)), ('?' + '&'.join(f'id={n}' for n in range(1001)), (400,)),
        )
    ),
    *(Case(f'drove: {method} {path}', (405,), method, path) for method in ('PUT', 'PATCH') for path in (_OPERATIONS, _PRECIOUS, _SEARCH)),
)  # fmt: skip
