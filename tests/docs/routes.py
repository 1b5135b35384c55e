"""What the application serves, as it tells itself."""

import re
from dataclasses import dataclass

from tests.routes import rules


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
    return [
        Served(method.upper(), rule.matcher.regex, f'{rule.target.__name__}.{method}')
        for rule in rules()
        for method in rule.target_kwargs.get('access', {})
    ]
