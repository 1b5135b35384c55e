"""Whether a body fits its schema, found out quickly; why it does not is left to the validator.

The validator takes a millisecond for each task of a config. A config of ten thousand tasks would hold up all pilots for
ten seconds.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iceprod_tasks.rest.keywords import are_ids, is_bounded

Check = Callable[[Any], bool]

_TYPES: Mapping[str, frozenset[type]] = {
    'string': frozenset({str}), 'integer': frozenset({int}), 'number': frozenset({int, float}),
    'object': frozenset({dict}), 'array': frozenset({list}), 'boolean': frozenset({bool}),
    'null': frozenset({type(None)}),
}  # fmt: skip
_NUMBERS = _TYPES['number']
_SAY_NOTHING = frozenset({
    '$schema', '$id', 'title', 'description', 'default', 'x-error', 'x-errors', 'x-missing', 'x-type',
})  # fmt: skip
_OF_PROPERTIES = frozenset({'properties', 'additionalProperties'})


def compiled(schema: Mapping[str, Any]) -> Check:
    """A function that says whether a value fits.

    Args:
        schema: whole, without references; its bounds come first.

    Raises:
        KeyError: it has a keyword that is not known here.
    """
    names = [name for name in schema if name not in _SAY_NOTHING | _OF_PROPERTIES]
    checks = [_KEYWORDS[name](schema[name]) for name in names]
    if _OF_PROPERTIES & schema.keys():
        checks.append(_properties(schema))
    if len(checks) == 1:
        return checks[0]

    def check_all(value: Any) -> bool:
        # A loop takes half of the time of `all`, and this is gone through for each member of each body.
        for check in checks:  # noqa: SIM110
            if not check(value):
                return False
        return True

    return check_all


def misfit(schema: Mapping[str, Any], value: Any) -> tuple[tuple[str | int, ...], Mapping[str, Any], Any]:
    """The first part of a value that does not fit, for the validator to say why; all of it would take too long.

    Args:
        schema: as for `compiled`.
        value: does not fit it.

    Returns:
        Where the part is, what it has to fit, and the part.
    """
    alone = _without_parts(schema)
    if not compiled(alone)(value):
        return (), alone, value
    checks: dict[int, Check] = {}
    for key, part, item in _parts(schema, value):
        if id(part) not in checks:
            checks[id(part)] = compiled(part)
        if not checks[id(part)](item):
            place, found, inner = misfit(part, item)
            return (key, *place), found, inner
    return (), schema, value


def _without_parts(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    alone = {name: item for name, item in schema.items() if name != 'items'}
    if 'properties' in schema:
        alone['properties'] = {key: {} for key in schema['properties']}
    if schema.get('additionalProperties') is not False:
        alone.pop('additionalProperties', None)
    return alone


def _parts(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str | int, Mapping[str, Any], Any]]:
    if isinstance(value, list) and 'items' in schema:
        for index, item in enumerate(value):
            yield index, schema['items'], item
    elif isinstance(value, dict):
        own, others = schema.get('properties', {}), schema.get('additionalProperties')
        yield from ((key, part, value[key]) for key, part in own.items() if key in value)
        if isinstance(others, dict):
            yield from ((key, others, item) for key, item in value.items() if key not in own)


def _properties(schema: Mapping[str, Any]) -> Check:
    own = {key: compiled(part) for key, part in schema.get('properties', {}).items()}
    others = schema.get('additionalProperties', True)
    other: Check = compiled(others) if isinstance(others, dict) else lambda _: bool(others)

    def check(value: Any) -> bool:
        return type(value) is not dict or all(own.get(key, other)(item) for key, item in value.items())

    return check


def _type(names: str | list[str]) -> Check:
    kinds = frozenset().union(*(_TYPES[name] for name in ([names] if isinstance(names, str) else names)))
    return lambda value: type(value) in kinds


def _one_of(values: list[Any]) -> Check:
    # To Python, True is 1.
    return lambda value: any(value == each and (type(value) is bool) == (type(each) is bool) for each in values)


def _of(kinds: frozenset[type], check: Check) -> Check:
    """A check of some types that lets all others pass, as keywords do."""
    return lambda value: type(value) not in kinds or check(value)


def _of_text(check: Check) -> Check:
    return _of(_TYPES['string'], check)


def _of_list(check: Check) -> Check:
    return _of(_TYPES['array'], check)


def _of_object(check: Check) -> Check:
    return _of(_TYPES['object'], check)


def _pattern(pattern: str) -> Check:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return _of_text(lambda value: matches(value) is not None)


def _items(part: Mapping[str, Any]) -> Check:
    check = compiled(part)
    return _of_list(lambda value: all(map(check, value)))


def _names(part: Mapping[str, Any]) -> Check:
    check = compiled(part)
    return _of_object(lambda value: all(map(check, value)))


def _any_of(parts: list[Mapping[str, Any]]) -> Check:
    checks = [compiled(part) for part in parts]
    return lambda value: any(check(value) for check in checks)


def _not(part: Mapping[str, Any]) -> Check:
    check = compiled(part)
    return lambda value: not check(value)


_KEYWORDS: Mapping[str, Callable[[Any], Check]] = {
    'type': _type,
    'enum': _one_of,
    'const': lambda wanted: _one_of([wanted]),
    'anyOf': _any_of,
    'not': _not,
    'minLength': lambda least: _of_text(lambda value: len(value) >= least),
    'maxLength': lambda most: _of_text(lambda value: len(value) <= most),
    'pattern': _pattern,
    'minimum': lambda least: _of(_NUMBERS, lambda value: value >= least),
    'exclusiveMinimum': lambda least: _of(_NUMBERS, lambda value: value > least),
    'maximum': lambda most: _of(_NUMBERS, lambda value: value <= most),
    'minItems': lambda least: _of_list(lambda value: len(value) >= least),
    'maxItems': lambda most: _of_list(lambda value: len(value) <= most),
    'items': _items,
    'minProperties': lambda least: _of_object(lambda value: len(value) >= least),
    'maxProperties': lambda most: _of_object(lambda value: len(value) <= most),
    'required': lambda keys: _of_object(lambda value: all(key in value for key in keys)),
    'propertyNames': _names,
    'x-ids': lambda _: _of_list(are_ids),
    'x-float': lambda _: lambda value: type(value) is not int,
    'x-free': lambda _: is_bounded,
}
