"""Signatures never hide a task that fits: classes of them, the ladder, and when two requirements are the same."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.requirements import GROWING, fits
from iceprod_tasks.domain.signatures import (
    BUCKETS,
    UNSIGNED,
    bucket_of,
    grown_signature,
    holds_anything,
    is_exact,
    is_signed_right,
    may_fit,
    must_fit,
    rung,
    rung_below,
    signature,
    signature_with,
)

keys = st.sampled_from(GROWING)
# What reports bring, whole numbers, the rungs themselves and their neighbours, and what nobody needs.
steps = st.builds(lambda octave, step: 2.0**octave * (1 + step / 4), st.integers(-3, 21), st.integers(0, 3))
edges = st.builds(lambda value, aside: math.nextafter(value, aside), steps, st.sampled_from([-math.inf, math.inf]))
amounts = (
    st.floats(0, 600) | st.integers(0, 80) | steps | edges
    | st.sampled_from([0, 0.0, -0.0, -1, -1e300, 5e-324, 1e-9, 1e15, 1e300, 10**15, 10**400])
)  # fmt: skip
plain = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.sampled_from(['', 'a', '1', 'true'])
free = st.dictionaries(st.sampled_from(['cpu', 'os', 'own']), plain | st.lists(plain, max_size=2))
named = st.sampled_from([*GROWING, 'gpu', 'os', 'own'])
grown = st.dictionaries(keys, amounts) | st.dictionaries(named, amounts | plain)
offers = st.dictionaries(named, amounts | plain, max_size=3)


def beside(data: st.DataObject, needs: dict[str, Any]) -> dict[str, Any]:
    """Requirements of another task of the same group."""
    other = dict(needs)
    for key, value in needs.items():
        if key in GROWING and isinstance(value, int | float) and not isinstance(value, bool):
            top, least = rung(key, value), math.nextafter(rung_below(key, value), math.inf)
            other[key] = data.draw(st.sampled_from([value, least, top]) | st.floats(max(least, -1e9), min(top, 1e9)))
    return other


@given(free, free)
def test_signatures_are_equal_exactly_for_equal_requirements(one: dict[str, Any], other: dict[str, Any]) -> None:
    def typed(value: Any) -> Any:
        """Equal as the database compares: 1 is 1.0 and no bool."""
        if isinstance(value, list):
            return ('list', *map(typed, value))
        return (isinstance(value, bool), value)

    same = {key: typed(value) for key, value in one.items()} == {key: typed(value) for key, value in other.items()}

    assert (signature(one) == signature(other)) == same
    assert signature(dict(reversed(one.items()))) == signature(one) != ''


@given(keys, amounts)
def test_a_value_lies_above_the_rung_below_and_is_rounded_up_once(key: str, value: float) -> None:
    top, below = rung(key, value), rung_below(key, value)

    assert below < value <= top
    assert rung(key, top) == top
    assert rung_below(key, top) == below


@given(keys, amounts, amounts)
def test_the_ladder_goes_up_and_groups_are_what_lies_between_two_rungs(key: str, one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert rung(key, low) <= rung(key, high)
    assert (rung(key, low) == rung(key, high)) == (rung_below(key, high) < low)


@given(st.sampled_from(['memory', 'disk', 'time']), st.floats(0.5, 2.0**20))
def test_no_rung_is_far_above_a_value(key: str, value: float) -> None:
    assert rung(key, value) <= 1.25 * value


@pytest.mark.parametrize(
    ('key', 'values', 'top'),
    [
        ('memory', (1.01, 1.2, 1.25), 1.25), ('memory', (1.76, 2), 2), ('memory', (2.01, 2.5), 2.5),
        ('disk', (3.01, 3.5), 3.5), ('time', (336.0,), 384.0), ('memory', (0, 1e-9, 0.25), 0.25),
        ('cpu', (0.3, 1), 1), ('cpu', (2.5, 3), 3), ('cpu', (63.5, 64), 64), ('cpu', (65, 80), 80),
        ('memory', (2**20 + 1, 10**400, math.inf), math.inf),
    ],
)  # fmt: skip
def test_the_ladder_has_four_steps_an_octave_and_whole_cpus(key: str, values: tuple[float, ...], top: float) -> None:
    assert {rung(key, value) for value in values} == {top}


def test_the_ladder_has_few_rungs() -> None:
    values = [2.0 ** (exponent / 16) for exponent in range(-1600, 1600)]

    assert max(len({rung(key, value) for value in values}) for key in GROWING) < 160


@given(grown, st.data())
def test_a_signature_hides_no_task_that_fits_and_vouches_for_none_that_does_not(
    needs: dict[str, Any], data: st.DataObject
) -> None:
    """A group is known by one of its tasks; offers are drawn near what another one of it needs."""
    other = beside(data, needs)
    offer = data.draw(offers)
    for key in data.draw(st.lists(keys)):
        if key in other:
            offer[key] = data.draw(st.sampled_from([other[key], needs[key]]))

    name = grown_signature(needs)

    assert grown_signature(other) == name
    assert (name[0], len(name), is_exact(name), holds_anything(name)) == ('l', 16, False, False)
    if fits(other, offer):
        assert may_fit(name, needs, offer)
    if may_fit(name, needs, offer) and must_fit(name, needs, offer):
        assert fits(other, offer)
    assert may_fit(signature(needs), needs, offer) == fits(needs, offer)
    assert is_exact(signature(needs))


def test_a_group_is_safe_for_its_rung_and_open_at_its_edge() -> None:
    name, needs = grown_signature({'memory': 3.7}), {'memory': 3.7}

    seen = [(may_fit(name, needs, {'memory': m}), must_fit(name, needs, {'memory': m})) for m in (3.5, 3.51, 3.99, 4)]

    assert seen == [(False, False), (True, False), (True, False), (True, True)]


@pytest.mark.parametrize('name', [UNSIGNED, 'b00', 'bff', 'x' * 16, 'of a later release'])
def test_anything_may_have_a_signature_that_says_nothing(name: str) -> None:
    assert may_fit(name, {'cpu': 9}, {'cpu': 1})
    assert not must_fit(name, {'cpu': 1}, {'cpu': 1})
    assert (holds_anything(name), is_exact(name), bucket_of(name)) == (True, False, name)
    assert signature_with(name, {'cpu': 9}, {'cpu': 1}) == name
    assert is_signed_right(name, {'cpu': 9})


@given(grown)
def test_there_are_256_buckets(needs: dict[str, Any]) -> None:
    for name in (signature(needs), grown_signature(needs)):
        assert int(bucket_of(name).removeprefix('b'), 16) < BUCKETS
        assert holds_anything(bucket_of(name))
        assert bucket_of(bucket_of(name)) == bucket_of(name)


@given(grown, grown, st.data())
def test_what_is_set_on_all_tasks_of_a_signature_leads_all_to_the_same(
    needs: dict[str, Any], values: dict[str, Any], data: st.DataObject
) -> None:
    other = beside(data, needs)

    name = signature_with(grown_signature(needs), needs, values)

    assert name == signature_with(grown_signature(other), other, values) == grown_signature({**needs, **values})
    assert is_signed_right(name, {**other, **values})
    assert signature_with(signature(needs), needs, values) == signature({**needs, **values})


@given(grown, grown)
def test_a_wrong_signature_is_noticed(needs: dict[str, Any], other: dict[str, Any]) -> None:
    assert is_signed_right(signature(needs), needs)
    assert is_signed_right(grown_signature(needs), needs)
    assert is_signed_right(signature(other), needs) == (signature(other) == signature(needs))
