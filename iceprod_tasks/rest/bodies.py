"""JSON in and out: checking bodies against `schemas/`, writing answers."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import orjson
from jsonschema import Draft202012Validator, validators

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.times import wire_time
from iceprod_tasks.rest.strict_json import parse as parse

_SHOWN_CHARACTERS = 200
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
    for error in _validator(schema).iter_errors(body):
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
        return {key: _put_in_place(item, name) for key, item in part.items()}
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
def _validator(name: str) -> Draft202012Validator:
    schema = whole_schema(name)
    _STRICT.check_schema(schema)
    validator: Draft202012Validator = _STRICT(schema)
    return validator


def _all_strings(_validator: Any, _on: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`x-ids`: a list of strings, checked in one go; `items` would take half a second for 100 000."""
    if isinstance(value, list) and not all(type(item) is str for item in value):
        yield jsonschema.ValidationError("every id should be of type <class 'str'>")


def _fraction(_validator: Any, _on: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`x-float`: a number written with a fraction; the contract refuses an int here."""
    if type(value) is int:
        yield jsonschema.ValidationError("should be of type <class 'float'>")


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    r"""`pattern`, as ECMA-262 reads it: `\w` is ASCII, and `$` is the end, not the line break before it.

    Every pattern of ours is anchored at both ends.
    """
    if isinstance(value, str) and not re.fullmatch(pattern, value, re.ASCII):
        yield jsonschema.ValidationError(f'{value!r} does not match {pattern!r}')


# JSON Schema calls 1.0 an integer; the contract does not.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine('integer', lambda _, value: type(value) is int)
_KEYWORDS = {'x-ids': _all_strings, 'x-float': _fraction, 'pattern': _pattern}
_STRICT: Any = validators.extend(Draft202012Validator, _KEYWORDS, type_checker=_TYPES)  # type: ignore[no-untyped-call]
