"""Bodies from every schema, to every route that takes one: never a 5xx."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.keywords import STRICT
from iceprod_tasks.rest.quick_check import compiled, misfit
from tests.conftest import Api
from tests.fuzz.conftest import check
from tests.fuzz.generated import ANYTHING, KNOWN, fitting_body, nearly_fitting_body, sent
from tests.fuzz.routes import Taken, taken

BODIED = [(route, schema) for route in taken() for schema in route.schemas]
PLACES = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in KNOWN.items()})
PARTS = frozenset({'definitions'})
"""Schemas of no body, only of parts."""
FUZZ = settings(
    derandomize=True,
    deadline=None,
    max_examples=18,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


def test_every_schema_belongs_to_a_route() -> None:
    assert {schema for _, schema in BODIED} == set(bodies.schema_names()) - PARTS


def test_every_route_that_may_have_a_body_is_known_by_its_schema() -> None:
    without = [str(route) for route in taken() if not route.schemas and route.method in ('POST', 'PUT', 'PATCH')]

    # The dialect of Drove reads its bodies itself, and has fuzzers of its own.
    assert [route for route in without if ' /apis/v1/' not in route] == []


@pytest.mark.parametrize('schema', sorted({schema for _, schema in BODIED}))
@settings(FUZZ, max_examples=15)
@given(data=st.data())
def test_what_is_made_to_fit_a_schema_fits_it(schema: str, data: st.DataObject) -> None:
    value = data.draw(fitting_body(schema))

    # One rule of one schema is between two fields.
    if not {'tasks', 'jobs'} <= value.keys():
        bodies.check(value, schema)


@pytest.mark.parametrize('schema', sorted({schema for _, schema in BODIED}))
@settings(FUZZ, max_examples=25)
@given(data=st.data())
def test_the_quick_check_lets_pass_what_the_validator_does(schema: str, data: st.DataObject) -> None:
    whole = bodies.whole_schema(schema)
    value = data.draw(nearly_fitting_body(schema) | fitting_body(schema) | ANYTHING)

    fits = STRICT(whole).is_valid(value)

    assert compiled(whole)(value) == fits
    if not fits:
        _, part, inner = misfit(whole, value)
        assert not STRICT(part).is_valid(inner)


@pytest.mark.parametrize(('route', 'schema'), BODIED, ids=str)
@FUZZ
@given(data=st.data(), places=PLACES)
async def test_no_body_is_answered_5xx(
    world: Api, route: Taken, schema: str, data: st.DataObject, places: dict[str, str]
) -> None:
    text = data.draw(sent(schema))

    check(await world(route.method, route.path(places), **route.sent(text)))


@pytest.mark.parametrize(('route', 'schema'), BODIED, ids=str)
@settings(FUZZ, max_examples=8)
@given(data=st.data())
async def test_nor_is_a_body_that_fits(world: Api, route: Taken, schema: str, data: st.DataObject) -> None:
    value = data.draw(fitting_body(schema))

    places = {name: values[0] for name, values in KNOWN.items()}
    check(await world(route.method, route.path(places), **route.sent(json.dumps(value).encode())))
