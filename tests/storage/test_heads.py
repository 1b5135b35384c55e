"""Where a search for the best task may begin: never behind a task that is there."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.storage import heads
from iceprod_tasks.storage.heads import Heads, Place, Search

PLACES = st.integers(0, 23).map(lambda oid: Place(oid % 4, oid))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just('queue'), st.lists(PLACES, min_size=1, max_size=3, unique=True)),
        st.tuples(st.just('queue something'), PLACES),
        st.tuples(st.sampled_from(['begin', 'look', 'end', 'take', 'coming', 'coming']), st.integers(0, 1)),
    ),
    max_size=40,
)


def order(place: Place) -> tuple[float, Any]:
    return -place.priority, place.oid


def allowed(search: Search, queue: set[Place]) -> set[Place]:
    """What of the queue a search sees."""
    return {place for place in queue if search.head is None or not place.is_before(search.head)}


@given(STEPS)
def test_a_search_sees_whatever_is_queued_before_it_begins_and_what_it_has_seen_is_next(
    steps: Sequence[tuple[str, Any]],
) -> None:
    known, queue = Heads(), set[Place]()
    searches: dict[int, tuple[Search, list[Place]]] = {}
    for verb, what in steps:
        if verb == 'queue':
            queue |= set(what)
            known.queued(min(what, key=order))
        elif verb == 'queue something':
            queue.add(what)
            known.queued(None)
        elif verb == 'begin' and what not in searches:
            search = known.begin('kind')
            assert allowed(search, queue) == queue
            searches[what] = search, []
        elif verb == 'look' and what in searches:
            search, _ = searches[what]
            searches[what] = search, sorted(allowed(search, queue), key=order)
        elif verb == 'end' and what in searches:
            search, seen = searches.pop(what)
            known.found(search, 'kind', seen[0] if seen else None, seen)
        elif verb == 'take' and queue:
            queue.remove(best := min(queue, key=order))
            known.give([best.oid])
        elif verb == 'coming' and (places := known.coming('kind', what + 1)):
            assert list(places) == sorted(queue, key=order)[: what + 1]
            queue -= set(places)
            known.give(place.oid for place in places)


def test_what_was_seen_is_next_until_others_take_it() -> None:
    known = Heads()
    places = [Place(9 - number, number) for number in range(5)]
    known.found(known.begin('kind'), 'kind', places[0], places)

    assert list(known.coming('kind', 2)) == places[:2]
    assert known.coming('kind', 4) == ()
    assert list(known.coming('kind', 1)) == places[2:3]
    known.give([places[3].oid])
    assert known.coming('kind', 2) == ()
    assert list(known.coming('kind', 1)) == places[4:]
    assert known.coming('another kind', 1) == ()

    known.found(known.begin('kind'), 'kind', places[0], places)
    known.look_again()
    assert known.coming('kind', 1) == ()


def test_what_is_queued_among_those_that_were_seen_ends_them() -> None:
    known = Heads()
    places = [Place(1, number) for number in (1, 3, 5, 7)]
    known.found(known.begin('kind'), 'kind', places[0], places)

    known.queued(Place(1, 4))

    assert known.coming('kind', 3) == ()
    assert list(known.coming('kind', 2)) == places[:2]


def test_what_was_seen_is_believed_no_longer_than_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    known, now = Heads(), 100.0
    monkeypatch.setattr(heads.time, 'monotonic', lambda: now)
    places = [Place(1, number) for number in range(5)]
    known.found(known.begin('kind'), 'kind', places[0], places)
    now += heads.TRUSTED_SECONDS - 0.01
    assert list(known.coming('kind', 1)) == places[:1]

    now += 0.02

    assert known.coming('kind', 1) == ()


def test_what_was_given_away_is_remembered_as_long_as_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    known, now = Heads(), 100.0
    monkeypatch.setattr(heads.time, 'monotonic', lambda: now)
    for number in range(100):
        now += 0.1
        known.give([number])

    assert len(known._gone) <= 10


def test_a_search_begins_at_the_best_that_was_found() -> None:
    known = Heads()
    known.found(known.begin('kind'), 'kind', Place(2, 7))

    assert known.begin('kind').head == Place(2, 7)
    assert known.begin('another kind').head is None
    assert known.begin('kind', bounded=False).head is None


def test_what_another_process_queues_is_looked_for_again_after_less_than_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, now = Heads(), 100.0
    monkeypatch.setattr(heads.time, 'monotonic', lambda: now)
    known.found(known.begin('kind'), 'kind', Place(2, 7))
    for _ in range(7):
        now += 0.1
        search = known.begin('kind')
        assert search.head == Place(2, 7)
        # What is found from a head on tells nothing of what is before it.
        known.found(search, 'kind', Place(2, 7))

    now += 0.11

    assert known.begin('kind').head is None
    assert heads.TRUSTED_SECONDS < 1


def test_there_are_no_more_heads_than_kinds_that_are_in_use() -> None:
    known = Heads()
    for kind in range(2000):
        known.found(known.begin(kind), kind, Place(1, 1))

    assert known.begin(0).head is None
    assert known.begin(1999).head == Place(1, 1)
