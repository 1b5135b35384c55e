"""The directive `rest-routes`: the reference of a route table, drawn from its handlers and their schemas."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping

import schema_fields
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from iceprod_tasks.actions.permit import Own
from iceprod_tasks.rest.routing import Access, Route, paths

_BODY = re.compile(r"(?:self\.body|bodies\.check)\((?:\w+, )?'(\w+)'")
_HELPER = re.compile(r'self\.(_\w+)\(')
_SECTIONS = {
    'Args:': 'In the path', 'Params (optional):': 'In the query, all optional', 'Body args (json):': 'In the body',
    'Returns:': 'Answer',
}  # fmt: skip
OWN: Mapping[Own, str] = {
    'claim': 'the last claim on the task',
    'task': 'the last claim on the task',
    'named': 'the last claim on the task that the body names',
    'dataset': 'an open claim in the dataset',
    'entry': 'to have made the entry',
}
"""What must be a pilot's own, in words."""

_FIELD = re.compile(r'(?P<names>\w[\w, ()]*?): (?P<text>.+)')


def describe(route: Route, method: str) -> Iterator[str]:
    """The lines of Markdown about one method of a route."""
    path, *aliases = paths(route.path)
    function = getattr(route.handler, method)
    yield from (f'### `{method.upper()} {path}`', '')
    if aliases:
        yield from (f'Also {" and ".join(f"`{method.upper()} {alias}`" for alias in aliases)}.', '')
    name, what = route.handler.__name__, inspect.cleandoc(route.handler.__doc__ or '').splitlines()[0]
    keyed = ' · takes an `Idempotency-Key`' if route.keyed == method else ''
    keyed += ' · takes a long body' if route.bulk and method in ('post', 'put') else ''
    yield from (f'*{_who(route.access[method])}*{keyed} · `{name}.{method}`: {what}', '')
    yield from _words(inspect.cleandoc(function.__doc__ or ''))
    source = inspect.getsource(function)
    source += ''.join(inspect.getsource(getattr(route.handler, name)) for name in _HELPER.findall(source))
    for schema in _BODY.findall(source):
        yield from ('', f'Body, by `schemas/{schema}.json`:', '', *schema_fields.table(schema), '')


def _who(access: Access) -> str:
    if not access.roles:
        return 'anybody, without a token'
    user = f'; a user needs {access.dataset} permission on the dataset' if access.dataset else ''
    pilot = f'; a pilot needs {OWN[access.own]}' if access.own else ''
    return f'roles: {", ".join(access.roles)}{user}{pilot}'


def _words(docstring: str) -> Iterator[str]:
    """A Google style docstring as Markdown: each section a line in bold and a list."""
    inside = False
    for line in docstring.splitlines():
        text = line.strip()
        if text in _SECTIONS:
            inside = True
            yield from ('', f'**{_SECTIONS[text]}**', '')
        elif inside and line.startswith(' '):
            field = _FIELD.fullmatch(text)
            yield f'- {field["names"]}: {field["text"]}' if field else f'  {text}'
        else:
            inside = False if text else inside
            yield text


class RestRoutes(SphinxDirective):
    """`rest-routes`: its argument is the name of a module of handlers; one of a dialect begins with `dialects.`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A section for each method of each route."""
        name = self.arguments[0]
        folder = 'iceprod_tasks' if name.startswith('dialects.') else 'iceprod_tasks.rest.handlers'
        module = importlib.import_module(f'{folder}.{name}')
        self.env.note_dependency(inspect.getfile(module))
        lines = [line for route in module.ROUTES for method in route.access for line in describe(route, method)]
        return self.parse_text_to_nodes('\n'.join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive('rest-routes', RestRoutes)
    return {'parallel_read_safe': True}
