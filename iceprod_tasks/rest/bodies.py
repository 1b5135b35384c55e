"""JSON in and out: checking bodies against `schemas/`, writing answers."""

import functools
import json
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import orjson

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.times import wire_time
from iceprod_tasks.rest.keywords import STRICT
from iceprod_tasks.rest.quick_check import Check, compiled, misfit
from iceprod_tasks.rest.strict_json import parse as parse

_SHOWN_CHARACTERS = 200
_BOUNDS = frozenset({'type', 'maxProperties', 'maxItems', 'maxLength'})
_PYTHON_TYPES = {
    'string': str, 'integer': int, 'number': float, 'object': dict, 'array': list, 'boolean': bool, 'null': type(None),
}  # fmt: skip


def render(value: Any) -> bytes:
    """JSON text; times are UTC with six fraction digits and no zone, as the clients of the seed read them."""
    return orjson.dumps(value, default=_time, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _time(value: Any) -> str:
    if isinstance(value, datetime):
        return wire_time(value)
    raise TypeError(f'{type(value).__name__} is not JSON')


def check(body: Mapping[str, Any], schema: str) -> None:
    """Check a body against a schema.

    Args:
        body: the parsed body.
        schema: name of a file in `schemas/`, without its ending.

    Raises:
        InvalidRequest: it does not fit; the text says where and why.
    """
    if _fits(schema)(body):
        return
    place, part, value = misfit(whole_schema(schema), body)
    for error in STRICT(part).iter_errors(value):
        error.path.extendleft(reversed(place))
        raise InvalidRequest(_reason(error))


def check_keys(value: Any) -> None:
    """Refuse keys, at any depth, that a database could take for operators or paths.

    Raises:
        InvalidRequest: a key has `$`, `.` or NUL in it.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if not key or any(mark in key for mark in '$.\0'):
                raise InvalidRequest(f'invalid key: {key[:_SHOWN_CHARACTERS]!r}')
            check_keys(item)
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                check_keys(item)


def _reason(error: jsonschema.ValidationError) -> str:
    keyword = str(error.validator)
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    instance: Any = error.instance
    place = _place(error)
    if keyword == 'required':
        key = next(key for key in schema['required'] if key not in instance)
        return str(schema.get('x-missing', {}).get(key, f'missing key: {_join(place, key)}'))
    if keyword in schema.get('x-errors', {}):
        return str(schema['x-errors'][keyword])
    if 'x-type' in schema:
        return f'Bad type for {place}, should be {schema["x-type"]}'
    if 'x-error' in schema:
        return str(schema['x-error'])
    if keyword == 'type':
        names = [schema['type']] if isinstance(schema['type'], str) else schema['type']
        return f'key {place or "body"} should be of type {" or ".join(str(_PYTHON_TYPES[name]) for name in names)}'
    if keyword == 'additionalProperties':
        unknown = sorted(set(instance) - set(schema.get('properties', {})))
        return f'invalid keys found: {", ".join(unknown)}{f" in {place}" if place else ""}'[:_SHOWN_CHARACTERS]
    return f'key {place or "body"}: {error.message}'[:_SHOWN_CHARACTERS]


def _place(error: jsonschema.ValidationError) -> str:
    place = ''
    for part in error.absolute_path:
        place = f'{place}[{part}]' if isinstance(part, int) else _join(place, part)
    return place


def _join(place: str, key: str) -> str:
    return f'{place}.{key}' if place else key


def schema_names() -> list[str]:
    """The names of all schemas."""
    return sorted(path.stem for path in _folder().iterdir() if path.suffix == '.json')


@functools.cache
def load_schema(name: str) -> dict[str, Any]:
    """A schema as it stands in its file."""
    schema: dict[str, Any] = json.loads((_folder() / f'{name}.json').read_text(encoding='utf-8'))
    return schema


@functools.cache
def _folder() -> Path:
    # A wheel carries the schemas inside the package, a checkout keeps them at its top.
    installed = Path(str(resources.files('iceprod_tasks'))) / 'schemas'
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / 'schemas'


@functools.cache
def whole_schema(name: str) -> Any:
    """A schema with what it refers to put in place.

    Following references at each check costs more than all the rest of a small body.
    """
    return _put_in_place(load_schema(name), name)


def _put_in_place(part: Any, name: str) -> Any:
    if isinstance(part, list):
        return [_put_in_place(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    if '$ref' not in part:
        # A million keys are counted before each of them is looked at.
        keywords = sorted(part, key=lambda key: key not in _BOUNDS)
        return {key: _put_in_place(part[key], name) for key in keywords}
    file, _, pointer = part['$ref'].partition('#')
    name = file.removesuffix('.json') or name
    target = load_schema(name)
    for step in pointer.split('/')[1:]:
        target = target[step]
    beside = {key: item for key, item in part.items() if key != '$ref'}
    # A `$schema` inside would have the part checked by the plain validator, without our types and keywords.
    placed = {key: item for key, item in _put_in_place(target, name).items() if key not in ('$schema', '$id')}
    return {**placed, **beside}


@functools.cache
def _fits(name: str) -> Check:
    schema = whole_schema(name)
    STRICT.check_schema(schema)
    return compiled(schema)
