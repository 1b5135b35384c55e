"""What is removed by itself: pilots that are silent, and old logs of pilots; and what pilots no longer work on."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iceprod_tasks.scheduler import chores
from iceprod_tasks.scheduler import scheduler as timer
from iceprod_tasks.scheduler.scheduler import Scheduler
from tests.conftest import Api

PILOT = {'queue_host': 'sub.example', 'queue_version': '2.6.1', 'resources': {}}
MINUTE = timedelta(minutes=1)


async def pilot_heard(api: Api, ago: timedelta, **fields: Any) -> str:
    pilot_id = (await api('POST', '/pilots', PILOT | fields)).body['result']
    change = {'$set': {'last_update': datetime.now(UTC) - ago}}
    await api.database.pilots.update_one({'pilot_id': pilot_id}, change)
    return str(pilot_id)


async def log_kept(api: Api, ago: timedelta, name: str = 'stdlog') -> str:
    log_id = (await api('POST', '/logs', {'data': 'x', 'name': name})).body['result']
    await api.database.logs.update_one({'log_id': log_id}, {'$set': {'timestamp': datetime.now(UTC) - ago}})
    return str(log_id)


async def test_pilots_that_have_been_silent_for_two_weeks_are_removed(api: Api) -> None:
    days = timedelta(days=14)
    silent, heard = await pilot_heard(api, days + MINUTE), await pilot_heard(api, days - MINUTE)

    assert await chores.prune(api.service) == 1

    assert list((await api('GET', '/pilots')).body) == [heard]
    assert (await api('GET', f'/pilots/{silent}')).status == 404
    assert await chores.prune(api.service) == 0


async def test_logs_of_pilots_are_removed_after_a_month_and_no_others(api: Api) -> None:
    days = timedelta(days=31)
    await log_kept(api, days + MINUTE)
    stay = [await log_kept(api, days - MINUTE), await log_kept(api, 2 * days, 'stdout'), await log_kept(api, MINUTE)]

    assert await chores.prune(api.service) == 1

    assert set((await api('GET', '/logs')).body) == set(stay)


async def test_a_run_removes_a_portion_oldest_first(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, 'PRUNED_AT_ONCE', 2)
    logs = [await log_kept(api, timedelta(days=days)) for days in (40, 43, 42)]
    pilots = [await pilot_heard(api, timedelta(days=days)) for days in (20, 23, 22)]

    assert await chores.prune(api.service) == 4

    assert list((await api('GET', '/logs')).body) == logs[:1]
    assert list((await api('GET', '/pilots')).body) == pilots[:1]


async def test_several_processes_may_prune_at_once(api: Api) -> None:
    for _ in range(30):
        await log_kept(api, timedelta(days=40))
        await pilot_heard(api, timedelta(days=40))

    pruned = await asyncio.gather(*(chores.prune(api.service) for _ in range(4)))

    assert sum(pruned) == 60
    assert (await api('GET', '/logs')).body == (await api('GET', '/pilots')).body == {}


async def test_a_scheduler_prunes_at_its_first_sweep_and_then_rarely(api: Api) -> None:
    scheduler = Scheduler(api.service)
    await log_kept(api, timedelta(days=40))

    await scheduler.sweep()
    first = (await api('GET', '/logs')).body
    await log_kept(api, timedelta(days=40))
    await scheduler.sweep()

    assert first == {}
    assert len((await api('GET', '/logs')).body) == 1


async def test_a_scheduler_goes_on_at_once_behind_a_whole_portion(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, 'PRUNED_AT_ONCE', 2)
    for _ in range(5):
        await log_kept(api, timedelta(days=40))
    scheduler = Scheduler(api.service)

    for _ in range(3):
        await scheduler.sweep()

    assert (await api('GET', '/logs')).body == {}


async def test_pilots_keep_only_tasks_that_are_being_processed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, '_PILOTS_AT_ONCE', 1)
    monkeypatch.setattr(timer, '_PRUNE_SECONDS', 0.0)
    ids = [await api.add_task(status=status) for status in ('processing', 'complete', 'suspended', 'processing')]
    busy = await pilot_heard(api, MINUTE, tasks=[ids[0], ids[1], 'unknown', ids[3]])
    done, idle = await pilot_heard(api, MINUTE, tasks=ids[1:3]), await pilot_heard(api, MINUTE)
    before = (await api('GET', '/pilots')).body
    scheduler = Scheduler(api.service)

    for _ in range(3):
        await scheduler.sweep()

    pilots = (await api('GET', '/pilots')).body
    assert {name: pilot['tasks'] for name, pilot in pilots.items()} == {busy: [ids[0], ids[3]], done: [], idle: []}
    # No sign of life of theirs.
    assert [pilot['last_update'] for pilot in pilots.values()] == [pilot['last_update'] for pilot in before.values()]


async def test_a_pilot_that_has_spoken_meanwhile_keeps_what_it_says(api: Api) -> None:
    task_id = await api.add_task(status='complete')
    pilot_id = await pilot_heard(api, MINUTE, tasks=[task_id])
    seen = await api.service.store.pilots.portion(None, 10)
    await api('PATCH', f'/pilots/{pilot_id}', {'tasks': [task_id]})

    assert await chores.drop_ended(api.service, seen) == 0

    assert (await api('GET', f'/pilots/{pilot_id}')).body['tasks'] == [task_id]
