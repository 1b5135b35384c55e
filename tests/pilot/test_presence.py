"""A pilot can be seen at the service, hears that it is to drain, and tells its numbers."""

import asyncio
import re

import httpx2

from tests.pilot.conftest import OFFER, Fly, Start
from tests.pilot.fake_service import FakeService


async def test_a_pilot_says_what_it_offers_and_runs_and_leaves(service: FakeService, fly: Fly) -> None:
    service.add('sleep 1')
    service.tasks[0]['requirements'] = {'cpu': 1, 'memory': 1.5}

    await fly(presence_seconds=0.1, host='node7')

    first, last = service.pilots[0], service.pilots[-1]
    assert first.items() >= {
        'queue_host': 'node7', 'host': 'node7', 'site': 'here', 'slots': 1, 'tasks': [], 'state': 'idle',
        'resources': OFFER.requirements(),
        'resources_available': {'cpu': 1, 'gpu': 0, 'memory': 2.0, 'disk': 10.0},
    }.items()  # fmt: skip
    working = [pilot for pilot in service.pilots if pilot.get('tasks') == ['t0']]
    assert working and working[0]['resources_claimed'] == {'cpu': 1, 'gpu': 0, 'memory': 1.5, 'disk': 0}
    assert last == {'state': 'gone'}


async def test_a_pilot_that_is_told_to_drain_ends_what_it_has_and_leaves(service: FakeService, fly: Fly) -> None:
    service.add('sleep 2')
    service.add('true')
    flying = asyncio.ensure_future(fly(presence_seconds=0.1))
    await service.until(lambda: any(pilot.get('tasks') for pilot in service.pilots))

    service.drain = {'who': 'ada', 'why': 'maintenance'}
    reports = await flying

    assert [(report['task_id'], report['action']) for report in reports] == [('t0', 'complete')]
    draining = [pilot for pilot in service.pilots if pilot.get('state') == 'draining']
    assert draining[0]['why'] == 'ada asked for it: maintenance'


async def test_a_service_without_a_place_for_pilots_is_no_trouble(service: FakeService, fly: Fly) -> None:
    service.add('sleep 0.5')
    service.away_for_pilots = True

    [report] = await fly(presence_seconds=0.1)

    assert report['action'] == 'complete'
    assert service.pilots == []


async def test_numbers_are_told_to_whoever_asks_on_this_machine(service: FakeService, start: Start) -> None:
    service.add('exit 1')
    service.add('sleep 20')
    async with start('--metrics-port', '0') as pilot:
        assert pilot.stderr
        while not (found := re.search(rb'metrics on (http://127\.0\.0\.1:\d+/metrics)', await pilot.stderr.readline())):
            pass
        await service.until(lambda: len(service.held) == 2)
        await asyncio.sleep(0.2)
        async with httpx2.AsyncClient() as client:
            text = (await client.get(found[1].decode())).text

        assert 'iceprod_pilot_running_tasks 1.0\n' in text
        assert 'iceprod_pilot_ended_tasks_total{outcome="reset"} 1.0\n' in text
        assert 'iceprod_pilot_slots 1.0\n' in text
        pilot.terminate()


async def test_a_port_that_is_taken_is_said_plainly(service: FakeService, start: Start) -> None:
    port = service.url.rpartition(':')[2]

    async with start('--metrics-port', port) as pilot:
        _, told = await pilot.communicate()

    assert pilot.returncode == 1
    assert b'iceprod-tasks: the metrics cannot be served: ' in told
