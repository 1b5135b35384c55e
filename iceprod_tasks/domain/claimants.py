"""Who holds a task or held it last, and what only they may see of it.

A claim belongs to the subject of the token that it was made with, as `claimed_by` of the task. It stays there after the
end of the claim, until the next one. Claims that the release before has opened belong to nobody; `None` is in their
place.
"""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.tasks import HIDDEN_FIELDS, KEY_FIELDS, SECRET_FIELDS, Task
from iceprod_tasks.domain.work import for_readers as work_for_readers

NEEDED = ('claimed_by', 'claim_id', 'claims', 'status', 'epoch')
"""The fields of a task that decide."""


def may_be_of(task: Mapping[str, Any], caller: Caller) -> bool:
    """Whether the last claim on a task is a caller's, as far as anybody knows.

    Args:
        task: its `NEEDED` fields.
        caller: who asks.
    """
    if task.get('claimed_by') is None:
        return task['status'] == 'processing' and bool(task.get('claim_id'))
    return bool(task['claimed_by'] == caller.name)


def is_past(task: Mapping[str, Any], claim_id: str) -> bool:
    """Whether a claim id is that of a claim on a task that is over, as far as the task remembers."""
    return bool(claim_id) and claim_id in (task.get('claims') or ()) and claim_id != task.get('claim_id')


def shown(task: Task, caller: Caller) -> Task:
    """A task, asked for by its id, as a caller may see it.

    Args:
        task: the whole of it.
        caller: who may read it.
    """
    if (caller.operates or caller.is_bound) and task.get('claimed_by') == caller.name:
        return for_claimant(task)
    return for_operators(task) if caller.operates else for_readers(task)


def listed(task: Task, caller: Caller) -> Task:
    """A task of a list as a caller may see it: no list has keys to claims."""
    return for_operators(task) if caller.operates else for_readers(task)


def for_claimant(task: Task) -> Task:
    """A task for whoever holds it or held it last: with the id of that claim, and none of others."""
    own = (task.get('claims') or [''])[-1]
    log = [entry if entry.get('claim') == own else _without_claim(entry) for entry in task.get('log') or ()]
    kept = {key: value for key, value in task.items() if key not in HIDDEN_FIELDS}
    return {**kept, 'claims': [own] if own else [], 'log': log}


def for_operators(task: Task) -> Task:
    """A task for those who see everything but the keys to claims."""
    return _without(task, KEY_FIELDS | HIDDEN_FIELDS)


def for_readers(task: Task) -> Task:
    """A task for those who may read its dataset."""
    kept = _without(task, SECRET_FIELDS | HIDDEN_FIELDS)
    return {**kept, 'work': work_for_readers(kept['work'])} if kept.get('work') else kept


def _without(task: Task, fields: frozenset[str]) -> Task:
    kept = {key: value for key, value in task.items() if key not in fields}
    if 'log' in kept:
        kept['log'] = [_without_claim(entry) for entry in kept['log']]
    return kept


def _without_claim(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != 'claim'}
