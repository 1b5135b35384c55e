"""Claims: one queued task to one pilot, the heartbeats that keep it, and the reports that end it.

The protocol is in docs/claims.md.

The matcher first finds out which requirements stand in the queue at all (a skip scan: one key a signature), decides
in memory which of them fit, and then takes the best task among those by index. The exact filter goes along, so the
signatures only prune.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.domain.conditions import Condition
from iceprod_tasks.domain.requirements import fits
from iceprod_tasks.domain.statuses import TRANSITIONS, Transition
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.leases import renewed
from iceprod_tasks.storage.matching import fitting, meeting
from iceprod_tasks.storage.tasks import UNFINISHED, UNSIGNED
from iceprod_tasks.storage.transitions import Claim, Note, guard, update

SIGNATURES_A_QUERY = 200
"""With one more, MongoDB gives up the merge sort and sorts everything that matches."""

LEFT_AT_MOST = 1000
"""Where counting what is left for a pilot stops."""

_HIDDEN = {'_id': False}
_LEASE = {'_id': False, 'stop': True, 'lease_seconds': True, 'lease_until': True, 'heartbeat_at': True}
_BEST_FIRST = [('priority', -1), ('_id', 1)]
_IDLE: Document = {'status': 'idle'}
_IDLE_OF_CLIENTS: Document = {'status': 'idle', 'managed': False}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a claim asks for.

    Args:
        offer: what the pilot has, by requirement.
        conditions: the caller's own.
    """

    offer: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()


class Claims:
    """The claims on tasks.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds

    async def open(self, wanted: Wanted, claim: Claim, note: Note) -> Document | None:
        """Give the best queued task that fits to a claim.

        Args:
            wanted: what the pilot can take.
            claim: the claim to open.
            note: for the log.

        Returns:
            The task as claimed; None when nothing that fits is queued.

        Raises:
            Duplicate: this claim id has been used before.
        """
        while True:
            signatures = await self._signatures(wanted.offer)
            task = await self._take(wanted, signatures, claim, note) if signatures else None
            if task is not None:
                return task
            signatures = await self._signatures(wanted.offer, fresh=True)
            # Another request may have taken the one we saw: only an empty look means that there is nothing.
            if not signatures or await self._best(self._where(wanted, signatures, claim.claim_id), signatures) is None:
                return None

    async def replay(self, claim_id: str, lease_seconds: float, subject: str | None) -> Document | None:
        """The task a claim id was given, read by a majority write.

        A plain read could show a claim that a failover takes back. While the claim is open its lease begins anew: to
        the pilot it begins when it sends the request that is answered.

        Args:
            claim_id: of the claim.
            lease_seconds: the service's own lease.
            subject: whose claim it must be; None for anybody's.
        """
        where = {**_given(claim_id), **({} if subject is None else claimed_by(subject))}
        mine = {'$eq': ['$claim_id', {'$literal': claim_id}]}
        leased = {'$and': [mine, {'$eq': ['$status', 'processing']}, {'$gt': ['$lease_until', None]}]}
        changes = {
            'replays': {'$add': [{'$ifNull': ['$replays', 0]}, 1]},
            'lease_until': {'$cond': [leased, renewed(lease_seconds), '$lease_until']},
        }
        task: Document | None = await self._tasks.find_one_and_update(where, [{'$set': changes}], projection=_HIDDEN)
        return task

    async def is_used(self, claim_id: str) -> bool:
        """Whether a task has been claimed under an id, by whomever."""
        return await self._tasks.find_one(_given(claim_id), {'_id': True}) is not None

    async def heartbeat(self, where: Filter, says: Mapping[str, Any], lease_seconds: float) -> Document | None:
        """Let the lease of a claim begin anew.

        Args:
            where: `held_by`, and `claimed_by` where the caller is bound to its claims.
            says: fields of the task that get these values.
            lease_seconds: the service's own lease, for a claim that has none.

        Returns:
            stop, lease_seconds, lease_until and heartbeat_at of the task; None when this claim does not hold it.
        """
        said = {name: {'$literal': value} for name, value in says.items()}
        changes = {**said, 'lease_until': renewed(lease_seconds), 'heartbeat_at': '$$NOW', 'updated': '$$NOW'}
        task: Document | None = await self._tasks.find_one_and_update(
            where, [{'$set': changes}], projection=_LEASE, hint='task_id'
        )
        return task

    async def close(self, transition: Transition, note: Note, where: Filter) -> Document | None:
        """End a task's claim by a report.

        Args:
            transition: complete, reset, fail or hand back.
            note: what the report brings.
            where: `held_by` or `unheld`, and `claimed_by` where the caller is bound to its claims.

        Returns:
            The task after it; None when the filter or the status table does not let it.
        """
        task: Document | None = await self._tasks.find_one_and_update(
            {'$and': [where, guard(transition)]}, update(transition, note), projection=_HIDDEN
        )
        self._kinds.forget_after(transition)
        return task

    async def reported(self, task_id: str, claim_id: str, who: str, transitions: Sequence[str]) -> Document | None:
        """The task, if this very claim ended with one of these transitions before; read by a majority write.

        Args:
            task_id: of the task.
            claim_id: of the claim.
            who: reports. A stop that the scheduler carried out is no report.
            transitions: the rows that the report may come to.
        """
        entry = {'claim': claim_id, 'who': who, 'transition': {'$in': list(transitions)}}
        task: Document | None = await self._tasks.find_one_and_update(
            {'task_id': task_id, 'log': {'$elemMatch': entry}}, {'$inc': {'replays': 1}}, projection=_HIDDEN
        )
        return task

    async def last_of(self, subject: str, task_id: str) -> Document | None:
        """The dataset of a task on which the last claim may be a subject's; None when it is not, or no such task."""
        where = {'task_id': task_id, **claimed_by(subject)}
        found: Document | None = await self._tasks.find_one(where, {'_id': False, 'dataset_id': True})
        return found

    async def any_of(self, subject: str, dataset_id: str) -> bool:
        """Whether a subject may hold a task of a dataset."""
        theirs = {'claimed_by': {'$in': [subject, None]}, 'claim_id': {'$gt': ''}}
        where = {'status': 'processing', 'dataset_id': dataset_id, **theirs}
        return await self._tasks.find_one(where, {'_id': True}, hint='claimed_by') is not None

    async def left(self, offer: Mapping[str, Any], *, stuck: bool) -> int:
        """How many unfinished tasks fit an offer, counted up to `LEFT_AT_MOST`.

        Args:
            offer: what the pilot has.
            stuck: whether the scheduler's idle tasks are all stuck; then they do not count.
        """
        count = 0
        for where in UNFINISHED:
            if stuck and where == _IDLE:
                where = _IDLE_OF_CLIENTS
            kinds = await self._kinds.among(where)
            signatures = [name for name, needs in kinds.items() if name == UNSIGNED or fits(needs, offer)]
            if signatures and count < LEFT_AT_MOST:
                among = {**where, 'signature': {'$in': signatures}}
                count += await self._tasks.count(among, limit=LEFT_AT_MOST - count)
        return count

    async def _take(self, wanted: Wanted, signatures: Sequence[str], claim: Claim, note: Note) -> Document | None:
        where = self._where(wanted, signatures, claim.claim_id)
        if len(signatures) > SIGNATURES_A_QUERY:
            best = await self._best(where, signatures)
            if best is None:
                return None
            where = {'$and': [where, {'_id': best['_id']}]}
        # A pilot's own conditions may have a better index; without them none is better, and no plan is tried out.
        hint = {} if wanted.conditions or len(signatures) > SIGNATURES_A_QUERY else {'hint': 'queued'}
        task: Document | None = await self._tasks.find_one_and_update(
            where, update(TRANSITIONS['claim'], note, claim), sort=_BEST_FIRST, projection=_HIDDEN, **hint
        )
        return task

    async def _best(self, where: Document, signatures: Sequence[str]) -> Document | None:
        """The best of all, asked for in groups that MongoDB can merge."""
        found = []
        for start in range(0, len(signatures), SIGNATURES_A_QUERY):
            group = {'signature': {'$in': list(signatures[start : start + SIGNATURES_A_QUERY])}}
            best = await self._tasks.find_one({**where, **group}, {'priority': True}, sort=_BEST_FIRST)
            if best is not None:
                found.append(best)
        return min(found, key=lambda task: (-task['priority'], task['_id']), default=None)

    @staticmethod
    def _where(wanted: Wanted, signatures: Sequence[str], claim_id: str) -> Document:
        exact = [*fitting(wanted.offer), *meeting(wanted.conditions)]
        return {
            **guard(TRANSITIONS['claim']),
            'signature': {'$in': list(signatures)},
            # The unique index does not compare a document with itself.
            'claims': {'$ne': claim_id},
            **({'$and': exact} if exact else {}),
        }

    async def _signatures(self, offer: Mapping[str, Any], *, fresh: bool = False) -> list[str]:
        """Signatures in the queue that fit; those without requirements known to be theirs are never left out."""
        queued = await self._kinds.queued(fresh=fresh)
        return [name for name, needs in queued.items() if name == UNSIGNED or fits(needs, offer)]


def _given(claim_id: str) -> Document:
    """The filter of the task that was claimed under an id."""
    return {'claims': claim_id, 'epoch': {'$gt': 0}}


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
