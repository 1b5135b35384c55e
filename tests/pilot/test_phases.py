"""What a pilot does with a task is told while it does it; of what is done at once, the report tells."""

import asyncio
import socket

from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService
from tests.pilot.test_lease import PHASES


async def test_the_phases_of_a_short_task_go_with_its_report(service: FakeService, fly: Fly) -> None:
    service.add('true')

    [report] = await fly()

    assert service.beats == []
    assert [each['phase'] for each in report['phases']] == PHASES
    ago = [each['seconds_ago'] for each in report['phases']]
    assert ago == sorted(ago, reverse=True)
    assert 0 <= ago[-1] <= ago[0] < 60


async def test_a_heartbeat_tells_soon_that_a_task_runs(service: FakeService, fly: Fly) -> None:
    service.add('sleep 1.5')

    [report] = await fly()

    [beat] = service.beats
    assert [each['phase'] for each in beat['phases']] == PHASES[:3]
    assert beat['phase'] == 'running'
    assert beat['phases'][-1]['seconds_ago'] < 1
    assert [each['phase'] for each in report['phases']] == PHASES[3:]


async def test_what_a_heartbeat_could_not_tell_the_next_one_tells(service: FakeService, fly: Fly) -> None:
    service.again_in = 0.1
    service.add('sleep 2')
    service.troubles['heartbeat'].extend([(503, {})] * 2)

    [report] = await fly(heartbeat_seconds=0.1)

    heard = [*service.beats[2:], report]
    told = [each['phase'] for said in heard for each in said.get('phases', ())]
    # One that was sent when the report was comes twice; the service knows.
    assert list(dict.fromkeys(told)) == PHASES


async def test_a_task_whose_config_is_wrong_was_in_the_first_phase_only(service: FakeService, fly: Fly) -> None:
    service.config['tasks'].append({'name': 'task0', 'command': []})
    service.add_index(0)

    [report] = await fly()

    assert report['action'] == 'failed'
    assert [each['phase'] for each in report['phases']] == ['provisioning']


async def test_a_phase_that_lasts_is_told_while_it_does(service: FakeService, fly: Fly) -> None:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        service.add('true')
        service.left = 0
        service.files['t0'] = [
            {
                'type': 'permanent', 'movement': 'input', 'local': '', 'compression': False, 'transfer': True,
                'remote': f'http://127.0.0.1:{silent.getsockname()[1]}/x',
            }
        ]  # fmt: skip
        flying = asyncio.ensure_future(fly())

        await service.until(lambda: service.beats, 3)

        assert [each['phase'] for each in service.beats[0]['phases']] == ['provisioning']
        service.orders['t0'] = 409, {'code': 409, 'error': 'lost', 'action': 'stop', 'why': ''}
        flying.cancel()
        await asyncio.gather(flying, return_exceptions=True)


async def test_what_was_told_is_not_told_again(service: FakeService, fly: Fly) -> None:
    service.again_in = 0.2
    service.add('sleep 2')

    await fly(heartbeat_seconds=0.2)

    told = [each['phase'] for beat in service.beats for each in beat.get('phases', ())]
    assert len(told) == len(set(told))
    assert len(service.beats) > 5
