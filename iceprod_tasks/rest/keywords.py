"""How schemas are read here: JSON Schema, strictly, with a few keywords of our own."""

import re
import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
from jsonschema import Draft202012Validator, validators

LONGEST_TEXT = 1024 * 1024
MOST_ITEMS = 100_000
MOST_KEYS = 10_000
LONGEST_KEY = 1024
"""The bounds of what may be anything (`x-free`)."""

_LONGEST_ID = 255
_OF_IDS = (string.ascii_letters + string.digits + '_').encode()


def _ids(_validator: Any, _on: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`x-ids`: a list of ids, checked in one go; `items` would take half a second for 100 000."""
    if not isinstance(value, list):
        return
    if not _are_texts(value):
        yield jsonschema.ValidationError("every id should be of type <class 'str'>")
    elif not are_ids(value):
        yield jsonschema.ValidationError(f'every id should have 1 to {_LONGEST_ID} letters, digits and underscores')


def _are_texts(items: list[Any]) -> bool:
    return set(map(type, items)) <= {str}


def are_ids(ids: list[Any]) -> bool:
    """Whether all items of a list are ids: letters, digits and underscores of ASCII."""
    if not ids or not _are_texts(ids):
        return not ids
    together = ''.join(ids)
    if not together.isascii() or together.encode().translate(None, _OF_IDS):
        return False
    lengths = set(map(len, ids))
    return min(lengths) > 0 and max(lengths) <= _LONGEST_ID


def _fraction(_validator: Any, _on: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`x-float`: a number written with a fraction; the contract refuses an int here."""
    if type(value) is int:
        yield jsonschema.ValidationError("should be of type <class 'float'>")


def _free(_validator: Any, _on: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`x-free`: whatever JSON there is, as long as no part of it is too large."""
    if not is_bounded(value):
        yield jsonschema.ValidationError(
            f'has more than {LONGEST_TEXT} characters in a text, {MOST_ITEMS} items in a list, '
            f'{MOST_KEYS} keys in an object, or {LONGEST_KEY} characters in a key'
        )


def is_bounded(value: Any) -> bool:
    """Whether no part of a value is too large."""
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    if isinstance(value, list):
        return len(value) <= MOST_ITEMS and all(map(is_bounded, value))
    if isinstance(value, dict):
        short = len(value) <= MOST_KEYS and all(len(key) <= LONGEST_KEY for key in value)
        return short and all(map(is_bounded, value.values()))
    return True


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    r"""`pattern`, as ECMA-262 reads it: `\w` is ASCII, and `$` is the end, not the line break before it.

    Every pattern of ours is anchored at both ends.
    """
    if isinstance(value, str) and not re.fullmatch(pattern, value, re.ASCII):
        yield jsonschema.ValidationError(f'{value!r} does not match {pattern!r}')


# JSON Schema calls 1.0 an integer; the contract does not.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine('integer', lambda _, value: type(value) is int)
_KEYWORDS: Mapping[str, Callable[..., Iterator[jsonschema.ValidationError]]] = {
    'x-ids': _ids, 'x-float': _fraction, 'x-free': _free, 'pattern': _pattern,
}  # fmt: skip
STRICT: Any = validators.extend(Draft202012Validator, _KEYWORDS, type_checker=_TYPES)  # type: ignore[no-untyped-call]
"""The validator of every schema."""
