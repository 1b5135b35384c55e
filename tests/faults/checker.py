"""What must be true of every run, as functions of its history and its end.

Each invariant is a function that yields what contradicts it. `check` asks all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.faults import claim_invariants, final_invariants, log_invariants
from tests.faults.final import Final
from tests.faults.history import History

Invariant = Callable[[History, Final], Iterable[tuple[str, str]]]

INVARIANTS: dict[str, Invariant] = {
    'one claim id is one task': claim_invariants.one_task_a_claim,
    'work on a task does not overlap': claim_invariants.one_at_work,
    'an acknowledged completion is final': claim_invariants.completions_last,
    'an accepted report is by the last claim': claim_invariants.reports_are_by_the_last_claim,
    'nobody holds a claim that nobody was told of': claim_invariants.claims_were_asked_for,
    'unknown is not no': claim_invariants.refused_is_not_done,
    'no answer is an internal error': claim_invariants.no_internal_errors,
    'every log walks the status table': log_invariants.logs_walk_the_table,
    'nothing is stuck': final_invariants.nothing_is_processing,
    'counts equal a recount': final_invariants.counts_are_right,
    'all tasks get done': final_invariants.all_is_done,
    'everything ends in order': final_invariants.ends_are_orderly,
    'the example is right': final_invariants.the_example_is_right,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """What contradicts an invariant.

    Args:
        invariant: its name.
        task_id: where; empty when it is no task.
        words: what is wrong.
    """

    invariant: str
    task_id: str
    words: str

    def __str__(self) -> str:
        return f'{self.invariant}: {self.task_id and f"task {self.task_id}: "}{self.words}'


def check(history: History, final: Final) -> Iterator[Violation]:
    """All that contradicts any invariant."""
    for name, invariant in INVARIANTS.items():
        for task_id, words in invariant(history, final):
            yield Violation(name, task_id, words)
