"""Claims that are open or were: repeated requests, heartbeats, and whose a task is. The protocol is in docs/claims.md.

`openings` opens them, `closings` ends them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.domain.signatures import may_fit, must_fit
from iceprod_tasks.storage.client import Collection, Document, Filter
from iceprod_tasks.storage.closings import claimed_by
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.leases import renewed
from iceprod_tasks.storage.matching import fitting
from iceprod_tasks.storage.message_updates import SAID, appended_once
from iceprod_tasks.storage.tasks import UNFINISHED
from iceprod_tasks.storage.together import Together
from iceprod_tasks.storage.transitions import gone_through

LEFT_AT_MOST = 1000
"""Where counting what is left for a pilot stops."""

_HIDDEN = {'_id': False}
_LEASE = {'_id': False, 'stop': True, 'lease_seconds': True, 'lease_until': True, 'heartbeat_at': True}
_IDLE: Document = {'status': 'idle'}
_IDLE_OF_CLIENTS: Document = {'status': 'idle', 'managed': False}

_LOOKUPS_A_ROUND = 64


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A claim id that may have been used, and whose claim it must be; None for anybody's."""

    claim_id: str
    subject: str | None
    lease_seconds: float

    @property
    def where(self) -> Document:
        return {**_given(self.claim_id), **_owned(self.subject)}


class Claims:
    """The claims on tasks.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
    """

    def __init__(self, collection: Collection, kinds: Kinds) -> None:
        self._tasks = collection
        self._kinds = kinds
        self._counting: Together[tuple[Mapping[str, Any], bool], int] = Together(self._count_left, at_most=10_000)
        self._replaying: Together[_Lookup, Document | None] = Together(self._replay_each, _LOOKUPS_A_ROUND)

    async def replay(self, claim_id: str, lease_seconds: float, subject: str | None) -> Document | None:
        """The task a claim id was given, read by a majority write.

        A plain read could show a claim that a failover takes back. While the claim is open its lease begins anew: to
        the pilot it begins when it sends the request that is answered.

        Args:
            claim_id: of the claim.
            lease_seconds: the service's own lease.
            subject: whose claim it must be; None for anybody's.
        """
        return await self._replaying.ask(lease_seconds, _Lookup(claim_id, subject, lease_seconds))

    async def _replay_each(self, lookups: Sequence['_Lookup']) -> list[Document | None]:
        """Look up claim ids that came together, by one write for all."""
        where = {'$or': [lookup.where for lookup in lookups]} if len(lookups) > 1 else lookups[0].where
        claim_ids = {lookup.claim_id for lookup in lookups}
        if not await self._tasks.update_many(where, _replayed(sorted(claim_ids), lookups[0].lease_seconds)):
            return [None] * len(lookups)
        tasks: dict[str, Document] = {}
        async for task in self._tasks.find(where, _HIDDEN):
            tasks |= dict.fromkeys(claim_ids & set(task['claims']), task)
        return [tasks.get(lookup.claim_id) for lookup in lookups]

    async def replay_batch(self, claim_ids: Sequence[str], lease_seconds: float, subject: str | None) -> list[Document]:
        """The tasks that the ids of a batch were given; otherwise as `replay`."""
        where = {'claims': {'$in': list(claim_ids)}, 'epoch': {'$gt': 0}, **_owned(subject)}
        if not await self._tasks.update_many(where, _replayed(claim_ids, lease_seconds)):
            return []
        return [task async for task in self._tasks.find(where, _HIDDEN)]

    async def is_used(self, claim_id: str) -> bool:
        """Whether a task has been claimed under an id, by whomever."""
        return await self._tasks.find_one(_given(claim_id), {'_id': True}) is not None

    async def heartbeat(
        self,
        where: Filter,
        says: Mapping[str, Any],
        phases: Sequence[Document],
        messages: Sequence[Document],
        lease_seconds: float,
    ) -> Document | None:
        """Let the lease of a claim begin anew.

        Args:
            where: `held_by`, and `claimed_by` where the caller is bound to its claims.
            says: fields of the task that get these values.
            phases: that the attempt has gone through, each with `phase` and `when`.
            messages: for the task, each with a `message_id`; those that it has stay as they are.
            lease_seconds: the service's own lease, for a claim that has none.

        Returns:
            stop, lease_seconds, lease_until and heartbeat_at of the task; None when this claim does not hold it.
        """
        said = {name: {'$literal': value} for name, value in says.items()}
        if phases:
            said['phases'] = gone_through({'$literal': list(phases)})
        if messages:
            said[SAID] = {'$literal': list(messages)}
        changes = {**said, 'lease_until': renewed(lease_seconds), 'heartbeat_at': '$$NOW', 'updated': '$$NOW'}
        task: Document | None = await self._tasks.find_one_and_update(
            where,
            [{'$set': changes}, *(appended_once() if messages else ())],
            projection=_LEASE,
            hint='task_id',
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
        return await self._counting.ask((repr(sorted(offer.items())), stuck), (offer, stuck))

    async def _count_left(self, asked: Sequence[tuple[Mapping[str, Any], bool]]) -> list[int]:
        """Count once for all who ask the same."""
        count = await self._count_fitting(*asked[0])
        if not count:
            # Status by status, a task that goes on meanwhile may be met in none. Whoever hears of nothing goes home.
            async with self._tasks.one_moment() as session:
                count = await self._count_fitting(*asked[0], session=session)
        return [count] * len(asked)

    async def _count_fitting(self, offer: Mapping[str, Any], stuck: bool, **reading: Any) -> int:  # noqa: FBT001
        count = 0
        exact: Document = {'$and': clauses} if (clauses := fitting(offer)) else {}
        for where in UNFINISHED:
            if stuck and where == _IDLE:
                where = _IDLE_OF_CLIENTS
            found = await self._kinds.among(where, **reading)
            kinds = {name: needs for name, needs in found.items() if may_fit(name, needs, offer)}
            sure = [name for name, needs in kinds.items() if must_fit(name, needs, offer)]
            count += await self._count({**where, 'signature': {'$in': sure}}, LEFT_AT_MOST - count, **reading)
            unsure = {**where, 'signature': {'$in': sorted(kinds.keys() - set(sure))}, **exact}
            count += await self._count(unsure, LEFT_AT_MOST - count, **reading)
        return count

    async def _count(self, where: Filter, at_most: int, **reading: Any) -> int:
        if not where['signature']['$in'] or at_most <= 0:
            return 0
        return await self._tasks.count(where, limit=at_most, **reading)


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
