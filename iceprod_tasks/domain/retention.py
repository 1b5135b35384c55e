"""Retention: how long a dataset is kept after its end."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from iceprod_tasks.domain.statuses import RUNNABLE

OVER = ('errors', 'complete')
"""Statuses of datasets whose retention runs."""

LONGEST_DAYS = 36500
"""No retention is longer; a hundred years are the way to say for ever where the service has a default."""

GOES_ON = RUNNABLE
"""Statuses of tasks that show that an ended dataset goes on, whatever its own status says by now."""


def kept_days(own_days: float | None, default_days: float | None) -> float | None:
    """How many days a dataset is kept after its end; None is for ever.

    Args:
        own_days: what the dataset says, None where it says nothing.
        default_days: what the service says of such datasets.
    """
    return default_days if own_days is None else own_days


def expires(dataset: Mapping[str, Any], default_days: float | None) -> datetime | None:
    """When a dataset's retention is over.

    Args:
        dataset: its record; status, status_changed and retention_days matter.
        default_days: what the service says of datasets that say nothing.

    Returns:
        The time from which on it may be deleted; None while it has not ended, and when it is kept for ever.
    """
    days = kept_days(dataset.get('retention_days'), default_days)
    if days is None or dataset['status'] not in OVER:
        return None
    ended: datetime = dataset['status_changed']
    return ended + timedelta(days=days)
