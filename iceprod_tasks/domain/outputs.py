"""The output of a task as the service keeps it: the end of each stream, in blocks of which the oldest is replaced.

Offsets count bytes from the beginning of the stream of one attempt. A byte has its place by its offset: the block of a
number stands in the slot of that number modulo `BLOCKS`. So a stream takes up so much and no more, whatever is written
and whoever fails in between.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

STREAMS = ('stdout', 'stderr')
BLOCK_BYTES = 32 * 1024
BLOCKS = 32
KEPT_BYTES = BLOCKS * BLOCK_BYTES
"""A stream never takes up more; of a longer one at least its last `KEPT_BYTES - BLOCK_BYTES` are there."""


_LONGEST_CHARACTER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a stream that stand together.

    Args:
        start: the offset of the first.
        data: the bytes.
    """

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset behind the last."""
        return self.start + len(self.data)

    @property
    def number(self) -> int:
        """Of the block that it is in."""
        return self.start // BLOCK_BYTES

    @property
    def slot(self) -> int:
        """Where its block stands."""
        return self.number % BLOCKS


def cut(piece: Piece) -> Iterator[Piece]:
    """A piece in parts that are each in one block; without what its own end would replace at once."""
    start = max(piece.start, (piece.end - 1) // BLOCK_BYTES * BLOCK_BYTES - (BLOCKS - 1) * BLOCK_BYTES)
    while start < piece.end:
        end = min(piece.end, (start // BLOCK_BYTES + 1) * BLOCK_BYTES)
        yield Piece(start, piece.data[start - piece.start : end - piece.start])
        start = end


def joined(kept: Piece | None, new: Piece) -> Piece | None:
    """What stands in a slot once a part has come; None when that changes nothing.

    What does not follow on what is kept takes its place: a pilot that could not send everything has left a hole, and
    the bytes in front of it are of no use in the same block.

    Args:
        kept: what stands there, of the same attempt.
        new: a part of one block.
    """
    if kept is None:
        return new
    if new.end <= kept.end:
        return None
    follows = kept.start <= new.start <= kept.end
    return Piece(kept.start, kept.data + new.data[kept.end - new.start :]) if follows else new


def piece_at(kept: Sequence[Piece], offset: int, limit: int) -> Piece:
    """The bytes from an offset on, as far as they stand together.

    Args:
        kept: what stands in the slots, by offset.
        offset: where to begin; later, where that is not kept any more.
        limit: so many bytes at the most.

    Returns:
        The bytes; none behind the end of what is kept.
    """
    found = Piece(offset, b'')
    for piece in kept:
        if piece.end <= offset or (found.data and piece.start != found.end):
            continue
        if not found.data:
            found = Piece(max(offset, piece.start), b'')
        found = Piece(found.start, found.data + piece.data[max(0, found.end - piece.start) :])
        if len(found.data) >= limit:
            break
    return Piece(found.start, found.data[:limit])


_GOING_ON = bytes(range(0x80, 0xC0))
"""Bytes that begin no character of UTF-8."""

_NOT_PLAIN = re.compile(rb'[\x00-\x7f][\x80-\xbf]+|[\xc0-\xff][\x80-\xbf]*')
_MARK = '\ufffd'.encode()


def characters(data: bytes) -> int:
    """How many characters of UTF-8 begin in some bytes, wherever they are cut."""
    return len(data.translate(None, _GOING_ON))


def text_of(data: bytes) -> str:
    """Some bytes as text: a character for each that begins in them.

    What is no UTF-8 becomes a mark; behind an ASCII character, and at the beginning, it is left out. So places in the
    text can be counted, also where bytes are no text at all.
    """
    data = data.lstrip(_GOING_ON)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _NOT_PLAIN.sub(lambda found: _mended(found[0]), data).decode()


def _mended(character: bytes) -> bytes:
    try:
        character.decode()
    except UnicodeDecodeError:
        return character[:1] if character[0] < 0x80 else _MARK
    return character


def whole_characters(data: bytes) -> bytes:
    """Some bytes without a character at their end of which more may come."""
    for back in range(1, min(_LONGEST_CHARACTER_BYTES, len(data)) + 1):
        lead = data[-back]
        if lead & 0xC0 == 0x80:
            continue
        needed = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
        # Bytes that are no character at all are not waited for.
        return data[:-back] if back < needed and lead < 0xF8 else data
    return data
