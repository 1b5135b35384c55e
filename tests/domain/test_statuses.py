"""The status table: every row makes sense, and setting a status by hand is what the house's words say."""

import pytest

from iceprod_tasks.domain.statuses import (
    ACTIVE,
    STATUSES,
    TRANSITIONS,
    Change,
    ClaimEffect,
    Outcome,
    Transition,
    in_order,
    set_status,
)

ALL = frozenset(STATUSES)
DONE = ALL - {'complete'}
RESTED = ('waiting', 'idle')

TABLE = {
    # name: sources, target, target of a task with dependencies
    'release': ({'idle'}, 'waiting', None),
    'queue': ({'waiting'}, 'queued', None),
    'claim': ({'queued'}, 'processing', None),
    'stop asked': ({'processing'}, 'processing', None),
    'stop withdrawn': ({'processing'}, 'processing', None),
    'complete': ({'processing'}, 'complete', None),
    'reset': (DONE, 'reset', None),
    'fail': (DONE, 'failed', None),
    'hand back': ({'processing'}, 'queued', None),
    'rescue': ({'processing'}, 'queued', None),
    'lose': ({'processing'}, 'failed', None),
    'restore': ({'processing'}, 'queued', None),
    'retry': ({'reset'}, *RESTED),
    'give up': ({'reset'}, 'failed', None),
    'suspend': ({'idle', 'waiting', 'queued', 'processing', 'reset'}, 'suspended', None),
    'resume': ({'suspended'}, *RESTED),
    'rerun': ({'failed'}, *RESTED),
    'cancel': (DONE - {'failed'}, 'failed', None),
    'hard reset': (ALL, *RESTED),
}


def test_the_table_is_the_one_of_the_house() -> None:
    assert {row.name: (set(row.sources), row.target, row.blocked_target) for row in TRANSITIONS.values()} == TABLE
    assert list(TRANSITIONS) == [row.name for row in TRANSITIONS.values()]


@pytest.mark.parametrize('row', TRANSITIONS.values(), ids=lambda row: row.name)
def test_every_row_leads_from_statuses_to_statuses(row: Transition) -> None:
    assert row.sources
    assert row.sources | row.targets <= ALL
    assert row.asked_by
    # What ends a task says how it ended; what lets it run again leaves no claim behind.
    assert (row.outcome not in (Outcome.KEEP, Outcome.CLEAR)) == (row.target in ('complete', 'failed'))
    leaves = 'processing' in row.sources and row.targets != {'processing'}
    assert (row.claim is ClaimEffect.CLOSE) == leaves
    assert (row.claim is ClaimEffect.OPEN) == (row.name == 'claim')


def test_only_failed_tries_count_as_failures_and_only_lost_claims_as_evictions() -> None:
    rows = TRANSITIONS.values()

    assert {row.name for row in rows if row.failures is Change.INCREMENT} == {'reset', 'fail'}
    assert {row.name for row in rows if row.failures is Change.ZERO} == {'rerun', 'hard reset'}
    assert {row.name for row in rows if row.evictions is Change.INCREMENT} == {'hand back', 'rescue'}
    # Who wants a task run anew does not want it given up for what its earlier pilots did.
    assert {row.name for row in rows if row.evictions is Change.ZERO} == {'rerun', 'hard reset'}


def test_every_status_can_be_reached_and_left() -> None:
    rows = TRANSITIONS.values()

    assert frozenset().union(*(row.targets for row in rows)) == ALL
    assert frozenset().union(*(row.sources for row in rows if row.targets - row.sources)) >= DONE


@pytest.mark.parametrize('target', STATUSES)
def test_a_status_set_by_hand_has_one_effect_a_target(target: str) -> None:
    row = set_status(target, free=True)

    assert row is not None
    assert (row.sources, row.targets, row.claim, row.evictions) == (ALL, {target}, ClaimEffect.CLOSE, Change.KEEP)
    assert row.failures is (Change.ZERO if target in ('waiting', 'reset') else Change.KEEP)
    ended = {'complete': Outcome.SUCCESSFUL, 'failed': Outcome.FAILED}
    assert row.outcome is ended.get(target, Outcome.CLEAR if target in ACTIVE else Outcome.KEEP)


@pytest.mark.parametrize('target', STATUSES)
def test_users_of_a_dataset_reach_few_targets_with_the_same_effect_and_never_from_complete(target: str) -> None:
    free, held = set_status(target, free=True), set_status(target, free=False)

    if target not in ('waiting', 'reset', 'suspended', 'failed'):
        assert held is None
        return
    assert free is not None
    assert held is not None
    assert held.sources == DONE
    effects = ('name', 'targets', 'failures', 'evictions', 'claim', 'outcome')
    assert [getattr(held, name) for name in effects] == [getattr(free, name) for name in effects]


def test_unknown_statuses_are_listed_last() -> None:
    assert list(in_order([('odd', 1), ('complete', 2), ('idle', 3)])) == ['idle', 'complete', 'odd']
