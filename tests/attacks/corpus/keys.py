"""Idempotency keys: forged, shared, and used for something else."""

from typing import Any

from tests.attacks.case import Case

_KEY = 'Idempotency-Key'
_LOG = {'data': 'by key'}
_DATASET = {
    'description': 'by key', 'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'group': 'm',
}  # fmt: skip


def _keyed(name: str, key: str, expect: tuple[int, ...], sender: str = 'root', body: Any = _LOG, **more: Any) -> Case:
    path = more.pop('path', '/logs')
    return Case(f'key: {name}', expect, 'POST', path, sender, body, ((_KEY, key),), **more)


CASES = (
    _keyed('empty', '', (400,)),
    _keyed('blank', ' ', (400,)),
    _keyed('two words', 'a b', (400,)),
    _keyed('256 characters', 'k' * 256, (400,)),
    _keyed('20 000 characters', 'k' * 20_000, (400,)),
    _keyed('other letters', 'k\xe9y', (400,)),
    _keyed('tab', 'a\tb', (400,)),
    _keyed('DEL', 'a\x7f', (400,), bare=True),
    Case('key: two', (201, 400), 'POST', '/logs', body=_LOG, headers=((_KEY, 'a'), (_KEY, 'b'))),
    Case('key: two that are the same', (201, 400), 'POST', '/logs', body=_LOG, headers=((_KEY, 'a'), (_KEY, 'a'))),
    _keyed('path', '../../etc/passwd', (201,)),
    _keyed('operator', '{"$gt":""}', (201, 409)),
    _keyed('variable', '$$ROOT', (201,)),
    _keyed('script', '<script>alert(1)</script>', (201,)),
    _keyed('255 characters', 'k' * 255, (201,)),
    _keyed('first use', 'one-key', (201,)),
    _keyed('repeated', 'one-key', (201,)),
    _keyed('for another body', 'one-key', (409,), body={'data': 'another one'}),
    _keyed('for another query', 'one-key', (409,), path='/logs?x=1'),
    _keyed('for a bad body', 'one-key', (400, 409), body={'data': 5}),
    # The key of somebody else is another key: nothing of the first answer is shown.
    _keyed('first use by a user', 'shared-key', (201,), sender='alice', body=_DATASET, path='/datasets'),
    _keyed('used by another user', 'shared-key', (201,), sender='mallory', body={**_DATASET, 'description': 'x'}, path='/datasets'),
    _keyed('used with another role', 'shared-key', (201,), body={**_DATASET, 'description': 'y'}, path='/datasets'),
    _keyed('used at another route', 'shared-key', (201,)),
    _keyed('used by nobody', 'one-key', (401,), sender='nobody'),
    _keyed('used by whoever may not', 'one-key', (403,), sender='mallory'),
    _keyed('of a bad request', 'bad-key', (400,), body={'data': 5}),
    _keyed('of a bad request, then a good one', 'bad-key', (201, 409), body=_LOG),
    Case('key: at a GET', (200,), path='/tasks?limit=1', headers=((_KEY, 'one-key'),)),
    Case('key: at a route that takes none', (200,), 'PATCH', '/tasks/@play_task@', body={'note': 1}, headers=((_KEY, 'a b'),)),
)  # fmt: skip
