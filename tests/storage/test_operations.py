"""Operations as they are kept: MongoDB itself allows one active operation a task."""

import pytest

from iceprod_tasks.domain.errors import OperationActive
from iceprod_tasks.domain.operations import CREATE, DONE, KILL, NewOperation, OperationSpec
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Api

TASK = {'task_id': 't1', 'external': {'system': 'drove', 'app': 'A', 'id': '1'}, 'epoch': 0}


async def add(api: Api, kind: str, task_id: str = 't1') -> str:
    operation = NewOperation(new_id(), kind, {**TASK, 'task_id': task_id}, 'ann', OperationSpec(), 1)
    await api.service.store.operations.add(operation.document(utc_now(), utc_now()), None)
    return operation.operation_id


async def test_a_second_active_operation_is_refused_without_any_transaction(api: Api) -> None:
    first = await add(api, CREATE)

    with pytest.raises(OperationActive):
        await add(api, KILL)

    await add(api, KILL, 't2')
    assert await api.service.store.operations.end([first], DONE) == 1
    await add(api, KILL)


async def test_what_has_ended_does_not_end_again(api: Api) -> None:
    first = await add(api, CREATE)
    await api.service.store.operations.end([first], DONE)

    assert await api.service.store.operations.end([first], 'timed out') == 0

    found = await api.service.store.operations.get(first)
    assert found is not None
    assert (found['outcome'], found['active']) == (DONE, False)
