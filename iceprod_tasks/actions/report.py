"""Report: a pilot says how its work on a task ended."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import NEEDED, is_past, may_be_of
from iceprod_tasks.domain.errors import IceprodTasksError, InvalidRequest, NotPermitted, StaleClaim
from iceprod_tasks.domain.messages import of_report
from iceprod_tasks.domain.requirements import grow
from iceprod_tasks.domain.signatures import grown_signature
from iceprod_tasks.domain.statuses import TRANSITIONS, Transition
from iceprod_tasks.domain.tasks import Task, new_id
from iceprod_tasks.storage.closings import Held, claimed_by, unheld
from iceprod_tasks.storage.transitions import Note

_SECONDS_AN_HOUR = 3600
_AT_ONCE = 250
"""Reports of a batch under way at once."""
_STOPPED = ('suspend', 'cancel', 'lose')
"""What a task may come to that would run again, in place of that."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a pilot reports.

    Args:
        claim_id: of its claim; '' from pilots that know of none.
        epoch: of its claim, where it sends one.
        time_used_seconds: how long it worked, where it says so.
        resources: what was used: cpu, gpu (counts), memory, disk (GB), time (hours).
        site: where it ran.
        reason: why it ended so.
        exit_code: of the command.
        stdout: the end of its standard output.
        stderr: the end of its standard error.
        cause: what kind of end it was: `run_time` when it ran for too long, `provisioning` when it never came to run.
        phases: what the pilot did with the task that no heartbeat has told, and when.
    """

    claim_id: str = ''
    epoch: int | None = None
    time_used_seconds: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    site: str = ''
    reason: str = ''
    exit_code: int | None = None
    stdout: str = ''
    stderr: str = ''
    cause: str = ''
    phases: Sequence[tuple[str, datetime]] = ()

    @property
    def says_something(self) -> bool:
        """Whether it brings more than numbers that the task itself keeps."""
        return bool(self.reason or self.stdout or self.stderr or self.resources or self.exit_code is not None)


async def complete(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """End a task well.

    Raises:
        InvalidRequest: there is no such task, or nobody is at work on it.
        StaleClaim: the report's claim is not the task's.
        NotPermitted: the caller is a pilot that has not claimed the task.
    """
    sets = _site(report)
    if report.time_used_seconds is not None:
        sets['walltime'] = report.time_used_seconds / _SECONDS_AN_HOUR
    ending = _Ending(TRANSITIONS['complete'], 'Task not found or not processing', sets)
    await _end(service, caller, task_id, report, ending)


async def reset(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """End a try of a task that is worth another one.

    Raises:
        InvalidRequest: there is no such task, or it is complete.
        StaleClaim: the report's claim is not the task's.
        NotPermitted: the caller is a pilot that has not claimed the task.
    """
    await _end(service, caller, task_id, report, _unsuccessful(TRANSITIONS['reset'], report))


async def fail(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """End a task that will not do better at another try.

    Raises:
        InvalidRequest: there is no such task, or it is complete.
        StaleClaim: the report's claim is not the task's.
        NotPermitted: the caller is a pilot that has not claimed the task.
    """
    await _end(service, caller, task_id, report, _unsuccessful(TRANSITIONS['fail'], report))


async def hand_back(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """Give a task back unfinished, through no fault of its own.

    Raises:
        InvalidRequest: there is no such task.
        StaleClaim: the report's claim is not the task's.
        NotPermitted: the caller is a pilot that has not claimed the task.
    """
    ending = _Ending(TRANSITIONS['hand back'], 'Task not found', _site(report), yields=True)
    await _end(service, caller, task_id, report, ending)


async def report_batch(
    service: Service, caller: Caller, reports: Sequence[tuple[str, str, Report]]
) -> list[IceprodTasksError | None]:
    """Take reports on several tasks, each as if it had come alone.

    Args:
        service: the service.
        caller: who reports.
        reports: task id, what became of the work (`complete`, `reset`, `failed` or `hand_back`), and the report.

    Returns:
        For each report in its place why it was not taken; None where it was.
    """
    refused: list[IceprodTasksError | None] = []
    for start in range(0, len(reports), _AT_ONCE):
        some = (_refusal(service, caller, *each) for each in reports[start : start + _AT_ONCE])
        refused += await asyncio.gather(*some)
    return refused


async def _refusal(
    service: Service, caller: Caller, task_id: str, action: str, report: Report
) -> IceprodTasksError | None:
    try:
        await _BY_ACTION[action](service, caller, task_id, report)
    except IceprodTasksError as error:
        return error
    return None


_BY_ACTION: Mapping[str, Callable[[Service, Caller, str, Report], Awaitable[None]]] = {
    'complete': complete,
    'reset': reset,
    'failed': fail,
    'hand_back': hand_back,
}


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a report ends a task's claim.

    Args:
        transition: the row it asks for.
        refusal: what it is told when there is nothing to end.
        sets: fields that get these values.
        adds: fields that grow by these numbers.
        grows: whether requirements grow by what was used.
        yields: whether the task would run again, so that a stop that was asked for decides instead.
    """

    transition: Transition
    refusal: str
    sets: Mapping[str, Any]
    adds: Mapping[str, float] = field(default_factory=dict)
    grows: bool = False
    yields: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The rows it may come to."""
        return (self.transition.name, *_STOPPED) if self.yields else (self.transition.name,)


def _site(report: Report) -> dict[str, Any]:
    return {'site': report.site} if report.site else {}


def _unsuccessful(transition: Transition, report: Report) -> _Ending:
    hours = report.resources.get('time')
    if report.time_used_seconds is not None:
        hours = report.time_used_seconds / _SECONDS_AN_HOUR
    return _Ending(
        transition,
        'Task not found',
        _site(report),
        {} if hours is None else {'walltime_err': hours, 'walltime_err_n': 1},
        grows=bool(report.resources),
        yields=transition.name == 'reset',
    )


async def _end(service: Service, caller: Caller, task_id: str, report: Report, ending: _Ending) -> None:
    message_id = _message_id(report, ending.transition)
    task = await _close(service, caller, task_id, report, ending, message_id)
    if task is None:
        task = await _same_as_before(service, caller, task_id, report, ending)
    service.arrivals.tell(task_id)
    if report.says_something:
        await _keep_report(service, task, report, ending.transition, message_id)
    if task['status'] in ('complete', 'failed'):
        service.news.ended(task)
    else:
        service.news.stirred()


async def _close(
    service: Service, caller: Caller, task_id: str, report: Report, ending: _Ending, message_id: str
) -> Task | None:
    seen = await _look(service, task_id, ending)
    while True:
        transition, sets, guards = _meet(service, report, ending, seen)
        if 'signature' in sets:
            sets['signature'] = await service.store.admission.admitted(sets['signature'])
        phases = [{'phase': phase, 'when': when} for phase, when in report.phases]
        adds, sets = ending.adds, {**ending.sets, **sets}
        said = _message(report, ending.transition, transition)
        said = {'message_id': message_id, **said} if said else {}
        note = Note(caller.name, report.reason, sets, adds, _last_try(report), phases=phases, message=said)
        task = await _write(service, caller, task_id, report, transition, note, guards)
        if task is not None or not guards:
            return task
        # Another report may have grown the requirements, or somebody asked for a stop: then look again.
        before, seen = seen, await _look(service, task_id, ending)
        if seen == before:
            return None


async def _write(
    service: Service,
    caller: Caller,
    task_id: str,
    report: Report,
    transition: Transition,
    note: Note,
    guards: Mapping[str, Any],
) -> Task | None:
    closings, subject = service.store.closings, caller.name if caller.is_bound else None
    if report.claim_id:
        return await closings.close(transition, note, Held(task_id, report.claim_id, report.epoch, subject, guards))
    where = {**unheld(task_id), **guards}
    if subject is not None:
        # Without a claim id, too, a pilot ends what it holds, and nothing that was taken from it.
        where |= {**claimed_by(subject), 'status': 'processing'}
    return await closings.close_alone(transition, note, where)


async def _look(service: Service, task_id: str, ending: _Ending) -> Task:
    """What of the task decides about the report."""
    wanted = [('requirements', ending.grows), ('stop', ending.yields)]
    wanted += [(key, ending.transition.name == 'hand back') for key in ('external', 'evictions', 'max_evictions')]
    keys = [key for key, is_wanted in wanted if is_wanted]
    return (await service.store.tasks.get(task_id, keys=keys) if keys else None) or {}


def _meet(
    service: Service, report: Report, ending: _Ending, seen: Task
) -> tuple[Transition, dict[str, Any], dict[str, Any]]:
    """The row that the report comes to on a task like this, what it sets, and what must still be so of the task."""
    transition, sets, guards = ending.transition, {}, {}
    if ending.yields and seen:
        then = (seen.get('stop') or {}).get('then')
        transition = TRANSITIONS[then] if then else transition
        guards['stop.then'] = then
        if transition.name == 'hand back' and _is_last(seen):
            transition = TRANSITIONS['lose']
    if ending.grows and seen:
        grown = grow(seen['requirements'], report.resources, service.limits.requirements_ceiling)
        if grown != seen['requirements']:
            sets = {'requirements': grown, 'signature': grown_signature(grown)}
            guards['requirements'] = seen['requirements']
    if transition.name == 'reset':
        # No result yet: but should the task be given up, this is how its last try did.
        sets['outcome'] = _last_try(report)
    return transition, sets, guards


def _is_last(seen: Task) -> bool:
    """Whether a task ends with this pilot: one with a name outside, which says itself how many it may be taken from."""
    own = seen.get('max_evictions') if seen.get('external') else None
    return own is not None and (seen.get('evictions') or 0) >= own


def _last_try(report: Report) -> dict[str, Any]:
    cause = {'cause': report.cause} if report.cause else {}
    return {'exit_code': report.exit_code, 'message': report.reason, **cause}


async def _same_as_before(service: Service, caller: Caller, task_id: str, report: Report, ending: _Ending) -> Task:
    """The task of a report that was taken before; a repeated report gets the same answer."""
    if report.claim_id:
        before = await service.store.claims.reported(task_id, report.claim_id, caller.name, ending.names)
        if before is not None:
            return before
    task = await service.store.tasks.get(task_id, keys=(*NEEDED, 'lease_seconds'))
    if caller.is_bound and (task is None or not (may_be_of(task, caller) or is_past(task, report.claim_id))):
        raise NotPermitted
    if task is None:
        raise InvalidRequest(ending.refusal)
    if report.claim_id or (task['status'] == 'processing' and task['lease_seconds'] is not None):
        raise StaleClaim
    raise InvalidRequest(ending.refusal)


def _message(report: Report, asked: Transition, transition: Transition) -> dict[str, Any]:
    """The message that a report leaves on its task; empty when it leaves none.

    Args:
        report: the report.
        asked: the row it asks for.
        transition: the row it comes to, where a stop was asked for.
    """
    mtype = transition.tells or 'notification'
    if mtype != 'error' and not report.says_something:
        return {}
    words = {name: getattr(report, name) for name in ('reason', 'exit_code', 'stdout', 'stderr')}
    return {'mtype': mtype, **of_report(mtype, words, asked.name)}


def _message_id(report: Report, asked: Transition) -> str:
    """The same report must not leave two messages."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f'{report.claim_id}:{asked.name}').hex if report.claim_id else new_id()


async def _keep_report(service: Service, task: Task, report: Report, transition: Transition, message_id: str) -> None:
    await service.store.messages.put_report(
        {
            'message_id': message_id,
            'task_id': task['task_id'],
            'dataset_id': task['dataset_id'],
            'mtype': transition.tells,
            'action': transition.name,
            'reason': report.reason,
            'exit_code': report.exit_code,
            'site': report.site,
            'time_used': report.time_used_seconds,
            'resources': dict(report.resources),
            'stdout': report.stdout,
            'stderr': report.stderr,
            'epoch': task['epoch'],
        }
    )
