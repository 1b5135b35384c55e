"""Heads: where the best task of a kind of claim may still be found.

Tasks that were taken from the queue leave keys in the index for some minutes, all of them at its head. A search that
begins there walks over each of them, and gets slower with every claim. So it begins at the best task that the last
search has found: whatever was better is gone.

That holds until something better is queued. In this process it is told at once. What another process queues is found
by a search from the very beginning, once a second.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
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


class Heads:
    """The heads of all kinds of claims of this process."""

    def __init__(self) -> None:
        self._heads: OrderedDict[Hashable, tuple[Place, float]] = OrderedDict()
        self._searches: set[Search] = set()

    def begin(self, kind: Hashable, *, bounded: bool = True) -> Search:
        """Say that a search begins; `found` or `broken_off` ends it.

        Args:
            kind: of the claim.
            bounded: whether it may begin at the head.
        """
        now = time.monotonic()
        head, until = self._heads.get(kind, (None, 0.0))
        if head is None or not bounded or now >= until:
            head, until = None, now + TRUSTED_SECONDS
        search = Search(head, until)
        self._searches.add(search)
        return search

    def found(self, search: Search, kind: Hashable, best: Place | None) -> None:
        """End a search.

        Args:
            search: from `begin`.
            kind: the same as there.
            best: the best that it has found; None for nothing.
        """
        self._searches.discard(search)
        if best is None or search.spoiled:
            self._heads.pop(kind, None)
            return
        if search.queued is not None and search.queued.is_before(best):
            best = search.queued
        self._heads[kind] = best, search.until
        self._heads.move_to_end(kind)
        if len(self._heads) > _KINDS_AT_MOST:
            self._heads.popitem(last=False)

    def broken_off(self, search: Search) -> None:
        """Say that a search has come to nothing."""
        self._searches.discard(search)

    def queued(self, best: Place | None) -> None:
        """Say that tasks were queued.

        Args:
            best: the best of them; None when that is not known.
        """
        if best is None:
            self._heads.clear()
            for search in self._searches:
                search.spoiled = True
            return
        for kind, (head, until) in self._heads.items():
            if best.is_before(head):
                self._heads[kind] = best, until
        for search in self._searches:
            if search.queued is None or best.is_before(search.queued):
                search.queued = best
