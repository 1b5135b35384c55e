"""Single tasks: create, read, merge, set the status, read messages. Seed 004, contract 1, 2 and traps 3, 4, 14, 21."""

import re
import uuid
from typing import Any

import pytest

from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.domain.tasks import CLAIM_FIELDS, IDENTITY, SERVICE_FIELDS
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.handlers import tasks as handlers
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

TASK = {'dataset_id': 'd1', 'job_id': 'j1', 'task_index': 0, 'job_index': 0, 'name': 'gen', 'depends': [],
        'requirements': {}}  # fmt: skip
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}')
COUNTERS = ('failures', 'walltime', 'walltime_err', 'walltime_err_n', 'site')
FOREIGN = dict.fromkeys([*SERVICE_FIELDS, *COUNTERS, 'task_id'], 'mine')

SEED_CLASSES = [
    'MultiTasksHandler', 'TasksHandler', 'TasksStatusHandler', 'TaskCountsStatusHandler', 'DatasetMultiTasksHandler',
    'DatasetTasksHandler', 'DatasetTasksStatusHandler', 'DatasetTaskSummaryStatusHandler',
    'DatasetTaskCountsStatusHandler', 'DatasetTaskCountsNameStatusHandler', 'DatasetTaskStatsHandler',
    'TasksActionsQueueHandler', 'TasksActionsProcessingHandler', 'TasksActionsErrorHandler',
    'TasksActionsFailedHandler', 'TasksActionsCompleteHandler', 'TaskBulkStatusHandler',
    'DatasetTaskBulkStatusHandler', 'DatasetTaskBulkRequirementsHandler', 'DatasetMultiFilesHandler',
    'DatasetTaskFilesHandler',
]  # fmt: skip


@pytest.mark.parametrize('name', SEED_CLASSES)
def test_every_class_of_the_seed_is_importable_and_documented(name: str) -> None:
    handler = getattr(handlers, name)

    assert issubclass(handler, Handler)
    methods = {method for method in ('get', 'post', 'put', 'patch', 'delete') if method in vars(handler)}
    assert handler.__doc__
    assert methods or name == 'TasksActionsFailedHandler'
    assert all(getattr(handler, method).__doc__ for method in methods)


def test_final_status_tells_the_error_handlers_apart() -> None:
    assert handlers.TasksActionsErrorHandler.final_status == 'reset'
    assert handlers.TasksActionsFailedHandler.final_status == 'failed'
    assert not hasattr(handlers.TasksActionsCompleteHandler, 'final_status')


def test_setup_gives_routes_database_and_indexes() -> None:
    made = handlers.setup({'service': None, 'tokens': None})

    assert set(made) == {'routes', 'database', 'indexes'}
    assert isinstance(made['database'], str)
    assert made['indexes']['tasks']['task_id']['unique'] is True
    assert {handler.__name__ for _, handler, _ in made['routes']} >= set(SEED_CLASSES)
    assert all(arguments['service'] is None and arguments['access'] for _, _, arguments in made['routes'])


async def test_a_new_task_has_what_the_client_says_and_the_defaults(api: Api) -> None:
    answer = await api('POST', '/tasks', TASK | {'colour': {'deep': [1, None]}})

    assert (answer.status, set(answer.body)) == (201, {'result'})
    task = await api.task(answer.body['result'])
    assert answer.headers['Location'] == f'/tasks/{task["task_id"]}'
    assert task.items() >= {**TASK, 'colour': {'deep': [1, None]}, 'status': 'waiting', 'priority': 1.0}.items()
    assert task.items() >= {'failures': 0, 'evictions': 0, 'walltime': 0.0, 'walltime_err': 0.0}.items()
    assert task.items() >= {'walltime_err_n': 0, 'site': '', 'claim_id': '', 'log': [], 'epoch': 0}.items()
    assert '_id' not in task


async def test_ids_are_32_hex_digits_that_tell_neither_time_nor_machine(api: Api) -> None:
    ids = {await api.add_task() for _ in range(20)}

    assert len(ids) == 20
    assert all(re.fullmatch('[0-9a-f]{32}', task_id) for task_id in ids)
    assert {uuid.UUID(task_id).version for task_id in ids} == {4}


async def test_times_have_six_fraction_digits_and_no_zone(api: Api) -> None:
    task_id = await api.add_task()
    await api('POST', '/task_actions/process', {'claim_id': 'a' * 32})

    task = await api.task(task_id)

    for time in (task['status_changed'], task['create_date'], task['lease_until'], task['log'][0]['when']):
        assert TIME.fullmatch(time)


async def test_fields_of_the_service_are_overwritten_at_creation(api: Api) -> None:
    plain = await api.task(await api.add_task())

    task = await api.task(await api.add_task(**FOREIGN))

    differing = {name for name in plain | task if plain.get(name) != task.get(name)}
    assert differing <= {'task_id', 'status_changed', 'create_date', 'updated'}
    assert all(task.get(name) != 'mine' for name in FOREIGN)


@pytest.mark.parametrize('missing', sorted(TASK))
async def test_a_missing_field_is_named(api: Api, missing: str) -> None:
    answer = await api('POST', '/tasks', {key: value for key, value in TASK.items() if key != missing})

    assert seen(answer) == refusal(400, f'missing key: {missing}')


@pytest.mark.parametrize(
    ('key', 'value', 'kind'),
    [
        ('dataset_id', 5, 'str'), ('job_id', None, 'str'), ('name', ['gen'], 'str'), ('task_index', '0', 'int'),
        ('task_index', True, 'int'), ('job_index', 1.0, 'int'), ('job_index', False, 'int'), ('depends', 'x', 'list'),
        ('depends', {}, 'list'), ('requirements', [], 'dict'), ('requirements', 'cpu', 'dict'),
        ('priority', True, 'float'), ('priority', '1', 'float'),
    ],
)  # fmt: skip
async def test_a_field_of_the_wrong_type_is_named(api: Api, key: str, value: Any, kind: str) -> None:
    answer = await api('POST', '/tasks', TASK | {key: value})

    assert seen(answer) == refusal(400, f"key {key} should be of type <class '{kind}'>")


@pytest.mark.parametrize(
    'changes',
    [
        {'status': 'blah'}, {'status': 5}, {'status': None}, {'name': ''}, {'name': 'a\n'}, {'name': 'x' * 256},
        {'dataset_id': ''}, {'dataset_id': 'a b'}, {'dataset_id': 'd\n'}, {'dataset_id': 'é'}, {'job_id': '../x'},
        {'task_index': -1}, {'job_index': 2**63}, {'depends': [5]}, {'depends': ['']}, {'priority': 2**63},
        {'requirements': {'cpu': -1}}, {'requirements': {'memory': True}}, {'requirements': {'disk': '8'}},
        {'requirements': {'time': None}}, {'requirements': {'gpu': [1]}}, {'requirements': {'': 1}},
        {'requirements': {'$gt': 1}}, {'requirements': {'a.b': 1}}, {'requirements': {'a': {'b': 1}}},
        {'requirements': {'os': 5}}, {'requirements': {'os': ['']}}, {'requirements': {'site': 5}},
        {'$inc': 1}, {'a.b': 1}, {'own': {'$where': 1}}, {'own': [{'a.b': 1}]}, {'own': {'': 1}}, {'': 1},
    ],
)  # fmt: skip
async def test_a_task_that_is_not_valid_is_refused_and_not_stored(api: Api, changes: dict[str, Any]) -> None:
    answer = await api('POST', '/tasks', TASK | changes)

    assert answer.status == answer.body['code'] == 400
    assert await api.database.tasks.count_documents({}) == 0


@pytest.mark.parametrize('number', ['NaN', 'Infinity', '-Infinity', '1e999', '-1e999', '9223372036854775808'])
@pytest.mark.parametrize('place', ['"priority": {}', '"requirements": {{"memory": {}}}', '"own": [{}]'])
async def test_numbers_that_are_not_finite_or_too_long_are_refused(api: Api, number: str, place: str) -> None:
    fields = '"dataset_id": "d", "job_id": "j", "task_index": 0, "job_index": 0, "name": "n", "depends": []'
    rest = place.format(number) + ('' if 'requirements' in place else ', "requirements": {}')

    answer = await api('POST', '/tasks', content=f'{{{fields}, {rest}}}')

    assert answer.status == answer.body['code'] == 400


@pytest.mark.parametrize('status', STATUSES)
async def test_every_status_can_be_given_at_creation(api: Api, status: str) -> None:
    assert (await api.task(await api.add_task(status=status)))['status'] == status


@pytest.mark.parametrize(
    ('method', 'path', 'body'),
    [
        ('GET', '/tasks/nobody', None), ('PATCH', '/tasks/nobody', {'priority': 2}),
        ('PUT', '/tasks/nobody/status', {'status': 'reset'}), ('GET', '/tasks/nobody/messages', None),
        ('GET', '/datasets/d1/tasks/nobody', None), ('PUT', '/datasets/d1/tasks/nobody/status', {'status': 'reset'}),
    ],
)  # fmt: skip
async def test_an_unknown_task_is_404(api: Api, method: str, path: str, body: Any) -> None:
    assert seen(await api(method, path, body)) == refusal(404, 'Task not found')


async def test_a_task_is_found_only_in_its_own_dataset(api: Api) -> None:
    task_id = await api.add_task(dataset_id='d1')

    assert (await api('GET', f'/datasets/d1/tasks/{task_id}')).body == (await api('GET', f'/tasks/{task_id}')).body
    assert seen(await api('GET', f'/datasets/d2/tasks/{task_id}')) == refusal(404, 'Task not found')
    answer = await api('PUT', f'/datasets/d2/tasks/{task_id}/status', {'status': 'failed'})
    assert seen(answer) == refusal(404, 'Task not found')


@pytest.mark.parametrize(
    ('keys', 'shown'),
    [('name', {'name', 'task_id'}), ('name|nope|name', {'name', 'task_id'}), ('_id', {'task_id'}),
     ('task_id|requirements', {'task_id', 'requirements'})],
)  # fmt: skip
async def test_keys_choose_the_fields_of_a_dataset_s_task(api: Api, keys: str, shown: set[str]) -> None:
    task_id = await api.add_task()

    answer = await api('GET', f'/datasets/d1/tasks/{task_id}', params={'keys': keys})

    assert (answer.status, set(answer.body)) == (200, shown)


async def test_a_patch_merges_fields_and_answers_the_whole_task(api: Api) -> None:
    task_id = await api.add_task(requirements={'cpu': 1, 'memory': 2})
    before = await api.task(task_id)
    changes = {'priority': 5, 'failures': 3, 'requirements': {'cpu': 4}, 'colour': '$$ROOT', 'own': {'a': ['$name']}}

    answer = await api('PATCH', f'/tasks/{task_id}', changes)

    after = await api.task(task_id)
    assert seen(answer) == seen(await api('GET', f'/tasks/{task_id}'))
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {*changes, 'signature', 'updated'}
    assert {name: after[name] for name in changes} == changes


async def test_patched_requirements_decide_who_may_claim(api: Api) -> None:
    task_id = await api.add_task(requirements={'cpu': 8})
    await api('POST', '/task_actions/process', {'requirements': {'cpu': 1}})
    await api('PATCH', f'/tasks/{task_id}', {'requirements': {'cpu': 1}})

    answer = await api('POST', '/task_actions/process', {'requirements': {'cpu': 1}})

    assert answer.status == 200


@pytest.mark.parametrize('key', sorted({*IDENTITY, *CLAIM_FIELDS, *SERVICE_FIELDS}))
async def test_a_patch_cannot_change_identity_claim_or_the_service_s_fields(api: Api, key: str) -> None:
    task_id = await api.add_task()
    before = await api.task(task_id)

    answer = await api('PATCH', f'/tasks/{task_id}', {'priority': 9, key: before.get(key)})

    assert seen(answer) == refusal(400, f'key {key} cannot be changed')
    assert await api.task(task_id) == before


@pytest.mark.parametrize(
    'changes',
    [
        {'$inc': {'failures': 1}}, {'$set': {}}, {'requirements.cpu': 5}, {'a': {'$b': 1}}, {'status': 'blah'},
        {'status': None}, {'priority': '9'}, {'priority': True}, {'failures': -1}, {'failures': 1.0}, {'name': ''},
        {'requirements': []}, {'requirements': {'cpu': -1}}, {'requirements': {'memory': 'x'}}, {'depends': 'x'},
        {'walltime': -1}, {'site': 5}, {'own': 2**63}, {'': 1},
    ],
)  # fmt: skip
async def test_a_patch_that_is_not_valid_changes_nothing(api: Api, changes: dict[str, Any]) -> None:
    task_id = await api.add_task()
    before = await api.task(task_id)

    answer = await api('PATCH', f'/tasks/{task_id}', changes)

    assert answer.status == answer.body['code'] == 400
    assert await api.task(task_id) == before


async def test_an_empty_patch_is_refused(api: Api) -> None:
    answer = await api('PATCH', f'/tasks/{await api.add_task()}', {})

    assert seen(answer) == refusal(400, 'Missing update data')


@pytest.mark.parametrize('target', STATUSES)
@pytest.mark.parametrize('by', ['put', 'put in dataset', 'patch'])
async def test_a_status_set_by_hand_has_the_same_effect_by_every_route(api: Api, by: str, target: str) -> None:
    task_id = await api.add_task()
    await api('POST', '/task_actions/process', {'claim_id': 'b' * 32, 'site': 'here'})
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'failures': 3, 'outcome': {'result': 'old'}}})
    before = await api.task(task_id)
    path = f'/tasks/{task_id}' if by == 'patch' else f'/tasks/{task_id}/status'
    path = f'/datasets/d1{path}' if by == 'put in dataset' else path

    answer = await api('PATCH' if by == 'patch' else 'PUT', path, {'status': target})

    after = await api.task(task_id)
    assert seen(answer) == (200, (await api('GET', f'/tasks/{task_id}')).body if by == 'patch' else {})
    assert after['status'] == target
    assert after['failures'] == (0 if target in ('waiting', 'reset') else 3)
    results = {'complete': 'successful', 'failed': 'failed', 'suspended': 'old'}
    assert (after['outcome'] or {}).get('result') == results.get(target)
    assert (after['claim_id'], after['lease_until'], after['site']) == ('', None, 'here')
    assert after['status_changed'] > before['status_changed']
    assert len(after['log']) == len(before['log']) + 1
    assert after['log'][-1].items() >= {'from': 'processing', 'to': target, 'who': 'root', 'claim': 'b' * 32}.items()


@pytest.mark.parametrize(
    ('body', 'reason'),
    [({}, 'Missing status in body'), ({'state': 'reset'}, 'Missing status in body'), ({'status': 1}, 'Bad status'),
     ({'status': 'blah'}, 'Bad status'), ({'status': ['reset']}, 'Bad status'), ({'status': {'$ne': 1}}, 'Bad status'),
     ({'status': 'Reset'}, 'Bad status')],
)  # fmt: skip
@pytest.mark.parametrize('dataset', ['', '/datasets/d1'])
async def test_a_status_that_is_none_is_refused(api: Api, dataset: str, body: dict[str, Any], reason: str) -> None:
    task_id = await api.add_task()

    assert seen(await api('PUT', f'{dataset}/tasks/{task_id}/status', body)) == refusal(400, reason)
    assert (await api.task(task_id))['status'] == 'queued'


async def test_setting_the_status_it_has_is_no_error(api: Api) -> None:
    task_id = await api.add_task(status='failed')

    assert seen(await api('PUT', f'/tasks/{task_id}/status', {'status': 'failed'})) == DONE


async def test_the_log_keeps_the_newest_fifty_entries(api: Api) -> None:
    task_id = await api.add_task()

    for number in range(60):
        await api('PUT', f'/tasks/{task_id}/status', {'status': STATUSES[number % 8]})

    log = (await api.task(task_id))['log']
    assert len(log) == 50
    assert log[-1]['to'] == STATUSES[59 % 8]
