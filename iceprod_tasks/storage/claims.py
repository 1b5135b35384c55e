"""Claims that are open or were: repeated requests, heartbeats, and whose a task is. The protocol is in docs/claims.md.

`openings` opens them, `closings` ends them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.signatures import may_fit, must_fit
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.closings import claimed_by
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.leases import renewed
from iceprod_tasks.storage.matching import fitting
from iceprod_tasks.storage.tasks import UNFINISHED

LEFT_AT_MOST = 1000
"""Where counting what is left for a pilot stops."""

_HIDDEN = {'_id': False}
_LEASE = {'_id': False, 'stop': True, 'lease_seconds': True, 'lease_until': True, 'heartbeat_at': True}
_IDLE: Document = {'status': 'idle'}
_IDLE_OF_CLIENTS: Document = {'status': 'idle', 'managed': False}


class Claims:
    """The claims on tasks.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds

    async def replay(self, claim_id: str, lease_seconds: float, subject: str | None) -> Document | None:
        """The task a claim id was given, read by a majority write.

        A plain read could show a claim that a failover takes back. While the claim is open its lease begins anew: to
        the pilot it begins when it sends the request that is answered.

        Args:
            claim_id: of the claim.
            lease_seconds: the service's own lease.
            subject: whose claim it must be; None for anybody's.
        """
        task: Document | None = await self._tasks.find_one_and_update(
            {**_given(claim_id), **_owned(subject)}, _replayed([claim_id], lease_seconds), projection=_HIDDEN
        )
        return task

    async def replay_batch(self, claim_ids: Sequence[str], lease_seconds: float, subject: str | None) -> list[Document]:
        """The tasks that the ids of a batch were given; otherwise as `replay`."""
        where = {'claims': {'$in': list(claim_ids)}, 'epoch': {'$gt': 0}, **_owned(subject)}
        if not await self._tasks.update_many(where, _replayed(claim_ids, lease_seconds)):
            return []
        return [task async for task in self._tasks.find(where, _HIDDEN)]

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
        exact: Document = {'$and': fitting(offer)} if offer else {}
        for where in UNFINISHED:
            if stuck and where == _IDLE:
                where = _IDLE_OF_CLIENTS
            kinds = {
                name: needs for name, needs in (await self._kinds.among(where)).items() if may_fit(name, needs, offer)
            }
            sure = [name for name, needs in kinds.items() if must_fit(name, needs, offer)]
            count += await self._count({**where, 'signature': {'$in': sure}}, LEFT_AT_MOST - count)
            unsure = {**where, 'signature': {'$in': sorted(kinds.keys() - set(sure))}, **exact}
            count += await self._count(unsure, LEFT_AT_MOST - count)
        return count

    async def _count(self, where: Filter, at_most: int) -> int:
        return await self._tasks.count(where, limit=at_most) if where['signature']['$in'] and at_most > 0 else 0


def _given(claim_id: str) -> Document:
    """The filter of the task that was claimed under an id."""
    return {'claims': claim_id, 'epoch': {'$gt': 0}}


def _owned(subject: str | None) -> Document:
    return {} if subject is None else claimed_by(subject)


def _replayed(claim_ids: Sequence[str], lease_seconds: float) -> list[Document]:
    """The update that looks a claim up, and lets its lease begin anew while it is open."""
    mine = {'$in': ['$claim_id', {'$literal': list(claim_ids)}]}
    leased = {'$and': [mine, {'$eq': ['$status', 'processing']}, {'$gt': ['$lease_until', None]}]}
    changes = {
        'replays': {'$add': [{'$ifNull': ['$replays', 0]}, 1]},
        'lease_until': {'$cond': [leased, renewed(lease_seconds), '$lease_until']},
    }
    return [{'$set': changes}]
