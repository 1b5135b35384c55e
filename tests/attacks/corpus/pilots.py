"""A pilot and what is not its own: claims, claim ids, tasks, records."""

from typing import Any

from tests.attacks.case import Case

_CLAIM = '/task_actions/process'
_BY_ID = {'claim_id': '@held_claim@'}
_T = '/tasks/@held@/task_actions'
_REPORTS = ('reset', 'error', 'failed', 'complete')
_REFUSED = (403,)

# No pilot may do these, be the task its own or not.
_NEVER: tuple[tuple[str, str, Any], ...] = (
    ('GET', '/tasks', None), ('POST', '/tasks', {}), ('PATCH', '/tasks/@held@', {'priority': 9}),
    ('PUT', '/tasks/@held@/status', {'status': 'complete'}), ('POST', '/task_actions/queue', {}),
    ('POST', '/task_actions/bulk_status/complete', {'tasks': ['@held@']}), ('GET', '/task_counts/status', None),
    ('POST', '/jobs', {'dataset_id': '@dataset@', 'job_index': 5}), ('PATCH', '/jobs/@job@', {'status': 'complete'}),
    ('POST', '/datasets', {}), ('DELETE', '/datasets/@dataset@', None),
    ('PUT', '/datasets/@dataset@/priority', {'priority': 1.0}),
    ('PUT', '/datasets/@dataset@/tasks/@held@/status', {'status': 'complete'}),
    ('PUT', '/config/@dataset@', {'version': 3, 'tasks': []}), ('DELETE', '/datasets/@dataset@/files/@held@', None),
    ('POST', '/datasets/@dataset@/files/@held@', {'filename': 'f', 'movement': 'output'}),
    ('POST', '/datasets/@dataset@/task_actions/cancel', {}), ('GET', '/datasets/@dataset@/archive', None),
    ('GET', '/logs', None), ('GET', '/logs/@log@', None), ('DELETE', '/logs/@log@', None), ('GET', '/users', None),
    ('GET', '/groups', None), ('GET', '/roles', None), ('PUT', '/users/rival', {}), ('GET', '/grids', None),
    ('POST', '/grids', {'host': 'h', 'queues': {}, 'version': '1'}), ('GET', '/grids/@grid@', None),
    ('PATCH', '/grids/@grid@', {'debug': True}),
    ('POST', '/auths', {'name': 'dataset_id', 'value': '@dataset@', 'role': 'read', 'username': 'x', 'groups': []}),
)  # fmt: skip
# A pilot may do these with what it holds; the rival holds nothing.
_NOT_ITS_OWN: tuple[tuple[str, str, Any], ...] = (
    ('GET', '/tasks/@held@', None), ('GET', '/tasks/@task@', None), ('GET', '/tasks/@held@/history', None),
    ('GET', '/tasks/@held@/messages', None), ('GET', '/jobs/@job@', None), ('GET', '/datasets/@dataset@', None),
    ('GET', '/config/@dataset@', None), ('GET', '/datasets/@dataset@/tasks', None),
    ('GET', '/datasets/@dataset@/tasks/@held@', None), ('GET', '/datasets/@dataset@/files/@task@', None),
    ('GET', '/datasets/@dataset@/files', None), ('GET', '/datasets/@dataset@/task_counts/status', None),
    ('GET', '/datasets/@dataset@/task_summaries/status', None),
    ('POST', '/logs', {'data': 'planted', 'task_id': '@held@', 'dataset_id': '@dataset@'}),
    ('POST', '/logs', {'data': 'planted', 'task_id': '@task@'}),
    ('POST', '/tasks/@held@/task_stats', {'dataset_id': '@dataset@'}),
    ('GET', '/pilots/@pilot@', None), ('PATCH', '/pilots/@pilot@', {'tasks': []}), ('DELETE', '/pilots/@pilot@', None),
)  # fmt: skip
_LISTS_WITH_CLAIMS = (
    '/tasks?keys=claim_id|claims|instance_id|log|replays', '/tasks?status=processing', '/tasks/@held@',
    '/tasks/@held@/history', '/tasks/@held@/messages', '/datasets/@dataset@/tasks',
    '/datasets/@dataset@/tasks?keys=claim_id|claims|instance_id|log|claimed_by', '/datasets/@dataset@/tasks/@held@',
    '/datasets/@dataset@/tasks/@held@?keys=claim_id|claims|log', '/datasets/@dataset@/tasks/@held@/history',
    '/datasets/@dataset@/archive', '/task_order', '/task_demand', '/tasks?sort=claim_id=1&limit=1', '/tasks?sort=claims&limit=1',
)  # fmt: skip


def _rival(name: str, expect: tuple[int, ...], path: str, body: Any, **more: Any) -> Case:
    return Case(f'rival: {name}', expect, 'POST', path, 'rival', body, silent=('@held@',), **more)


CASES = (
    _rival('replays a claim', (403, 410), _CLAIM, _BY_ID),
    _rival('replays a claim under the other name', (403, 410), '/task_actions/processing', _BY_ID),
    _rival('replays a claim as its pilot', (403, 410), _CLAIM, {**_BY_ID, 'pilot': 'holder'}),
    _rival('heartbeat by the claim id', _REFUSED, f'{_T}/heartbeat', _BY_ID),
    _rival('heartbeat by a wrong id', (403, 409), f'{_T}/heartbeat', {'claim_id': '0' * 32}),
    _rival('hands back by the claim id', _REFUSED, f'{_T}/hand_back', _BY_ID),
    _rival('hands back by a wrong id', (403, 409), f'{_T}/hand_back', {'claim_id': '0' * 32}),
    *(_rival(f'{report} by the claim id', _REFUSED, f'{_T}/{report}', _BY_ID) for report in _REPORTS),
    *(_rival(f'{report} without an id', _REFUSED, f'{_T}/{report}', {}) for report in _REPORTS),
    *(_rival(f'{report} by a wrong id', (403, 409), f'{_T}/{report}', {'claim_id': '0' * 32}) for report in _REPORTS),
    *(_rival(f'{report} of a task of nobody', (400, 403, 409), f'/tasks/@task@/task_actions/{report}', {}) for report in _REPORTS),
    _rival('complete by an empty id', (400,), f'{_T}/complete', {'claim_id': ''}),
    _rival('complete by null', (400,), f'{_T}/complete', {'claim_id': None}),
    _rival('complete by an operator', (400,), f'{_T}/complete', {'claim_id': {'$ne': ''}}),
    _rival('complete by a list', (400,), f'{_T}/complete', {'claim_id': ['@held_claim@']}),
    _rival('complete by an id and a line break', (400,), f'{_T}/complete', {'claim_id': '@held_claim@\n'}),
    _rival('complete by an id in capitals', (400,), f'{_T}/complete', {'claim_id': 'A' * 32}),
    _rival('complete with the old name of the id', (400, 403), f'{_T}/complete', {'instance_id': '@held_claim@'}),
    _rival('complete with an epoch of its own', (403, 409), f'{_T}/complete', {'claim_id': '0' * 32, 'epoch': 99}),
    _rival('heartbeat with a huge epoch', (400, 403, 409), f'{_T}/heartbeat', {**_BY_ID, 'epoch': 2**63 - 1}),
    *(
        Case(f'hybrid: {report} by the claim id', _REFUSED, 'POST', f'{_T}/{report}', 'hybrid', _BY_ID)
        for report in (*_REPORTS, 'heartbeat', 'hand_back')
    ),
    *(Case(f'user: {name} by the claim id', _REFUSED, 'POST', f'{_T}/{name}', 'alice', _BY_ID) for name in _REPORTS),
    *(Case(f'pilot never: {method} {path}', _REFUSED, method, path, 'holder', body) for method, path, body in _NEVER),
    *(
        Case(f'rival: {method} {path} {len(body or ())}', _REFUSED, method, path, 'rival', body, twin=method == 'GET')
        for method, path, body in _NOT_ITS_OWN
    ),
    *(
        Case(f'claim ids: {sender} {path}', (200, 403), path=path, sender=sender, silent=('@held_claim@',))
        for path in _LISTS_WITH_CLAIMS
        for sender in (('root', 'alice') if path.startswith('/datasets') else ('root', 'system'))
    ),
    Case('claim ids: rival lists pilots', (200,), path='/pilots', sender='rival', silent=('@pilot@',)),
    Case('claim ids: rival lists datasets', (403,), path='/datasets', sender='rival', silent=('@dataset@',)),
    Case('claim ids: rival sees the order', (200, 403), path='/task_order', sender='rival', silent=('@held@', '@task@')),
    Case('claim: by a secret field', (400,), 'POST', _CLAIM, 'rival', {'query_params': {'claim_id': {'$gt': '0'}}}),
    Case('claim: by the list of claims', (400,), 'POST', _CLAIM, 'rival', {'query_params': {'claims': '@held_claim@'}}),
    Case('claim: by who holds it', (400,), 'POST', _CLAIM, 'rival', {'query_params': {'claimed_by': 'holder'}}),
    Case('claim: by a status', (400,), 'POST', _CLAIM, 'rival', {'query_params': {'status': 'processing'}}),
    Case('claim: a lease for ever', (200, 400, 404), 'POST', _CLAIM, 'rival', {'claim_id': '1' * 32, 'lease_seconds': 1e300}),
    Case('claim: a lease of nothing', (400,), 'POST', _CLAIM, 'rival', {'claim_id': '2' * 32, 'lease_seconds': 0}),
    Case('pilot: takes a record under another name', (400, 403), 'PATCH', '/pilots/@pilot@', 'rival', {'pilot_id': 'x'}),
)  # fmt: skip
