"""Lanes: places, short waits, refusals, and what pilots' work has before all else."""

import asyncio
import time
from collections.abc import Mapping

import pytest

from iceprod_tasks.actions.service import LOOKS_AT_ONCE
from iceprod_tasks.domain.errors import Busy, Overloaded
from iceprod_tasks.rest import lanes as lanes_module
from iceprod_tasks.rest.lanes import WIDTHS, LaneName, Lanes, Width
from iceprod_tasks.storage import POOL_SIZE
from tests.routes import rules

NARROW: Mapping[LaneName, Width] = {
    'report': Width(6, 6, 8, 0.1),
    'claim': Width(6, 6, 8, 0.1),
    'read': Width(2, 1, 1, 0.2),
}
RULES = rules()


async def taken(lanes: Lanes, name: LaneName, number: int) -> None:
    """Take some places."""
    for _ in range(number):
        await lanes.enter(name)


async def waiting(lanes: Lanes, name: LaneName) -> 'asyncio.Task[None]':
    """Somebody who waits for a place."""
    task = asyncio.create_task(lanes.enter(name))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_who_comes_when_all_places_are_taken_has_the_next_one_that_is_given_back() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)
    later = await waiting(lanes, 'read')

    lanes.leave('read')

    async with asyncio.timeout(0.05):
        await later


async def test_who_waits_for_too_long_is_refused() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)

    with pytest.raises(Overloaded):
        await lanes.enter('read')


async def test_pilots_who_wait_for_too_long_are_told_to_repeat() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 6)

    with pytest.raises(Busy):
        await lanes.enter('claim')


async def test_who_finds_the_queue_full_is_refused_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, '_HOLD_SECONDS', 0.08)
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)
    first = await waiting(lanes, 'read')

    began = time.monotonic()
    with pytest.raises(Overloaded):
        await lanes.enter('read')

    assert time.monotonic() - began >= 0.06
    assert not first.done()
    lanes.leave('read')
    await first


async def test_a_refusal_leaves_the_queue_as_it_was() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)
    for _ in range(3):
        with pytest.raises(Overloaded):
            await lanes.enter('read')

    lanes.leave('read')

    await lanes.enter('read')


async def test_reads_take_no_place_of_claims_and_reports() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)
    await waiting(lanes, 'read')

    async with asyncio.timeout(0.05):
        await taken(lanes, 'claim', 6)
        await taken(lanes, 'report', 6)


async def test_claims_take_no_place_of_reports() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 6)
    await waiting(lanes, 'claim')

    async with asyncio.timeout(0.05):
        await lanes.enter('report')


async def test_while_pilots_press_others_have_fewer_places() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)

    await lanes.enter('read')

    with pytest.raises(Overloaded):
        await lanes.enter('read')


async def test_when_pilots_press_no_longer_others_have_all_places_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, '_PRESSED_SECONDS', 0.05)
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)
    await lanes.enter('read')
    later = await waiting(lanes, 'read')

    lanes.leave('claim')

    async with asyncio.timeout(0.15):
        await later


async def test_pressure_is_felt_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, '_PRESSED_SECONDS', 0.1)
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)

    lanes.leave('claim')

    assert lanes.pressed
    await asyncio.sleep(0.15)
    assert not lanes.pressed


async def test_pressure_that_goes_on_is_felt_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, '_PRESSED_SECONDS', 0.05)
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)
    for _ in range(10):
        lanes.leave('claim')
        await lanes.enter('claim')
        await asyncio.sleep(0.01)

    assert lanes.pressed


async def test_whoever_is_cancelled_as_the_turn_comes_gives_it_on() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)
    later = await waiting(lanes, 'read')

    lanes.leave('read')
    later.cancel()
    await asyncio.gather(later, return_exceptions=True)

    async with asyncio.timeout(0.05):
        await lanes.enter('read')


async def test_whoever_is_cancelled_while_waiting_takes_nothing() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'read', 2)
    later = await waiting(lanes, 'read')
    later.cancel()
    await asyncio.gather(later, return_exceptions=True)

    lanes.leave('read')

    async with asyncio.timeout(0.05):
        await lanes.enter('read')


async def test_what_is_free_needs_no_place() -> None:
    lanes = Lanes({name: Width(0, 0, 0, 0) for name in WIDTHS})

    await lanes.enter('free')


async def rested(lanes: Lanes, worked_seconds: float) -> float:
    """How long something rests that has worked for some time."""
    began = asyncio.get_running_loop().time()
    return await lanes.give_way(began - worked_seconds) - began


async def test_something_long_gives_others_no_more_than_a_turn_unless_pilots_press() -> None:
    assert 0 <= await rested(Lanes(NARROW), 0.02) < 0.1


async def test_while_pilots_press_something_long_rests_for_longer_than_it_works() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)

    assert await rested(lanes, 0.02) >= 0.17


async def test_no_rest_is_longer_than_a_client_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, '_LONGEST_REST_SECONDS', 0.05)
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)

    assert 0.04 <= await rested(lanes, 60) < 1


async def test_what_has_hardly_begun_does_not_rest() -> None:
    lanes = Lanes(NARROW)
    await taken(lanes, 'claim', 4)

    assert await rested(lanes, 0.005) == pytest.approx(-0.005)


def test_the_driver_has_more_connections_than_all_lanes_have_places() -> None:
    # Who follows an output, or waits for another cluster, does so without one.
    places = sum(width.places for name, width in WIDTHS.items() if name not in ('follow', 'forward'))
    assert places + LOOKS_AT_ONCE <= POOL_SIZE - 8


def test_even_while_pilots_press_each_lane_has_a_place() -> None:
    assert all(width.pressed >= 1 for width in WIDTHS.values())


def test_what_pilots_do_for_their_work_stands_in_their_lanes() -> None:
    lanes = {
        rule.matcher.regex.pattern.rpartition('/')[2].rstrip('$'): access.lane
        for rule in RULES
        for access in rule.target_kwargs['access'].values()
        if access.lane in ('claim', 'report', 'free')
    }

    assert lanes == {
        '(?:process|processing)': 'claim', 'heartbeat': 'report', '(?:reset|error)': 'report', 'failed': 'report',
        'complete': 'report', 'hand_back': 'report', 'report': 'report', 'output': 'report', 'nodes': 'report',
        'messages': 'report', 'progress': 'report',
        'healthz': 'free', 'readyz': 'free',
    }  # fmt: skip
