"""The history of a task: a creation first, nothing made up, no key to a claim."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.history import history
from iceprod_tasks.domain.statuses import STATUSES

TASK = {'task_id': 't', 'status': 'waiting', 'create_date': 'then'}

entries = st.fixed_dictionaries({
    'when': st.integers(), 'from': st.sampled_from(STATUSES), 'to': st.sampled_from(STATUSES),
    'transition': st.text(), 'why': st.text(), 'who': st.text(), 'epoch': st.integers(0), 'claim': st.text(min_size=1),
})  # fmt: skip


def test_a_task_that_nothing_has_happened_to_was_created_as_it_is() -> None:
    told = history({**TASK, 'log': []})

    assert told['history'] == [
        {'when': 'then', 'from': None, 'to': 'waiting', 'transition': 'create', 'why': '', 'who': '', 'epoch': 0}
    ]
    assert not told['truncated']


def test_a_task_of_an_older_release_has_a_history() -> None:
    told = history({'task_id': 't', 'status': 'queued'})

    assert (told['epoch'], told['failures'], told['evictions'], len(told['history'])) == (0, 0, 0, 1)


@given(st.lists(entries, max_size=50), st.sampled_from([None, 0, 1, 950]))
def test_the_history_is_the_creation_and_the_whole_log_in_its_order(
    log: list[dict[str, Any]], dropped: int | None
) -> None:
    told = history({**TASK, 'log': log, **({} if dropped is None else {'log_dropped': dropped})})

    assert told['history'][1:] == [{key: value for key, value in entry.items() if key != 'claim'} for entry in log]
    assert told['truncated'] == bool(dropped)
    known = log[0]['from'] if log else TASK['status']
    assert told['history'][0]['to'] == (None if dropped else known)
