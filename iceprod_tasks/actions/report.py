"""Report: a pilot says how its work on a task ended."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import InvalidRequest, StaleClaim
from iceprod_tasks.domain.requirements import grow, signature
from iceprod_tasks.domain.statuses import TRANSITIONS, Transition
from iceprod_tasks.domain.tasks import Task, new_id
from iceprod_tasks.storage.claims import held_by, unheld
from iceprod_tasks.storage.transitions import Note

_SECONDS_AN_HOUR = 3600
_MESSAGE_TYPES = {'complete': 'result', 'hand back': 'notification'}


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

    @property
    def says_something(self) -> bool:
        """Whether it brings more than numbers that the task itself keeps."""
        return bool(self.reason or self.stdout or self.stderr or self.resources or self.exit_code is not None)


async def complete(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """End a task well.

    Raises:
        InvalidRequest: there is no such task, or nobody is at work on it.
        StaleClaim: the report's claim is not the task's.
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
    """
    await _end(service, caller, task_id, report, _unsuccessful(TRANSITIONS['reset'], report))


async def fail(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """End a task that will not do better at another try.

    Raises:
        InvalidRequest: there is no such task, or it is complete.
        StaleClaim: the report's claim is not the task's.
    """
    await _end(service, caller, task_id, report, _unsuccessful(TRANSITIONS['fail'], report))


async def hand_back(service: Service, caller: Caller, task_id: str, report: Report) -> None:
    """Give a task back unfinished, through no fault of its own.

    Raises:
        InvalidRequest: there is no such task.
        StaleClaim: the report's claim is not the task's.
    """
    ending = _Ending(TRANSITIONS['hand back'], 'Task not found', _site(report))
    await _end(service, caller, task_id, report, ending)


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a report ends a task's claim."""

    transition: Transition
    refusal: str
    sets: Mapping[str, Any]
    adds: Mapping[str, float] = field(default_factory=dict)
    grows: bool = False


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
    )


async def _end(service: Service, caller: Caller, task_id: str, report: Report, ending: _Ending) -> None:
    task = await _close(service, caller, task_id, report, ending)
    if task is None:
        task = await _same_as_before(service, task_id, report, ending)
    if report.says_something:
        await _keep_message(service, task, report, ending.transition)
    if task['status'] in ('complete', 'failed'):
        service.news.ended(task)
    else:
        service.news.stirred()


async def _close(service: Service, caller: Caller, task_id: str, report: Report, ending: _Ending) -> Task | None:
    where = held_by(task_id, report.claim_id, report.epoch) if report.claim_id else unheld(task_id)
    outcome = {'exit_code': report.exit_code, 'message': report.reason}
    who = caller.name
    while True:
        sets, seen = dict(ending.sets), dict(where)
        if ending.grows:
            old = await service.store.tasks.get(task_id, keys=('requirements',))
            if old is None:
                return None
            grown = grow(old['requirements'], report.resources, service.limits.requirements_ceiling)
            if grown != old['requirements']:
                sets |= {'requirements': grown, 'signature': signature(grown)}
                # Another report may grow it meanwhile: then look again, so that no step is lost.
                seen['requirements'] = old['requirements']
        note = Note(who, report.reason, sets, ending.adds, outcome)
        task = await service.store.claims.close(ending.transition, note, seen)
        if task is not None or 'requirements' not in seen or await _unchanged(service, task_id, seen):
            return task


async def _unchanged(service: Service, task_id: str, seen: Mapping[str, Any]) -> bool:
    now = await service.store.tasks.get(task_id, keys=('requirements',))
    return now is None or now['requirements'] == seen['requirements']


async def _same_as_before(service: Service, task_id: str, report: Report, ending: _Ending) -> Task:
    """The task of a report that was taken before; a repeated report gets the same answer."""
    if report.claim_id:
        before = await service.store.claims.reported(task_id, report.claim_id, ending.transition)
        if before is not None:
            return before
    task = await service.store.tasks.get(task_id, keys=('status', 'lease_until'))
    if task is None:
        raise InvalidRequest(ending.refusal)
    if report.claim_id or (task['status'] == 'processing' and task['lease_until'] is not None):
        raise StaleClaim
    raise InvalidRequest(ending.refusal)


async def _keep_message(service: Service, task: Task, report: Report, transition: Transition) -> None:
    if report.claim_id:
        # The same report must not leave two messages.
        message_id = uuid.uuid5(uuid.NAMESPACE_OID, f'{report.claim_id}:{transition.name}').hex
    else:
        message_id = new_id()
    await service.store.messages.put(
        {
            'message_id': message_id,
            'task_id': task['task_id'],
            'dataset_id': task['dataset_id'],
            'mtype': _MESSAGE_TYPES.get(transition.name, 'error'),
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
