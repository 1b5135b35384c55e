"""Requests: a form with one field, whose text is a JSON object."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from iceprod_tasks.dialects.vappio.translate import Failure
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.rest.strict_json import parse

FIELD = 'request'

_MOST_FIELDS = 64


def field_of(body: bytes) -> list[str]:
    """The texts that a form has in the field, none where the body is no form.

    Args:
        body: `application/x-www-form-urlencoded`, in UTF-8.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors='strict', max_num_fields=_MOST_FIELDS)
    except ValueError:
        return []
    return [text for name, text in pairs if name == FIELD]


def object_of(texts: Sequence[str]) -> dict[str, Any]:
    """The object in the field.

    Raises:
        Failure: there is no field, more than one, or no object in it.
    """
    if len(texts) != 1:
        raise Failure('Must pass request object' if not texts else 'Must pass one request object only')
    try:
        return parse(texts[0].encode())
    except UnicodeEncodeError:
        raise Failure('request is not UTF-8') from None
    except InvalidRequest as error:
        # To the parser all JSON is a body.
        raise Failure(str(error).replace('the body', 'request')) from error


def known_keys(given: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """What we understand of an object: some keys, unless they are null; others are ignored.

    `name`, which the oldest clients send, stands for `cluster`.
    """
    named = {'cluster': given['name']} if 'name' in given else {}
    return {key: value for key, value in {**named, **given}.items() if key in known and value is not None}
