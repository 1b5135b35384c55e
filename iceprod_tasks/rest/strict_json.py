"""JSON text to values, strictly: nothing that two readers could read in two ways, or that cannot be stored."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from iceprod_tasks.domain.errors import InvalidRequest

DEEPEST = 32
_AT_ONCE = 10_000
_INT64 = 2**63
_LONGEST_INTEGER = len('-9223372036854775808')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_LONG_INTEGER = re.compile(rb'(?<![\d.eE+-])-?\d{19,}+(?![.eE])')
# A backslash that is escaped itself begins no escape.
_NUL = re.compile(rb'(?<!\\)(?:\\\\)*+\\u0000')


def parse(text: bytes) -> dict[str, Any]:
    """The JSON object that is a request's body.

    It is UTF-8 without a byte order mark, no object in it has a key twice, and no string or key has NUL or half of a
    surrogate pair.

    Raises:
        InvalidRequest: the text is no such JSON, no object, too deep, or has a number the database cannot hold.
    """
    found = steps(text)
    while (value := next(found)) is None:
        pass
    return value


def steps(text: bytes) -> Iterator[dict[str, Any] | None]:
    """The same in steps of a few milliseconds, for a text with long lists: nothing after each but the last one.

    Raises:
        InvalidRequest: as `parse`.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest('the body is not valid JSON') from error
    if not isinstance(value, dict):
        raise InvalidRequest('the body must be a JSON object')
    yield from _check(value, text)
    yield value


def bounded(value: int) -> int:
    """An integer that the database can hold.

    Raises:
        InvalidRequest: it has more than 64 bits.
    """
    if not -_INT64 <= value < _INT64:
        raise InvalidRequest('an integer has more than 64 bits')
    return value


def _check(value: dict[str, Any], text: bytes) -> Iterator[None]:
    """What the parser lets pass: it keeps the last of equal keys, and makes floats of long integers."""
    seen = _Seen()
    long = {key: item for key, item in value.items() if type(item) is list and len(item) > _AT_ONCE}
    # Most bodies have none, and are not copied.
    seen.look({**value, **dict.fromkeys(long)} if long else value, DEEPEST)
    for items in long.values():
        for start in range(0, len(items), _AT_ONCE):
            yield
            seen.look(items[start : start + _AT_ONCE], DEEPEST - 1)
    if long:
        yield
    if seen.keys != text.count(b':') or seen.large:
        # Few bodies come here; without strings, each colon belongs to a key.
        bare = _STRING.sub(b'', text)
        if bare.count(b':') != seen.keys:
            raise InvalidRequest('the body has a key twice in one object')
        if seen.large:
            _check_integers(bare)
    if b'\\u0000' in text and _NUL.search(text):
        raise InvalidRequest('the body has a NUL character')


def _check_integers(text: bytes) -> None:
    for number in _LONG_INTEGER.findall(text):
        # Python itself refuses to read very long ones.
        bounded(_INT64 if len(number) > _LONGEST_INTEGER else int(number))


class _Seen:
    """What a look at all values of a body has found.

    Args:
        keys: how many keys all its objects have.
        large: whether a float may have been written as an integer of more than 64 bits.
    """

    def __init__(self) -> None:
        self.keys = 0
        self.large = False

    def look(self, value: dict[str, Any] | list[Any], deeper: int) -> None:
        """Look at an object or a list and all in it."""
        if not deeper:
            raise InvalidRequest(f'the body is deeper than {DEEPEST} levels')
        if isinstance(value, dict):
            self.keys += len(value)
        for item in value.values() if isinstance(value, dict) else value:
            kind = type(item)
            # Most bodies are long lists of strings.
            if kind is str:
                continue
            if kind is dict or kind is list:
                self.look(item, deeper - 1)
            elif kind is int:
                bounded(item)
            elif kind is float:
                self._look_at_float(item)

    def _look_at_float(self, value: float) -> None:
        if abs(value) == float('inf'):
            raise InvalidRequest('the body has a number that is not finite')
        self.large = self.large or abs(value) >= _INT64
