"""What must be true of claims, reports and work. Each yields pairs of a task id and words."""

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.final import Final, is_whole, log_of
from tests.faults.history import CLAIM, HEARTBEAT, REPORTS, History, Interval, Operation

Found = Iterator[tuple[str, str]]

_ENDS = {
    'complete': {'complete'},
    'reset': {'reset', 'suspend', 'cancel'},
    'failed': {'fail'},
    'hand_back': {'hand back', 'suspend', 'cancel'},
}
"""The rows of the status table that a report can come to."""

_AWAY = frozenset({503})


def one_task_a_claim(history: History, final: Final) -> Found:
    """A claim id, repeated as often as you like, is answered with one task, and stands on one task."""
    tasks: dict[str, set[str]] = defaultdict(set)
    for claim in history.of(CLAIM, outcome='ok'):
        tasks[claim.claim_id].add(claim.task_id)
    for task in final.tasks:
        for claim_id in task.get('claims') or ():
            tasks[claim_id].add(task['task_id'])
    for claim_id, found in tasks.items():
        if len(found) > 1:
            yield min(found), f'claim {claim_id} has {len(found)} tasks: {", ".join(sorted(found))}'


def one_at_work(history: History, final: Final) -> Found:
    """No command begins while another one of the same task is at work."""
    latest: dict[str, Interval] = {}
    for interval in history.intervals:
        before = latest.get(interval.task_id)
        if before is not None and interval.began < before.ended:
            both = (min(before.ended, interval.ended) - interval.began) / 1e9
            yield interval.task_id, f'epochs {before.epoch} and {interval.epoch} were both at work for {both:.3f} s'
        if before is None or interval.ended > before.ended:
            latest[interval.task_id] = interval


def completions_last(history: History, final: Final) -> Found:
    """A completion that was acknowledged stays, as the one of that claim, and the task is not handed out again."""
    tasks = {task['task_id']: task for task in final.tasks}
    claims = _claims_by_task(history)
    for report in history.of('complete', outcome='ok'):
        task = tasks.get(report.task_id)
        if task is None:
            yield report.task_id, 'it was completed and is gone'
            continue
        log = log_of(task)
        last = log[-1] if log else {}
        if task['status'] != 'complete' or last.get('transition') != 'complete':
            yield report.task_id, f'claim {report.claim_id} was told that it is complete; it is {task["status"]}'
        elif last.get('claim') != report.claim_id:
            yield report.task_id, f'claim {report.claim_id} completed it, and the log says {last.get("claim")}'
        for claim in claims[report.task_id]:
            if claim.began > report.ended:
                yield report.task_id, f'it was handed out again to claim {claim.claim_id}'


def reports_are_by_the_last_claim(history: History, final: Final) -> Found:
    """A report that was taken ended the claim it names, and none was taken from a claim that others had followed."""
    logs = {task['task_id']: log_of(task) for task in final.tasks}
    for report in history.of(*REPORTS, outcome='ok'):
        if report.claim_id and not _is_in(logs.get(report.task_id, []), report):
            yield report.task_id, f'{report.what} of claim {report.claim_id} (epoch {report.epoch}) was taken from it'
    claims = _claims_by_task(history)
    for beat in history.of(HEARTBEAT, outcome='ok'):
        for claim in claims[beat.task_id]:
            if beat.epoch and claim.epoch > beat.epoch and beat.began > claim.ended:
                yield beat.task_id, f'a heartbeat of epoch {beat.epoch} was taken in epoch {claim.epoch}'


def claims_were_asked_for(history: History, final: Final) -> Found:
    """Each claim that a task ever had is one that a pilot asked for."""
    asked = {claim.claim_id for claim in history.of(CLAIM)}
    for task in final.tasks:
        had = {entry['claim'] for entry in log_of(task) if entry.get('claim')} | set(task.get('claims') or ())
        for claim_id in sorted(had - asked):
            yield task['task_id'], f'nobody asked for claim {claim_id}'


def refused_is_not_done(history: History, final: Final) -> Found:
    """A report that was refused has not been carried out."""
    logs = {task['task_id']: log_of(task) for task in final.tasks}
    for report in history.of(*REPORTS, outcome='fail'):
        if report.claim_id and any(_matches(entry, report) for entry in logs.get(report.task_id, [])):
            yield report.task_id, f'{report.what} of claim {report.claim_id} was refused ({report.status}) and done'


def no_internal_errors(history: History, final: Final) -> Found:
    """An answer is never 5xx, but for the 503 of a database that is away; dropped ones count too."""
    for operation in history.operations:
        if operation.status >= 500 and operation.status not in _AWAY:
            yield operation.task_id, f'{operation.what} was answered {operation.status}: {operation.why}'


def _claims_by_task(history: History) -> dict[str, list[Operation]]:
    claims: dict[str, list[Operation]] = defaultdict(list)
    for claim in history.of(CLAIM, outcome='ok'):
        claims[claim.task_id].append(claim)
    return claims


def _is_in(log: list[dict], report: Operation) -> bool:
    """Whether a log says that the report ended its claim; of a log that was cut nobody knows."""
    return not is_whole(log) or any(_matches(entry, report) for entry in log)


def _matches(entry: dict, report: Operation) -> bool:
    if entry.get('claim') != report.claim_id or entry['transition'] not in _ENDS[report.what]:
        return False
    # Suspended or cancelled by hand once the grace was over, its claim is closed by the same rows.
    return not report.epoch or entry.get('epoch') == report.epoch
