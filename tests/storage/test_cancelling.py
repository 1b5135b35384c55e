"""Tasks that are cancelled end, also those on which a cancellation is lost."""

import asyncio
import contextlib

import pytest

from iceprod_tasks.storage import cancelling


async def test_a_task_that_has_not_heard_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, '_AGAIN_SECONDS', 0.01)

    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await cancelling.end(*tasks)

    assert [task.cancelled() for task in tasks] == [True, True]


async def test_what_a_task_has_raised_is_of_no_interest() -> None:
    async def broken() -> None:
        raise ValueError

    task = asyncio.create_task(broken())
    await asyncio.sleep(0)

    await cancelling.end(task)

    assert isinstance(task.exception(), ValueError)
