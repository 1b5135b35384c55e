"""The directive `schema-fields`: a table of all fields of a body, made from its JSON Schema."""

from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from iceprod_tasks.rest.bodies import load_schema

_BOUNDS = {
    'minimum': 'at least {}', 'exclusiveMinimum': 'more than {}', 'maximum': 'at most {}',
    'minLength': 'at least {} characters', 'maxLength': 'at most {} characters',
    'minItems': 'at least {} items', 'maxItems': 'at most {} items', 'maxProperties': 'at most {} keys',
}  # fmt: skip
_JSON = {True: 'true', False: 'false', None: 'null'}


def table(name: str) -> list[str]:
    """The lines of a Markdown table of a schema's fields.

    Args:
        name: of a file in `schemas/`, without its ending.
    """
    rows = [f'| {_code(path)} | {kind} | {rules} |' for path, kind, rules in _fields(load_schema(name))]
    return ['| field | type | rules |', '|---|---|---|', *rows] if rows else []


def _fields(schema: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, str, str]]:
    for key, given in schema.get('properties', {}).items():
        field = _resolved(given)
        path = f'{prefix}{key}'
        yield path, _kind(field), '; '.join(_rules(field, required=key in schema.get('required', ())))
        yield from _fields(field, f'{path}.')
        yield from _fields(_resolved(field.get('items', {})), f'{path}[].')
    other = schema.get('additionalProperties')
    if isinstance(other, dict):
        field = _resolved(other)
        yield f'{prefix}*', _kind(field), '; '.join(['any other key', *_rules(field)])


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if '$ref' not in schema:
        return schema
    file, _, pointer = schema['$ref'].partition('#')
    found = load_schema(file.removesuffix('.json') or 'definitions')
    for part in pointer.strip('/').split('/'):
        found = found[part] if part else found
    return {**_resolved(found), **{key: value for key, value in schema.items() if key != '$ref'}}


def _kind(field: Mapping[str, Any]) -> str:
    if 'anyOf' in field:
        return ' or '.join(dict.fromkeys(_kind(_resolved(each)) for each in field['anyOf']))
    if 'const' in field:
        return _json(field['const'])
    if 'type' not in field:
        return 'one of' if 'enum' in field else 'anything'
    kind = ' or '.join([field['type']] if isinstance(field['type'], str) else field['type'])
    items = field.get('items', {'type': 'string'} if field.get('x-ids') else None)
    return f'{kind} of {_kind(_resolved(items))}' if items else kind


def _rules(field: Mapping[str, Any], *, required: bool = False) -> Iterator[str]:
    if required:
        yield '**required**'
    if 'description' in field:
        yield _plain(field['description'])
    if 'enum' in field:
        yield ', '.join(map(_json, field['enum']))
    if field.get('x-float'):
        yield 'with a fraction, as 1.0'
    if 'pattern' in field:
        yield f'like {_code(field["pattern"])}'
    yield from _bounds(field)
    if 'default' in field:
        yield f'{_json(field["default"])} unless told'


def _bounds(field: Mapping[str, Any]) -> Iterator[str]:
    for keyword, words in _BOUNDS.items():
        if field.get(keyword) == 1 and keyword in ('minLength', 'minItems', 'minProperties'):
            yield 'not empty'
        elif keyword in field:
            yield words.format(f'{field[keyword]:,}'.replace(',', ' '))


def _json(value: Any) -> str:
    return _code(_JSON[value] if isinstance(value, bool) or value is None else str(value))


def _code(text: str) -> str:
    return f'`{_plain(text)}`'


def _plain(text: str) -> str:
    return text.replace('|', r'\|')


class SchemaFields(SphinxDirective):
    """`schema-fields`: its argument is the name of a schema."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table."""
        return self.parse_text_to_nodes('\n'.join(table(self.arguments[0])))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive('schema-fields', SchemaFields)
    return {'parallel_read_safe': True}
