"""`query_params` of a claim: a small filter language, read here and rebuilt by storage; nothing of it is passed on."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from iceprod_tasks.domain.conditions import FIELDS, Condition
from iceprod_tasks.domain.errors import InvalidRequest

_COMPARISONS = {
    '$eq': 'equal', '$ne': 'not_equal', '$gt': 'greater', '$gte': 'at_least', '$lt': 'less', '$lte': 'at_most',
    '$in': 'one_of', '$nin': 'none_of', '$exists': 'present',
}  # fmt: skip
_LISTS = frozenset({'one_of', 'none_of'})
_LONGEST_LIST = 1000
_LONGEST_TEXT = 4096
_REQUIREMENT = re.compile(r'requirements\.[^$.\x00-\x1f\x7f]{1,255}')


def conditions(query_params: Mapping[str, Any]) -> list[Condition]:
    """Read the filter.

    Args:
        query_params: field to a scalar, or to a dict of comparisons.

    Returns:
        Its conditions; all must hold.

    Raises:
        InvalidRequest: it has a field, a comparison or a value that the language does not have.
    """
    return [condition for field, wanted in query_params.items() for condition in _of_field(field, wanted)]


def _of_field(field: str, wanted: Any) -> Iterator[Condition]:
    if field == 'status':
        raise InvalidRequest(f'param {field} would override an already set filter')
    if field not in FIELDS and not _REQUIREMENT.fullmatch(field):
        raise InvalidRequest(f'query_params cannot ask for {field[:100]!r}')
    if not isinstance(wanted, dict):
        yield Condition(field, 'equal', _scalar(field, wanted))
        return
    if not wanted:
        raise InvalidRequest(f'query_params has no comparison for {field}')
    for operator, value in wanted.items():
        if operator not in _COMPARISONS:
            raise InvalidRequest(f'query_params cannot compare {field} by {operator[:100]!r}')
        comparison = _COMPARISONS[operator]
        yield Condition(field, comparison, _value(field, comparison, value))


def _value(field: str, comparison: str, value: Any) -> Any:
    if comparison == 'present':
        if not isinstance(value, bool):
            raise InvalidRequest(f'query_params: $exists of {field} takes true or false')
        return value
    if comparison in _LISTS:
        if not isinstance(value, list) or len(value) > _LONGEST_LIST:
            raise InvalidRequest(f'query_params: {field} takes a list of at most {_LONGEST_LIST} values')
        return [_scalar(field, each) for each in value]
    return _scalar(field, value)


def _scalar(field: str, value: Any) -> Any:
    if isinstance(value, dict | list):
        raise InvalidRequest(f'query_params: {field} takes plain values')
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise InvalidRequest(f'query_params: {field} takes texts of at most {_LONGEST_TEXT} characters')
    return value
