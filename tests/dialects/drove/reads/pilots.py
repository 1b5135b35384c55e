"""What tests of executors share: entries of pilots, as these make them."""

from datetime import timedelta
from typing import Any

from iceprod_tasks.storage.client import utc_now
from tests.conftest import Api


async def enter(
    api: Api, called: str, *, cpu: int, memory: float, used_cpu: int = 0, used_memory: float = 0.0, **more: Any
) -> str:
    """Enter a pilot with a slot a core; its id."""
    slot = {
        'cpu': 1,
        'memory': memory / cpu,
        'work': True,
        'container': False,
        'tagged': ['site-x', f'host-of-{called}'],
    }
    body = {
        'queue_host': 'h', 'queue_version': '1', 'name': called, 'host': f'host-of-{called}', 'resources': slot,
        'resources_available': {'cpu': cpu, 'memory': memory, 'gpu': 0, 'disk': 1.0},
        'resources_claimed': {'cpu': used_cpu, 'memory': used_memory, 'gpu': 0, 'disk': 0}, **more,
    }  # fmt: skip
    answer = await api.as_('pilot', 'p')('POST', '/pilots', body)
    assert answer.status == 201, answer.text
    return str(answer.body['result'])


async def silence(api: Api, pilot_id: str, seconds: float) -> None:
    """Have a pilot not been heard of for some seconds."""
    then = utc_now() - timedelta(seconds=seconds)
    await api.database.pilots.update_one({'pilot_id': pilot_id}, {'$set': {'last_update': then}})
