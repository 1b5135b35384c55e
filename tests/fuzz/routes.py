"""What the application serves, with the schemas of the bodies that it takes, as its code tells."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from iceprod_tasks.rest.content_type import FORM
from tests.routes import rules

_BODY = re.compile(r"(?:\.body|\.long_body|\.asked|bodies\.check)\(\s*(?:\w+, )?'(\w+)'")
_HELPER = re.compile(r'self\.(_\w+)\(')
_ARGUMENT = re.compile(r"self\.(?:argument|integer|number|flag|boolean|time|words)\('(\w+)'\)")
_GROUP = re.compile(r'\(\?P<(\w+)>[^)]*\)')
_CHOICE = re.compile(r'\(\?:([^)|]*)[^)]*\)')


@dataclass(frozen=True)
class Taken:
    """A method of a route.

    Args:
        method: in capitals.
        template: the path with `{name}` for what varies.
        schemas: of its body; none where it takes no body.
        arguments: that it may read from the query.
        takes_forms: whether its body is a form with the field `request`.
    """

    method: str
    template: str
    schemas: tuple[str, ...]
    arguments: tuple[str, ...]
    takes_forms: bool

    def path(self, values: Mapping[str, str]) -> str:
        """A path of the route."""
        return self.template.format(**values)

    def sent(self, text: bytes) -> dict[str, Any]:
        """How a body, which is JSON or nearly so, is sent."""
        if not self.takes_forms:
            return {'content': text}
        content_type = {'Content-Type': 'application/x-www-form-urlencoded'}
        return {'content': f'request={quote(text)}', 'headers': content_type}

    def __str__(self) -> str:
        return f'{self.method} {self.template}'


def taken() -> list[Taken]:
    """Every method of every route."""
    return [
        Taken(
            method.upper(), _template(rule.matcher.regex.pattern), _schemas(rule.target, method), _words(rule.target),
            rule.target.body_type is FORM,
        )
        for rule in rules()
        for method in rule.target_kwargs.get('access', {})
    ]  # fmt: skip


def _template(pattern: str) -> str:
    return _CHOICE.sub(r'\1', _GROUP.sub(r'{\1}', pattern)).removesuffix('$').replace('\\', '')


def _schemas(handler: type, method: str) -> tuple[str, ...]:
    source = inspect.getsource(getattr(handler, method))
    source += ''.join(inspect.getsource(getattr(handler, name)) for name in _HELPER.findall(source))
    return tuple(_BODY.findall(source))


def _words(handler: type) -> tuple[str, ...]:
    """All that the handler's module reads: a little too much does no harm."""
    module = inspect.getsource(inspect.getmodule(handler) or handler)
    return tuple(sorted({*_ARGUMENT.findall(module), 'keys'}))
