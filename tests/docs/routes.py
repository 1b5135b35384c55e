"""What the application serves, as it tells itself."""

import re
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.rest.application import make_application


@dataclass(frozen=True)
class Served:
    """A method of a route."""

    method: str
    path: re.Pattern[str]
    handler: str

    def __str__(self) -> str:
        return f'{self.method} {self.path.pattern}'


def served() -> list[Served]:
    """Every method of every route."""
    nothing: Any = None
    rules: list[Any] = make_application(nothing, nothing).wildcard_router.rules
    return [
        Served(method.upper(), rule.matcher.regex, f'{rule.target.__name__}.{method}')
        for rule in rules
        for method in rule.target_kwargs.get('access', {})
    ]
