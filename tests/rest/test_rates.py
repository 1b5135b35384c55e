"""Rates: what one caller may send, and what that leaves to others."""

import pytest

from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import Overloaded
from iceprod_tasks.rest import lanes
from iceprod_tasks.rest import rates as rates_module
from iceprod_tasks.rest.rates import Rates

ADA = Caller('ada', frozenset({'user'}))
BOB = Caller('bob', frozenset({'user'}))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No refusal is held back."""
    monkeypatch.setattr(lanes, '_HOLD_SECONDS', 0)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def taken(rates: Rates, caller: Caller, at_most: int = 100) -> int:
    """How many permits the caller gets now."""
    for number in range(at_most):
        try:
            await rates.take(caller)
        except Overloaded:
            return number
    return at_most


async def test_a_burst_has_the_permits_of_two_seconds() -> None:
    assert await taken(Rates(10, Clock()), ADA) == 20


async def test_after_a_burst_there_are_as_many_permits_as_time_brings() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    await taken(rates, ADA)

    clock.now += 0.5

    assert await taken(rates, ADA) == 5


async def test_a_long_rest_brings_no_more_than_a_burst() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    await taken(rates, ADA)

    clock.now += 3600

    assert await taken(rates, ADA) == 20


async def test_what_is_refused_costs_no_permit() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    await taken(rates, ADA)
    for _ in range(50):
        with pytest.raises(Overloaded):
            await rates.take(ADA)

    clock.now += 0.15

    assert await taken(rates, ADA) == 1


async def test_one_caller_takes_nothing_from_another() -> None:
    rates = Rates(10, Clock())
    await taken(rates, ADA)

    assert await taken(rates, BOB) == 20


async def test_the_same_name_with_other_roles_is_another_caller() -> None:
    rates = Rates(10, Clock())
    await taken(rates, ADA)

    assert await taken(rates, Caller('ada', frozenset({'pilot'}))) == 20


async def test_other_groups_do_not_make_another_caller() -> None:
    rates = Rates(10, Clock())
    await taken(rates, ADA)

    assert await taken(rates, Caller('ada', frozenset({'user'}), ('simprod',))) == 0


async def test_zero_is_no_limit() -> None:
    assert await taken(Rates(0, Clock()), ADA, 5000) == 5000


async def test_less_than_one_a_second_still_lets_one_through() -> None:
    assert await taken(Rates(0.1, Clock()), ADA) == 1


async def test_of_too_many_callers_the_one_not_seen_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, '_KNOWN_AT_MOST', 2)
    rates = Rates(1, Clock())
    eve = Caller('eve', frozenset({'user'}))
    for caller in (ADA, BOB, ADA, eve):
        await rates.take(caller)

    assert (await taken(rates, ADA), len(rates._buckets)) == (0, 2)
    assert await taken(rates, BOB) == 2
