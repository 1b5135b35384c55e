"""How many pilots to have, whatever there are and whatever waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.batch.decision import LONGEST_REST_SECONDS, Bounds, Change, Pilots, decide, rest_seconds, tasks_for

few = st.integers(0, 50)
pilots = st.builds(Pilots, busy=few, starting=few, pending=few, unknown=few)
bounds = st.builds(
    lambda slots, least, more: Bounds(slots=slots, least=least, most=least + more), st.integers(1, 8), few, few
)
tasks = st.integers(0, 400)


def after(there: Pilots, change: Change) -> int:
    return there.all + change.submit - change.cancel


@given(tasks, pilots, bounds)
def test_there_are_never_more_than_the_most(number: int, there: Pilots, within: Bounds) -> None:
    change = decide(number, there, within)

    assert after(there, change) <= max(within.most, there.all - there.pending)
    assert change.submit == 0 or after(there, change) <= within.most


@given(tasks, pilots, bounds)
def test_there_are_never_fewer_than_the_least(number: int, there: Pilots, within: Bounds) -> None:
    assert after(there, decide(number, there, within)) >= within.least


@given(tasks, pilots, bounds)
def test_nothing_is_submitted_and_cancelled_at_once(number: int, there: Pilots, within: Bounds) -> None:
    change = decide(number, there, within)

    assert 0 in (change.submit, change.cancel)
    assert change.submit >= 0
    assert 0 <= change.cancel <= there.pending


@given(tasks, pilots, bounds)
def test_all_that_waits_gets_a_slot_as_far_as_there_is_room(number: int, there: Pilots, within: Bounds) -> None:
    change = decide(number, there, within)

    coming = after(there, change) - there.busy
    assert coming * within.slots >= number or after(there, change) >= within.most


@given(tasks, pilots, bounds)
def test_no_pilot_comes_for_nothing(number: int, there: Pilots, within: Bounds) -> None:
    change = decide(number, there, within)

    coming = after(there, change) - there.busy
    for_nothing = coming - -(-number // within.slots)
    assert (
        for_nothing <= 0
        or after(there, change) == within.least
        or (not change.submit and change.cancel == there.pending)
    )


@given(tasks, pilots, bounds)
def test_what_has_been_done_is_left_alone_in_the_next_round(number: int, there: Pilots, within: Bounds) -> None:
    change = decide(number, there, within)
    then = Pilots(there.busy, there.starting, there.pending + change.submit - change.cancel, there.unknown)

    assert decide(number, then, within) == Change()


@given(tasks, pilots, bounds)
def test_more_work_never_means_fewer_pilots(number: int, there: Pilots, within: Bounds) -> None:
    assert after(there, decide(number + 1, there, within)) >= after(there, decide(number, there, within))


@pytest.mark.parametrize(('slots', 'least', 'most'), [(1, 3, 2), (0, 0, 1), (1, -1, 1)])
def test_bounds_that_are_none_are_refused(slots: int, least: int, most: int) -> None:
    with pytest.raises(ValueError, match='is no range'):
        Bounds(slots=slots, least=least, most=most)


def test_only_what_fits_the_pilots_counts_and_what_may_need_anything() -> None:
    def row(requirements: object, number: int) -> dict[str, object]:
        return {'requirements': requirements, 'waiting': number, 'queued': 10 * number, 'unmade': 100 * number}

    demand = [row({'memory': 2}, 1), row({'memory': 3}, 2), row({'site': 'elsewhere'}, 3), row(None, 4)]

    assert tasks_for(demand, {'memory': 2.5, 'site': 'here'}) == 555


def test_a_rest_doubles_with_each_failure_up_to_a_bound() -> None:
    assert [rest_seconds(30, failures) for failures in (0, 1, 2, 3, 5, 10_000)] == [
        30, 60, 120, 240, LONGEST_REST_SECONDS, LONGEST_REST_SECONDS,
    ]  # fmt: skip
    assert rest_seconds(3600, 9) == 3600
