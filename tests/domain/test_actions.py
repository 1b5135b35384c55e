"""Actions of operators: each status is changed, unchanged or refused, as the status table has it."""

import pytest

from iceprod_tasks.domain.actions import ACTIONS, DATASET_STEPS, JOB_STEPS, VERDICTS, Action
from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.jobs import JOB_STATUSES
from iceprod_tasks.domain.statuses import STATUSES

MEANS = {
    # action: what it means in each status, in their order: + changes, . has nothing to do, - is refused
    'suspend':    '++++' '+.--',
    'resume':     '....' '.+--',
    'reset':      '++++' '.++-',
    'rerun':      '....' '.-+-',
    'hard_reset': '..++' '++++',
    'cancel':     '++++' '++.-',
}  # fmt: skip
SIGN = {'changed': '+', 'unchanged': '.', 'refused': '-'}


def test_each_action_means_in_each_status_what_the_house_says() -> None:
    found = {name: ''.join(SIGN[action.verdict(status)] for status in STATUSES) for name, action in ACTIONS.items()}

    assert found == MEANS


@pytest.mark.parametrize('action', ACTIONS.values(), ids=lambda action: action.name)
def test_where_an_action_leads_it_has_nothing_left_to_do(action: Action) -> None:
    assert {action.verdict(status) for status in action.transition.targets} == {'unchanged'}
    assert {action.verdict(status, failures=9) for status in STATUSES} <= set(VERDICTS)


def test_what_forgives_changes_tasks_with_failures_wherever_it_may() -> None:
    assert ACTIONS['reset'].verdict('reset', failures=1) == 'changed'
    assert ACTIONS['hard_reset'].verdict('waiting', failures=1) == 'changed'
    assert ACTIONS['resume'].verdict('waiting', failures=1) == 'unchanged'


@pytest.mark.parametrize(('steps', 'statuses'), [(JOB_STEPS, JOB_STATUSES), (DATASET_STEPS, DATASET_STATUSES)])
def test_every_action_has_a_step_for_jobs_and_datasets(steps: object, statuses: tuple[str, ...]) -> None:
    assert isinstance(steps, dict)
    assert set(steps) == set(ACTIONS)
    for step in steps.values():
        assert step.target in statuses
        assert step.verdict('complete') == ('changed' if step is steps['hard_reset'] else 'refused')
