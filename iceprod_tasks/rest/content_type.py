"""What a body may be written in: in UTF-8, and not compressed; JSON, or a form where old clients send one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from iceprod_tasks.domain.errors import UnsupportedMediaType

_CHARSET = r'[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?;?'


@dataclass(frozen=True, slots=True)
class BodyType:
    """What the bodies of a route are.

    Args:
        pattern: of the header that says so.
        refusal: what is answered to others; '' for the usual text.
    """

    pattern: re.Pattern[str]
    refusal: str = ''


JSON = BodyType(re.compile(rf'application/json{_CHARSET}', re.ASCII | re.IGNORECASE))
FORM = BodyType(
    re.compile(rf'application/x-www-form-urlencoded{_CHARSET}', re.ASCII | re.IGNORECASE),
    'A body must be a form: send it with Content-Type: application/x-www-form-urlencoded',
)


def check_content_type(headers: Mapping[str, str], wanted: BodyType = JSON) -> None:
    """Refuse a body that does not say it is what the route takes.

    One that is no JSON could be a form that a browser sends for somebody else; so forms are for routes that change
    nothing.

    Args:
        headers: of a request that has a body.
        wanted: what it has to be.

    Raises:
        UnsupportedMediaType: it says something else, or nothing, or is compressed.
    """
    if headers.get('Content-Encoding', 'identity').strip().lower() != 'identity':
        raise UnsupportedMediaType('a body must not be compressed')
    if not wanted.pattern.fullmatch(headers.get('Content-Type', '').strip()):
        raise UnsupportedMediaType(wanted.refusal)
