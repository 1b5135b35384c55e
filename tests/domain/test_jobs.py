"""When a job, and when a dataset has ended."""

import pytest

from iceprod_tasks.domain import datasets, jobs


@pytest.mark.parametrize(
    ('tasks_total', 'counts', 'ended'),
    [
        (2, {'complete': 2}, 'complete'),
        (2, {'complete': 1}, None),
        (2, {}, None),
        (2, {'complete': 1, 'failed': 1}, 'errors'),
        (2, {'idle': 1, 'failed': 1}, None),
        (3, {'idle': 1, 'failed': 1}, None),
        (2, {'idle': 1, 'complete': 1}, None),
        (2, {'suspended': 1, 'complete': 1}, 'suspended'),
        (2, {'suspended': 1, 'failed': 1}, 'errors'),
        *((2, {status: 1, 'failed': 1}, None) for status in ('waiting', 'queued', 'processing', 'reset')),
    ],
)
def test_a_job_ends_when_none_of_its_tasks_can_go_on(
    tasks_total: int, counts: dict[str, int], ended: str | None
) -> None:
    assert jobs.ended_as(tasks_total, counts) == ended


@pytest.mark.parametrize(
    ('counts', 'ended'),
    [
        ({'complete': 3}, 'complete'),
        ({'complete': 3, 'processing': 1}, None),
        ({'errors': 1, 'processing': 1}, None),
        ({'complete': 2, 'errors': 1, 'suspended': 1}, 'errors'),
        ({'complete': 2, 'suspended': 1}, 'suspended'),
        ({}, None),
    ],
)
def test_a_dataset_ends_with_its_last_job(counts: dict[str, int], ended: str | None) -> None:
    assert datasets.ended_as(counts) == ended
