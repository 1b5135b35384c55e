"""The states of tasks as they are seen from outside: whatever happens, a walk along the arrows to a result."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.dialects.drove.states import (
    ACTIVE,
    AGAIN,
    ARROWS,
    STATES,
    STRAIGHT,
    TERMINAL,
    Result,
    between,
    result_of,
    state_of,
    timeline,
)
from iceprod_tasks.domain.statuses import STATUSES

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = ('provisioning', 'starting', 'running', 'run_completed', 'deprovisioning')


def task(status: str, **fields: Any) -> dict[str, Any]:
    return {'status': status, 'epoch': 0, 'phase': '', 'phases': [], 'log': [], 'create_date': BEGAN, **fields}


def walks(states: list[str], arrows: frozenset[tuple[str, str]] = ARROWS) -> bool:
    return all(pair in arrows for pair in pairwise(states))


@pytest.mark.parametrize('status', STATUSES)
def test_every_status_has_a_state(status: str) -> None:
    assert state_of(task(status)) in STATES


def test_the_seeds_own_line_is_a_walk() -> None:
    assert walks(list(STRAIGHT))
    assert STRAIGHT == (
        'PENDING', 'PROVISIONING', 'STARTING', 'RUNNING', 'RUN_COMPLETED', 'DEPROVISIONING', 'STOPPED',
    )  # fmt: skip


def test_no_arrow_leaves_a_terminal_state_and_all_others_can_be_lost() -> None:
    assert not {old for old, _ in ARROWS | AGAIN} & TERMINAL
    assert {old for old, new in ARROWS if new == 'LOST'} == set(STATES) - TERMINAL
    assert not ACTIVE & TERMINAL


@pytest.mark.parametrize(
    ('phase', 'state'),
    [('', 'PROVISIONING'), ('starting', 'STARTING'), ('running', 'RUNNING'), ('deprovisioning', 'DEPROVISIONING')],
)
def test_a_task_that_a_pilot_has_is_in_the_state_of_its_phase(phase: str, state: str) -> None:
    assert state_of(task('processing', phase=phase, epoch=1)) == state


def test_a_phase_that_is_told_late_does_not_lead_back() -> None:
    phases = [
        {'phase': 'run_completed', 'epoch': 2, 'when': BEGAN},
        {'phase': 'deprovisioning', 'epoch': 1, 'when': BEGAN},
    ]
    assert state_of(task('processing', phase='starting', phases=phases, epoch=2)) == 'RUN_COMPLETED'


@pytest.mark.parametrize(
    ('status', 'outcome', 'state', 'result'),
    [
        ('complete', {'result': 'successful', 'exit_code': 0}, 'STOPPED', Result('SUCCESSFUL', 0)),
        ('complete', None, 'STOPPED', Result('SUCCESSFUL', 0)),
        (
            'failed', {'result': 'failed', 'exit_code': 3}, 'STOPPED',
            Result('FAILED', 3, 'Task instance exited with status: 3'),
        ),
        ('failed', {'result': 'failed', 'exit_code': None, 'message': 'why'}, 'STOPPED', Result('FAILED', -1, 'why')),
        ('failed', {'result': 'failed', 'exit_code': 0, 'message': 'why'}, 'STOPPED', Result('FAILED', -1, 'why')),
        ('failed', None, 'STOPPED', Result('FAILED', -1, '')),
        (
            'failed', {'result': 'failed', 'cause': 'provisioning', 'exit_code': 125, 'message': 'no image'}, 'STOPPED',
            Result('FAILED', -1, 'no image'),
        ),
        ('failed', {'result': 'failed', 'cause': 'run_time', 'exit_code': -15}, 'STOPPED', Result('TIMED_OUT', -1)),
        ('failed', {'result': 'cancelled', 'cause': 'not_started'}, 'STOPPED', Result('TIMED_OUT', -1)),
        ('failed', {'result': 'cancelled', 'exit_code': 143}, 'STOPPED', Result('CANCELLED', -1, 'killed')),
        ('failed', {'result': 'lost', 'message': 'its lease is over'}, 'LOST',
            Result('LOST', -1, 'Instance lost: its lease is over')),
        ('processing', None, 'PROVISIONING', None),
        ('queued', None, 'PENDING', None),
        ('reset', {'exit_code': 3}, 'DEPROVISIONING', None),
    ],
)  # fmt: skip
def test_results_come_from_outcomes(status: str, outcome: Any, state: str, result: Result | None) -> None:
    found = task(status, outcome=outcome)

    assert (state_of(found), result_of(found)) == (state, result)


@pytest.mark.parametrize('old', sorted(STATES))
@pytest.mark.parametrize('new', sorted(STATES))
def test_the_way_between_two_states_is_a_walk(old: str, new: str) -> None:
    way = between(old, new)

    assert walks([old, *way])
    assert not way or way[-1] == new
    assert way or old == new or old in TERMINAL or _is_behind(old, new)


def _is_behind(old: str, new: str) -> bool:
    """Whether nothing leads from one state to the other."""
    seen, todo = {old}, [old]
    while todo:
        after = {b for a, b in ARROWS if a == todo[-1]} - seen
        todo.pop()
        seen |= after
        todo += after
    return new not in seen


def test_what_went_well_did_not_fail_on_its_way() -> None:
    assert between('PENDING', 'STOPPED', well=True) == list(STRAIGHT[1:])
    assert between('PENDING', 'STOPPED') == ['STOPPED']
    assert between('PROVISIONING', 'STOPPED') == ['PROVISIONING_FAILED', 'DEPROVISIONING', 'STOPPED']
    assert between('STARTING', 'STOPPED') == ['RUN_FAILED', 'DEPROVISIONING', 'STOPPED']
    assert between('RUNNING', 'STOPPED') == ['RUN_COMPLETED', 'DEPROVISIONING', 'STOPPED']


@pytest.mark.parametrize(
    ('phases', 'end', 'states'),
    [
        (['provisioning', 'deprovisioning'], 'failed', ['PROVISIONING', 'PROVISIONING_FAILED', 'DEPROVISIONING']),
        (['starting', 'deprovisioning'], 'failed', ['PROVISIONING', 'STARTING', 'RUN_FAILED', 'DEPROVISIONING']),
        (['deprovisioning'], 'complete', list(STRAIGHT[1:-1])),
        (['running'], 'failed', ['PROVISIONING', 'STARTING', 'RUNNING', 'RUN_COMPLETED', 'DEPROVISIONING']),
    ],
)
def test_what_an_attempt_left_out_is_where_it_failed(phases: list[str], end: str, states: list[str]) -> None:
    log = [
        {'when': BEGAN, 'from': 'queued', 'to': 'processing', 'transition': 'claim', 'epoch': 1},
        {'when': BEGAN, 'from': 'processing', 'to': end, 'transition': end, 'epoch': 1},
    ]
    told = [{'phase': phase, 'epoch': 1, 'when': BEGAN} for phase in phases]

    seen = timeline(task(end, epoch=1, log=log, phases=told))

    assert [state for _, state in seen] == ['PENDING', *states, 'STOPPED']


ENDS = {
    'complete': ('complete', {'result': 'successful', 'exit_code': 0}),
    'fail': ('failed', {'result': 'failed', 'exit_code': 1}),
    'reset': ('reset', {'exit_code': 1}),
    'cancel': ('failed', {'result': 'cancelled'}),
    'lose': ('failed', {'result': 'lost'}),
    'hand back': ('queued', None),
    'rescue': ('queued', None),
}
attempts = st.lists(st.tuples(st.sets(st.sampled_from(PHASES)), st.sampled_from(sorted(ENDS))), max_size=4)


@given(attempts, st.booleans(), st.sets(st.sampled_from(PHASES)))
def test_a_timeline_is_a_walk_that_ends_where_the_task_is(
    tries: list[tuple[set[str], str]], runs: bool, phases_now: set[str]
) -> None:
    found, epoch, now = task('queued'), 0, BEGAN

    def log(transition: str, to: str) -> None:
        nonlocal now
        now += timedelta(seconds=1)
        found['log'].append({
            'when': now, 'from': found['status'], 'to': to, 'transition': transition, 'epoch': epoch,
        })  # fmt: skip
        found['status'] = to

    def go_through(phases: set[str]) -> None:
        nonlocal now
        for phase in sorted(phases, key=PHASES.index):
            now += timedelta(seconds=1)
            found['phases'].append({'phase': phase, 'epoch': epoch, 'when': now})
            found['phase'] = phase

    def claim() -> None:
        nonlocal epoch
        epoch += 1
        found.update(epoch=epoch, phase='')
        log('claim', 'processing')

    for phases, end in tries:
        if found['status'] not in ('queued', 'reset'):
            break
        if found['status'] == 'reset':
            log('retry', 'waiting')
            log('queue', 'queued')
        claim()
        go_through(phases)
        to, outcome = ENDS[end]
        log(end, to)
        found['outcome'] = outcome
    if runs and found['status'] == 'queued':
        claim()
        go_through(phases_now)

    seen = timeline(found)

    states = [state for _, state in seen]
    assert walks(states, ARROWS | AGAIN)
    assert states[-1] == state_of(found)
    assert [when for when, _ in seen] == sorted(when for when, _ in seen)
    assert (state_of(found) in TERMINAL) == (result_of(found) is not None)
