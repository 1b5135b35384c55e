"""A caller's own conditions on tasks, in our words: a field, a comparison, a plain value."""

from dataclasses import dataclass
from typing import Any

COMPARISONS = ('equal', 'not_equal', 'greater', 'at_least', 'less', 'at_most', 'one_of', 'none_of', 'present')

FIELDS = (
    'task_id', 'dataset_id', 'job_id', 'job_index', 'task_index', 'name', 'priority', 'site', 'failures',
)  # fmt: skip
"""Fields that can be asked for, beside `requirements.K`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a task.

    Args:
        field: a key of `FIELDS`, or `requirements.K`.
        comparison: one of `COMPARISONS`.
        value: a scalar; a list of scalars for one_of and none_of; a bool for present.
    """

    field: str
    comparison: str
    value: Any
