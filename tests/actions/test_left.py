"""A pilot is told that nothing is left only when nothing is: whatever goes on while that is counted."""

from collections.abc import Callable
from typing import Any

import pytest

from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.storage.transitions import Note
from tests.conftest import Api

WAYS = [('waiting', 'queue'), ('processing', 'restore'), ('reset', 'retry'), ('idle', 'release')]


async def left(api: Api) -> int:
    answer = await api('POST', '/task_actions/process', {'requirements': {'cpu': 1}})
    assert answer.status == 404, answer.text
    return int(answer.body['left'])


@pytest.mark.parametrize(('status', 'transition'), WAYS)
async def test_a_task_that_goes_on_while_tasks_are_counted_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: str, transition: str
) -> None:
    task_id = await api.add_task(status=status)
    kinds, moved = api.service.store.kinds, []
    among = kinds.among

    async def among_and_on(where: dict[str, Any], **reading: Any) -> Any:
        # Just before its status is looked at it comes to one that was looked at before, or is not looked at again.
        if where['status'] == status and not moved:
            moved.append(await api.service.store.tasks.move_one(TRANSITIONS[transition], Note(), task_id))
        return await among(where, **reading)

    monkeypatch.setattr(kinds, 'among', among_and_on)

    assert await left(api) == 1
    assert moved == [1]


async def test_what_is_made_while_it_is_counted_is_counted(
    api: Api, chores: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.add_dataset([{'name': 'work', 'command': 'true'}])
    claims = api.service.store.claims
    count = claims.left

    async def count_and_make(*arguments: Any, **options: Any) -> int:
        found = await count(*arguments, **options)
        await chores()
        return found

    monkeypatch.setattr(claims, 'left', count_and_make)

    assert await left(api) >= 1


async def test_where_nothing_is_left_that_is_said(api: Api) -> None:
    await api.add_task(status='complete')

    assert await left(api) == 0
