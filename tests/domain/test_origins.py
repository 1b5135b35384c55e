"""Ids are made from a seed: the same again for the same request, and never those of another one."""

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.origins import Origin

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(seed: str, number: int, **more: object) -> list[str]:
    origin = Origin(seed, NOW, **more)  # type: ignore[arg-type]
    return [origin.new_id() for _ in range(number)]


@given(st.text(), st.integers(1, 20))
def test_a_seed_makes_the_same_ids_in_the_same_order(seed: str, number: int) -> None:
    assert made(seed, number) == made(seed, number, again=True, request='r')


@given(st.sets(st.text(), min_size=2, max_size=5))
def test_no_two_ids_are_the_same(seeds: set[str]) -> None:
    ids = [each for seed in seeds for each in made(seed, 10)]

    assert len(set(ids)) == len(ids)


@given(st.text())
def test_an_id_has_the_form_of_a_random_one(seed: str) -> None:
    (text,) = made(seed, 1)

    assert (uuid.UUID(text).hex, uuid.UUID(text).version) == (text, 4)
