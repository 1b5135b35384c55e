"""Openings: queued tasks are given to the claims of pilots. The protocol is in docs/claims.md.

A claim first finds out which signatures that fit stand in the queue, and then takes the best task among those by index.
The exact filter decides; the signatures only prune.

Claims that can take the same tasks and come at the same time are served together: one search for as many of the best
tasks as there are claims, one update that gives each to its claim, and one reading of what came of it. A claim that
comes alone is a single command.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.domain.conditions import Condition
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.storage.avoided import untried_on
from iceprod_tasks.storage.client import Collection, Document, Duplicate
from iceprod_tasks.storage.given import Given
from iceprod_tasks.storage.heads import Heads, Place, Search
from iceprod_tasks.storage.indexes import BEST_FIRST, SCANS_MERGED
from iceprod_tasks.storage.kinds import Fitting, Kinds
from iceprod_tasks.storage.matching import fitting, meeting
from iceprod_tasks.storage.together import Together
from iceprod_tasks.storage.transitions import Claim, Note, Particulars, guard, update, update_each

TASKS_AN_UPDATE = 250
"""Tasks given by one update: more would keep others waiting."""

_REQUESTS_A_ROUND = 64
_PLACE = {'_id': True, 'priority': True}
_CLAIM = TRANSITIONS['claim']

# Two processes that go for the same tasks lose about half of them to each other. Whoever has lost one picks from more
# than it needs for a while, and seldom the same as the other.
_PICK_FROM = 4
_CONTENDED_SECONDS = 0.5

_SEEN_A_CLAIM = 4
_SEEN_AT_LEAST = 64
"""A search sees more than is given at once: those places are given to the next claims without another search."""

_FEW = 16
"""To look through the tasks of more signatures takes longer than to give one away, so all that is seen is kept."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a claim asks for.

    Args:
        offer: what the pilot has, by requirement.
        conditions: the caller's own.
        not_failed_on: leave out what failed on this machine lately; '' for none.
    """

    offer: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    not_failed_on: str = ''


@dataclass(slots=True, eq=False)
class _Request:
    """A request for tasks, and what it has got.

    Args:
        wanted: what it can take.
        claims: that it opens, one a task; in this order.
        note: for the logs of the tasks.
    """

    wanted: Wanted
    claims: Sequence[Claim]
    note: Note
    given: dict[str, Document] = field(default_factory=dict)
    used: bool = False

    @property
    def open_claims(self) -> list[Claim]:
        """Those that may still get a task."""
        return [] if self.used else [claim for claim in self.claims if claim.claim_id not in self.given]

    @property
    def answer(self) -> 'list[Document] | Exception':
        """The tasks in the order of their claims."""
        if self.used:
            return Duplicate()
        return [self.given[claim.claim_id] for claim in self.claims if claim.claim_id in self.given]


class Openings:
    """Opens claims.

    Args:
        collection: the collection `tasks`.
        kinds: of its tasks.
        given: the claims of this process.
    """

    def __init__(self, collection: Collection, kinds: Kinds, given: Given) -> None:
        self._tasks = collection
        self._kinds = kinds
        self._given = given
        self._heads: Heads = kinds.heads
        self._together: Together[_Request, list[Document]] = Together(self._serve, _REQUESTS_A_ROUND)
        self._under_way: dict[str, asyncio.Event] = {}
        self._reserved: set[Any] = set()
        self._contended_until = 0.0

    async def open(self, wanted: Wanted, claims: Sequence[Claim], note: Note) -> list[Document]:
        """Give the best queued tasks that fit to claims.

        Args:
            wanted: what the pilot can take.
            claims: the claims to open, one a task.
            note: for the logs.

        Returns:
            The tasks as claimed, fewer than claims when no more are queued that fit.

        Raises:
            Duplicate: an id of these claims has been used before.
        """
        async with self._alone(claims[0].claim_id):
            request = _Request(wanted, claims, note)
            kind = _kind(wanted, await self._kinds.fitting(wanted.offer))
            # Many at once would keep the others waiting.
            return await self._together.ask((len(claims) > 1, kind), request)

    @asynccontextmanager
    async def _alone(self, claim_id: str) -> AsyncIterator[None]:
        """Wait while the same claim is being opened already: then it is found by its id."""
        while (other := self._under_way.get(claim_id)) is not None:
            await other.wait()
        over = self._under_way[claim_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[claim_id]
            over.set()

    async def _serve(self, requests: Sequence[_Request]) -> list[list[Document] | Exception]:
        """Serve requests that can take the same tasks, as far as is remembered of the queue."""
        for fits, group in await self._groups(requests):
            await self._give(fits, group, bounded=True)
        left = [request for request in requests if request.open_claims]
        while left:
            # What is remembered may be old, and others may have taken what was seen: only an empty look at the queue
            # as it is now means that there is nothing. It may show one of them more than another.
            await self._kinds.queued(fresh=True)
            again: list[_Request] = []
            for fits, group in await self._groups(left):
                if await self._search(group[0].wanted, fits, 1, bounded=False):
                    await self._give(fits, group, bounded=False)
                    again += group
            left = [request for request in again if request.open_claims]
        return [request.answer for request in requests]

    async def _groups(self, requests: Iterable[_Request]) -> list[tuple[Fitting, list[_Request]]]:
        """Requests by what of the queue they can take; without those that can take nothing."""
        groups: dict[Hashable, tuple[Fitting, list[_Request]]] = {}
        for request in requests:
            fits = await self._kinds.fitting(request.wanted.offer)
            if fits.names:
                groups.setdefault(_kind(request.wanted, fits), (fits, []))[1].append(request)
        return list(groups.values())

    async def _give(self, fits: Fitting, requests: Sequence[_Request], *, bounded: bool) -> None:
        """Give tasks to requests of a group until they have all, or no more is found."""
        wanted = requests[0].wanted
        while todo := [(request, claim) for request in requests for claim in request.open_claims]:
            if len(todo) == 1 and len(fits.names) <= _FEW:
                return await self._give_one(todo[0][0], todo[0][1], fits, bounded=bounded)
            places = await self._pick(wanted, fits, min(len(todo), TASKS_AN_UPDATE), bounded=bounded)
            if not places:
                return None
            await self._give_each(todo[: len(places)], places, fits)
        return None

    async def _give_one(self, request: _Request, claim: Claim, fits: Fitting, *, bounded: bool) -> None:
        """Give the best task to one claim, by a single command unless others have taken what was seen."""
        try:
            task = await self._take_next(request, claim, fits) if bounded else None
            if task is None:
                task = await self._take_best(request, claim, fits, bounded=bounded)
        except Duplicate:
            request.used = True
            return
        if task is not None:
            self._heads.give([task.pop('_id')])
            self._given.keep(task)
            request.given[claim.claim_id] = task
        elif not bounded:
            # There may be one that this very claim had before.
            request.used = bool(await self._used([claim.claim_id]))

    async def _take_next(self, request: _Request, claim: Claim, fits: Fitting) -> Document | None:
        """Claim the task that was seen to come next; None where none was, or it is gone."""
        task: Document | None = None
        for place in self._seen(request.wanted, fits, 1):
            where = {**_where(request.wanted, fits), '_id': place.oid, 'claims': {'$ne': claim.claim_id}}
            try:
                task = await self._tasks.find_one_and_update(where, update(_CLAIM, request.note, claim), hint='_id_')
            finally:
                if task is None:
                    self._heads.look_again()
        return task

    async def _take_best(self, request: _Request, claim: Claim, fits: Fitting, *, bounded: bool) -> Document | None:
        """Look for the best task and claim it."""
        kind = _kind(request.wanted, fits)
        where = {**_where(request.wanted, fits), 'claims': {'$ne': claim.claim_id}}
        search = self._heads.begin(kind, bounded=bounded)
        task: Document | None = None
        try:
            for ranges in _ranges(search):
                task = await self._tasks.find_one_and_update(
                    {**where, **ranges}, update(_CLAIM, request.note, claim), sort=BEST_FIRST, **_hint(request.wanted)
                )
                if task is not None:
                    break
        finally:
            self._heads.broken_off(search)
        self._heads.found(search, kind, _place(task))
        return task

    async def _give_each(self, todo: Sequence[tuple[_Request, Claim]], places: Sequence[Place], fits: Fitting) -> None:
        """Give a task to each of some claims, if nobody else takes it meanwhile."""
        # The first claim of a batch is the first to be written: it meets an earlier use of the same ids before
        # any of the others opens.
        oids = sorted(place.oid for place in places)
        particulars = {oid: Particulars(request.note, claim) for oid, (request, claim) in zip(oids, todo, strict=True)}
        claim_ids = [claim.claim_id for _, claim in todo]
        by_oid = dict(zip(oids, claim_ids, strict=True))
        where = {**_where(todo[0][0].wanted, fits), '_id': {'$in': oids}, 'claims': {'$nin': claim_ids}}
        self._reserved |= set(oids)
        self._heads.give(oids)
        used: set[str] = set()
        taken = 0
        try:
            taken = await self._tasks.update_many(where, update_each(_CLAIM, '_id', particulars), hint='_id_')
        except Duplicate:
            # Some of the tasks have been given, up to the one whose claim was used before.
            used, taken = await self._used(claim_ids, oids), len(oids)
        finally:
            self._reserved -= set(oids)
            if taken < len(oids) or used:
                self._heads.look_again()
        if taken < len(oids):
            self._contended_until = time.monotonic() + _CONTENDED_SECONDS
        by_claim = {claim.claim_id: request for request, claim in todo}
        for task in await self._tasks.all({'_id': {'$in': oids}}, hint='_id_'):
            if task['status'] == 'processing' and task['claim_id'] == by_oid[task.pop('_id')]:
                self._given.keep(task)
                by_claim[task['claim_id']].given[task['claim_id']] = task
            else:
                used |= by_claim.keys() & set(task.get('claims') or ())
        for claim_id in used:
            by_claim[claim_id].used = True

    async def _used(self, claim_ids: Sequence[str], but: Sequence[Any] = ()) -> set[str]:
        """Those of some claim ids that have been used, on other tasks than some."""
        where = {'claims': {'$in': list(claim_ids)}, 'epoch': {'$gt': 0}, '_id': {'$nin': list(but)}}
        found = {claim_id async for task in self._tasks.find(where, {'claims': True}) for claim_id in task['claims']}
        return found & set(claim_ids)

    async def _pick(self, wanted: Wanted, fits: Fitting, number: int, *, bounded: bool) -> Sequence[Place]:
        """Places of tasks for some claims; the very best is always among them."""
        if bounded and (seen := self._seen(wanted, fits, number)):
            return seen
        more = max(_SEEN_A_CLAIM * number, _SEEN_AT_LEAST) + len(self._reserved)
        found = await self._search(wanted, fits, more, bounded=bounded)
        # What another round of this process is giving away is no use; unless it is all there is.
        free = [place for place in found if place.oid not in self._reserved] or found
        if self._is_contended and len(free) > number:
            return [free[0], *random.sample(free[1 : _PICK_FROM * number], number - 1)]
        return self._seen(wanted, fits, number) or free[:number]

    def _seen(self, wanted: Wanted, fits: Fitting, number: int) -> Sequence[Place]:
        """Places of the best tasks, as far as they are known without looking; none where others take them as well."""
        return () if self._is_contended else self._heads.coming(_kind(wanted, fits), number)

    @property
    def _is_contended(self) -> bool:
        return time.monotonic() < self._contended_until

    async def _search(self, wanted: Wanted, fits: Fitting, number: int, *, bounded: bool) -> list[Place]:
        """The best tasks that fit, the best first."""
        kind = _kind(wanted, fits)
        search = self._heads.begin(kind, bounded=bounded)
        found: list[Place] = []
        try:
            for ranges in _ranges(search):
                found += await self._best({**_where(wanted, fits), **ranges}, fits.names, number - len(found), wanted)
                if len(found) >= number:
                    break
        finally:
            self._heads.broken_off(search)
        self._heads.found(search, kind, found[0] if found else None, found)
        return found

    async def _best(self, where: Document, names: Sequence[str], number: int, wanted: Wanted) -> list[Place]:
        """The best tasks of a filter, asked for in groups of signatures that MongoDB can merge."""
        found: list[Place] = []
        for start in range(0, len(names), SCANS_MERGED):
            group = {**where, 'signature': {'$in': list(names[start : start + SCANS_MERGED])}}
            tasks = await self._tasks.all(group, _PLACE, sort=BEST_FIRST, limit=number, **_hint(wanted))
            found += [Place(task['priority'], task['_id']) for task in tasks]
        if len(names) > SCANS_MERGED:
            found.sort(key=lambda place: (-place.priority, place.oid))
        return found[:number]


def _kind(wanted: Wanted, fits: Fitting) -> Hashable:
    """What requests must have in common to be served together: the tasks that they can take."""
    offer = '' if fits.exact else repr(sorted(wanted.offer.items()))
    return fits.names, offer, repr(wanted.conditions) if wanted.conditions else '', wanted.not_failed_on


def _where(wanted: Wanted, fits: Fitting) -> Document:
    """The filter of tasks to be had."""
    exact = [*(() if fits.exact else fitting(wanted.offer)), *meeting(wanted.conditions)]
    if wanted.not_failed_on:
        exact.append(untried_on(wanted.not_failed_on))
    return {**guard(_CLAIM), 'signature': {'$in': list(fits.names)}, **({'$and': exact} if exact else {})}


def _ranges(search: Search) -> list[Document]:
    """Parts of the queue to search one after the other, from the head on."""
    if search.head is None:
        return [{}]
    priority = search.head.priority
    return [{'priority': priority, '_id': {'$gte': search.head.oid}}, {'priority': {'$lt': priority}}]


def _hint(wanted: Wanted) -> Document:
    # A pilot's own conditions may have a better index; without them none is better, and no plan is tried out.
    return {} if wanted.conditions else {'hint': 'queued'}


def _place(task: Document | None) -> Place | None:
    return None if task is None else Place(task['priority'], task['_id'])
