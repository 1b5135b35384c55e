"""The language of the database in values, keys, queries and headers: it is data, or refused, and never runs."""

from typing import Any

from tests.attacks.case import Case

_PLAY = '/tasks/@play_task@'
_D = '/datasets/@play@'
_CLAIM = '/task_actions/process'
_OPERATORS: tuple[Any, ...] = (
    {'$ne': None}, {'$gt': ''}, {'$regex': '.*'}, {'$where': 'sleep(3000) || true'}, {'$exists': True},
    {'$function': {'body': 'function(){}', 'args': [], 'lang': 'js'}},
)  # fmt: skip
_JS = 'function(){while(true){}}'
# A place for a text in each kind of body.
_PLACES: tuple[tuple[str, str, str, Any], ...] = (
    ('status', 'PUT', f'{_PLAY}/status', lambda x: {'status': x}),
    ('ids', 'POST', '/task_actions/bulk_status/complete', lambda x: {'tasks': [x]}),
    ('ids itself', 'POST', '/task_actions/bulk_status/complete', lambda x: {'tasks': x}),
    ('ids of a dataset', 'POST', f'{_D}/task_actions/cancel', lambda x: {'tasks': [x]}),
    ('names', 'POST', f'{_D}/task_actions/cancel', lambda x: {'names': [x]}),
    ('statuses', 'POST', f'{_D}/task_actions/cancel', lambda x: {'statuses': [x]}),
    ('jobs', 'POST', f'{_D}/job_actions/cancel', lambda x: {'jobs': [x]}),
    ('claim id', 'POST', _CLAIM, lambda x: {'claim_id': x}),
    ('offer', 'POST', _CLAIM, lambda x: {'requirements': {'memory': x}}),
    ('offer of its own', 'POST', _CLAIM, lambda x: {'requirements': {'licence': x}}),
    ('site', 'POST', _CLAIM, lambda x: {'site': x}),
    ('claim id of a report', 'POST', f'{_PLAY}/task_actions/complete', lambda x: {'claim_id': x}),
    ('claim id of a heartbeat', 'POST', f'{_PLAY}/task_actions/heartbeat', lambda x: {'claim_id': x}),
    ('epoch', 'POST', f'{_PLAY}/task_actions/complete', lambda x: {'epoch': x}),
    ('requirements', 'PATCH', _PLAY, lambda x: {'requirements': x}),
    ('own key', 'PATCH', _PLAY, lambda x: {'note': x}),
    ('deep in an own key', 'PATCH', _PLAY, lambda x: {'note': [[{'a': [x]}]]}),
    ('priority', 'PUT', f'{_D}/priority', lambda x: {'priority': x}),
    ('user of a question', 'POST', '/auths',
     lambda x: {'name': 'dataset_id', 'value': '@dataset@', 'role': 'read', 'username': x, 'groups': []}),
    ('dataset of a question', 'POST', '/auths',
     lambda x: {'name': 'dataset_id', 'value': x, 'role': 'read', 'username': 'a', 'groups': []}),
    ('group of a question', 'POST', '/auths',
     lambda x: {'name': 'dataset_id', 'value': '@dataset@', 'role': 'read', 'username': 'a', 'groups': [x]}),
)  # fmt: skip
_QUERY_PARAMS: tuple[Any, ...] = (
    {'$where': _JS}, {'$where': 'sleep(3000)'}, {'$or': [{'status': 'processing'}]}, {'$and': []}, {'$nor': [{}]},
    {'$expr': {'$function': {'body': _JS, 'args': [], 'lang': 'js'}}}, {'$comment': 'x'}, {'$text': {'$search': 'x'}},
    {'$jsonSchema': {}}, {'$sampleRate': 1.0}, {'dataset_id': {'$regex': '^(a+)+$'}}, {'dataset_id': {'$where': _JS}},
    {'dataset_id': {'$in': [{'$gt': ''}]}}, {'dataset_id': {'$in': 'x'}}, {'dataset_id': {'$not': {'$eq': 'x'}}},
    {'dataset_id': {'$ne': {'$gt': ''}}}, {'dataset_id': {'$type': 2}}, {'dataset_id': {'$mod': [1, 0]}},
    {'dataset_id': {'$eq': 'x', '$options': 'i', '$regex': 'x'}}, {'dataset_id': {'$elemMatch': {}}},
    {'dataset_id': {'$exists': 1}}, {'dataset_id': {}}, {'dataset_id': ['a', 'b']}, {'task_id': {'a': 'b'}},
    {'requirements.$gt': 1}, {'requirements.a.b': 1}, {'requirements.': 1}, {'requirements.\0': 1}, {'requirements': {}},
    {'_id': {'$gt': ''}}, {'log.claim': 'x'}, {'lease_until': None}, {'$set': {'status': 'queued'}}, {'': 1},
    {'dataset_id': {'$in': ['x'] * 1001}}, {'dataset_id': '$$ROOT', 'status': {'$ne': 'queued'}}, {'depends': {'$size': 0}},
)  # fmt: skip
_UPDATES: tuple[Any, ...] = (
    {'$set': {'status': 'complete'}}, {'$inc': {'failures': 1}}, {'$unset': {'claims': 1}}, {'$rename': {'a': 'b'}},
    {'$push': {'log': {}}}, {'a.b': 1}, {'log.0.claim': 'x'}, {'requirements.cpu': 0}, {'requirements': {'a.b': 1}},
    {'requirements': {'$set': 1}}, {'x': {'$literal': 1}}, {'x': {'a': {'$date': 0}}}, {'_id': 1}, {'task_id': 'x'},
    {'dataset_id': '@dataset@'}, {'job_id': '@job@'}, {'claim_id': '1' * 32}, {'claims': ['1' * 32]}, {'epoch': 9},
    {'lease_until': None}, {'managed': True}, {'signature': 'x'}, {'log': []}, {'stop': None}, {'pilot': 'x'},
    {'schema_version': 99}, {'instance_id': 'x'}, {'status': 'processing', '$where': '1'}, {'\0': 1}, {'a\0b': 1}, {'': 1},
)  # fmt: skip
_QUERIES = (
    '/tasks?status[$ne]=x&limit=1', '/tasks?status=$ne&limit=1', '/tasks?sort=$natural=1&limit=1',
    '/tasks?sort=$where&limit=1', '/tasks?sort=a.b=1&limit=1', '/tasks?limit[$gt]=1&status=none', '/tasks?$where=1&limit=1',
    f'{_D}/tasks?name[$ne]=x', f'{_D}/tasks?name={{"$ne":null}}', f'{_D}/tasks?job_id[$regex]=.*',
    f'{_D}/tasks?job_id=%7B%22%24ne%22%3A1%7D', '/datasets?groups[$ne]=x', '/datasets?users={{"$ne":""}}',
    '/logs?name=$regex', '/logs?dataset_id={"$gt":""}', '/pilots?host[$ne]=x', '/pilots?host={"$gt":""}',
    '/task_order?dataset_id[$ne]=x', '/task_order?dataset_id={"$gt":""}',
)  # fmt: skip
_REFUSED_QUERIES = (
    '/tasks?keys=$where', '/tasks?keys=task_id|$expr', '/tasks?keys=log.claim', '/tasks?keys=log.$', '/datasets?keys=$$ROOT',
    f'{_D}/tasks?job_index[$gt]=0&job_index={{"$gt":0}}', '/logs?from={"$gt":""}', '/logs?keys=data.$', '/pilots?keys=_id.$',
    '/tasks?limit=1&after={"$gt":""}', '/tasks?limit=1&after=eyIkZ3QiOiIifQ', '/tasks?limit=1&after=W3siJGd0IjoiIn1d',
    '/tasks?sort=name&limit=1&after=W3siJGd0IjoiIn0seyIkZ3QiOiIifV0',
)  # fmt: skip

CASES = (
    *(
        Case(f'operator: {name} {next(iter(operator))}', (400,), method, path, body=body(operator))
        for name, method, path, body in _PLACES
        for operator in (_OPERATORS if name in ('status', 'own key', 'offer') else _OPERATORS[:1] + _OPERATORS[3:4])
    ),
    *(Case(f'query_params: {str(asked)[:70]}', (400,), 'POST', _CLAIM, body={'query_params': asked}) for asked in _QUERY_PARAMS),
    *(Case(f'update: {str(change)[:60]}', (400,), 'PATCH', _PLAY, body=change) for change in _UPDATES),
    *(Case(f'query: {path}', (200, 400), path=path.replace('"', '%22')) for path in _QUERIES),
    *(Case(f'query: {path}', (400,), path=path.replace('"', '%22')) for path in _REFUSED_QUERIES),
    Case('job: operator in an own key', (400,), 'PATCH', '/jobs/@play_job@', body={'x': {'$gt': 1}}),
    Case('job: path', (400,), 'PATCH', '/jobs/@play_job@', body={'a.b': 1}),
    Case('pilot: operator', (400,), 'PATCH', '/pilots/@play_pilot@', body={'$set': {'host': 'x'}}),
    Case('pilot: operator inside', (400,), 'PATCH', '/pilots/@play_pilot@', body={'resources': {'$gt': 1}}),
    Case('grid: path', (400,), 'PATCH', '/grids/@play_grid@', body={'queues': {'a.b': 1}}),
    Case('log: operator', (400,), 'POST', '/logs', body={'data': 'x', 'more': {'$gt': ''}}),
    Case('log: data an operator', (400,), 'POST', '/logs', body={'data': {'$gt': ''}}),
    Case('user: operator in the path', (400, 404), path='/users/$where'),
    Case('user: operator as JSON in the path', (400, 404), path='/users/%7B%22$ne%22%3Anull%7D'),
    Case('requirements: operator as a name', (400, 404), 'PATCH', f'{_D}/task_actions/bulk_requirements/$where', body={'cpu': 1}),
    Case('requirements: operator as a value', (400,), 'PATCH', f'{_D}/task_actions/bulk_requirements/precious', body={'cpu': {'$gt': 1}}),
    Case('task: operator as an id', (404,), path='/tasks/$ne'),
    Case('dataset: operator at submission', (400,), 'POST', '/datasets', body={'$where': '1', 'description': ''}),
    Case('key: an operator', (400,), 'POST', '/datasets', body={}, headers=(('Idempotency-Key', '{"$ne":null}'),)),
)  # fmt: skip
