"""Addresses of other services: which may be used, and which others that know our requests have names."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from iceprod_tasks.domain.callers import is_name

LOCAL = 'local'
"""What every service calls itself."""

LONGEST_ADDRESS = 255

_THIS_MACHINE = ('127.0.0.1', '::1', 'localhost')
_URL = re.compile(r'https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%-]+)*/?')
"""No name or password, no query, and nothing that two readers could read in two ways."""


def keeps_secrets(url: str) -> bool:
    """Whether nobody between us and an address can listen, or speak in its place, and it has no secret itself."""
    try:
        parts = urlsplit(url)
        private = parts.scheme == 'https' or (parts.scheme == 'http' and parts.hostname in _THIS_MACHINE)
        # A password in an address would stand in logs.
        return private and bool(parts.hostname) and parts.username is None and not parts.query
    except ValueError:
        return False


def is_address(url: str) -> bool:
    """Whether a text is the http or https address of a service, with no secret in it, and may stand in a message."""
    if not _URL.fullmatch(url) or len(url) > LONGEST_ADDRESS:
        return False
    try:
        # Reading the port is what checks it.
        return urlsplit(url).port != 0
    except ValueError:
        return False


def read_clusters(pairs: Iterable[str], own: str) -> dict[str, str]:
    """Clusters as they are written.

    Args:
        pairs: `NAME=URL` each.
        own: what this service is called beside `local`; no other may be.

    Returns:
        The URLs by name, without a slash at the end.

    Raises:
        ValueError: one of them cannot be used, or a name is there twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, url = pair.partition('=')
        if not is_name(name) or not is_address(url):
            raise ValueError(f'not NAME=http(s)://HOST[:PORT][/PATH]: {pair}')
        if name in (LOCAL, own):
            raise ValueError(f'{name} is this service itself: {pair}')
        if name in found:
            raise ValueError(f'{name} is there twice: {pair}')
        found[name] = url.rstrip('/')
    return found
