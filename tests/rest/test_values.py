"""What a client sends is stored and compared as it is: no value becomes an operator, a field or a variable."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import Api
from tests.rest.answers import DONE, seen

CLAIM = '/task_actions/process'
TEXTS = ['$$ROOT', '$$NOW', '$$REMOVE', '$status', '$', '{"$gt": ""}', 'a.b', '$$CLUSTER_TIME', '$claims']
VALUES = [['$$ROOT'], ['$status', {'a': '$$NOW'}], {'a': '$$REMOVE', 'b': ['$name']}, '$$REMOVE']


@pytest.mark.parametrize('text', TEXTS)
async def test_a_claim_and_its_reports_keep_what_the_pilot_says(api: Api, text: str) -> None:
    task_id = await api.add_task(name=text, site_wish=text)
    body = {'claim_id': 'a' * 32, 'pilot': text, 'site': text, 'requirements': {'site': text, 'os': [text]}}

    claimed = (await api('POST', CLAIM, body)).body
    report = {'claim_id': 'a' * 32, 'site': text, 'reason': text, 'stdout': text, 'stderr': text}
    answer = await api('POST', f'/tasks/{task_id}/task_actions/reset', report)

    assert (claimed['pilot'], claimed['site'], claimed['name'], claimed['site_wish']) == (text,) * 4
    assert seen(answer) == DONE
    task = await api.task(task_id)
    assert (task['site'], task['status'], task['log'][-1]['why']) == (text, 'reset', text)
    [message] = (await api('GET', f'/tasks/{task_id}/messages')).body['messages']
    assert [message[name] for name in ('reason', 'site', 'stdout', 'stderr')] == [text] * 4


@pytest.mark.parametrize('value', [*TEXTS, *VALUES])
async def test_fields_of_the_clients_own_are_kept_by_every_patch(api: Api, value: Any) -> None:
    task_id = await api.add_task()
    job = (await api('POST', '/jobs', {'dataset_id': 'd1', 'job_index': 0})).body['result']
    pilot = (await api('POST', '/pilots', {'queue_host': 'h', 'queue_version': '1', 'resources': {}})).body['result']
    grid = (await api('POST', '/grids', {'host': 'h', 'queues': {}, 'version': '1'})).body['result']

    for path in (f'/tasks/{task_id}', f'/jobs/{job}', f'/pilots/{pilot}', f'/grids/{grid}'):
        answer = await api('PATCH', path, {'own': value})

        assert (answer.status, answer.body['own']) == (200, value), path
        assert (await api('GET', path)).body['own'] == value


@pytest.mark.parametrize('text', TEXTS)
async def test_a_dataset_keeps_what_its_owner_says(api: Api, text: str) -> None:
    ada = api.as_('user', text)
    dataset = {'description': text, 'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'group': text}
    path = (await ada('POST', '/datasets', dataset)).body['result']

    assert seen(await ada('PUT', f'{path}/description', {'description': text * 2})) == DONE
    found = (await ada('GET', path)).body

    assert (found['description'], found['group'], found['username']) == (text * 2, text, text)
    assert seen(await ada('DELETE', path))[0] == 200


@pytest.mark.parametrize('text', TEXTS)
async def test_who_acts_and_why_are_kept(api: Api, text: str) -> None:
    task_id = await api.add_task(status='waiting')

    answer = await api.as_('admin', text)('POST', '/datasets/d1/task_actions/suspend', {'reason': text})

    assert answer.body['changed'] == 1
    entry = (await api.task(task_id))['log'][-1]
    assert (entry['who'], entry['why']) == (text, text)


@pytest.mark.parametrize('text', ['{"$ne": ""}', '{"$gt": ""}', '/.*/', '.*', '$ne', '[$ne]', "' || 1==1"])
async def test_a_filter_compares_with_the_text_alone(api: Api, text: str) -> None:
    await api.add_task()
    await api('POST', '/logs', {'data': 'x', 'dataset_id': 'd1', 'task_id': 't1'})
    await api('POST', '/pilots', {'queue_host': 'h', 'queue_version': '1', 'resources': {}, 'host': 'h'})
    value = quote(text)

    for path in (
        f'/datasets/d1/tasks?name={value}', f'/datasets/d1/tasks?job_id={value}', f'/datasets/d1/tasks?status={value}',
        f'/logs?name={value}', f'/logs?task_id={value}', f'/logs?dataset_id={value}', f'/pilots?host={value}',
        f'/pilots?queue_host={value}', f'/datasets?users={value}', '/datasets/d1/tasks?name[$ne]=x&name=y',
    ):  # fmt: skip
        assert seen(await api('GET', path)) == (200, {}), path
    assert seen(await api('GET', f'/tasks?status={value}')) == (200, {'tasks': []})


@pytest.mark.parametrize('value', [{'$gt': ''}, {'$ne': None}, {'$regex': '.*'}, {'$where': '1'}, ['$gt'], True, None])
async def test_an_operator_in_place_of_a_text_is_refused(api: Api, value: Any) -> None:
    task_id = await api.add_task(status='processing')
    at = f'/tasks/{task_id}/task_actions'

    for method, path, body in (
        ('POST', CLAIM, {'claim_id': value}), ('POST', f'{at}/heartbeat', {'claim_id': value}),
        ('POST', f'{at}/complete', {'claim_id': value}), ('POST', f'{at}/reset', {'reason': value}),
        ('PUT', f'/tasks/{task_id}/status', {'status': value}), ('PATCH', f'/tasks/{task_id}', {'name': value}),
        ('POST', '/auths', {'name': 'dataset_id', 'value': value, 'role': 'read', 'username': 'a', 'groups': []}),
        ('POST', '/task_actions/bulk_status/failed', {'tasks': [value]}),
        ('POST', '/datasets/d1/task_actions/reset', {'names': [value]}),
        ('POST', '/datasets/d1/files', {'filename': 'a', 'movement': 'input', 'job_index': 0, 'task_name': value}),
    ):  # fmt: skip
        answer = await api(method, path, body)
        assert answer.status == 400, (method, path, answer.text)
    assert (await api.task(task_id))['status'] == 'processing'


@pytest.mark.parametrize(
    'query',
    [{'name': {'$regex': 'g.*'}}, {'$where': 'sleep(1)'}, {'$expr': {'$eq': [1, 1]}}, {'$or': [{}]}, {'name': {}},
     {'name': {'$in': [{'$gt': ''}]}}, {'name': {'$gt': {'$gt': ''}}}, {'name': {'$not': {'$eq': 1}}},
     {'claim_id': ''}, {'claims': 'a'}, {'log.who': 'x'}, {'requirements': {}}, {'requirements.': 1},
     {'requirements.a.b': 1}, {'requirements.$a': 1}, {'requirements.a\x1f': 1}, {f'requirements.{"x" * 256}': 1},
     {'name': 'x' * 4097}, {'name': {'$in': ['x' * 4097]}}, {'name': {'$in': ['x'] * 1001}}, {'name': {'$exists': 1}}],
)  # fmt: skip
async def test_query_params_have_nothing_but_their_own_small_language(api: Api, query: dict[str, Any]) -> None:
    task_id = await api.add_task()

    answer = await api('POST', CLAIM, {'query_params': query})

    assert answer.status == answer.body['code'] == 400
    assert (await api.task(task_id))['status'] == 'queued'


@pytest.mark.parametrize('text', TEXTS)
async def test_query_params_compare_with_the_text_alone(api: Api, text: str) -> None:
    await api.add_task()
    task_id = await api.add_task(name=text, requirements={'own': text})

    query = {'name': text, 'requirements.own': {'$in': [text], '$exists': True}}
    answer = await api('POST', CLAIM, {'query_params': query})

    assert (answer.status, answer.body.get('task_id')) == (200, task_id)
