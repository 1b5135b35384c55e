"""Checking a request whole: all that is wrong with it is told at once, by the path of each place.

There are two kinds: what could not be read as what it should be, and what breaks a rule. Only where all can be read the
rules are told.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.dialects.drove.durations import read_duration
from iceprod_tasks.dialects.drove.envelope import INVALID, UNREADABLE, Violations

_ERRORS_AT_MOST = 100
_SHOWN_CHARACTERS = 100


def plain(name: str) -> str:
    """A name that came from outside, as it may stand in an error: short, and on one line."""
    return name[:_SHOWN_CHARACTERS].encode('unicode_escape').decode()[:_SHOWN_CHARACTERS]


@dataclass(slots=True)
class Errors:
    """What is wrong with a request.

    Args:
        unreadable: what is of the wrong type.
        broken: rules that are broken.
    """

    unreadable: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Refuse the request if anything is wrong with it.

        Raises:
            Violations: something is.
        """
        if self.unreadable:
            # What is told again is looked at twice.
            raise Violations(list(dict.fromkeys(self.unreadable))[:_ERRORS_AT_MOST], UNREADABLE)
        if self.broken:
            raise Violations(self.broken[:_ERRORS_AT_MOST], INVALID)


@dataclass(frozen=True, slots=True)
class Part:
    """An object of a request.

    Args:
        value: what it has; unknown keys are ignored, and null is the same as nothing.
        path: where it stands, for the errors; '' for the request itself.
        errors: where they are told.
    """

    value: Mapping[str, Any]
    path: str
    errors: Errors

    def place(self, key: str) -> str:
        """Where a member stands."""
        return f'{self.path}.{key}' if self.path else key

    def breaks(self, key: str, text: str) -> None:
        """Tell of a rule that a member breaks."""
        self.errors.broken.append(f'{self.place(key)} {text}')

    def is_odd(self, key: str, wanted: str) -> None:
        """Tell that a member is not what it should be."""
        self.errors.unreadable.append(f'{self.place(key)} is not {wanted}')

    def has(self, key: str) -> bool:
        """Whether there is a member."""
        return self.value.get(key) is not None

    def text(self, key: str, *, missing: str = '', default: str = '') -> str:
        """A member that is a text.

        Args:
            key: of it.
            missing: the rule that is broken where it is absent or empty; '' for none.
            default: what it is then.
        """
        found = self._of_type(key, str, 'a text')
        if not found and missing:
            self.breaks(key, missing)
        return found or default

    def name(self, key: str, pattern: re.Pattern[str], *, missing: str, wrong: str) -> str:
        """A member that is a text of some form."""
        found = self.text(key, missing=missing)
        if found and not pattern.fullmatch(found):
            self.breaks(key, wrong)
        return found

    def word(self, key: str, words: Sequence[str], *, default: str = '', missing: str = '') -> str:
        """A member that is one of some words, in any case of letters."""
        found = self.text(key, missing=missing, default=default)
        if found and found.upper() not in words:
            self.is_odd(key, f'one of {", ".join(words)}: {found[:50]!r}')
            return default
        return found.upper()

    def number(self, key: str, least: int, most: int, *, default: int | None = None) -> int:
        """A member that is a whole number; where there is none it counts as 0, unless there is a default."""
        found = self.value.get(key)
        if found is None:
            found = 0 if default is None else default
        if isinstance(found, bool) or not isinstance(found, int):
            self.is_odd(key, 'a whole number')
            return least
        if found < least:
            self.breaks(key, f'must be greater than or equal to {least}')
        if found > most:
            self.breaks(key, f'must be less than or equal to {most}')
        return min(max(found, least), most)

    def duration(self, key: str, *, missing: str = '') -> float | None:
        """A member that is a length of time, in seconds."""
        text = self.text(key, missing=missing)
        if not text:
            return None
        try:
            return read_duration(text)
        except ValueError as error:
            self.errors.unreadable.append(f'{self.place(key)} - {error}')
            return None

    def truth(self, key: str, *, default: bool = False) -> bool:
        """A member that is true or false."""
        found = self._of_type(key, bool, 'true or false')
        return default if found is None else bool(found)

    def part(self, key: str, *, missing: str = '') -> 'Part | None':
        """A member that is an object."""
        found = self._of_type(key, dict, 'an object')
        if found is None:
            if missing and not self.has(key):
                self.breaks(key, missing)
            return None
        return Part(found, self.place(key), self.errors)

    def needed_part(self, key: str, *, missing: str) -> 'Part':
        """A member that is an object and without which nothing more can be said.

        Raises:
            Violations: there is none; with all that was found before.
        """
        found = self.part(key, missing=missing)
        if found is None:
            self.errors.check()
            raise Violations([f'{self.place(key)} {missing}'])
        return found

    def parts(self, key: str) -> list['Part']:
        """A member that is a list of objects; none where it is absent."""
        found = []
        for index, each in enumerate(self._of_type(key, list, 'a list') or ()):
            place = f'{self.place(key)}[{index}]'
            if isinstance(each, dict):
                found.append(Part(each, place, self.errors))
            else:
                self.errors.unreadable.append(f'{place} is not an object')
        return found

    def texts(self, key: str) -> list[str]:
        """A member that is a list of texts; none where it is absent."""
        found = self._of_type(key, list, 'a list') or []
        odd = [index for index, each in enumerate(found) if not isinstance(each, str)]
        self.errors.unreadable += [f'{self.place(key)}[{index}] is not a text' for index in odd]
        return [] if odd else list(found)

    def text_by_name(self, key: str) -> dict[str, str]:
        """A member that is an object of texts; none where it is absent."""
        found: Mapping[str, Any] = self._of_type(key, dict, 'an object') or {}
        odd = [name for name, each in found.items() if not isinstance(each, str)]
        self.errors.unreadable += [f'{self.place(key)}.{plain(name)} is not a text' for name in odd]
        return {} if odd else dict(found)

    def kind(self, kinds: Sequence[str], *, default: str = '') -> str:
        """The `type` of it, one of some words as they are written; '' when it is none of them."""
        found = self._of_type('type', str, 'a text')
        if found is None and default and not self.has('type'):
            return default
        if found not in kinds:
            self.is_odd('type', f'one of {", ".join(kinds)}')
            return ''
        return str(found)

    def _of_type(self, key: str, wanted: type, words: str) -> Any:
        found = self.value.get(key)
        if found is not None and not isinstance(found, wanted):
            self.is_odd(key, words)
            return None
        return found
