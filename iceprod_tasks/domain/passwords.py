"""Passwords, kept as scrypt hashes: what is stored does not tell the password, and each guess costs time and memory."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest

SHORTEST = 8
LONGEST_BYTES = 1024

_COST: Mapping[str, int] = MappingProxyType({'n': 2**14, 'r': 8, 'p': 5})
"""16 MB and about a quarter of a second."""

_SALT_BYTES = 16
_HASH_BYTES = 32
# What a stored hash may ask for, whoever has stored it.
_MOST_MEMORY_BYTES = 64 * 1024 * 1024
_MOST_P = 16


def hashed(password: str) -> dict[str, Any]:
    """What is kept of a password.

    Args:
        password: any text.

    Returns:
        The salt, the hash and the parameters it was made with.

    Raises:
        InvalidRequest: it is too short or too long.
    """
    if len(password) < SHORTEST or len(password.encode(errors='replace')) > LONGEST_BYTES:
        raise InvalidRequest(f'a password has at least {SHORTEST} characters and at most {LONGEST_BYTES} bytes')
    salt = secrets.token_bytes(_SALT_BYTES)
    return {'algorithm': 'scrypt', **_COST, 'salt': salt, 'hash': _scrypt(password, salt, _COST)}


NOBODYS: Mapping[str, Any] = MappingProxyType(
    {'algorithm': 'scrypt', **_COST, 'salt': bytes(_SALT_BYTES), 'hash': bytes(_HASH_BYTES)}
)
"""What no password fits, and what takes as long to try as any other."""


def fits(password: str, kept: Mapping[str, Any]) -> bool:
    """Whether a password is the one that was hashed; takes as long when it is not.

    Args:
        password: what somebody says.
        kept: what `hashed` has returned.
    """
    if kept['algorithm'] != 'scrypt' or kept['p'] > _MOST_P:
        return False
    try:
        tried = _scrypt(password, kept['salt'], kept)
    except ValueError:
        return False
    return hmac.compare_digest(tried, kept['hash'])


def _scrypt(password: str, salt: bytes, cost: Mapping[str, int]) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=cost['n'],
        r=cost['r'],
        p=cost['p'],
        maxmem=_MOST_MEMORY_BYTES,
        dklen=_HASH_BYTES,
    )
