"""Which sizes of a dataset agree with each other, and which it may grow to."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.datasets import check_growth, check_sizes
from iceprod_tasks.domain.errors import InvalidRequest

SMALL = st.integers(0, 6)


def refused(check: Any, *args: Any) -> str:
    """Why a check refuses; '' when it does not."""
    try:
        check(*args)
    except InvalidRequest as error:
        return str(error)
    return ''


def sizes(jobs: int, tasks: int, per_job: int) -> dict[str, int]:
    return {'jobs_submitted': jobs, 'tasks_submitted': tasks, 'tasks_per_job': per_job}


@given(jobs=SMALL, tasks=st.integers(0, 36), per_job=st.integers(-2, 6))
def test_sizes_are_refused_by_the_contract_s_two_rules_only(jobs: int, tasks: int, per_job: int) -> None:
    empty = jobs == 0 and per_job <= 0
    contradict = tasks != 0 and (jobs == 0 or Fraction(tasks, jobs) != per_job)

    reason = refused(check_sizes, sizes(jobs, tasks, per_job))

    assert bool(reason) == (empty or contradict)
    assert reason.startswith('"tasks_per_job" must') == empty


@given(jobs=SMALL, per_job=st.integers(-2, 6), fixed=st.booleans(), wanted=st.integers(-2, 9))
def test_a_dataset_grows_unless_one_thing_forbids_it(jobs: int, per_job: int, fixed: bool, wanted: int) -> None:
    dataset = {**sizes(jobs, 0, per_job), 'jobs_immutable': fixed}

    reason = refused(check_growth, dataset, wanted)

    assert (reason == '') == (not fixed and wanted >= jobs and per_job > 0)


@pytest.mark.parametrize(
    ('dataset', 'reason'),
    [
        ({'jobs_immutable': True}, 'jobs_submitted is immutable'),
        ({'jobs_immutable': False}, 'jobs_submitted must be larger than before'),
        ({'jobs_immutable': False, 'jobs_submitted': 1}, 'tasks_per_job not valid'),
    ],
)
def test_the_first_reason_is_told(dataset: dict[str, Any], reason: str) -> None:
    assert refused(check_growth, {**sizes(5, 0, 0), **dataset}, 2) == reason
