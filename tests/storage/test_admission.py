"""The number of signatures stays bounded, whatever is submitted, and every task can be claimed all the same."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from iceprod_tasks.actions.require import sign
from iceprod_tasks.domain.signatures import bucket_of, holds_anything, is_signed_right, signature
from iceprod_tasks.domain.tasks import new_id, new_task
from iceprod_tasks.storage import admission, tasks
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Api

AT_MOST = 8
ODD = ['$$ROOT', 'b00', '', 'a' * 5000, '\u2028', '../', 'l' * 16]


@pytest.fixture
def few(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The service with room for a few signatures, which looks at each call which there are."""
    monkeypatch.setattr(api.service.store.admission, 'at_most', AT_MOST)
    monkeypatch.setattr(admission, '_FRESH_SECONDS', 0.0)
    monkeypatch.setattr(api.service.store.admission, '_fresh_until', 0.0)
    monkeypatch.setattr(api.service.store.admission, '_known', set())
    return api


async def signatures(api: Api, **where: Any) -> Counter[str]:
    return Counter([task['signature'] async for task in api.database.tasks.find(where)])


def groups(names: Counter[str]) -> int:
    """Those beside the buckets."""
    return sum(not holds_anything(name) for name in names)


async def all_signed_right(api: Api) -> bool:
    return all([is_signed_right(t['signature'], t['requirements']) async for t in api.database.tasks.find({})])


async def store_kinds(api: Api, numbers: range, each: int = 1, **fields: Any) -> None:
    """Tasks as a release without a bound left them."""
    given = {'dataset_id': 'd1', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'gen', 'depends': [],
             'status': 'queued', **fields}  # fmt: skip
    kinds = [{**given, 'requirements': {'memory': 1 + number / 1000}} for number in numbers for _ in range(each)]
    await api.database.tasks.insert_many([new_task(kind, new_id(), utc_now(), managed=False) for kind in kinds])


async def test_however_many_different_requirements_are_submitted_there_are_few_signatures(few: Api) -> None:
    needs = [{'memory': 1 + number / 1000} for number in range(30)] + [{'own': word} for word in ODD]
    task_ids = {await few.add_task(requirements=each) for each in needs}

    assert groups(await signatures(few)) == AT_MOST
    assert await all_signed_right(few)
    claimed = {(await few('POST', '/task_actions/process', {'requirements': {'memory': 2}})).body['task_id']
               for _ in task_ids}  # fmt: skip
    assert claimed == task_ids


async def test_in_a_bucket_the_requirements_of_each_task_decide(few: Api) -> None:
    await store_kinds(few, range(AT_MOST), status='waiting')
    for memory in (4, 3, 2):
        await few.add_task(requirements={'memory': memory}, priority=memory)

    answers = [await few('POST', '/task_actions/process', {'requirements': {'memory': 3}}) for _ in range(3)]

    assert all(map(holds_anything, await signatures(few, status={'$ne': 'waiting'})))
    assert [answer.status for answer in answers] == [200, 200, 404]
    assert [answer.body['requirements']['memory'] for answer in answers[:2]] == [3, 2]
    # Waiting ones that fit, and those that have been given out; not the one in the bucket that needs more.
    assert answers[2].body['left'] == AT_MOST + 2


async def test_changed_grown_and_bulk_requirements_stay_within_the_bound(few: Api) -> None:
    task_ids = [await few.add_task(name=f'n{number % 12}', requirements={}) for number in range(24)]

    for number, task_id in enumerate(task_ids[:12]):
        await few('PATCH', f'/tasks/{task_id}', {'requirements': {'disk': 5 + number}})
    patched = groups(await signatures(few))
    for number in range(12):
        path = f'/datasets/d1/task_actions/bulk_requirements/n{number}'
        assert (await few('PATCH', path, {'time': 20 + number})).status == 200
    set_in_bulk = groups(await signatures(few))
    for number in range(24):
        claimed = (await few('POST', '/task_actions/process', {'requirements': {'memory': 100}})).body
        report = {'resources': {'memory': 1.5**number}, 'claim_id': claimed['claim_id']}
        path = f'/tasks/{claimed["task_id"]}/task_actions/reset'
        assert (await few('POST', path, report)).status == 200

    assert patched == AT_MOST
    assert set_in_bulk <= AT_MOST
    assert groups(await signatures(few)) <= AT_MOST
    assert await all_signed_right(few)


async def test_signatures_that_no_task_has_any_more_make_room(few: Api) -> None:
    await store_kinds(few, range(AT_MOST))
    before = await few.add_task(requirements={'cpu': 3})

    await few.database.tasks.update_one({'requirements.memory': 1}, {'$set': {'status': 'complete'}})
    after = await few.add_task(requirements={'cpu': 3})

    seen = [(await few.database.tasks.find_one({'task_id': task_id}))['signature'] for task_id in (before, after)]
    name = signature({'cpu': 3})
    assert seen == [bucket_of(name), name]


async def test_what_failed_at_nearly_the_same_use_is_one_signature_and_keeps_its_own_numbers(api: Api) -> None:
    used = [4.7, 4.8, 5.0, 5.2, 5.31]
    for memory in used:
        task_id = await api.add_task(requirements={'memory': 4})
        claimed = (await api('POST', '/task_actions/process', {'requirements': {'memory': 4}})).body
        report = {'claim_id': claimed['claim_id'], 'resources': {'memory': memory}}
        await api('POST', f'/tasks/{task_id}/task_actions/failed', report)

    found = [task async for task in api.database.tasks.find({}, sort=[('_id', 1)])]

    assert [task['requirements']['memory'] for task in found] == [pytest.approx(1.5 * memory) for memory in used]
    assert len({task['signature'] for task in found}) == 1
    assert await all_signed_right(api)


async def test_too_many_signatures_from_elsewhere_are_gathered_the_rarest_first(few: Api) -> None:
    await store_kinds(few, range(AT_MOST // 2), each=3)
    await store_kinds(few, range(100, 120))
    await store_kinds(few, range(200, 220), status='waiting')
    # Full buckets take no room from others.
    await store_kinds(few, range(300, 310), each=5, status='idle')
    buckets = [{'$set': {'signature': {'$concat': ['b', {'$substrBytes': ['$signature', 1, 2]}]}}}]
    await few.database.tasks.update_many({'status': 'idle'}, buckets)
    often = {signature({'memory': 1 + number / 1000}) for number in range(AT_MOST // 2)}

    gathered = await sign(few.service)

    now = await signatures(few)
    assert gathered == 40 - AT_MOST // 2
    assert groups(now) == AT_MOST
    assert often <= now.keys()
    assert await all_signed_right(few)
    assert await sign(few.service) == 0
    offer = {'requirements': {'memory': 2}}
    assert {(await few('POST', '/task_actions/process', offer)).status for _ in range(32)} == {200}


async def test_a_few_too_many_are_left_alone(few: Api) -> None:
    await store_kinds(few, range(AT_MOST + 2))

    assert await sign(few.service) == 0
    assert groups(await signatures(few)) == AT_MOST + 2


@pytest.mark.parametrize('a_pass', [200, 2])
async def test_bulk_requirements_sign_every_class_right(api: Api, monkeypatch: pytest.MonkeyPatch, a_pass: int) -> None:
    monkeypatch.setattr(tasks, '_SIGNATURES_A_PASS', a_pass)
    classes = {
        '': ({'memory': 7}, {'disk': 3}), bucket_of(signature({})): ({'memory': 9, 'cpu': 4}, {'own': 'x'}),
        signature({'memory': 2}): ({'memory': 2}, {'memory': 2.0}),
    }  # fmt: skip
    for name, kinds in classes.items():
        for needs in kinds:
            task_id = await api.add_task(requirements=needs)
            await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'signature': name}})
    await store_kinds(api, range(5))
    for memory in (4.7, 4.8, 5.2):
        task_id = await api.add_task(requirements={'memory': 100, 'disk': 1, 'time': 3})
        await api('POST', f'/tasks/{task_id}/task_actions/reset', {'resources': {'disk': memory}})
    await api.database.tasks.update_many({}, {'$set': {'status': 'queued'}})

    assert (await api('PATCH', '/datasets/d1/task_actions/bulk_requirements/gen', {'memory': 3.25})).status == 200

    assert await api.database.tasks.count_documents({'requirements.memory': 3.25}) == 14
    assert await all_signed_right(api)
    assert (await signatures(api))[''] == 0
    grown = await signatures(api, **{'requirements.time': 3})
    assert (len(grown), {name[0] for name in grown}) == (1, {'l'})
    offers = [{'memory': 3.2}, *[{'memory': 3.25, 'disk': 8, 'gpu': 0}] * 15]
    answers = [await api('POST', '/task_actions/process', {'requirements': offer}) for offer in offers]
    assert [answer.status for answer in answers] == [404, *[200] * 14, 404]


async def test_bulk_requirements_that_cross_in_several_passes_leave_no_task_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, '_SIGNATURES_A_PASS', 2)
    await store_kinds(api, range(12))
    path = '/datasets/d1/task_actions/bulk_requirements/gen'

    await asyncio.gather(*(api('PATCH', path, {key: 2}) for key in ('cpu', 'disk', 'time', 'gpu') for _ in range(2)))

    wanted = {'requirements.cpu': 2, 'requirements.disk': 2, 'requirements.time': 2, 'requirements.gpu': 2}
    assert await api.database.tasks.count_documents(wanted) == 12
    assert await all_signed_right(api)
