"""GET /task_demand: what the tasks need that are to be run, and how many there are."""

from collections.abc import Callable
from typing import Any

from iceprod_tasks.domain.requirements import fits
from iceprod_tasks.domain.signatures import BUCKETS, grown_signature
from iceprod_tasks.storage import demand
from tests.conftest import Api


async def demanded(api: Api) -> list[dict[str, Any]]:
    answer = await api('GET', '/task_demand')
    assert answer.status == 200, answer.text
    return sorted(answer.body['demand'], key=str)


def row(requirements: Any, waiting: int = 0, queued: int = 0, unmade: int = 0) -> dict[str, Any]:
    return {'requirements': requirements, 'waiting': waiting, 'queued': queued, 'unmade': unmade}


async def test_nothing_is_demanded_where_nothing_waits(api: Api) -> None:
    for status in ('idle', 'processing', 'reset', 'suspended', 'failed', 'complete'):
        await api.add_task(status=status)

    assert await demanded(api) == []


async def test_tasks_that_wait_are_counted_by_what_they_need(api: Api) -> None:
    for status, memory in (('queued', 1), ('queued', 1), ('waiting', 1), ('waiting', 2)):
        await api.add_task(status=status, requirements={'memory': memory})
    await api.add_dataset([{'name': 'gen', 'command': 'true', 'requirements': {'cpu': 3}}], jobs=4)

    assert await demanded(api) == [
        row({'cpu': 3}, unmade=4), row({'memory': 1}, waiting=1, queued=2), row({'memory': 2}, waiting=1),
    ]  # fmt: skip


async def test_tasks_count_once_whether_they_are_made_or_not(api: Api, chores: Any) -> None:
    tasks = [{'name': 'gen', 'command': 'true'}, {'name': 'sum', 'command': 'true', 'depends': ['gen']}]
    await api.add_dataset(tasks, jobs=5)
    before = await demanded(api)

    await chores()

    assert before == [row({}, unmade=5)]
    assert await demanded(api) == [row({}, queued=5)]


async def test_a_number_ends_where_counting_stops(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(demand, 'COUNTED_AT_MOST', 3)
    for status in ('queued', 'waiting'):
        for _ in range(5):
            await api.add_task(status=status)

    assert await demanded(api) == [row({}, waiting=3, queued=3)]


async def test_tasks_that_have_grown_are_wanted_by_whoever_may_take_one(api: Api) -> None:
    task_id = await api.add_task(requirements={'memory': 4.2})
    grown = {'memory': 4.2}
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'signature': grown_signature(grown)}})

    [found] = await demanded(api)

    assert fits(found['requirements'], {'memory': 4.1})
    assert not fits(found['requirements'], {'memory': 4.0})


async def test_tasks_of_many_kinds_may_need_anything(api: Api) -> None:
    task_id = await api.add_task(requirements={'memory': 4.2})
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'signature': f'b{BUCKETS - 1:02x}'}})

    assert await demanded(api) == [row(None, queued=1)]


async def test_pilots_and_operators_may_ask_and_users_may_not(api: Api) -> None:
    codes = {role: (await api.as_(role)('GET', '/task_demand')).status for role in ('admin', 'system', 'pilot', 'user')}

    assert codes == {'admin': 200, 'system': 200, 'pilot': 200, 'user': 403}


async def test_tasks_with_an_image_go_to_pilots_that_run_containers(api: Api, chores: Callable[[], Any]) -> None:
    boxed = {'name': 'boxed', 'command': 'true', 'image': 'docker://busybox', 'requirements': {'cpu': 1}}
    await api.add_dataset([boxed])
    before = (await api('GET', '/task_demand')).body['demand']
    await chores()

    without = await api('POST', '/task_actions/process', {'requirements': {'cpu': 1, 'container': False}})
    silent = await api('POST', '/task_actions/process', {'requirements': {'cpu': 1}})

    assert [row['requirements'] for row in before] == [{'cpu': 1, 'container': True}]
    assert without.status == 404
    assert silent.body['requirements'] == {'cpu': 1, 'container': True}
    await api('POST', f'/tasks/{silent.body["task_id"]}/task_actions/hand_back', {'claim_id': silent.body['claim_id']})
    able = await api('POST', '/task_actions/process', {'requirements': {'cpu': 1, 'container': True}})
    assert able.body['task_id'] == silent.body['task_id']
