"""The timer of operations: what the leader does while they are open, and after.

It runs in each process, and does nothing where the service does not lead. Two processes of one service may do the same
at once: each write says what must still be so.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from iceprod_tasks.actions.lead import leads, write_as_leader
from iceprod_tasks.actions.maintain import is_quiet
from iceprod_tasks.actions.operate import accept, remove
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import NotLeader, OperationActive, Unavailable
from iceprod_tasks.domain.operations import CREATE, DONE, NOT_STARTED, TIMED_OUT, NewOperation, is_satisfied
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.scheduler.chores import WHO
from iceprod_tasks.scheduler.safely import safely
from iceprod_tasks.storage.client import Session, utc_now
from iceprod_tasks.storage.transitions import Note

_AT_ONCE = 500
_REMOVED_AT_ONCE = 20
"""With what they have left they are one transaction, which others wait for."""
_PORTIONS = 50
_UNBOX_SECONDS = 10.0
_ALIVE_SECONDS = 60.0
"""A pilot that was not heard of for longer may be gone."""
_NOT_TAKEN = 'no pilot took the task in time'


class Operations:
    """Looks after operations again and again.

    Args:
        service: what it works with.
        interval_seconds: the pause between two looks.
    """

    def __init__(self, service: Service, *, interval_seconds: float = 1.0) -> None:
        self._service = service
        self._interval_seconds = interval_seconds
        # Where the next looks begin; lost at a restart, which does no harm.
        self._active_after: Any = None
        self._claimed_after: Any = None
        self._clean_at = 0.0

    async def run(self) -> None:
        """Run until cancelled. What fails is tried again at a later turn."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.turn()

    async def turn(self) -> int:
        """Look once, at some portions of each kind; how much was changed."""
        if not await self._leads():
            return 0
        changed = await self._safely('settle', self._settle)
        changed += await self._safely('time out', lambda: time_out(self._service))
        changed += await self._safely('recover', self._recover)
        changed += await self._safely('unbox', lambda: unbox(self._service))
        if time.monotonic() >= self._clean_at:
            self._clean_at = time.monotonic() + self._service.limits.operations.clean_seconds
            changed += await self._safely('forget', lambda: clean(self._service))
        return changed

    async def _leads(self) -> bool:
        try:
            return await leads(self._service)
        except Unavailable:
            return False

    async def _safely(self, action: str, chore: Callable[[], Awaitable[int]]) -> int:
        async def as_long_as_it_leads() -> int:
            try:
                return await chore()
            except NotLeader:
                return 0

        return await safely(action, as_long_as_it_leads, logging.INFO if action != 'settle' else logging.DEBUG)

    async def _settle(self) -> int:
        operations = await self._service.store.operations.portion(self._active_after, _AT_ONCE)
        self._active_after = operations[-1]['_id'] if len(operations) == _AT_ONCE else None
        return await settle(self._service, operations)

    async def _recover(self) -> int:
        tasks = await self._service.store.operated.once_claimed(self._claimed_after, _AT_ONCE)
        self._claimed_after = tasks[-1]['_id'] if len(tasks) == _AT_ONCE else None
        return await recover(self._service, tasks)


async def settle(service: Service, operations: Sequence[Mapping[str, Any]]) -> int:
    """End those of some operations for which what they wait for has happened; how many there were."""
    if not operations:
        return 0
    tasks = await service.store.operated.states([each['task_id'] for each in operations])
    done = [each['operation_id'] for each in operations if is_satisfied(each, tasks.get(each['task_id']))]
    if not done:
        return 0
    return await write_as_leader(service, lambda session: service.store.operations.end(done, DONE, session))


async def time_out(service: Service) -> int:
    """End operations whose time is over; how many there were. A task that no pilot has taken by then is cancelled."""
    ended = 0
    for operation in await service.store.operations.overdue(_AT_ONCE):
        ended += await _time_out(service, operation)
    return ended


async def _time_out(service: Service, operation: Mapping[str, Any]) -> int:
    note = Note(WHO, _NOT_TAKEN, outcome={'exit_code': None, 'message': _NOT_TAKEN, 'cause': NOT_STARTED})
    task_id, epoch = operation['task_id'], operation['epoch']

    async def work(session: Session) -> tuple[int, bool]:
        cancelled = False
        if operation['type'] == CREATE:
            cancelled = bool(await service.store.operated.cancel(task_id, note, session, epoch=epoch))
        outcome = TIMED_OUT
        if not cancelled:
            # It may have come to its end in the last moment.
            states = await service.store.operated.states([task_id], session)
            outcome = DONE if is_satisfied(operation, states.get(task_id)) else TIMED_OUT
        return await service.store.operations.end([operation['operation_id']], outcome, session), cancelled

    ended, cancelled = await write_as_leader(service, work)
    if cancelled and (task := await service.store.tasks.get(task_id)):
        service.arrivals.tell(task_id)
        service.news.ended(task)
    return ended


async def recover(service: Service, tasks: Sequence[Mapping[str, Any]]) -> int:
    """Accept operations of the service's own for tasks that wait for another claim; how many there were.

    So a task that runs again, as it allows itself, is not waited for any longer than a new one.
    """
    if not tasks:
        return 0
    busy = await service.store.operations.are_active([task['task_id'] for task in tasks])
    spec, accepted = service.limits.operations.own, 0
    now = await service.store.operations.primary_time()
    for task in tasks:
        if task['task_id'] not in busy:
            why = f'try {task["epoch"] + 1}'
            new = NewOperation(new_id(), CREATE, task, WHO, spec, service.leadership.number, why)
            with suppress(OperationActive):
                await write_as_leader(service, partial(accept, service, new, now))
                accepted += 1
    return accepted


async def unbox(service: Service) -> int:
    """Let tasks that want a container go to any pilot where no pilot has containers; how many there were.

    One that runs without hope of another tells what is missing, which is more than to wait until its time is over.
    """
    since = utc_now() - timedelta(seconds=_ALIVE_SECONDS)
    tasks = await service.store.operated.boxed(_UNBOX_SECONDS, _AT_ONCE)
    if not tasks or await service.store.pilots.offers({'container': True}, since):
        return 0
    if not await service.store.pilots.offers({'work': True}, since):
        return 0
    unboxed = 0
    for task in tasks:
        needs = {name: value for name, value in task['requirements'].items() if name != 'container'}
        unboxed += await write_as_leader(service, partial(service.store.operated.unbox, task['task_id'], needs))
    service.news.stirred()
    return unboxed


async def clean(service: Service) -> int:
    """Forget tasks that ended long ago, and operations that did; how many tasks there were. Not in maintenance."""
    if await is_quiet(service):
        return 0
    rules, forgotten = service.limits.operations, 0
    for _ in range(_PORTIONS):
        tasks = await service.store.operated.to_forget(rules.keep_hours * 3600, _REMOVED_AT_ONCE)
        if not tasks:
            break
        ids = [new_id() for _ in tasks]
        forgotten += await remove(service, tasks, WHO, 'kept for as long as it had to be', ids)
    old = utc_now() - timedelta(days=rules.history_days)
    await write_as_leader(service, lambda session: service.store.operations.remove_older(old, _AT_ONCE, session))
    return forgotten
