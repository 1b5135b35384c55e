"""When the scheduler has its turns."""

import asyncio
import time
from itertools import pairwise

import pytest

from iceprod_tasks.scheduler import scheduler as timers
from iceprod_tasks.scheduler.scheduler import Scheduler
from tests.conftest import Api


async def test_after_a_turn_that_waited_long_for_the_database_the_next_one_comes_soon(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, '_LONGEST_PAUSE_SECONDS', 0.2)
    scheduler = Scheduler(api.service, interval_seconds=0.01)
    began: list[float] = []
    third = asyncio.Event()

    async def outage() -> int:
        began.append(time.monotonic())
        if len(began) == 3:
            third.set()
        await asyncio.sleep(1.0)
        return 0

    monkeypatch.setattr(scheduler, 'follow', outage)
    running = asyncio.create_task(scheduler.run())
    await asyncio.wait_for(third.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    # Without the limit each rest would be as long as the turn, and they would be two seconds apart.
    assert min(later - earlier for earlier, later in pairwise(began)) < 1.8
