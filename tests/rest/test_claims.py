"""POST /task_actions/process: seed 004, contract 2.2, claims.md 1, traps 6, 7, 9."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.conftest import Api
from tests.domain.offers import MATCHES
from tests.rest.answers import refusal, seen

CLAIM = '/task_actions/process'
NO_WORK = 'Task not found'


async def claimed(api: Api, body: dict[str, Any] | None = None) -> str | None:
    """The id of the task that a claim is given, None for no work."""
    answer = await api('POST', CLAIM, body or {})
    assert answer.status in (200, 404), answer.text
    return answer.body['task_id'] if answer.status == 200 else None


async def test_the_highest_priority_is_claimed_first_and_equal_ones_oldest_first(api: Api) -> None:
    priorities = [1, 2.5, -1, 2.5, 1.0, 0]
    tasks = [await api.add_task(priority=priority, requirements={'n': priority}) for priority in priorities]

    order = [await claimed(api) for _ in priorities]

    assert order == [tasks[1], tasks[3], tasks[0], tasks[4], tasks[5], tasks[2]]


async def test_a_late_task_of_high_priority_is_claimed_next(api: Api) -> None:
    for _ in range(3):
        await api.add_task()
    await claimed(api)
    best = await api.add_task(priority=9, requirements={'memory': 1})

    assert await claimed(api) == best


@pytest.mark.parametrize(('asked', 'given'), [(None, 300.0), (1, 1.0), (1.5, 1.5), (86400, 86400.0)])
async def test_a_pilot_gets_the_lease_it_asks_for_within_bounds(api: Api, asked: float | None, given: float) -> None:
    await api.add_task()
    body = {'claim_id': 'a' * 32} | ({} if asked is None else {'lease_seconds': asked})

    answer = await api('POST', CLAIM, body)

    assert (answer.status, answer.body['lease_seconds']) == (200, given)
    task = await api.database.tasks.find_one({})
    assert (task['lease_until'] - task['status_changed']).total_seconds() == given


@pytest.mark.parametrize('asked', [0.5, 0.999, 86400.5, 315360000])
async def test_a_lease_out_of_bounds_is_400_and_takes_nothing(api: Api, asked: float) -> None:
    task_id = await api.add_task()

    answer = await api('POST', CLAIM, {'claim_id': 'a' * 32, 'lease_seconds': asked})

    assert seen(answer) == refusal(400, 'lease_seconds must be between 1 and 86400')
    assert (await api.task(task_id))['status'] == 'queued'


@pytest.mark.parametrize('route', ['process', 'processing'])
@pytest.mark.parametrize('role', ['admin', 'system', 'pilot'])
async def test_a_claim_puts_the_task_in_the_pilot_s_hands(api: Api, role: str, route: str) -> None:
    task_id = await api.add_task(requirements={'cpu': 1})
    before = await api.task(task_id)

    answer = await api.as_(role)('POST', f'/task_actions/{route}', {'requirements': {'cpu': 2, 'site': 'north'},
        'claim_id': 'a' * 32, 'lease_seconds': 60, 'pilot': 'p1', 'hostname': 'ignored', 'ifaces': []})  # fmt: skip

    assert seen(answer) == (200, await api.task(task_id))
    task = answer.body
    assert task.items() >= {'status': 'processing', 'claim_id': 'a' * 32, 'instance_id': 'a' * 32, 'epoch': 1}.items()
    assert task.items() >= {'claims': ['a' * 32], 'pilot': 'p1', 'site': 'north', 'failures': 0}.items()
    assert task['lease_until'] > task['status_changed'] > before['status_changed']
    assert task['log'][-1].items() >= {'from': 'queued', 'to': 'processing', 'who': 'p1', 'claim': 'a' * 32}.items()
    assert '_id' not in task


@pytest.mark.parametrize('content', [b'', b'{}'])
async def test_a_pilot_without_an_id_gets_one_and_no_lease(api: Api, content: bytes) -> None:
    await api.add_task()

    answer = await api('POST', CLAIM, content=content)

    assert answer.status == 200
    assert len(answer.body['claim_id']) == 32
    assert answer.body['lease_until'] is None


@pytest.mark.parametrize('status', ['idle', 'waiting', 'processing', 'reset', 'suspended', 'failed', 'complete'])
async def test_only_queued_tasks_are_claimed(api: Api, status: str) -> None:
    await api.add_task(status=status)

    left = int(status in ('idle', 'waiting', 'processing', 'reset'))
    assert seen(await api('POST', CLAIM)) == refusal(404, NO_WORK, left=left)


async def test_no_work_says_how_many_unfinished_tasks_fit_the_offer(api: Api) -> None:
    for status in ('waiting', 'processing', 'reset', 'idle', 'complete', 'suspended'):
        await api.add_task(status=status, requirements={'memory': 4})
        await api.add_task(status=status, requirements={'memory': 16})
    tasks = [{'name': 'a', 'command': 'true'}, {'name': 'b', 'command': 'true', 'requirements': {'memory': 9}}]
    await api.add_dataset(tasks, jobs=10)

    answer = await api('POST', CLAIM, {'requirements': {'memory': 8}})

    assert seen(answer) == refusal(404, NO_WORK, left=4 + 10)


@pytest.mark.parametrize(('requirements', 'offer', 'fits'), MATCHES)
async def test_an_offer_matches_as_the_contract_says(
    api: Api, requirements: dict[str, Any], offer: dict[str, Any], fits: bool
) -> None:
    task_id = await api.add_task(requirements=requirements)

    assert await claimed(api, {'requirements': offer}) == (task_id if fits else None)


@pytest.mark.parametrize(
    'body',
    [
        {'requirements': []}, {'requirements': {'memory': {'$gt': 0}}}, {'requirements': {'memory': '4'}},
        {'requirements': {'cpu': True}}, {'requirements': {'gpu': None}}, {'requirements': {'os': {'$ne': 'x'}}},
        {'requirements': {'os': [{'$ne': 'x'}]}}, {'requirements': {'$where': 'sleep(9)'}},
        {'requirements': {'a.b': 1}}, {'requirements': {'': 1}}, {'requirements': {'os': [['A']]}},
        {'requirements': {'cpu': 2**63}}, {'query_params': []}, {'query_params': 'x'}, {'claim_id': ''},
        {'claim_id': 'A' * 32}, {'claim_id': 'a' * 31}, {'claim_id': 'a' * 32 + '\n'}, {'claim_id': 5},
        {'claim_id': {'$ne': ''}}, {'claim_id': 'a' * 32, 'lease_seconds': 0}, {'lease_seconds': -1},
        {'claim_id': 'a' * 32, 'lease_seconds': 1e9}, {'lease_seconds': True}, {'pilot': 5}, {'site': ['x']},
        {'site': 'x' * 256},
    ],
)  # fmt: skip
async def test_a_claim_that_is_not_valid_takes_nothing(api: Api, body: dict[str, Any]) -> None:
    task_id = await api.add_task()

    answer = await api('POST', CLAIM, body)

    assert answer.status == answer.body['code'] == 400
    assert (await api.task(task_id))['status'] == 'queued'


TARGET = {'name': 'b', 'dataset_id': 'd2', 'job_id': 'j2', 'job_index': 2, 'task_index': 2, 'priority': 2.0,
          'requirements': {'memory': 4, 'a b': 'x', 'os': ['A', 'B']}}  # fmt: skip


@pytest.mark.parametrize(
    ('query', 'takes'),
    [
        ({}, True), ({'name': 'b'}, True), ({'name': 'a'}, False), ({'dataset_id': 'd2', 'job_id': 'j2'}, True),
        ({'job_index': 2, 'task_index': 3}, False), ({'priority': {'$eq': 2}}, True), ({'name': {'$ne': 'b'}}, False),
        ({'priority': {'$gt': 2}}, False), ({'priority': {'$gte': 2}}, True), ({'priority': {'$lt': 2}}, False),
        ({'priority': {'$lte': 2, '$gt': 1}}, True), ({'name': {'$in': ['a', 'b']}}, True),
        ({'name': {'$in': []}}, False), ({'name': {'$nin': ['b']}}, False), ({'name': {'$nin': []}}, True),
        ({'site': {'$exists': True}}, True), ({'requirements.gpu': {'$exists': True}}, False),
        ({'requirements.gpu': {'$exists': False}}, True), ({'requirements.memory': 4.0}, True),
        ({'requirements.memory': {'$lt': 4}}, False), ({'requirements.a b': 'x'}, True),
        ({'requirements.os': 'B'}, True), ({'failures': 0, 'site': ''}, True), ({'name': None}, False),
        ({'name': 'b.*'}, False), ({'name': '$name'}, False), ({'name': True}, False), ({'priority': '2'}, False),
    ],
)  # fmt: skip
async def test_query_params_are_a_filter_of_their_own(api: Api, query: dict[str, Any], takes: bool) -> None:
    task_id = await api.add_task(**TARGET)

    assert await claimed(api, {'query_params': query}) == (task_id if takes else None)


@pytest.mark.parametrize(
    ('query', 'reason'),
    [
        ({'status': 'complete'}, 'param status would override an already set filter'),
        ({'$where': 'sleep(9000)'}, "query_params cannot ask for '$where'"),
        ({'$or': [{'status': 'complete'}]}, "query_params cannot ask for '$or'"),
        ({'$expr': {'$gt': [1, 0]}}, "query_params cannot ask for '$expr'"),
        ({'$and': []}, "query_params cannot ask for '$and'"),
        ({'claim_id': ''}, "query_params cannot ask for 'claim_id'"),
        ({'log.who': 'x'}, "query_params cannot ask for 'log.who'"),
        ({'requirements': {}}, "query_params cannot ask for 'requirements'"),
        ({'requirements.': 1}, "query_params cannot ask for 'requirements.'"),
        ({'requirements.a.b': 1}, "query_params cannot ask for 'requirements.a.b'"),
        ({'requirements.$x': 1}, "query_params cannot ask for 'requirements.$x'"),
        ({'requirements.a\0': 1}, 'the body has a NUL character'),
        ({'name\n': 1}, "query_params cannot ask for 'name\\n'"),
        ({'': 1}, "query_params cannot ask for ''"),
        ({'name': {}}, 'query_params has no comparison for name'),
        ({'name': {'$regex': '.*'}}, "query_params cannot compare name by '$regex'"),
        ({'name': {'$not': {'$eq': 'x'}}}, "query_params cannot compare name by '$not'"),
        ({'name': {'$where': '1'}}, "query_params cannot compare name by '$where'"),
        ({'name': {'plain': 1}}, "query_params cannot compare name by 'plain'"),
        ({'name': ['gen']}, 'query_params: name takes plain values'),
        ({'name': {'$eq': {'$gt': ''}}}, 'query_params: name takes plain values'),
        ({'name': {'$ne': []}}, 'query_params: name takes plain values'),
        ({'name': {'$in': [['gen']]}}, 'query_params: name takes plain values'),
        ({'name': {'$in': [{'$gt': ''}]}}, 'query_params: name takes plain values'),
        ({'name': {'$in': 'gen'}}, 'query_params: name takes a list of at most 1000 values'),
        ({'name': {'$nin': [''] * 1001}}, 'query_params: name takes a list of at most 1000 values'),
        ({'name': {'$exists': 1}}, 'query_params: $exists of name takes true or false'),
        ({'name': {'$eq': 'gen', '$where': '1'}}, "query_params cannot compare name by '$where'"),
    ],
)  # fmt: skip
async def test_all_else_in_query_params_is_400_and_changes_nothing(
    api: Api, query: dict[str, Any], reason: str
) -> None:
    task_id = await api.add_task()
    before = await api.task(task_id)

    answer = await api('POST', CLAIM, {'requirements': {'cpu': 1}, 'query_params': query})

    assert seen(answer) == refusal(400, reason)
    assert await api.task(task_id) == before


@pytest.mark.parametrize('word', ['$$ROOT', '$name', '$$NOW', '$status', '{"$literal": 1}'])
async def test_a_word_that_looks_like_an_expression_stays_a_word(api: Api, word: str) -> None:
    await api.add_task()

    answer = await api('POST', CLAIM, {'requirements': {'site': word}, 'pilot': word, 'claim_id': 'd' * 32})

    assert (answer.body['site'], answer.body['pilot'], answer.body['log'][-1]['who']) == (word, word, word)


async def test_two_hundred_claims_at_once_never_hand_out_a_task_twice(api: Api) -> None:
    tasks = {await api.add_task(task_index=index, requirements={'cpu': index % 7}) for index in range(150)}
    bodies = [{'requirements': {'cpu': 8}, **({'claim_id': uuid.uuid4().hex} if n % 2 else {})} for n in range(200)]

    answers = await asyncio.gather(*(api('POST', CLAIM, body) for body in bodies))

    given = [answer.body['task_id'] for answer in answers if answer.status == 200]
    assert len(given) == 150
    assert set(given) == tasks
    assert {answer.status for answer in answers} == {200, 404}
    assert {(task['epoch'], len(task['log'])) async for task in api.database.tasks.find()} == {(1, 1)}


async def test_the_same_claim_id_gets_the_same_task_however_often_and_at_once(api: Api) -> None:
    for _ in range(20):
        await api.add_task()
    body = {'claim_id': 'e' * 32, 'pilot': 'p'}

    answers = await asyncio.gather(*(api('POST', CLAIM, body) for _ in range(40)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body['task_id'] for answer in answers}) == 1
    assert await api.database.tasks.count_documents({'status': 'processing', 'epoch': 1}) == 1
    assert await api.database.tasks.count_documents({'status': 'queued', 'epoch': 0}) == 19


async def test_a_claim_repeated_when_the_queue_is_empty_gets_its_task(api: Api) -> None:
    task_id = await api.add_task()
    await api('POST', CLAIM, {'claim_id': 'e' * 32})

    answer = await api('POST', CLAIM, {'claim_id': 'e' * 32})

    assert (answer.status, answer.body['task_id'], answer.body['epoch']) == (200, task_id, 1)


@pytest.mark.parametrize('end', ['complete', 'reset', 'failed', 'hand_back', 'status', 'claimed by another'])
@pytest.mark.parametrize('others', [0, 3])
async def test_a_claim_id_whose_claim_is_over_gets_410_and_never_another_task(api: Api, end: str, others: int) -> None:
    task_id = await api.add_task(priority=2)
    body = {'claim_id': 'f' * 32}
    await api('POST', CLAIM, body)
    for _ in range(others):
        await api.add_task()
    if end in ('status', 'claimed by another'):
        await api('PUT', f'/tasks/{task_id}/status', {'status': 'queued'})
        if end != 'status':
            assert await claimed(api, {'claim_id': '0' * 32}) == task_id
    else:
        await api('POST', f'/tasks/{task_id}/task_actions/{end}', body)

    answers = await asyncio.gather(*(api('POST', CLAIM, body) for _ in range(3)))

    assert {answer.status for answer in answers} == {410}
    assert answers[0].body == {'code': 410, 'error': 'This claim is over'}
    assert await api.database.tasks.count_documents({'claims': body['claim_id']}) == 1
    assert await api.database.tasks.count_documents({'claim_id': body['claim_id']}) == 0


async def test_a_task_remembers_its_last_ten_claims(api: Api) -> None:
    task_id = await api.add_task()
    ids = [uuid.uuid4().hex for _ in range(12)]

    for claim_id in ids:
        await api('POST', CLAIM, {'claim_id': claim_id})
        await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': claim_id})

    task = await api.task(task_id)
    assert (task['claims'], task['epoch'], task['evictions'], task['failures']) == (ids[-10:], 12, 12, 0)


async def test_more_than_two_hundred_kinds_of_tasks_are_claimed_best_first(api: Api) -> None:
    for number in range(230):
        await api.add_task(requirements={'memory': number / 10}, priority=number % 50)
    best = await api.add_task(requirements={'memory': 24}, priority=99)

    assert await claimed(api, {'requirements': {'memory': 64}}) == best
    second = await api.task(await claimed(api, {'requirements': {'memory': 64}}) or '')
    assert second['priority'] == 49
