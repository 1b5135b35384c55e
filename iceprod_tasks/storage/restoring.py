"""A task as it comes back from an export: nobody works on it, and no pilot from before is believed."""

from datetime import datetime, timedelta

from iceprod_tasks.domain.signatures import is_signed_right, signature
from iceprod_tasks.domain.statuses import TRANSITIONS, Outcome, Transition
from iceprod_tasks.domain.tasks import LOG_LENGTH, new_id
from iceprod_tasks.storage.client import Document
from iceprod_tasks.storage.transitions import NO_CLAIM

EPOCHS_SKIPPED = 1000
"""More than the claims that a task can have had between its export and the end of the service that was exported."""

WHO = 'import'
_WHY = 'restored from an export'


def restored(task: Document, now: datetime) -> Document:
    """What is stored of a task that was exported.

    Its epoch jumps, so that no claim after the import has an epoch from before. If it was being worked on, the claim
    ends: it is queued again, or becomes what it was asked to stop for.

    Args:
        task: as it was exported, by this release or an older one.
        now: the clock of the database that it comes to.
    """
    # In a database that is unique among tasks with an epoch, and an empty list would count as a value.
    back = {**task, 'epoch': (task.get('epoch') or 0) + EPOCHS_SKIPPED, 'claims': task.get('claims') or [new_id()]}
    name, needs = task.get('signature'), task.get('requirements')
    if needs is not None and (name is None or not is_signed_right(name, needs)):
        # No pilot would find it under this one.
        back['signature'] = signature(needs)
    if task['status'] != 'processing':
        return back
    row = TRANSITIONS[(task.get('stop') or {}).get('then', 'restore')]
    log = task.get('log') or []
    when = max(now, log[-1]['when']) if log else now
    entry = {
        'when': when,
        'from': task['status'],
        'to': row.target,
        'transition': row.name,
        'why': _WHY,
        'who': WHO,
        'claim': task.get('claim_id', ''),
        'epoch': task.get('epoch') or 0,
    }
    back |= {**NO_CLAIM, 'status': row.target, 'status_changed': when, 'updated': when, **_outcome(row)}
    if {'dataset_id', 'name'} <= task.keys():
        back['was'] = ' '.join((task['status'], task['dataset_id'], task['name']))
    back |= _told(task, row, now)
    return {**back, 'log': [*log, entry][-LOG_LENGTH:], **_dropped(task, log)}


def _outcome(row: Transition) -> Document:
    return {} if row.outcome is Outcome.KEEP else {'outcome': {'result': row.outcome.value}}


def _told(task: Document, row: Transition, now: datetime) -> Document:
    """The message that the transition leaves, among those that the task has."""
    if row.tells != 'error':
        return {}
    message = {'mtype': 'error', 'text': _WHY, 'name': row.name, 'stacktrace': '', 'who': WHO}
    last = task.get('message_at')
    when = now if last is None else max(now, last + timedelta(milliseconds=1))
    return {
        'messages': [*(task.get('messages') or []), {**message, 'when': when, 'epoch': task.get('epoch') or 0}],
        'message_at': when,
        'message_count': (task.get('message_count') or 0) + 1,
    }


def _dropped(task: Document, log: list[Document]) -> Document:
    return {'log_dropped': (task.get('log_dropped') or 0) + 1} if len(log) >= LOG_LENGTH else {}
