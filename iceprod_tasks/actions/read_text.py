"""Read what a task has printed as text, by places that count characters and not bytes.

Whoever adds the lengths of the texts that it gets, as clients of Drove do, always knows where the next one begins:
characters are counted on over bytes that never came, and over the beginning that is not kept any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from iceprod_tasks.actions.outputs import Output, Wanted, read_output
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.outputs import BLOCK_BYTES, KEPT_BYTES, text_of, whole_characters
from iceprod_tasks.storage.outputs import Stream

_LONGEST_CHARACTER_BYTES = 4
_SHORTEST_BYTES = BLOCK_BYTES + _LONGEST_CHARACTER_BYTES
"""A character begins in the block that its place points to, however few of the bytes in front of it begin one."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Text:
    """Some of a stream.

    Args:
        offset: of its first character.
        text: the characters.
    """

    offset: int
    text: str


async def read_text(service: Service, task_id: str, stream: str, offset: int, length: int) -> Text:
    """Some of what the command of a task has printed.

    Args:
        service: the service.
        task_id: of the task.
        stream: `stdout` or `stderr`.
        offset: of the first character; negative for the end, where nothing is yet.
        length: so many characters at the most.

    Returns:
        The text. It begins later than asked for where that is not kept any more.

    Raises:
        NotFound: there is no such task.
    """
    for _ in range(_ATTEMPTS):
        about = await read_output(service, task_id, Wanted(stream, 0, 0))
        kept = Stream(task_id, stream, about.epoch)
        places = await service.store.outputs.places(kept) or [(0, 0)]
        # Where nothing more is in front of a hole, what is behind it.
        later = [before for _, before in places if before > offset] if offset >= 0 and length > 0 else []
        found = None
        for begin in dict.fromkeys([offset, *later]):
            found = await _read(service, kept, places, begin, length)
            if found is None or found.text:
                break
        if found is not None:
            return found
    return Text(max(0, offset), '')


async def _read(
    service: Service, kept: Stream, places: Sequence[tuple[int, int]], offset: int, length: int
) -> Text | None:
    """What begins at an offset and stands together; None when its block has been replaced meanwhile."""
    # Of a place behind bytes that never came, too, it is known how many characters came before.
    fitting = [place for place in places if place[1] <= offset] if offset >= 0 else places
    start, before = (fitting or places[:1])[-1]
    skipped = max(0, offset - before)
    wanted = max(_SHORTEST_BYTES, _LONGEST_CHARACTER_BYTES * (skipped + length + 1))
    limit = KEPT_BYTES if offset < 0 else min(KEPT_BYTES, wanted)
    found = await read_output(service, kept.task_id, Wanted(kept.name, start, limit, epoch=kept.epoch))
    if found.piece.data and found.piece.start != start:
        return None
    text = _text(found, limit)
    if offset < 0:
        return Text(before + len(text), '')
    return Text(before + skipped, text[skipped : skipped + length])


def _text(found: Output, limit: int) -> str:
    end, size = found.piece.end, found.size
    # A hole follows where there is less than was asked for: what it has cut never gets its last byte.
    is_cut = end < size and len(found.piece.data) < limit
    is_all = is_cut or (found.ended and end >= size)
    return text_of(found.piece.data if is_all else whole_characters(found.piece.data))
