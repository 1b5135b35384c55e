"""Blocks of an output against all of it: whatever is written, twice, late or with holes, what is kept is right."""

from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain import outputs
from iceprod_tasks.domain.outputs import BLOCK_BYTES, BLOCKS, KEPT_BYTES, Piece, cut, joined, piece_at


def printed(size: int) -> bytes:
    """What a command prints: no two blocks of it look alike."""
    return b''.join(number.to_bytes(4, 'big') for number in range(size // 4 + 1))[:size]


class Ring:
    """The slots of a stream."""

    def __init__(self) -> None:
        self.slots: dict[int, Piece] = {}

    def write(self, piece: Piece) -> None:
        for part in cut(piece):
            block = joined(self.slots.get(part.slot), part)
            if block is not None:
                self.slots[part.slot] = block

    def read(self, offset: int, limit: int) -> Piece:
        return piece_at(sorted(self.slots.values(), key=lambda block: block.start), offset, limit)

    @property
    def size(self) -> int:
        return max((block.end for block in self.slots.values()), default=0)


WHOLE = printed(3 * KEPT_BYTES)
sizes = st.integers(1, 4 * BLOCK_BYTES) | st.integers(1, 100) | st.just(BLOCK_BYTES)


@given(steps=st.lists(sizes, max_size=60), repeated=st.lists(st.integers(0, 59)))
def test_what_is_kept_is_the_end_of_what_was_written(steps: list[int], repeated: list[int]) -> None:
    ring, end, pieces = Ring(), 0, []
    for size in steps:
        piece = Piece(end, WHOLE[end : end + size])
        if not piece.data:
            break
        pieces.append(piece)
        ring.write(piece)
        end = piece.end
    for number in repeated:
        if number < len(pieces):
            ring.write(pieces[number])

    assert ring.size == end
    first = max(0, end - KEPT_BYTES + BLOCK_BYTES)
    found = ring.read(first, end)
    assert (found.start, found.data) == (first, WHOLE[first:end])
    assert sum(len(block.data) for block in ring.slots.values()) <= KEPT_BYTES
    assert len(ring.slots) <= BLOCKS


@given(
    steps=st.lists(st.tuples(st.integers(0, 3 * BLOCK_BYTES), sizes), min_size=1, max_size=40),
    offset=st.integers(0, 3 * KEPT_BYTES),
    limit=st.integers(1, KEPT_BYTES),
)
def test_where_something_is_missing_nothing_wrong_is_read(
    steps: list[tuple[int, int]], offset: int, limit: int
) -> None:
    ring, end = Ring(), 0
    for hole, size in steps:
        start = end + hole
        data = WHOLE[start : start + size]
        if not data:
            break
        ring.write(Piece(start, data))
        end = start + len(data)

    found = ring.read(offset, limit)

    assert found.data == WHOLE[found.start : found.end]
    assert len(found.data) <= limit
    assert found.start >= offset
    if offset < ring.size:
        assert found.data


@given(size=st.integers(1, 3 * KEPT_BYTES), start=st.integers(0, 10 * BLOCK_BYTES))
def test_a_piece_is_cut_at_the_borders_of_blocks_and_nothing_is_cut_that_would_not_be_kept(
    size: int, start: int
) -> None:
    parts = list(cut(Piece(start, WHOLE[:size])))

    assert all(part.number == (part.end - 1) // BLOCK_BYTES for part in parts)
    assert len({part.slot for part in parts}) == len(parts) <= BLOCKS
    assert b''.join(part.data for part in parts) == WHOLE[:size][parts[0].start - start :]
    assert parts[-1].end == start + size


def test_what_is_there_already_is_nothing_to_write() -> None:
    kept = Piece(10, b'0123456789')

    assert [joined(kept, Piece(start, b'0123')) for start in (4, 10, 13, 16)] == [None] * 4
    assert joined(kept, Piece(17, b'7890')) == Piece(10, b'01234567890')
    assert joined(kept, Piece(21, b'x')) == Piece(21, b'x')


def test_a_stream_keeps_a_mebibyte() -> None:
    assert outputs.KEPT_BYTES == 2**20
