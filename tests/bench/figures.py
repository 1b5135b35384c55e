"""What figures of several rounds say: medians, ratios within a round, and whether a goal is met."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SPREAD_AT_MOST = 0.25
"""Rounds that differ by more than that from their median give no ratio."""

Verdict = Literal['met', 'not met', 'not measured']


def percentile(values: Sequence[float], part: float) -> float:
    """The value that a part of them does not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float('nan')


def summary(values: Sequence[float], form: str = '{:.3g}') -> str:
    """The median, and the least and greatest of several figures."""
    if not values:
        return '-'
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f'{middle} ({low}-{high})'


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """One ratio a round: what was measured in one round was measured on the same machine in the same state."""
    return [one / other for one, other in zip(ours, theirs, strict=True) if other]


def spread(values: Sequence[float]) -> float:
    """How far the farthest is from the median, as a part of it."""
    middle = statistics.median(values)
    return max(abs(value - middle) for value in values) / abs(middle) if middle else 0.0


@dataclass(frozen=True)
class Goal:
    """A goal of the issue.

    Args:
        name: in words.
        at_least: what the figure must reach; None where it has an upper bound only.
        at_most: what the figure must not exceed; None where it has a lower bound only.
        unit: behind the figure.
    """

    name: str
    at_least: float | None = None
    at_most: float | None = None
    unit: str = 'times'

    def reached(self, value: float) -> bool:
        """Whether a figure is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        """The goal in figures."""
        parts = [f'≥ {self.at_least:g}'] if self.at_least is not None else []
        parts += [f'≤ {self.at_most:g}'] if self.at_most is not None else []
        return f'{" and ".join(parts)} {self.unit}'.strip()

    def judge(self, values: Sequence[float], why_not: str = '') -> tuple[str, Verdict]:
        """The figure in words, and the verdict.

        Rounds that differ too much give no figure. They decide all the same where all of them say the same.

        Args:
            values: of each round.
            why_not: why there are none.
        """
        values = [value for value in values if math.isfinite(value)]
        if not values:
            return why_not or '-', 'not measured'
        reached = {self.reached(value) for value in values}
        if len(values) > 1 and spread(values) > SPREAD_AT_MOST:
            words = f'no figure: rounds from {min(values):.3g} to {max(values):.3g} {self.unit}'.strip()
            verdict: Verdict = 'not measured' if len(reached) > 1 else ('met' if reached == {True} else 'not met')
            return words, verdict
        middle = statistics.median(values)
        return f'{summary(values, "{:.3g}")} {self.unit}'.strip(), 'met' if self.reached(middle) else 'not met'
