"""When a job, and when a dataset has ended."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain import datasets, jobs
from iceprod_tasks.domain.statuses import RUNNABLE, STATUSES


@pytest.mark.parametrize(
    ('tasks_total', 'counts', 'ended'),
    [
        (2, {'complete': 2}, 'complete'),
        (2, {'complete': 1}, None),
        (2, {}, None),
        (2, {'complete': 1, 'failed': 1}, 'errors'),
        (2, {'idle': 1, 'failed': 1}, None),
        (3, {'idle': 1, 'failed': 1}, None),
        (0, {}, None),
        (0, {'complete': 1}, None),
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
    ('counts', 'fates', 'ended'),
    [
        ({'idle': 2, 'failed': 1}, ['errors', 'errors'], 'errors'),
        ({'idle': 2, 'failed': 1}, ['errors'], None),
        ({'idle': 2, 'complete': 1}, ['suspended', 'errors'], 'errors'),
        ({'idle': 1, 'complete': 2}, ['suspended'], 'suspended'),
        ({'idle': 1, 'failed': 1, 'suspended': 1}, ['suspended'], 'errors'),
        ({'idle': 2, 'waiting': 1}, ['errors', 'errors'], None),
    ],
)
def test_an_idle_task_keeps_its_job_open_unless_it_is_stuck(
    counts: dict[str, int], fates: list[str], ended: str | None
) -> None:
    assert jobs.ended_as(3, counts, fates) == ended


def test_a_task_is_stuck_however_far_away_the_reason_is() -> None:
    chain = {f't{number}': [f't{number - 1}'] for number in range(1, 5000)}
    diamond = {'left': ['top'], 'right': ['top', 'other'], 'bottom': ['left', 'right']}

    assert jobs.stuck(chain, {'t0': 'errors'}) == dict.fromkeys(chain, 'errors')
    assert jobs.stuck(chain, {}) == {}
    assert jobs.stuck(diamond, {'other': 'suspended'}) == {'right': 'suspended', 'bottom': 'suspended'}
    assert jobs.stuck(diamond, {'other': 'suspended', 'top': 'errors'}) == dict.fromkeys(diamond, 'errors')


# A job of up to seven tasks, each of which depends on earlier ones and on tasks of others.
FAR = ('far failed', 'far suspended', 'far missing', 'far complete', 'far waiting')
FATES = {'far failed': 'errors', 'far suspended': 'suspended', 'far missing': 'errors'}
JOBS = st.integers(1, 7).flatmap(
    lambda size: st.tuples(
        *(
            st.tuples(
                st.sampled_from(STATUSES),
                st.lists(st.sampled_from([*(f't{earlier}' for earlier in range(place)), *FAR]), max_size=3),
            )
            for place in range(size)
        )
    )
)


@given(JOBS)
def test_jobs_end_as_a_naive_reading_of_the_rule_says(tasks: tuple[tuple[str, list[str]], ...]) -> None:
    statuses = {f't{place}': status for place, (status, _) in enumerate(tasks)}
    depends = {f't{place}': names for place, (_, names) in enumerate(tasks)}

    def reasons(name: str) -> set[str]:
        """Why a task will not complete by itself."""
        if name in FAR:
            return {FATES[name]} if name in FATES else set()
        if statuses[name] in ('failed', 'suspended'):
            return {'errors' if statuses[name] == 'failed' else 'suspended'}
        return set().union(*(reasons(each) for each in depends[name])) if statuses[name] == 'idle' else set()

    every = {name: reasons(name) for name in statuses}
    if any(statuses[name] in RUNNABLE or (statuses[name] == 'idle' and not every[name]) for name in statuses):
        expected = None
    elif set(statuses.values()) == {'complete'}:
        expected = 'complete'
    else:
        expected = 'errors' if 'errors' in set().union(*every.values()) else 'suspended'

    idle = {name: depends[name] for name, status in statuses.items() if status == 'idle'}
    lost = FATES | {name: 'errors' for name, status in statuses.items() if status == 'failed'}
    lost |= {name: 'suspended' for name, status in statuses.items() if status == 'suspended'}
    fates = jobs.stuck(idle, lost).values()
    assert jobs.ended_as(len(tasks), Counter(statuses.values()), fates) == expected


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
