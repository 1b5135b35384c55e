"""What a command has said: kept up to a bound, hashed whole as it comes, cut into lines for those who listen."""

import codecs
import hashlib
from collections.abc import Iterator

OUTPUT_LIMIT_BYTES = 2**20
"""Of one stream of one node, so much is kept."""


class Output:
    r"""One stream of one command: its lines with `\n` between them, and none at the end.

    `\r\n` ends a line as `\n` does. What is beyond the limit is counted and hashed, but not kept.

    Args:
        limit: bytes that are kept at most.
    """

    __slots__ = ('_bytes', '_chunks', '_held', '_kept', '_sha', 'limit', 'said', 'size')

    def __init__(self, limit: int = OUTPUT_LIMIT_BYTES) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget all that was said so far."""
        self.said = False
        self.size = 0
        self._kept = 0
        self._chunks: list[bytes] = []
        self._bytes: bytes | None = b''
        self._held = b''
        self._sha = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take in what was read."""
        self.said = True
        if self._held:
            data = self._held + data
        if b'\r' in data:
            data = data.replace(b'\r\n', b'\n')
        # The last newline of all is not part of the text, and half a `\r\n` is not known yet.
        self._held = data[-1:] if data.endswith((b'\n', b'\r')) else b''
        if self._held:
            data = data[:-1]
        self._take(data)

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        self._sha.update(data)
        if self._kept < self.limit:
            self._chunks.append(data[: self.limit - self._kept])
            self._kept += len(self._chunks[-1])
            self._bytes = None

    def close(self) -> None:
        """Nothing more comes."""
        if self._held == b'\r':
            self._take(b'\r')
        self._held = b''

    @property
    def truncated(self) -> bool:
        """Whether more was said than is kept."""
        return self.size > self._kept

    @property
    def kept(self) -> bytes:
        """The beginning of it, up to the limit."""
        if self._bytes is None:
            self._bytes = b''.join(self._chunks)
            self._chunks = [self._bytes]
        return self._bytes

    def share(self, same: bytes) -> None:
        """Keep an equal text that somebody else keeps as well."""
        self._bytes, self._chunks = same, [same]

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all of it, also of what is not kept."""
        return self._sha.digest()

    @property
    def data(self) -> bytes:
        """What is kept, and if that is not all, a last line that says so."""
        if not self.truncated:
            return self.kept
        mark = f'[truncated: {self._kept} of {self.size} bytes are kept]'.encode()
        return self.kept + b'\n' * bool(self._kept) + mark

    @property
    def text(self) -> str:
        """The same as text; bytes that are no UTF-8 are replaced."""
        if not self.truncated:
            return self.kept.decode(errors='replace')
        # No half character before the mark.
        whole = codecs.getincrementaldecoder('utf-8')('replace').decode(self.kept)
        return whole + self.data[self._kept :].decode()


class Lines:
    r"""Cuts a stream into lines, without their `\n` or `\r\n`.

    Args:
        longest: bytes of a line; the rest of a longer one is left out.
    """

    __slots__ = ('_longest', '_parts', '_size')

    def __init__(self, longest: int = OUTPUT_LIMIT_BYTES) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that end in what was read."""
        first, *others = data.split(b'\n')
        self._keep(first)
        if not others:
            return
        yield self._taken()
        for line in others[:-1]:
            yield self._cut(line)
        self._keep(others[-1])

    def rest(self) -> bytes | None:
        """The last line if nothing has ended it; None if there is none."""
        return self._taken(ended=False) if self._parts else None

    def _keep(self, data: bytes) -> None:
        # One byte more than a line may be the `\r` before its `\n`.
        if data and self._size <= self._longest:
            self._parts.append(data[: self._longest + 1 - self._size])
            self._size += len(self._parts[-1])

    def _taken(self, *, ended: bool = True) -> bytes:
        line = b''.join(self._parts)
        self._parts, self._size = [], 0
        return self._cut(line) if ended else line[: self._longest]

    def _cut(self, line: bytes) -> bytes:
        return (line[:-1] if line.endswith(b'\r') else line)[: self._longest]
