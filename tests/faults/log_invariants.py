"""What must be true of a task's log. Yields pairs of a task id and words."""

from collections.abc import Iterator

from iceprod_tasks.domain.statuses import OVERRIDE, TRANSITIONS, ClaimEffect
from tests.faults.final import Document, Final, is_whole, log_of
from tests.faults.history import History


def logs_walk_the_table(history: History, final: Final) -> Iterator[tuple[str, str]]:
    """Each entry is a row of the table and begins where the one before ended; epochs rise, and time goes on."""
    for task in final.tasks:
        for words in _mistakes(task):
            yield task['task_id'], words


def _mistakes(task: Document) -> Iterator[str]:
    log = log_of(task)
    # The log of an entry that was cut off is not known: the walk begins at the first one that is there.
    epoch = 0 if is_whole(log) else log[0].get('epoch') or 0
    before: Document | None = None
    for entry in log:
        yield from _off_the_table(entry)
        if before is not None:
            yield from _does_not_follow(before, entry)
        claims = entry['transition'] == 'claim'
        if before is not None or is_whole(log):
            epoch += claims
        if (entry.get('epoch') or 0) != epoch:
            yield f'{entry["transition"]} in epoch {entry.get("epoch")}, which should be {epoch}'
        before = entry
    if before is not None and before['to'] != task['status']:
        yield f'the log ends in {before["to"]}, and it is {task["status"]}'
    if (task.get('epoch') or 0) != epoch:
        yield f'the log ends in epoch {epoch}, and it is in {task.get("epoch")}'


def _off_the_table(entry: Document) -> Iterator[str]:
    if entry['transition'] == OVERRIDE:
        return
    row = TRANSITIONS.get(entry['transition'])
    if row is None or entry['from'] not in row.sources or entry['to'] not in row.targets:
        yield f'{entry["transition"]} from {entry["from"]} to {entry["to"]} is no row of the table'


def _does_not_follow(before: Document, entry: Document) -> Iterator[str]:
    if entry['from'] != before['to']:
        yield f'{entry["transition"]} from {entry["from"]} follows {before["transition"]} to {before["to"]}'
    if entry['when'] < before['when']:
        yield f'{entry["transition"]} is before the {before["transition"]} that it follows'
    if entry['from'] == 'processing' and before['to'] == 'processing' and entry.get('claim') != before.get('claim'):
        yield f'{entry["transition"]} of claim {entry.get("claim")}, while {before.get("claim")} held it'
    row = TRANSITIONS.get(before['transition'])
    if row is not None and row.claim is ClaimEffect.CLOSE and entry['transition'] != 'claim' and entry.get('claim'):
        yield f'{entry["transition"]} of claim {entry["claim"]}, after {before["transition"]} closed it'
