"""Portions are worked on two at a time, and none is begun after one that has failed."""

import asyncio
from types import SimpleNamespace

import pytest

from iceprod_tasks.actions import portions
from iceprod_tasks.actions.portions import WORKERS, side_by_side, slices


async def test_two_are_worked_on_at_once_and_no_more() -> None:
    under_way, most = 0, 0
    done: list[str] = []

    async def one(portion: str) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(portion)

    await side_by_side(slices('abcdefg', 2), one)

    assert most == WORKERS == 2
    assert sorted(done) == ['ab', 'cd', 'ef', 'g']


async def test_after_a_failure_what_is_under_way_ends_and_nothing_more_is_begun() -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def one(portion: str) -> None:
        begun.append(portion)
        await asyncio.sleep(0)
        if portion == 'a':
            raise ConnectionError
        await asyncio.sleep(0.01)
        ended.append(portion)

    with pytest.raises(ConnectionError):
        await side_by_side(slices('abcdefg', 1), one)

    assert (begun, ended) == (['a', 'b'], ['b'])


async def test_a_portion_is_followed_by_a_rest_as_long_as_what_it_took_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests: list[float] = []

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(portions, 'time', SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(portions, 'asyncio', SimpleNamespace(sleep=sleep))

    await portions.rest(began=99.0, tasks=1000)
    await portions.rest(began=99.95, tasks=1000)

    assert rests == [pytest.approx(0.92), 0.0]
