"""When a dataset may be deleted."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.retention import LONGEST_DAYS, OVER, expires

ENDED = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DAYS = st.none() | st.floats(0, LONGEST_DAYS)


@pytest.mark.parametrize(
    ('own', 'default', 'after'),
    [(None, None, None), (None, 2, 2), (3, None, 3), (3, 2, 3), (0, 2, 0), (0.5, None, 0.5), (None, 0, 0)],
)
def test_what_a_dataset_says_counts_before_what_the_service_says(
    own: float | None, default: float | None, after: float | None
) -> None:
    dataset = {'status': 'complete', 'status_changed': ENDED, 'retention_days': own}

    assert expires(dataset, default) == (None if after is None else ENDED + timedelta(days=after))


def test_a_dataset_of_before_there_were_retentions_says_nothing() -> None:
    assert expires({'status': 'errors', 'status_changed': ENDED}, 1) == ENDED + timedelta(days=1)


@given(st.sampled_from(DATASET_STATUSES), DAYS, DAYS)
def test_a_dataset_expires_only_after_its_end_and_only_if_somebody_says_so(
    status: str, own: float | None, default: float | None
) -> None:
    end = expires({'status': status, 'status_changed': ENDED, 'retention_days': own}, default)

    assert (end is not None) == (status in OVER and (own, default) != (None, None))
    assert end is None or end >= ENDED


@given(st.floats(0, LONGEST_DAYS), st.floats(0, LONGEST_DAYS))
def test_a_longer_retention_never_ends_earlier(one: float, other: float) -> None:
    dataset = {'status': 'complete', 'status_changed': ENDED}

    first, second = (expires({**dataset, 'retention_days': days}, None) for days in sorted((one, other)))

    assert first is not None
    assert second is not None
    assert first <= second
