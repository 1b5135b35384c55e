"""The checker sees what it should, in made-up histories; a good one has no violations."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from iceprod_tasks.domain.statuses import TRANSITIONS
from tests.faults.checker import INVARIANTS, check
from tests.faults.final import Final, Submission
from tests.faults.history import CLAIM, HEARTBEAT, SUBMIT, Fault, History, Interval, Operation, read
from tests.faults.recording import Journal
from tests.faults.summary import Gap, lines, longest_gap

A, B = 'a' * 32, 'b' * 32

# One task: claim A was rescued, claim B completed it.
LOG = [
    ('queue', 'waiting', 'queued', '', 0),
    ('claim', 'queued', 'processing', A, 1),
    ('rescue', 'processing', 'queued', A, 1),
    ('claim', 'queued', 'processing', B, 2),
    ('complete', 'processing', 'complete', B, 2),
]


def entries(rows: Iterable[tuple[str, str, str, str, int]]) -> list[dict[str, Any]]:
    return [
        {'transition': name, 'from': source, 'to': target, 'claim': claim, 'epoch': epoch, 'when': when}
        for when, (name, source, target, claim, epoch) in enumerate(rows)
    ]


def task(rows: Iterable[tuple[str, str, str, str, int]] = LOG, **fields: Any) -> dict[str, Any]:
    log = entries(rows)
    return {
        'task_id': 't', 'dataset_id': 'd', 'job_index': 0, 'task_index': 0, 'status': log[-1]['to'],
        'epoch': log[-1]['epoch'], 'claim_id': '', 'claims': [A, B], 'log': log, **fields,
    }  # fmt: skip


def final(*tasks: dict[str, Any], **fields: Any) -> Final:
    tasks = tasks or (task(),)
    statuses = [each['status'] for each in tasks]
    return replace(
        Final(
            tasks=list(tasks),
            jobs=[{'dataset_id': 'd', 'status': 'complete'}],
            datasets=[{'dataset_id': 'd', 'description': 'one', 'status': 'complete'}],
            submissions=[Submission('one', 1, len(tasks), 'd')],
            task_counts={each: {status: statuses.count(status) for status in statuses} for each in ('', 'd')},
            job_counts={'d': {'complete': 1, 'processing': 0}},
        ),
        **fields,
    )


def operation(what: str, claim_id: str, epoch: int, began: float, **fields: Any) -> Operation:
    return Operation(
        **{
            'what': what, 'claim_id': claim_id, 'epoch': epoch, 'began': began, 'ended': began + 1,
            'task_id': 't', 'outcome': 'ok', 'status': 200, **fields,
        }
    )  # fmt: skip


CLAIM_A, CLAIM_B = operation(CLAIM, A, 1, began=0), operation(CLAIM, B, 2, began=20)
LATE = operation('complete', A, 1, began=24, outcome='fail', status=409)
DONE = operation('complete', B, 2, began=30)
GOOD = [CLAIM_A, operation(HEARTBEAT, A, 1, began=2), CLAIM_B, LATE, DONE]


def violated(
    operations: list[Operation], end: Final | None = None, intervals: list[Interval] | None = None
) -> set[str]:
    found = set()
    for violation in check(History(operations, intervals or []), end or final()):
        assert str(violation)
        found.add(violation.invariant)
    return found


def test_a_good_history_has_no_violations() -> None:
    intervals = [Interval('t', 1, 1, 9), Interval('t', 2, 21, 29), Interval('other', 1, 0, 50)]

    assert violated(GOOD, intervals=intervals) == set()


def test_a_claim_id_with_two_tasks() -> None:
    other = operation(CLAIM, A, 1, began=1, task_id='other')

    assert violated([other, *GOOD]) == {'one claim id is one task'}


def test_a_claim_id_on_two_tasks() -> None:
    twin = task([*LOG[:1], ('claim', 'queued', 'processing', A, 1), ('complete', 'processing', 'complete', A, 1)])
    end = final(task(), {**twin, 'task_id': 'other', 'task_index': 1, 'claims': [A]})

    assert violated(GOOD, end) == {'one claim id is one task'}


def test_two_at_work_on_a_task() -> None:
    intervals = [Interval('t', 1, 1, 25), Interval('t', 2, 24, 29)]

    assert violated(GOOD, intervals=intervals) == {'work on a task does not overlap'}


def test_a_third_at_work_beside_the_first() -> None:
    intervals = [Interval('t', 1, 0, 9), Interval('t', 2, 10, 90), Interval('t', 3, 20, 30), Interval('t', 4, 40, 50)]

    assert len(list(INVARIANTS['work on a task does not overlap'](History(intervals=intervals), final()))) == 2


def test_a_completion_that_was_rolled_back() -> None:
    end = final(task(LOG[:-1]))

    assert 'an acknowledged completion is final' in violated(GOOD, end)


def test_a_completion_of_a_task_that_is_gone() -> None:
    gone = replace(DONE, task_id='gone')

    assert 'an acknowledged completion is final' in violated([*GOOD, gone])


def test_a_completion_that_another_claim_has_in_the_log() -> None:
    assert 'an acknowledged completion is final' in violated(
        [*GOOD[:-2], replace(LATE, outcome='ok', status=200), DONE]
    )


def test_a_task_that_is_handed_out_after_its_completion() -> None:
    again = operation(CLAIM, B, 2, began=40)

    assert violated([*GOOD, again]) == {'an acknowledged completion is final'}


def test_a_report_that_was_taken_from_a_claim_of_before() -> None:
    stale = operation('reset', A, 1, began=24)

    assert violated([*GOOD, stale]) == {'an accepted report is by the last claim'}


def test_a_heartbeat_that_was_taken_from_a_claim_of_before() -> None:
    late, in_time = operation(HEARTBEAT, A, 1, began=25), operation(HEARTBEAT, A, 1, began=20)

    assert violated([*GOOD, in_time]) == set()
    assert violated([*GOOD, late]) == {'an accepted report is by the last claim'}


def test_reports_of_which_a_log_has_been_cut_are_not_held_against_it() -> None:
    middle = [row for _ in range(30) for row in (('hand back', 'processing', 'queued', B, 2), LOG[3])]
    handed_back = operation('hand_back', A, 1, began=3)

    whole = {each for each in violated([*GOOD, handed_back]) if 'report' in each}
    cut = {
        each
        for each in violated([*GOOD, handed_back], final(task([*LOG[:4], *middle[:50], LOG[4]])))
        if 'report' in each
    }

    assert (whole, cut) == ({'an accepted report is by the last claim'}, set())


def test_a_claim_that_nobody_asked_for() -> None:
    assert violated([each for each in GOOD if each.claim_id == B]) == {'nobody holds a claim that nobody was told of'}


def test_a_claim_of_which_no_answer_came_was_asked_for() -> None:
    unanswered = replace(CLAIM_A, outcome='info', status=0, task_id='')

    assert violated([unanswered, *GOOD[2:]]) == set()


def test_a_report_that_was_refused_and_done() -> None:
    refused = replace(DONE, outcome='fail', status=409)

    assert violated([*GOOD, refused]) == {'unknown is not no'}


def test_an_internal_error_although_its_answer_was_dropped() -> None:
    away = Operation('GET /datasets', status=503)
    broken = Operation('GET /datasets', status=500, dropped=True)

    assert violated([*GOOD, away]) == set()
    assert violated([*GOOD, away, broken]) == {'no answer is an internal error'}


def test_a_task_that_nobody_works_on_and_that_is_processing() -> None:
    end = final(task(LOG[:2], claim_id=A, claims=[A]))

    assert {'nothing is stuck', 'all tasks get done'} >= violated(GOOD[:2], end) >= {'nothing is stuck'}


def test_counts_that_are_wrong() -> None:
    assert violated(GOOD, final(task_counts={'d': {'complete': 2}})) == {'counts equal a recount'}
    assert violated(GOOD, final(counts_of_each=[{}, {'d': {'complete': 2}}])) == {'counts equal a recount'}
    assert violated(GOOD, final(job_counts={'d': {'errors': 1}})) == {'counts equal a recount'}


def test_what_is_not_done() -> None:
    done = 'all tasks get done'
    twice = [{'dataset_id': each, 'description': 'one', 'status': 'complete'} for each in 'de']
    unfinished = [{'dataset_id': 'd', 'description': 'one', 'status': 'processing'}]

    assert violated(GOOD, final(submissions=[Submission('one', 2, 1, 'd')])) == {done}
    assert violated(GOOD, final(submissions=[Submission('one', 1, 1, 'gone')])) == {done}
    assert violated(GOOD, final(submissions=[Submission('never answered', 1, 1)])) == set()
    assert violated(GOOD, final(task(), task())) == {done}
    assert violated(GOOD, final(datasets=twice)) == {done}
    assert violated(GOOD, final(datasets=unfinished)) == {done}
    assert violated(GOOD, final(jobs=[{'dataset_id': 'd', 'status': 'errors'}], job_counts={})) == {done}


def test_what_does_not_end() -> None:
    assert violated(GOOD, final(exit_codes=[0, -9])) == {'everything ends in order'}
    assert violated(GOOD, final(strays=1)) == {'everything ends in order'}


def test_an_example_that_is_wrong() -> None:
    assert violated(GOOD, final(primes='78498')) == set()
    assert violated(GOOD, final(primes='the two ways of counting do not agree')) == {'the example is right'}


WALKS = 'every log walks the status table'


def test_a_log_that_leaves_the_table() -> None:
    for wrong in (
        task([*LOG[:1], *LOG[2:]]),
        task([*LOG[:2], ('complete', 'processing', 'failed', A, 1)]),
        task([*LOG[:4], ('complete', 'processing', 'complete', A, 2)]),
        task([*LOG[:3], ('claim', 'queued', 'processing', B, 1), LOG[4]]),
        task([*LOG[:3], ('claim', 'queued', 'processing', B, 3), ('complete', 'processing', 'complete', B, 3)]),
        task([('vanish', 'idle', 'waiting', '', 0), *LOG]),
        task(status='waiting'),
        task(epoch=3),
        task(log=[{**entry, 'when': -entry['when']} for entry in task()['log']]),
    ):
        assert WALKS in violated(GOOD, final(wrong)), wrong


@some.composite
def walks(draw: some.DrawFn) -> dict[str, Any]:
    """A task that has gone any way that the table allows."""
    status, epoch, claim, rows = 'idle', 0, '', []
    for _ in range(draw(some.integers(1, 45))):
        row = draw(some.sampled_from([row for row in TRANSITIONS.values() if status in row.sources]))
        target = draw(some.sampled_from(sorted(row.targets)))
        if row.name == 'claim':
            epoch += 1
            claim = f'{epoch:032}'
        rows.append((row.name, status, target, claim, epoch))
        status, claim = target, claim if target == 'processing' else ''
    return task(rows, claims=[])


@given(walks())
def test_every_way_of_the_table_is_a_walk(walked: dict[str, Any]) -> None:
    assert not list(INVARIANTS[WALKS](History(), Final(tasks=[walked])))


@given(walks(), some.data())
def test_a_walk_that_lacks_an_entry_is_seen_where_it_matters(walked: dict[str, Any], data: some.DataObject) -> None:
    number = data.draw(some.integers(0, len(walked['log']) - 1))
    removed = walked['log'].pop(number)

    found = list(INVARIANTS[WALKS](History(), Final(tasks=[walked])))

    # Without what stays where it is, or the entry before the first one that is left, the rest is a walk as well.
    assert found or removed['from'] == removed['to'] or (number == 0 and removed['transition'] != 'claim')


@given(some.lists(some.tuples(some.integers(0, 50), some.integers(0, 20)), max_size=8))
def test_overlaps_are_those_of_any_two(given_intervals: list[tuple[int, int]]) -> None:
    intervals = sorted(
        (Interval('t', 1, began, began + length) for began, length in given_intervals), key=lambda i: i.began
    )
    any_two = any(one.ended > other.began for one, other in itertools.combinations(intervals, 2))

    found = list(INVARIANTS['work on a task does not overlap'](History(intervals=intervals), final()))

    assert bool(found) == any_two


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 'pilot')
    claimed, lost, fault = journal.new_id(), journal.new_id(), journal.new_id()
    journal.write('invoke', id=claimed, who='p', asked={'what': CLAIM, 'claim_id': A})
    journal.write('fault', id=fault, name='kill pilot')
    journal.write('invoke', id=lost, who='p', asked={'what': SUBMIT})
    journal.write('ok', id=claimed, answer={'status': 200, 'task_id': 't', 'epoch': 1})
    journal.write('healed', id=fault)
    for _ in range(3):
        journal.write('work', task_id='t', epoch=1, pid=7)
    with (tmp_path / 'pilot.ndjson').open('a') as file:
        file.write('{"type": "ok", "at"')

    history = read(tmp_path)

    claim, submit = history.operations
    assert (claim.what, claim.outcome, claim.task_id, claim.claim_id, claim.epoch) == (CLAIM, 'ok', 't', A, 1)
    assert claim.began < submit.began < claim.ended
    assert (submit.outcome, submit.ended) == ('info', float('inf'))
    assert [(each.task_id, each.epoch) for each in history.intervals] == [('t', 1)]
    assert history.intervals[0].began < history.intervals[0].ended
    assert history.faults == [Fault('kill pilot', history.faults[0].began, history.faults[0].ended)]


def test_the_summary_counts() -> None:
    history = History(GOOD, [], [Fault('kill pilot', 0, 1), Fault('kill pilot', 2, 4), Fault('step down', 30, 40)])

    text = '\n'.join(lines(history, final()))

    assert 'claims: 2, completions: 1' in text
    assert 'rescues: 1' in text
    assert 'refused stale reports: 1' in text
    assert 'kill pilot: 2' in text
    assert 'during: kill pilot)' in text
    assert longest_gap(history) == Gap(3, 21)
