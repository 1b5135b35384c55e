"""The matcher in memory and MongoDB's filter decide alike: what one prunes, the other would not have taken."""

from typing import Any

import pymongo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.conditions import COMPARISONS, Condition
from iceprod_tasks.domain.requirements import fits
from iceprod_tasks.storage.matching import fitting, meeting
from tests.domain.offers import MATCHES

KEYS = ['cpu', 'gpu', 'memory', 'os', 'site', 'own', 'work']
numbers = st.integers(-2, 3) | st.sampled_from([0.5, 1.0, 2.5, -1.5, 1e300])
scalars = numbers | st.booleans() | st.none() | st.sampled_from(['', 'A', 'B', '1', '$$ROOT', '$own'])
values = scalars | st.lists(scalars, max_size=3)
tags = st.lists(st.sampled_from(['a', 'b', 'c', '$own']), max_size=3)
tagged = st.fixed_dictionaries({}, optional={'tagged': st.lists(tags | scalars, max_size=3) | values})
requirements = st.builds(dict.__or__, st.dictionaries(st.sampled_from(KEYS), values, max_size=4), tagged)
offers = st.builds(
    dict.__or__,
    st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
    st.fixed_dictionaries({}, optional={'tagged': tags | values}),
)

Collection = pymongo.collection.Collection[dict[str, Any]]


@pytest.fixture(scope='module')
def collection(mongodb_url: str) -> Any:
    with pymongo.MongoClient[dict[str, Any]](mongodb_url) as client:
        yield client['test_matching']['tasks']
        client.drop_database('test_matching')


def found(collection: Collection, tasks: list[dict[str, Any]], offer: dict[str, Any]) -> set[int]:
    """The places of the tasks that MongoDB finds for an offer."""
    collection.delete_many({})
    collection.insert_many([{'_id': place, 'requirements': needs} for place, needs in enumerate(tasks)])
    exact = fitting(offer)
    return {task['_id'] for task in collection.find({'$and': exact} if exact else {})}


@settings(deadline=None, max_examples=300)
@given(tasks=st.lists(requirements, min_size=1, max_size=8), offer=offers)
def test_fits_agrees_with_the_database(
    collection: Collection, tasks: list[dict[str, Any]], offer: dict[str, Any]
) -> None:
    assert {place for place, needs in enumerate(tasks) if fits(needs, offer)} == found(collection, tasks, offer)


@pytest.mark.parametrize(('needs', 'offer', 'wanted'), MATCHES)
def test_both_agree_with_the_contract(
    collection: Collection, needs: dict[str, Any], offer: dict[str, Any], wanted: bool
) -> None:
    assert (fits(needs, offer), found(collection, [needs], offer)) == (wanted, {0} if wanted else set())


def test_every_comparison_has_an_operator_of_its_own() -> None:
    filters = meeting(Condition('name', comparison, 1) for comparison in COMPARISONS)

    assert len({operator for each in filters for operator in each['name']}) == len(COMPARISONS)
