"""The directive `permission-table`: who may use which route, drawn from the route tables."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from docutils import nodes
from rest_reference import paths
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from iceprod_tasks import dialects
from iceprod_tasks.actions.permit import Own
from iceprod_tasks.rest import handlers
from iceprod_tasks.rest.routing import Access, Route

_ROLES = ('admin', 'system', 'user', 'pilot')
_OWN: Mapping[Own | None, str] = {
    None: 'yes',
    'claim': 'last claim',
    'task': 'last claim',
    'named': 'last claim',
    'dataset': 'open claim',
    'entry': 'own entry',
}


def table() -> Iterator[str]:
    """The lines of a Markdown table with a row for each method of each route."""
    yield from (f'| route | {" | ".join(_ROLES)} |', f'|---|{"---|" * len(_ROLES)}')
    for route in sorted(_routes(), key=lambda each: each.path):
        for method, access in route.access.items():
            calls = '<br>'.join(f'`{method.upper()} {path}`' for path in paths(route.path))
            cells = (_cell(access, role) for role in _ROLES)
            yield f'| {calls.replace("|", chr(92) + "|")} | {" | ".join(cells)} |'


def _routes() -> Iterator[Route]:
    native = [module.name for module in pkgutil.iter_modules(handlers.__path__, f'{handlers.__name__}.')]
    spoken = [f'{module.name}.handlers' for module in pkgutil.iter_modules(dialects.__path__, f'{dialects.__name__}.')]
    for name in (*native, *spoken):
        yield from getattr(importlib.import_module(name), 'ROUTES', ())


def _cell(access: Access, role: str) -> str:
    if not access.roles:
        return 'anybody'
    if role not in access.roles:
        return ''
    if role == 'user':
        return access.dataset or 'yes'
    return _OWN[access.own] if role == 'pilot' else 'yes'


class PermissionTable(SphinxDirective):
    """`permission-table`: without arguments."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        return self.parse_text_to_nodes('\n'.join(table()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive('permission-table', PermissionTable)
    return {'parallel_read_safe': True}
