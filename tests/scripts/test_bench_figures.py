"""What the benchmark says of its figures; the figures themselves are not tested."""

import pytest

from tests.bench.figures import Goal, ratios, spread, summary
from tests.bench.goals import replaced

FASTER, SHORTER = Goal('faster', 3), Goal('shorter', at_most=2, unit='ms')


def test_a_ratio_is_that_of_figures_of_one_round() -> None:
    assert ratios([100, 300], [50, 100]) == [2, 3]


def test_rounds_that_differ_by_more_than_a_quarter_give_no_figure() -> None:
    assert spread([3.0, 4.0, 5.0]) == pytest.approx(0.25)
    assert FASTER.judge([3.0, 4.0, 5.0]) == ('4 (3-5) times', 'met')
    words, verdict = FASTER.judge([2.9, 4.0, 5.1])
    assert (words, verdict) == ('no figure: rounds from 2.9 to 5.1 times', 'not measured')


def test_rounds_that_differ_and_all_say_the_same_decide() -> None:
    assert FASTER.judge([5, 20])[1] == 'met'
    assert FASTER.judge([0.5, 2])[1] == 'not met'


@pytest.mark.parametrize(
    ('goal', 'values', 'verdict'),
    [(FASTER, [3.0], 'met'), (FASTER, [2.9], 'not met'), (SHORTER, [2.0], 'met'), (SHORTER, [2.1], 'not met'),
     (FASTER, [], 'not measured')],
)  # fmt: skip
def test_a_figure_is_within_its_goal_or_not(goal: Goal, values: list[float], verdict: str) -> None:
    assert goal.judge(values)[1] == verdict


def test_what_was_not_measured_says_why() -> None:
    assert FASTER.judge([], 'no Python 3.12') == ('no Python 3.12', 'not measured')


def test_a_summary_has_the_median_and_both_ends() -> None:
    assert summary([3, 1, 2]) == '2 (1-3)'
    assert summary([2.5]) == '2.5'


def test_only_the_tables_of_a_page_are_replaced() -> None:
    page = 'before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n'

    assert replaced(replaced(page, ['x']), ['new']) == (
        'before\n<!-- figures -->\n\nnew\n\n<!-- end of figures -->\nafter\n'
    )
