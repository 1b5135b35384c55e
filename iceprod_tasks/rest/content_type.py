"""What a body may be written in: JSON in UTF-8, and not compressed."""

import re
from collections.abc import Mapping

from iceprod_tasks.domain.errors import UnsupportedMediaType

_JSON = re.compile(r'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?;?', re.ASCII | re.IGNORECASE)


def check_content_type(headers: Mapping[str, str]) -> None:
    """Refuse a body that does not say it is JSON; it could be a form that a browser sends for somebody else.

    Args:
        headers: of a request that has a body.

    Raises:
        UnsupportedMediaType: it says something else, or nothing, or is compressed.
    """
    if headers.get('Content-Encoding', 'identity').strip().lower() != 'identity':
        raise UnsupportedMediaType('a body must not be compressed')
    if not _JSON.fullmatch(headers.get('Content-Type', '').strip()):
        raise UnsupportedMediaType
