"""Closings: reports end claims. The protocol is in docs/claims.md.

Each is one change guarded by all that must be so of its task. Reports of one kind that come at the same time are
written by one update, each with the same guard that it has alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.domain.statuses import Transition
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.given import LEFT, Given
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.together import Together
from iceprod_tasks.storage.transitions import Note, Particulars, guard, update, update_each

_REPORTS_A_ROUND = 250
_LEFT = {'_id': False, **dict.fromkeys(LEFT, True)}
_CLAIMS = {**_LEFT, 'log.claim': True, 'log.transition': True}


@dataclass(frozen=True, slots=True)
class Held:
    """A task in the hands of a claim.

    Args:
        task_id: of the task.
        claim_id: of the claim.
        epoch: of the claim; None where that is not said.
        subject: whose claim it must be; None for anybody's.
        guards: what else must be so of the task.
    """

    task_id: str
    claim_id: str
    epoch: int | None = None
    subject: str | None = None
    guards: Mapping[str, Any] = field(default_factory=dict)

    @property
    def conditions(self) -> Document:
        """What must be so of the task beside that."""
        return {**({} if self.subject is None else claimed_by(self.subject)), **self.guards}

    @property
    def where(self) -> Document:
        """The filter of it."""
        return {**held_by(self.task_id, self.claim_id, self.epoch), **self.conditions}


@dataclass(frozen=True, slots=True)
class _Report:
    held: Held
    transition: Transition
    note: Note


class Closings:
    """Closes claims.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
        given: the claims of this process.
    """

    def __init__(self, collection: Collection, kinds: Kinds, given: Given) -> None:
        self._tasks = collection
        self._kinds = kinds
        self._given = given
        self._together: Together[_Report, Document | None] = Together(self._serve, _REPORTS_A_ROUND)

    async def close(self, transition: Transition, note: Note, held: Held) -> Document | None:
        """End the claim that holds a task.

        Args:
            transition: complete, reset, fail, hand back, or what a stop comes to.
            note: what the report brings.
            held: the task.

        Returns:
            What the scheduler has to know of the task after it; None when the claim does not hold it so, or when that
            is not certain: then `Claims.reported` knows.
        """
        kind = (transition.name, Particulars(note).shape, held.subject, repr(held.guards))
        return await self._together.ask(kind, _Report(held, transition, note))

    async def close_alone(self, transition: Transition, note: Note, where: Filter) -> Document | None:
        """End a task by an update of its own; as `close`, for reports that name no claim as well.

        Args:
            transition: as there.
            note: what the report brings.
            where: `unheld`, and `claimed_by` where the caller is bound to its claims.
        """
        task: Document | None = await self._tasks.find_one_and_update(
            {'$and': [where, guard(transition)]}, update(transition, note), projection=_LEFT
        )
        self._kinds.forget_after(transition)
        return task

    async def _serve(self, reports: Sequence[_Report]) -> list[Document | None]:
        by_claim: dict[str, _Report] = {}
        for report in reports:
            by_claim.setdefault(report.held.claim_id, report)
        closed = await self._close_each(by_claim) if len(by_claim) > 1 else {}
        answers: list[Document | None] = []
        for report in reports:
            if len(by_claim) > 1 and by_claim[report.held.claim_id] is report:
                answers.append(closed.get(report.held.task_id))
            else:
                # One that is alone; or others that name the same claim: they say it once more, or one of them is wrong.
                answers.append(await self.close_alone(report.transition, report.note, report.held.where))
        return answers

    async def _close_each(self, by_claim: Mapping[str, _Report]) -> dict[str, Document]:
        """End the claims of some reports; the tasks after it, by their ids; without those that are not certain."""
        reports = list(by_claim.values())
        transition = reports[0].transition
        task_ids = [report.held.task_id for report in reports]
        where = _each_held([report.held for report in reports])
        particulars = {claim_id: Particulars(report.note) for claim_id, report in by_claim.items()}
        closed = await self._tasks.update_many(where, update_each(transition, 'claim_id', particulars), hint='task_id')
        self._kinds.forget_after(transition)
        if not closed:
            return {}
        if closed == len(reports) and (known := self._known(reports)) is not None:
            return known
        claims = {report.held.task_id: report.held.claim_id for report in reports}
        fields = _LEFT if closed == len(reports) else _CLAIMS
        tasks = await self._tasks.all({'task_id': {'$in': task_ids}}, fields, hint='task_id')
        if closed < len(reports):
            tasks = [task for task in tasks if _ended(task.pop('log', ()), claims[task['task_id']], transition)]
        # More than have been closed: some were before. A plain reading does not say whether that will stay.
        return {task['task_id']: task for task in tasks} if len(tasks) == closed else {}

    def _known(self, reports: Sequence[_Report]) -> dict[str, Document] | None:
        """What is left of the tasks of reports that have all been taken; None where all is not known of each."""
        (status,) = reports[0].transition.targets
        held = [report.held for report in reports]
        left = {each.task_id: self._given.take(each.claim_id, each.task_id, status) for each in held}
        known = {task_id: task for task_id, task in left.items() if task is not None}
        return known if len(known) == len(reports) else None


def _ended(log: Sequence[Mapping[str, Any]], claim_id: str, transition: Transition) -> bool:
    return any(entry.get('claim') == claim_id and entry['transition'] == transition.name for entry in log)


def _each_held(held: Sequence[Held]) -> Document:
    """The filter of tasks that are each in the hands of their own claim; all with the same conditions.

    One alternative a task would do as well, but MongoDB tries them one after the other on each task: at 250 that takes
    twice as long as all the rest.
    """
    task_ids, claim_ids = [each.task_id for each in held], [each.claim_id for each in held]
    is_own = {'$eq': ['$task_id', _of_own_claim(task_ids)]}
    if any(each.epoch is not None for each in held):
        of_epoch = {'$in': [_of_own_claim([each.epoch for each in held]), ['$epoch', None]]}
        is_own = {'$and': [is_own, of_epoch]}
    place = {'$indexOfArray': [{'$literal': claim_ids}, '$claim_id']}
    return {
        'task_id': {'$in': task_ids},
        'status': 'processing',
        'claim_id': {'$in': claim_ids},
        '$expr': {'$let': {'vars': {'place': place}, 'in': is_own}},
        **held[0].conditions,
    }


def _of_own_claim(values: Sequence[Any]) -> Document:
    return {'$arrayElemAt': [{'$literal': values}, '$$place']}


def held_by(task_id: str, claim_id: str, epoch: int | None) -> Document:
    """The filter of a task in the hands of this claim."""
    where: Document = {'task_id': task_id, 'status': 'processing', 'claim_id': claim_id}
    return where if epoch is None else {**where, 'epoch': epoch}


def unheld(task_id: str) -> Document:
    """The filter of a task on which no claim with a pilot's own id is open (those know how long their lease is)."""
    return {'task_id': task_id, '$or': [{'status': {'$ne': 'processing'}}, {'lease_seconds': None}]}


def claimed_by(subject: str) -> Document:
    """The filter of tasks on which the last claim may be a subject's; see `domain.claimants`."""
    unknown = {'claimed_by': None, 'status': 'processing', 'claim_id': {'$gt': ''}}
    return {'$and': [{'$or': [{'claimed_by': subject}, unknown]}]}
