"""A machine on which everything fails at once takes no more tasks; one that has bad luck goes on."""

import asyncio

import pytest

from iceprod_tasks.pilot import BlackHole
from iceprod_tasks.pilot.streak import Streak
from tests.pilot.conftest import Fly, Start
from tests.pilot.fake_service import FakeService


async def test_after_five_quick_failures_no_more_tasks_are_taken(service: FakeService, fly: Fly) -> None:
    for _ in range(8):
        service.add('exit 1')

    with pytest.raises(BlackHole, match='5 tasks have failed here within 60 s each, and none was complete'):
        await fly()

    assert [report['action'] for report in service.reports] == ['reset'] * 5
    assert len(service.tasks) == 3


async def test_a_success_in_between_is_a_new_beginning(service: FakeService, fly: Fly) -> None:
    for command in ('exit 1', 'exit 1', 'exit 1', 'true', 'exit 1', 'exit 1', 'exit 1'):
        service.add(command)

    reports = await fly(black_hole_failures=4)

    assert len(reports) == 7


async def test_between_failures_the_pilot_rests_longer_and_longer(service: FakeService, fly: Fly) -> None:
    for _ in range(5):
        service.add('exit 1')
    began = asyncio.get_running_loop().time()

    with pytest.raises(BlackHole):
        await fly()

    # Full jitter over bounds of 2, 4 and 8 seconds: less than half a second is one case in a thousand.
    assert asyncio.get_running_loop().time() - began > 0.5


async def test_what_runs_in_other_slots_is_ended_before_the_pilot_leaves(service: FakeService, fly: Fly) -> None:
    service.add('sleep 3')
    for _ in range(3):
        service.add('exit 1')

    with pytest.raises(BlackHole):
        await fly(slots=({'PATH': '/usr/bin:/bin'},) * 2, black_hole_failures=2)

    assert [report['action'] for report in service.reports] == ['reset', 'reset', 'complete']


async def test_it_can_be_told_never_to_give_up(service: FakeService, fly: Fly) -> None:
    for _ in range(3):
        service.add('exit 1')

    assert len(await fly(black_hole_failures=0)) == 3


async def test_the_command_ends_with_a_word_and_a_code(service: FakeService, start: Start) -> None:
    service.add('exit 1')
    service.add('exit 1')

    async with start('--black-hole', '1') as pilot:
        _, told = await pilot.communicate()

    assert pilot.returncode == 1
    assert b'iceprod-tasks: this pilot has drained itself: 1 tasks have failed here' in told
    assert len(service.tasks) == 1


def test_what_failed_after_a_long_while_is_no_sign_of_a_black_hole() -> None:
    streak = Streak(2, quick_seconds=60)

    for _ in range(5):
        streak.fail(3600)
    streak.fail(1)

    assert (streak.failures, streak.is_black_hole) == (1, False)
    streak.fail(59)
    assert streak.is_black_hole
