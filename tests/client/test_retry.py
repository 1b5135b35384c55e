"""The delays between attempts."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.client import Retry

SECONDS = st.floats(min_value=0, max_value=1e4)


@given(patience=SECONDS, asked=st.lists(SECONDS, max_size=50))
def test_all_delays_together_never_exceed_the_patience(patience: float, asked: list[float]) -> None:
    retry = Retry(seconds=patience)
    spent = 0.0

    for attempt, at_least in enumerate(asked):
        delay = retry.delay(attempt, spent, at_least)
        if delay is None:
            break
        spent += delay

    assert spent <= patience


@given(attempt=st.integers(min_value=0, max_value=10**6), at_least=SECONDS)
def test_a_delay_is_what_was_asked_plus_at_most_the_longest_jitter(attempt: int, at_least: float) -> None:
    retry = Retry(seconds=None, longest_seconds=10.0)

    delay = retry.delay(attempt, at_least_seconds=at_least)

    assert delay is not None
    assert at_least <= delay <= at_least + 10.0


def test_without_a_bound_it_never_gives_up() -> None:
    retry = Retry(seconds=None)

    delay = retry.delay(10**9, spent_seconds=1e12)

    assert delay is not None


def test_delays_grow_from_the_first_bound() -> None:
    retry = Retry(seconds=None, first_seconds=0.2, longest_seconds=10.0)

    highest = [max(retry.delay(attempt) or 0.0 for _ in range(200)) for attempt in (0, 2, 10)]

    assert highest[0] <= 0.2
    assert all(earlier < later for earlier, later in itertools.pairwise(highest))
