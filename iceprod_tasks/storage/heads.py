"""Heads: where the best task of a kind of claim may still be found.

Tasks that were taken from the queue leave keys in the index for some minutes, all of them at its head. A search that
begins there walks over each of them, and gets slower with every claim. So it begins at the best task that the last
search has found: whatever was better is gone.

What a search sees behind the best is kept as well: those that claims come for next need not be searched for again.

That holds until something better is queued. In this process it is told at once. What another process queues is found
by a search from the very beginning, once a second.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

TRUSTED_SECONDS = 0.8
"""How long after a search from the beginning a head is believed."""

_KINDS_AT_MOST = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue.

    Args:
        priority: of the task that stands there.
        oid: its `_id`; of equal priority the lowest goes first.
    """

    priority: float
    oid: Any

    def is_before(self, other: 'Place') -> bool:
        """Whether it is the better one."""
        return (-self.priority, self.oid) < (-other.priority, other.oid)


class Search:
    """A search that is under way.

    Args:
        head: where it may begin; None for the very beginning.
        until: how long what it finds is believed, by the monotonic clock.
    """

    def __init__(self, head: Place | None, until: float) -> None:
        self.head = head
        self.until = until
        self.queued: Place | None = None
        self.spoiled = False


@dataclass(frozen=True, slots=True)
class _Head:
    """What is known of the queue.

    Args:
        best: nothing is before it.
        behind: those that come next, as far as they were seen.
        until: how long this is believed, by the monotonic clock.
    """

    best: Place
    behind: Sequence[Place]
    until: float

    def with_queued(self, place: Place) -> '_Head':
        """The same once a task is queued at a place."""
        if place.is_before(self.best):
            return replace(self, best=place, behind=())
        return replace(self, behind=[each for each in self.behind if each.is_before(place)])


class Heads:
    """The heads of all kinds of claims of this process."""

    def __init__(self) -> None:
        self._heads: OrderedDict[Hashable, _Head] = OrderedDict()
        self._gone: dict[Any, float] = {}
        self._searches: set[Search] = set()

    def begin(self, kind: Hashable, *, bounded: bool = True) -> Search:
        """Say that a search begins; `found` or `broken_off` ends it.

        Args:
            kind: of the claim.
            bounded: whether it may begin at the head.
        """
        now = time.monotonic()
        head = self._heads.get(kind)
        if head is None or not bounded or now >= head.until:
            search = Search(None, now + TRUSTED_SECONDS)
        else:
            search = Search(head.best, head.until)
        self._searches.add(search)
        return search

    def found(self, search: Search, kind: Hashable, best: Place | None, behind: Sequence[Place] = ()) -> None:
        """End a search.

        Args:
            search: from `begin`.
            kind: the same as there.
            best: the best that it has found; None for nothing.
            behind: what it has seen from there on.
        """
        self._searches.discard(search)
        if best is None or search.spoiled:
            self._heads.pop(kind, None)
            return
        head = _Head(best, behind, search.until)
        self._heads[kind] = head if search.queued is None else head.with_queued(search.queued)
        self._heads.move_to_end(kind)
        if len(self._heads) > _KINDS_AT_MOST:
            self._heads.popitem(last=False)

    def broken_off(self, search: Search) -> None:
        """Say that a search has come to nothing."""
        self._searches.discard(search)

    def coming(self, kind: Hashable, number: int) -> Sequence[Place]:
        """The best places of a kind that were seen and not given away yet; none where there are not so many.

        Args:
            kind: of the claims.
            number: how many.
        """
        head = self._heads.get(kind)
        if head is None or time.monotonic() >= head.until:
            return ()
        behind = [place for place in head.behind if place.oid not in self._gone]
        if len(behind) < number:
            return ()
        self._heads[kind] = replace(head, behind=behind[number:])
        return behind[:number]

    def give(self, oids: Iterable[Any]) -> None:
        """Say that tasks are given away: no kind has them next."""
        now = time.monotonic()
        self._gone |= dict.fromkeys(oids, now)
        # What was seen before that is no longer believed.
        while self._gone[oldest := next(iter(self._gone))] < now - TRUSTED_SECONDS:
            del self._gone[oldest]

    def look_again(self) -> None:
        """Say that others take what was seen, or that something given away may still be there."""
        self._gone.clear()
        for kind, head in self._heads.items():
            self._heads[kind] = replace(head, behind=())

    def queued(self, best: Place | None) -> None:
        """Say that tasks were queued.

        Args:
            best: the best of them; None when that is not known.
        """
        # What is queued may have been given away before.
        self._gone.clear()
        if best is None:
            self._heads.clear()
            for search in self._searches:
                search.spoiled = True
            return
        for kind, head in self._heads.items():
            self._heads[kind] = head.with_queued(best)
        for search in self._searches:
            if search.queued is None or best.is_before(search.queued):
                search.queued = best
