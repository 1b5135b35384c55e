"""The schemas say what the domain says, and are read as they are written."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.jobs import JOB_STATUSES
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.rest import bodies


def patterns(part: Any) -> Iterator[str]:
    """Every pattern in a schema."""
    for key, item in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        if key == 'pattern' and isinstance(item, str):
            yield item
        if key != 'x-errors':
            yield from patterns(item)


def test_the_statuses_of_the_schemas_are_those_of_the_table() -> None:
    assert tuple(bodies.load_schema('definitions')['$defs']['status']['enum']) == STATUSES
    assert tuple(bodies.load_schema('definitions')['$defs']['job_status']['enum']) == JOB_STATUSES
    assert tuple(bodies.load_schema('dataset')['properties']['status']['enum']) == DATASET_STATUSES


@pytest.mark.parametrize('name', bodies.schema_names())
def test_every_pattern_is_anchored_at_both_ends(name: str) -> None:
    found = list(patterns(bodies.load_schema(name)))

    # Alternatives in brackets are anchored with all else.
    outside = [re.sub(r'\([^()]*\)', '', pattern) for pattern in found]
    assert all(re.fullmatch(r'\^[^|]*\$', pattern) for pattern in outside)


@pytest.mark.parametrize('name', bodies.schema_names())
def test_no_schema_brings_its_own_dialect_into_another(name: str) -> None:
    whole = bodies.whole_schema(name)
    # A config may name its schema, by the same word.
    own = name in ('dataset', 'dataset_config')

    assert json.dumps(whole).count('"$schema"') == own + 1
    assert '"$ref"' not in json.dumps(whole)


def unbounded(part: dict[str, Any], place: str = '') -> Iterator[str]:
    """The places of a schema where a body could be as large as it likes."""
    if part.keys() & {'enum', 'const', 'x-free', 'anyOf'}:
        for number, each in enumerate(part.get('anyOf', ())):
            yield from unbounded(each, f'{place}|{number}')
        return
    types = [part['type']] if isinstance(part.get('type'), str) else part.get('type', [])
    if not types:
        yield f'{place} has no type'
    if 'string' in types and 'maxLength' not in part:
        yield f'{place} is text of any length'
    # What may be a text or a number as well has the bounds of all numbers.
    if (
        {'number', 'integer'} & set(types)
        and 'string' not in types
        and not ('maximum' in part and {'minimum', 'exclusiveMinimum'} & part.keys())
    ):
        yield f'{place} is a number of any size'
    if 'array' in types:
        if 'maxItems' not in part or not {'items', 'x-ids'} & part.keys():
            yield f'{place} is a list of any length, or of anything'
        yield from unbounded(part['items'], f'{place}[]') if 'items' in part else ()
    if 'object' in types:
        yield from unbounded_keys(part, place)


def unbounded_keys(part: dict[str, Any], place: str) -> Iterator[str]:
    others = part.get('additionalProperties')
    if others is None:
        yield f'{place} may have keys with anything'
    elif others is not False:
        if 'maxProperties' not in part:
            yield f'{place} may have any number of keys'
        yield from unbounded(others, f'{place}.*')
    for key, each in part.get('properties', {}).items():
        yield from unbounded(each, f'{place}.{key}')


@pytest.mark.parametrize('name', [name for name in bodies.schema_names() if name != 'definitions'])
def test_every_part_of_every_schema_is_bounded(name: str) -> None:
    assert list(unbounded(bodies.whole_schema(name))) == []


@pytest.mark.parametrize(
    'part',
    [{}, {'type': 'string'}, {'type': 'array', 'maxItems': 1}, {'type': 'array', 'items': {'const': 1}},
     {'type': 'object'}, {'type': 'object', 'additionalProperties': {'x-free': True}}, {'type': 'number', 'minimum': 0},
     {'type': ['integer', 'null'], 'maximum': 0}, {'anyOf': [{'const': 1}, {'type': 'string'}]},
     {'type': 'object', 'additionalProperties': False, 'properties': {'a': {'type': 'string'}}},
     {'type': 'array', 'maxItems': 1, 'items': {}}],
)  # fmt: skip
def test_what_is_not_bounded_is_found(part: dict[str, Any]) -> None:
    assert list(unbounded(part))


def test_what_may_be_anything_is_of_bounded_size() -> None:
    free = {
        'a': [1, None, {'b': ['x' * 1024 * 1024]}],
        'k' * 1024: [0] * 100_000,
        'o': {str(n): 0 for n in range(10_000)},
    }
    bodies.check(free, 'foreign_config')

    for large in (
        ['x' * (1024 * 1024 + 1)], [[0] * 100_001], {'k' * 1025: 0}, [{str(n): 0 for n in range(10_001)}],
    ):  # fmt: skip
        with pytest.raises(InvalidRequest, match='key a: has more than'):
            bodies.check({'a': large}, 'foreign_config')


@pytest.mark.parametrize('name', ['a-b', '', 'a b', 'é', '٣', 'a\n', '$x', 'a.b', 'x' * 256, 5, None, ['a']])
def test_ids_in_lists_are_letters_digits_and_underscores(name: Any) -> None:
    bodies.check({'tasks': ['a_1', 'x' * 255]}, 'bulk_status')

    with pytest.raises(InvalidRequest, match='every id'):
        bodies.check({'tasks': ['a', name, 'b']}, 'bulk_status')


@pytest.mark.parametrize('last', ['true', 5])
def test_ten_thousand_tasks_are_checked_while_pilots_wait(last: Any) -> None:
    task = {'command': ['a'], 'requirements': {'memory': 1.5}, 'env': {'A': 'b'}, 'files': []}
    tasks = [{'name': f't{number}', **task} for number in range(9_999)] + [{'name': 'last', 'command': last}]
    began = time.process_time()

    with nullcontext() if last == 'true' else pytest.raises(InvalidRequest, match='command should be a shell line'):
        bodies.check({'version': 1, 'description': '', 'tasks': tasks}, 'dataset_config')

    # The validator alone takes ten.
    assert time.process_time() - began < 3


def test_a_million_keys_are_counted_before_they_are_read() -> None:
    body = {f'k{number}': 0 for number in range(1_000_000)}
    began = time.process_time()

    with pytest.raises(InvalidRequest, match='key body'):
        bodies.check(body, 'task_patch')

    assert time.process_time() - began < 1
