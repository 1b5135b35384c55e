"""A task that carries its work, from the service to a pilot and back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.actions.create_work import External, NewWork
from iceprod_tasks.actions.operate import create
from iceprod_tasks.client import AsyncClient
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.operations import OperationSpec
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.domain.work import checked
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Api
from tests.pilot.conftest import ENVIRONMENT, OFFER

Chores = Callable[[], Any]


@asynccontextmanager
async def flying(api: Api, workdir: Path) -> AsyncIterator[None]:
    plan = Plan(offer=OFFER, slots=(ENVIRONMENT,), name='p', workdir=workdir, poll_seconds=0.2, host='here')
    async with AsyncClient(api.url, api.token('pilot')) as client, asyncio.timeout(60):
        pilot = Pilot(client, plan)
        working = asyncio.ensure_future(pilot.run())
        try:
            yield
        finally:
            pilot.stop()
            await working


async def made(api: Api, **work: Any) -> str:
    wanted = NewWork(External('drove', 'A', new_id()), checked(work), {'cpu': 1})
    origin = Origin(new_id(), utc_now())
    return await create(api.service, Caller('ann', frozenset({'user'})), wanted, OperationSpec(), origin)


async def ended(api: Api, chores: Chores, task_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (task := (await api('GET', f'/tasks/{task_id}')).body)['status'] not in ('complete', 'failed'):
            await chores()
            await asyncio.sleep(0.05)
    return dict(task)


@pytest.mark.parametrize(
    ('work', 'status', 'outcome'),
    [
        (
            {'command': ['sh', '-c', 'test "$(cat in)" = "hi from $HOST"'], 'env': {'HOST': '${host}'},
             'files': [{'name': 'in', 'data': 'aGkgZnJvbSBoZXJl'}]},
            'complete', {'result': 'successful', 'exit_code': 0},
        ),
        ({'command': ['sh', '-c', 'exit 3']}, 'failed', {'result': 'failed', 'exit_code': 3}),
        ({'command': ['sleep', '60'], 'timeout_seconds': 0.3}, 'failed', {'result': 'failed', 'cause': 'run_time'}),
        ({'command': ['x'], 'files': [{'name': 'x' * 300, 'data': ''}]}, 'failed',
         {'result': 'failed', 'cause': 'provisioning'}),
    ],
)  # fmt: skip
async def test_it_ends_at_its_first_try_and_says_how(
    api: Api, chores: Chores, tmp_path: Path, work: dict[str, Any], status: str, outcome: dict[str, Any]
) -> None:
    task_id = await made(api, **work)

    async with flying(api, tmp_path):
        task = await ended(api, chores, task_id)

    assert (task['status'], task['epoch']) == (status, 1)
    assert outcome.items() <= task['outcome'].items()
    assert ('cause' in task['outcome']) == ('cause' in outcome)
