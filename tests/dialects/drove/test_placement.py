"""Where a task may run: the policies of Drove's clients, and which pilots meet them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.actions.create_work import NewWork
from iceprod_tasks.dialects.drove.envelope import Violations
from iceprod_tasks.dialects.drove.specs import task_spec
from iceprod_tasks.domain.requirements import TAGGED, fits
from tests.dialects.drove.bodies import spec


def refused(policy: Mapping[str, Any]) -> list[str]:
    with pytest.raises(Violations) as caught:
        placed(policy)
    return caught.value.errors


def placed(policy: Mapping[str, Any]) -> NewWork:
    return task_spec(spec(placementPolicy=policy))


def tag(name: str) -> dict[str, str]:
    return {'type': 'MATCH_TAG', 'tag': name}


def composite(combiner: str, *policies: Mapping[str, Any]) -> dict[str, Any]:
    return {'type': 'COMPOSITE', 'combiner': combiner, 'policies': list(policies)}


@pytest.mark.parametrize('policy', ['ONE_PER_HOST', 'MAX_N_PER_HOST', 'NO_TAG', 'RULE_BASED', 'LOCAL'])
def test_policies_that_are_not_kept_are_refused_however_deep_they_stand(policy: str) -> None:
    at_top = refused({'type': policy})
    inside = refused(composite('OR', tag('a'), {'type': policy}))

    assert at_top[0].startswith('placementPolicy.type - ') and len(at_top) == 1
    assert inside[0].startswith('placementPolicy.policies[1].type - ') and len(inside) == 1


@pytest.mark.parametrize('policy', [{'type': 'ANY'}, composite('OR', tag('a'), {'type': 'ANY'})])
def test_a_policy_that_anything_meets_asks_for_no_tags(policy: dict[str, Any]) -> None:
    assert TAGGED not in placed(policy).requirements


def test_a_composite_without_a_combiner_wants_all() -> None:
    policy = {'type': 'COMPOSITE', 'policies': [tag('a'), tag('b')]}

    assert placed(policy).requirements[TAGGED] == [['a', 'b']]


def test_a_policy_of_too_many_alternatives_is_refused() -> None:
    pairs = [composite('OR', tag(f'{number}a'), tag(f'{number}b')) for number in range(5)]

    errors = refused(composite('AND', *pairs))

    assert errors == ['placementPolicy.policies - come to more than 16 alternatives, or tags in one']
    assert len(placed(composite('AND', *pairs[:4])).requirements[TAGGED]) == 16


def test_an_alternative_of_too_many_tags_is_refused() -> None:
    tags = [tag(f'{number:02}') for number in range(17)]

    errors = refused(composite('AND', *tags))

    assert errors == ['placementPolicy.policies - come to more than 16 alternatives, or tags in one']
    assert len(placed(composite('AND', *tags[:16])).requirements[TAGGED][0]) == 16


def test_a_policy_nested_too_deep_is_refused() -> None:
    def nested(depth: int) -> dict[str, Any]:
        return tag('a') if depth == 0 else composite('AND', nested(depth - 1))

    errors = refused(nested(9))

    assert errors == [f'placementPolicy{".policies[0]" * 8}.policies - are nested more than 8 deep']
    assert placed(nested(8)).requirements[TAGGED] == [['a']]


def test_a_composite_of_nothing_is_refused() -> None:
    errors = refused(composite('OR'))

    assert errors == ['placementPolicy.policies must not be empty']


def test_a_tag_has_1_to_128_characters() -> None:
    too_long = refused(tag('a' * 129))
    empty = refused(tag(''))

    assert too_long == ['placementPolicy.tag - has at most 128 characters']
    assert empty == ['placementPolicy.tag must not be empty']
    assert placed(tag('a' * 128)).requirements[TAGGED] == [['a' * 128]]


TAGS = st.sampled_from('abc')
POLICIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    TAGS.map(tag) | st.just({'type': 'ANY'}),
    lambda inner: st.builds(composite, st.sampled_from(['AND', 'or', 'Or']), inner, inner),
    max_leaves=6,
)


def is_met(policy: Mapping[str, Any], tags: frozenset[str]) -> bool:
    if policy['type'] == 'COMPOSITE':
        met = [is_met(each, tags) for each in policy['policies']]
        return all(met) if policy['combiner'].upper() == 'AND' else any(met)
    return policy['type'] == 'ANY' or policy['tag'] in tags


@given(POLICIES, st.frozensets(TAGS))
def test_a_pilot_fits_exactly_where_its_tags_meet_the_policy(policy: dict[str, Any], tags: frozenset[str]) -> None:
    needs = placed(policy).requirements

    offer = {'cpu': 4, 'memory': 8.0, 'work': True, 'tagged': sorted(tags)}
    assert fits(needs, offer) == is_met(policy, tags)
