"""Bodies made from schemas: such as fit, such as nearly fit, and wild ones."""

import functools
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from iceprod_tasks.rest import bodies

KNOWN = {
    'stream': ['stdout', 'stderr'],
    'dataset_id': ['d1', 'real'], 'task_id': ['t1', 't2'], 'job_id': ['j1'], 'task_stat_id': ['s1'],
    'log_id': ['l1'], 'pilot_id': ['p1'], 'grid_id': ['g1'], 'status': ['reset', 'waiting', 'complete'],
    'name': ['gen', 'ada'], 'action': ['suspend', 'resume', 'reset', 'rerun', 'hard_reset', 'cancel'],
    'app': ['A'], 'task': ['1'], 'file': ['output.log'], 'executor': ['host-1'],
    'cluster': ['local'], 'task_name': ['t1', 't2', 'gen-5.5'],
}  # fmt: skip
"""What the database has; ids are drawn from these, or much would never be reached."""

_CHARACTERS = st.characters(codec='utf-8')
_WORDS = ['$$ROOT', '$status', '$where', '$$NOW', 'a.b', '', ' ', '-rf', '../../x', '${x}', '%s', '\ud7ff\U0010ffff',
          '٣', '1_0', 'a\nb', '<script>', "';--", 'x' * 300, 'x' * 70_000]  # fmt: skip
TEXTS = st.sampled_from(_WORDS) | st.text(_CHARACTERS, max_size=20)
_NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 0.0, -0.0, 1e-300, 1e300, 1.5, 2**63, 2**64])
_KEYS = st.sampled_from(['$set', '$gt', 'a.b', '', '_id', '__proto__', 'status', 'task_id', 'claim_id', 'log', 'epoch'])
_NAMES = _KEYS | st.text(_CHARACTERS, max_size=5)
_SCALARS = st.none() | st.booleans() | _NUMBERS | TEXTS
ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=6,
)  # fmt: skip


def fitting(schema: Mapping[str, Any], key: str = '') -> st.SearchStrategy[Any]:
    """What fits a schema, nearly always: rules between fields are not known here.

    Args:
        schema: whole, without references.
        key: where the value stands.
    """
    if 'const' in schema or 'enum' in schema:
        return st.sampled_from(schema.get('enum', [schema.get('const')]))
    if 'anyOf' in schema:
        return st.one_of([fitting(each, key) for each in schema['anyOf']])
    if schema.get('x-free'):
        return _clean(ANYTHING)
    kinds = [schema['type']] if isinstance(schema['type'], str) else schema['type']
    return st.one_of([_of_kind(kind, schema, key) for kind in kinds])


def _of_kind(kind: str, schema: Mapping[str, Any], key: str) -> st.SearchStrategy[Any]:
    if kind == 'string':
        return _text(schema, key)
    if kind in ('integer', 'number'):
        return _number(kind, schema)
    if kind == 'array':
        items = st.sampled_from([*KNOWN['task_id'], *KNOWN['job_id'], 'nobody'])
        each = fitting(schema['items']) if 'items' in schema else items
        return st.lists(each, min_size=schema.get('minItems', 0), max_size=min(4, schema['maxItems']))
    if kind == 'object':
        return _object(schema)
    return {'boolean': st.booleans(), 'null': st.none()}[kind]


def _text(schema: Mapping[str, Any], key: str) -> st.SearchStrategy[str]:
    longest = schema['maxLength']
    if 'pattern' not in schema:
        return TEXTS.filter(lambda text: schema.get('minLength', 0) <= len(text) <= longest and '\0' not in text)
    pattern = re.compile(schema['pattern'], re.ASCII)
    made = st.from_regex(pattern, fullmatch=True, alphabet=_CHARACTERS)
    fits = made.filter(lambda text: len(text) <= longest and pattern.fullmatch(text) is not None)
    return st.sampled_from(KNOWN[key]) | fits if key in KNOWN else fits


def _number(kind: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    low, high = schema.get('minimum', schema.get('exclusiveMinimum', -(2**62))), schema.get('maximum', 2**62)
    above = 'exclusiveMinimum' in schema
    least = math.ceil(low) + above
    whole = st.integers(least, high) | st.sampled_from([high, least])
    fraction = st.floats(low, high, exclude_min=above)
    if kind == 'integer':
        return whole
    return fraction if schema.get('x-float') else fraction | whole


def _object(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    parts = {key: fitting(each, key) for key, each in schema.get('properties', {}).items()}
    needed = {key: parts.pop(key) for key in schema.get('required', ())}
    known = st.fixed_dictionaries(needed, optional=parts).filter(
        lambda made: len(made) >= schema.get('minProperties', 0)
    )
    others = schema.get('additionalProperties', False)
    if others is False:
        return known
    keys = st.from_regex(r'[a-z_]{1,8}', fullmatch=True).filter(lambda key: key not in schema.get('properties', {}))
    more = st.dictionaries(keys, fitting(others), max_size=2)
    return st.builds(lambda own, further: {**further, **own}, known, more)


def _clean(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Without what no body may have, whatever its schema."""
    return values.map(_cleaned)


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.strip('$').replace('.', '') or 'k': _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, str):
        return value.replace('\0', '')
    return min(value, 2**63 - 1) if type(value) is int else value


@st.composite
def nearly(draw: st.DrawFn, fits: st.SearchStrategy[Any]) -> Any:
    """Values as others make them, but for one place, or two."""
    value = draw(fits)
    for _ in range(draw(st.integers(1, 2))):
        value = _spoilt(draw, value)
    return value


def _spoilt(draw: st.DrawFn, value: Any) -> Any:
    inside = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not inside or draw(st.integers(0, 5)) == 0:
        if isinstance(value, dict) and draw(st.booleans()):
            return {**value, draw(_KEYS | TEXTS): draw(ANYTHING)}
        return draw(ANYTHING)
    place = draw(st.sampled_from(inside))
    if isinstance(value, dict) and draw(st.integers(0, 4)) == 0:
        return {key: item for key, item in value.items() if key != place}
    changed = _spoilt(draw, value[place])
    if isinstance(value, dict):
        return {**value, place: changed}
    return [*value[:place], changed, *value[place + 1 :]]


# To make a strategy takes longer than to draw from it.
@functools.cache
def fitting_body(schema: str) -> st.SearchStrategy[Any]:
    """Bodies that fit a schema of this name."""
    return fitting(bodies.whole_schema(schema))


@functools.cache
def nearly_fitting_body(schema: str) -> st.SearchStrategy[Any]:
    """Bodies that fit but for one place, or two."""
    return nearly(fitting_body(schema))


@functools.cache
def sent(schema: str) -> st.SearchStrategy[bytes]:
    """Bodies as they are sent: such as fit, such as nearly fit, and wild ones."""
    written = (fitting_body(schema) | nearly_fitting_body(schema)).map(lambda value: json.dumps(value).encode())
    return st.one_of(written, written, written, WILD, st.binary(max_size=50))


WILD = st.sampled_from([
    b'', b'null', b'[]', b'{', b'{}{}', b'\xff', b'{"a":NaN}', b'{"a":1e999}', b'{"a":1,"a":2}', b'\xef\xbb\xbf{}',
    b'{"a":' * 2000, b'[' * 100_000, b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b'{"a":' + b'9' * 5000 + b'}',
])  # fmt: skip
"""Bodies that are none, or none that anybody may send."""
