"""Checksums, as file entries have them: `sha256:`, `sha512:`, `md5:` or `adler32:` and hexadecimal digits."""

import hashlib
import re
import zlib
from typing import Protocol

_FORM = re.compile(r'(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|md5:[0-9a-f]{32}|adler32:[0-9a-f]{8})')


class Digest(Protocol):
    """What has been read so far, in few bytes."""

    def update(self, data: bytes, /) -> None:
        """Read on."""

    def hexdigest(self) -> str:
        """Hexadecimal digits."""


class Checksum:
    """What the bytes of a file must come to.

    Args:
        text: for example `md5:` and 32 digits.

    Raises:
        ValueError: it is no checksum of a known kind.
    """

    def __init__(self, text: str) -> None:
        self.text = text.lower()
        if not _FORM.fullmatch(self.text):
            raise ValueError(f'unknown checksum {text[:80]!r}')
        self._kind = self.text.partition(':')[0]

    def digest(self) -> Digest:
        """A new one, of nothing yet."""
        if self._kind == 'adler32':
            return _Adler32()
        return hashlib.new(self._kind, usedforsecurity=False)

    def is_of(self, digest: Digest) -> bool:
        """Whether a digest, made here, is the wanted one."""
        return self.words(digest) == self.text

    def words(self, digest: Digest) -> str:
        """A digest in the form of a checksum."""
        return f'{self._kind}:{digest.hexdigest()}'


class _Adler32:
    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def hexdigest(self) -> str:
        return f'{self._value:08x}'
