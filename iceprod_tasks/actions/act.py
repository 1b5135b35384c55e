"""Act: suspend, resume, reset, rerun, hard reset or cancel many tasks of a dataset.

An action goes through its tasks in portions, one guarded update each, and leaves every second moment to others. It can
be repeated at any time: what has been moved is not moved again. `act_on_jobs` does the same to jobs and datasets.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from iceprod_tasks.actions.reopen import reopen
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.actions import ACTIONS, AS_NEW, VERDICTS, Action, Verdict
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.storage.moves import Part, Scope, parts, scopes
from iceprod_tasks.storage.transitions import Note

EXAMPLES = 5
"""Examples given of what was changed, unchanged and refused."""

_PASSES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked.

    Args:
        action: a name of `ACTIONS`.
        tasks: ids of tasks; None for all.
        jobs: ids of jobs; None for all.
        names: only tasks with one of these names.
        statuses: only tasks in one of these statuses.
        dry_run: only say what would be changed.
        reason: why, for the tasks' logs.
        request: name of the request where it may be worked on again; it moves no task twice.
    """

    action: str
    tasks: Sequence[str] | None = None
    jobs: Sequence[str] | None = None
    names: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    dry_run: bool = False
    reason: str = ''
    request: str = ''

    def among(self, statuses: Sequence[str]) -> list[str]:
        """Those of some statuses that are asked for."""
        return [status for status in statuses if self.statuses is None or status in self.statuses]


@dataclass(slots=True)
class Done:
    """What became of the tasks or jobs that an action was about; in a dry run, what would.

    Args:
        changed: how many it led on.
        unchanged: how many had nothing left to do.
        refused: how many it cannot be done to.
        stopping: how many of those changed run, and are asked to stop first.
        examples: a few of each: ids of what was changed, id, status and reason of the others.
    """

    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    stopping: int = 0
    examples: dict[Verdict, list[Any]] = field(default_factory=lambda: {verdict: [] for verdict in VERDICTS})

    def count(self, verdict: Verdict, number: int = 1) -> None:
        """Count tasks or jobs."""
        setattr(self, verdict, getattr(self, verdict) + number)

    def show(self, verdict: Verdict, examples: Sequence[Any]) -> None:
        """Add examples, as far as there is room."""
        shown = self.examples[verdict]
        shown += examples[: max(0, EXAMPLES - len(shown))]


async def act_on_tasks(service: Service, who: str, dataset_id: str, asked: Asked) -> Done:
    """Do something to tasks of a dataset.

    Args:
        service: the service.
        who: asks for it, for the tasks' logs.
        dataset_id: of the dataset; tasks of others are refused.
        asked: what to do, and to which tasks.

    Raises:
        NotFound: there is no such dataset, or none of the tasks or jobs is its.
    """
    note = Note(who, asked.reason or f'{asked.action} asked for', request=asked.request)
    run = _Run(service, dataset_id, asked, note)
    total = await run.judge()
    if not total and (asked.tasks is not None or asked.jobs is not None):
        raise NotFound('Tasks not found')
    run.managed = await service.store.datasets.get(dataset_id) is not None
    if not total and not run.managed:
        raise NotFound('Dataset not found')
    possible = total - run.done.refused
    await run.foresee() if asked.dry_run else await run.carry_out()
    run.done.unchanged = max(0, possible - run.done.changed)
    await run.refuse_unknown()
    service.news.stirred()
    return run.done


class _Run:
    """One action on its way through its tasks."""

    def __init__(self, service: Service, dataset_id: str, asked: Asked, note: Note) -> None:
        self._service = service
        self._moves = service.store.moves
        self._dataset_id = dataset_id
        self._asked = asked
        self._note = note
        self._action: Action = ACTIONS[asked.action]
        self._scopes: list[Scope] = scopes(dataset_id, asked.tasks, asked.jobs, asked.names)
        self.done = Done()
        self.managed = False

    async def judge(self) -> int:
        """Count what is refused, and give examples of what is not going to change; how many tasks there are."""
        total = 0
        refused = self._asked.among(sorted(self._action.refused))
        satisfied = self._asked.among(sorted(self._action.satisfied))
        kept: tuple[tuple[Verdict, list[str]], ...] = (('refused', refused), ('unchanged', satisfied))
        for scope in self._scopes:
            counts = await self._moves.count_statuses(scope)
            total += sum(counts.get(status, 0) for status in self._asked.among(STATUSES))
            self.done.count('refused', sum(counts.get(status, 0) for status in refused))
            for verdict, statuses in kept:
                if any(counts.get(status) for status in statuses):
                    found = await self._moves.some(scope, statuses, EXAMPLES)
                    self.done.show(verdict, [self._words(verdict, task) for task in found])
        return total

    async def foresee(self) -> None:
        """Count what would change."""
        for scope in self._scopes:
            for part in await self._parts():
                self._count(part, await self._moves.count(scope, part))
                for status in part.statuses:
                    if len(self.done.examples['changed']) < EXAMPLES:
                        found = await self._moves.portion(scope, part, status, None, EXAMPLES)
                        self.done.show('changed', [task['task_id'] for task in found])

    async def carry_out(self) -> None:
        """Change what can be changed; where that is final, until a look at all of it finds nothing more.

        Tasks go on while an action is under way, and not only forwards: a pilot may hand one back.
        """
        todo = await self._parts()
        for _ in range(_PASSES):
            for scope in self._scopes:
                for part in todo:
                    for status in part.statuses:
                        await self._walk(scope, part, status)
            if not (self._action.stops and await self._some_left(todo)):
                return

    async def _some_left(self, todo: Sequence[Part]) -> bool:
        for scope in self._scopes:
            for part in todo:
                if await self._moves.count(scope, part):
                    return True
        return False

    async def refuse_unknown(self) -> None:
        """Refuse ids that no task of the dataset has."""
        for scope in self._scopes:
            if scope.task_ids:
                missing = await self._moves.missing(scope)
                self.done.count('refused', len(missing))
                why = 'not a task of this dataset that was asked for'
                self.done.show('refused', [{'task_id': task_id, 'reason': why} for task_id in missing])

    async def _parts(self) -> list[Part]:
        # What was reset may wait again before the action is through; it must not be reset twice.
        before = None if self._action.stops else await self._moves.now()
        sets = AS_NEW if self._action.name == 'hard_reset' else {}
        found = parts(self._action, replace(self._note, sets=sets), self._service.limits.stop_grace_seconds, before)
        return [replace(part, statuses=self._asked.among(part.statuses)) for part in found]

    async def _walk(self, scope: Scope, part: Part, status: str) -> None:
        after = None
        while True:
            began = time.monotonic()
            portion = await self._moves.portion(scope, part, status, after)
            if not portion:
                return
            if self._action.runs_again:
                # Before the tasks do, so that a crash between leaves nothing running in what has ended.
                await self._reopen(portion)
            count = await self._moves.move(scope, part, portion)
            self._count(part, count)
            self.done.show('changed', [task['task_id'] for task in portion])
            after = portion[-1]['_id']
            await asyncio.sleep(time.monotonic() - began)

    async def _reopen(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Let the jobs and the dataset go on."""
        if self.managed:
            await reopen(self._service, [{**task, 'dataset_id': self._dataset_id} for task in tasks])

    def _count(self, part: Part, count: int) -> None:
        self.done.count('changed', count)
        if part.transition.name == 'stop asked':
            self.done.stopping += count

    def _words(self, verdict: Verdict, task: dict[str, Any]) -> dict[str, Any]:
        if verdict == 'unchanged':
            return task
        return {**task, 'reason': f'{self._action.name} does not lead on from {task["status"]}'}
