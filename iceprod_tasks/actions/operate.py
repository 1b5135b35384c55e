"""Operate: create and kill tasks by their names outside, one operation a task at a time, as the leader.

What an operation changes, the task and the operation itself, is one transaction that lands in the leader's term only.
Source: seed 003; where it is silent, docs/drove.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from iceprod_tasks.actions.create_work import External, NewWork, prepare_work
from iceprod_tasks.actions.lead import write_as_leader
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import AlreadyNamed, InvalidRequest, NotEnded, NotFound, NothingToKill, OperationActive
from iceprod_tasks.domain.operations import (
    CREATE,
    DONE,
    ENDED,
    KILL,
    REMOVE,
    SUPERSEDED,
    NewOperation,
    OperationSpec,
    is_satisfied,
)
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import Task
from iceprod_tasks.storage.client import Document, Duplicate, Session
from iceprod_tasks.storage.transitions import Note, Stop

HISTORY_AT_MOST = 1000
LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Killing:
    """A wish to end a task.

    Args:
        external: its name.
        spec: how; after the time of it the operation is over, though the task may still be on its way down.
        reason: why, for the task's log and its result.
    """

    external: External
    spec: OperationSpec
    reason: str = ''


async def create(service: Service, caller: Caller, wanted: NewWork, spec: OperationSpec, origin: Origin) -> str:
    """Make a task, and the operation that waits until a pilot has taken it.

    Args:
        service: the service.
        caller: who asks.
        wanted: the task.
        spec: how long a pilot may be waited for; then the task is cancelled.
        origin: of its ids and its time.

    Returns:
        The new task's id.

    Raises:
        InvalidRequest: a number or a name is out of bounds.
        AlreadyNamed: there is a task with this name, in whatever state.
        NotLeader: another service leads.
        Unavailable: nobody knows whether it was made; a repeat is told `AlreadyNamed` if it was.
    """
    spec.check()
    task = await prepare_work(service, caller, wanted, origin)
    operation_id, external = origin.new_id(), wanted.external
    now = await service.store.operations.primary_time()

    async def work(session: Session) -> Document | None:
        twin = await service.store.operated.find(external.document(), session)
        if twin is None:
            await service.store.operated.add(task, session)
            new = NewOperation(operation_id, CREATE, task, caller.name, spec, _term(service))
            await accept(service, new, now, session)
        return twin

    try:
        twin = await write_as_leader(service, work)
    except Duplicate:
        twin = await service.store.operated.find(external.document())
    if twin is not None and twin['task_id'] != task['task_id']:
        raise AlreadyNamed(str(external), twin['task_id'])
    service.news.stirred()
    return str(task['task_id'])


async def kill(service: Service, caller: Caller, wish: Killing, origin: Origin) -> str:
    """End a task: at once where no pilot has it, else by its pilot, which reports the way down.

    It takes the place of a creation that is still open, so that a task which waits for a pilot can be ended.

    Args:
        service: the service.
        caller: who asks.
        wish: which task, and how.
        origin: of the operation's id.

    Returns:
        The id of the task.

    Raises:
        InvalidRequest: a number is out of bounds, or the reason is too long.
        NothingToKill: there is no such task, or it has ended.
        OperationActive: it is being killed.
        NotLeader: another service leads.
        Unavailable: nobody knows whether it was accepted; a repeat is told `OperationActive` or `NothingToKill` then.
    """
    wish.spec.check()
    if len(wish.reason) > LONGEST_REASON:
        raise InvalidRequest(f'the reason has more than {LONGEST_REASON} characters')
    operation_id = origin.new_id()
    now = await service.store.operations.primary_time()

    async def work(session: Session) -> tuple[Task, bool]:
        done = await service.store.operations.get(operation_id, session)
        task = await service.store.operated.find(wish.external.document(), session)
        if done is not None:
            return task or done, not done['active']
        if task is None or task['status'] in ENDED:
            raise NothingToKill
        await _make_way(service, task, session)
        new = NewOperation(operation_id, KILL, task, caller.name, wish.spec, _term(service), wish.reason)
        await accept(service, new, now, session)
        return task, await _end(service, task, new, session)

    task, ended = await write_as_leader(service, work)
    service.arrivals.tell(task['task_id'])
    if ended:
        service.news.ended(task)
    return str(task['task_id'])


async def forget(service: Service, caller: Caller, external: External, origin: Origin) -> None:
    """Forget a task that has ended: its name is free again, and its history says so.

    Raises:
        NotFound: there is no such task.
        NotEnded: it has not ended.
        NotLeader: another service leads.
    """
    task = await service.store.operated.find(external.document())
    if task is None:
        raise NotFound('Task not found')
    if task['status'] not in ENDED:
        raise NotEnded
    await remove(service, [task], caller.name, 'asked for', [origin.new_id()])


async def remove(service: Service, tasks: Sequence[Task], who: str, why: str, operation_ids: Sequence[str]) -> int:
    """Remove tasks that have ended, leaving a trace of each in its history; how many were removed.

    Args:
        service: the service.
        tasks: whole.
        who: has it done.
        why: in words for people.
        operation_ids: of the traces, one a task.

    Raises:
        NotLeader: another service leads.
    """
    now = await service.store.operations.primary_time()

    async def work(session: Session) -> int:
        removed = 0
        for task, operation_id in zip(tasks, operation_ids, strict=True):
            if await service.store.operated.remove(task, session):
                trace = NewOperation(operation_id, REMOVE, task, who, OperationSpec(), _term(service), why)
                ended = {'active': False, 'ended': now, 'outcome': DONE, 'left': _left(task)}
                await service.store.operations.add({**trace.document(now, now), **ended}, session)
                removed += 1
        return removed

    return await write_as_leader(service, work)


async def history(service: Service, external: External) -> list[Document]:
    """The operations on all tasks that have or had a name, the newest first.

    Raises:
        NotFound: there never was one, as far as anybody remembers.
    """
    found = await service.store.operations.history(external.document(), HISTORY_AT_MOST)
    if not found:
        raise NotFound('Task not found')
    return found


async def _make_way(service: Service, task: Task, session: Session) -> None:
    """End what is active on a task, if it may be ended by something else.

    Raises:
        OperationActive: it may not.
    """
    active = await service.store.operations.active(task['task_id'], session)
    if active is None:
        return
    if active['type'] != CREATE:
        raise OperationActive
    outcome = DONE if is_satisfied(active, task) else SUPERSEDED
    await service.store.operations.end([active['operation_id']], outcome, session)


async def accept(service: Service, new: NewOperation, now: datetime, session: Session) -> None:
    """Store an operation that is active from now on.

    Raises:
        OperationActive: another one is, on the same task.
    """
    deadline = now + timedelta(seconds=new.spec.timeout_seconds)
    await service.store.operations.add(new.document(now, deadline), session)


async def _end(service: Service, task: Task, new: NewOperation, session: Session) -> bool:
    """Cancel a task or have its pilot asked to stop; whether it has ended."""
    why = new.why or 'killed'
    note = Note(new.who, why, outcome={'exit_code': None, 'message': why})
    if await service.store.operated.cancel(task['task_id'], note, session):
        await service.store.operations.end([new.operation_id], DONE, session)
        return True
    grace_seconds = service.limits.stop_grace_seconds + (task['work'].get('kill_grace_seconds') or 0)
    stop = Note(new.who, why, stop=Stop('cancel', grace_seconds))
    await service.store.operated.ask_to_stop(task['task_id'], stop, session)
    return False


def _left(task: Task) -> dict[str, Any]:
    """What is remembered of a task that is forgotten."""
    return {name: task.get(name) for name in ('status', 'outcome', 'create_date', 'status_changed', 'failures')}


def _term(service: Service) -> int:
    return service.leadership.number
