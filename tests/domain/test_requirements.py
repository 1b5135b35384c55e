"""Growth after a failure (contract 2.3, traps 11, 12)."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.requirements import DEFAULT_CEILING, GROWING, grow

amounts = st.floats(0, 1e6) | st.integers(0, 10**6)
needs = st.dictionaries(st.sampled_from([*GROWING, 'gpu', 'os', 'own']), amounts)
reports = st.dictionaries(st.sampled_from([*GROWING, 'gpu', 'own']), amounts)
ceilings = st.fixed_dictionaries({key: st.floats(0.5, 1000) for key in GROWING})


@pytest.mark.parametrize(
    ('old', 'used', 'new'),
    [
        ({}, {}, {}), ({'memory': 7}, {'memory': 4}, {'memory': 7}), ({'memory': 7}, {'memory': 5}, {'memory': 7.5}),
        ({'disk': 12}, {'disk': 12}, {'disk': 18}), ({}, {'disk': 2}, {'disk': 3.0}), ({}, {'memory': 0.49}, {}),
        ({}, {'memory': 0.5}, {'memory': 0.75}), ({'time': 1}, {'time': 2}, {'time': 3.0}), ({}, {'time': 0}, {}),
        ({}, {'cpu': 1.1}, {}), ({}, {'cpu': 1.11}, {'cpu': 2}), ({}, {'cpu': 1.4}, {'cpu': 2}),
        ({'cpu': 2}, {'cpu': 2.1}, {'cpu': 2}), ({'cpu': 2}, {'cpu': 2.2}, {'cpu': 3}), ({}, {'cpu': 9}, {'cpu': 2}),
        ({'cpu': 4}, {'cpu': 20}, {'cpu': 5}), ({'cpu': 4}, {'cpu': 20.1}, {'cpu': 4}),
        ({'cpu': 0}, {'cpu': 1.2}, {'cpu': 1}),
        ({'cpu': 1.5}, {'cpu': 3}, {'cpu': 3}), ({'gpu': 1}, {'gpu': 9}, {'gpu': 1}), ({}, {'own': 9}, {}),
        ({'cpu': 1, 'memory': 1}, {'cpu': 2, 'memory': 2, 'disk': 2, 'time': 2},
         {'cpu': 2, 'memory': 3.0, 'disk': 3.0, 'time': 3.0}),
    ],
)  # fmt: skip
def test_growth_follows_the_contract(old: dict[str, Any], used: dict[str, float], new: dict[str, Any]) -> None:
    assert grow(old, used, DEFAULT_CEILING) == new


@given(needs, reports, ceilings)
def test_nothing_shrinks_grows_past_the_ceiling_or_changes_unasked(
    old: dict[str, Any], used: dict[str, float], ceiling: dict[str, float]
) -> None:
    before = dict(old)

    new = grow(old, used, ceiling)

    assert old == before
    assert {key: value for key, value in new.items() if key not in GROWING or key not in used} == {
        key: value for key, value in old.items() if key not in GROWING or key not in used
    }
    for key in set(new) & set(GROWING):
        assert new[key] >= old.get(key, -math.inf)
        assert new[key] <= max(ceiling[key], old.get(key, -math.inf))
        assert isinstance(new[key], int | float)


@given(needs, reports)
def test_repeated_reports_end_at_the_ceiling(old: dict[str, Any], used: dict[str, float]) -> None:
    new = old
    for _ in range(100):
        new = grow(new, used, DEFAULT_CEILING)

    assert grow(new, used, DEFAULT_CEILING) == new
