"""Rules of claims: which roles and groups somebody has, by what an OpenID provider says of them.

A rule is `NAME=CLAIM:PATTERN`: who has a value at CLAIM that PATTERN matches from end to end has the role or is in the
group NAME. CLAIM leads through objects with a dot for each step, as in `resource_access.iceprod.roles`; a value may
stand there alone or in a list.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Args:
        name: of the role or group.
        claim: where the values stand.
        pattern: what one of them must match from end to end.
    """

    name: str
    claim: str
    pattern: re.Pattern[str]

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether it is so for somebody of whom these claims are made."""
        return any(self.pattern.fullmatch(value) for value in texts_at(claims, self.claim))


def read_rules(texts: Iterable[str], names: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Rules as they are written.

    Args:
        texts: the rules.
        names: those that can be given; any when empty.

    Raises:
        ValueError: one of them is no rule.
    """
    return tuple(_rule(text.strip(), names) for text in texts)


def _rule(text: str, names: Sequence[str]) -> Rule:
    name, equals, rest = text.partition('=')
    claim, colon, pattern = rest.partition(':')
    if not (name and equals and claim and colon and pattern):
        raise ValueError(f'not NAME=CLAIM:PATTERN: {text}')
    if names and name not in names:
        raise ValueError(f'{name} is none of {", ".join(names)}: {text}')
    try:
        return Rule(name, claim, re.compile(pattern))
    except re.error as error:
        raise ValueError(f'{error}: {text}') from error


def given(rules: Iterable[Rule], claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that rules give to somebody, each once."""
    return tuple(dict.fromkeys(rule.name for rule in rules if rule.holds(claims)))


def texts_at(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts that stand at a place, none when there is no such place."""
    value: Any = claims
    for step in path.split('.'):
        value = value.get(step) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]
