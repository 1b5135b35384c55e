"""What tests of operations share: tasks with names outside, killed and created, and pilots that take them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from iceprod_tasks.actions.create_work import External, NewWork
from iceprod_tasks.actions.lead import campaign
from iceprod_tasks.actions.operate import Killing, create, kill
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.operations import OperationSpec
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.domain.work import checked
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Answer, Api

WORK = {'command': ['true'], 'env': {'KEY': 'secret'}, 'kill_grace_seconds': 7}
NAME = External('drove', 'A', '1')
ANN = Caller('ann', frozenset({'admin'}))
SPEC = OperationSpec(60.0)
LATER = timedelta(days=1)


def origin() -> Origin:
    return Origin(new_id(), utc_now())


def wanted(**changes: Any) -> NewWork:
    return replace(NewWork(NAME, checked(WORK), {'cpu': 1}), **changes)


async def made(api: Api, spec: OperationSpec = SPEC, **changes: Any) -> str:
    return await create(api.service, ANN, wanted(**changes), spec, origin())


async def killed(api: Api, reason: str = '', spec: OperationSpec = SPEC, name: External = NAME) -> str:
    return await kill(api.service, ANN, Killing(name, spec, reason), origin())


async def claimed(api: Api, lease_seconds: float = 300.0) -> dict[str, Any]:
    body = {'requirements': {'cpu': 1, 'work': True}, 'claim_id': new_id(), 'lease_seconds': lease_seconds}
    answer = await api.as_('pilot', 'p')('POST', '/task_actions/process', body)
    assert answer.status == 200, answer.body
    return dict(answer.body)


async def report(api: Api, claim: dict[str, Any], how: str, **more: Any) -> Answer:
    body = {'claim_id': claim['claim_id'], **more}
    return await api.as_('pilot', 'p')('POST', f'/tasks/{claim["task_id"]}/task_actions/{how}', body)


async def operations(api: Api) -> list[tuple[str, bool, str]]:
    """Type, whether active, and outcome of each operation, in the order in which they were accepted."""
    found = api.database.operations.find({}, sort=[('_id', 1)])
    return [(each['type'], each['active'], each['outcome']) async for each in found]


async def let_pass(api: Api, **times: timedelta) -> None:
    """Put the deadlines of operations, or times of tasks, into the past."""
    if gone := times.get('deadline'):
        await api.database.operations.update_many({}, [{'$set': {'deadline': {'$subtract': ['$deadline', _ms(gone)]}}}])
    if gone := times.get('ended'):
        changed = {'status_changed': {'$subtract': ['$status_changed', _ms(gone)]}}
        await api.database.tasks.update_many({}, [{'$set': changed}])


@contextlib.asynccontextmanager
async def another_leads(api: Api) -> AsyncIterator[None]:
    """A block in which the lease is another service's."""
    ours = await api.database.leaders.find_one({})
    assert ours is not None
    await api.database.leaders.update_one({}, {'$set': {'holder': 'http://other:1', 'term': ours['term'] + 1}})
    try:
        yield
    finally:
        await api.database.leaders.replace_one({}, ours)
        await campaign(api.service)


def _ms(gone: timedelta) -> int:
    return round(gone.total_seconds() * 1000)
