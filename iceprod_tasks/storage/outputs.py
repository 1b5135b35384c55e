"""Outputs: what commands print, kept while they run and after, as much of it as has room."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from iceprod_tasks.domain.outputs import Piece, characters, cut, joined
from iceprod_tasks.storage.client import Collection, Document, Duplicate, utc_now

_HIDDEN = {'_id': False}
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of one attempt.

    Args:
        task_id: of the task.
        name: `stdout` or `stderr`.
        epoch: of the claim that the attempt is made under.
    """

    task_id: str
    name: str
    epoch: int


class Outputs:
    """The outputs of tasks, a document a block.

    Args:
        collection: the collection `outputs`.
    """

    def __init__(self, collection: Collection) -> None:
        self._blocks = collection

    async def append(self, stream: Stream, dataset_id: str, piece: Piece) -> None:
        """Keep some bytes; those that are there already stay as they are.

        What an earlier attempt has printed goes once a later one prints. What an earlier one sends late is thrown away.

        Args:
            stream: whose they are.
            dataset_id: of the task.
            piece: the bytes.
        """
        for part in cut(piece):
            if not await self._put(stream, dataset_id, part):
                return
        if piece.start == 0:
            earlier = {'task_id': stream.task_id, 'stream': stream.name, 'epoch': {'$lt': stream.epoch}}
            await self._blocks.delete_many(earlier)

    async def _put(self, stream: Stream, dataset_id: str, part: Piece) -> bool:
        """Put a part into its slot; False when a later attempt has it."""
        output_id = f'{stream.task_id}:{stream.name}:{part.slot}'
        for _ in range(_ATTEMPTS):
            there = await self._blocks.find_one({'output_id': output_id}, _HIDDEN)
            if there is not None and there['epoch'] > stream.epoch:
                return False
            own = there is not None and there['epoch'] == stream.epoch
            block = joined(_piece(there) if own else None, part)
            if block is None:
                return True
            goes_on = own and there['start'] == block.start
            before = there.get('before', block.start) if goes_on else await self._characters_before(stream, block)
            ends = {'start': block.start, 'end': block.end, 'before': before}
            changed = {'epoch': stream.epoch, **ends, 'data': block.data}
            if there is None:
                fixed = {'task_id': stream.task_id, 'dataset_id': dataset_id, 'stream': stream.name}
                try:
                    await self._blocks.insert_one({'output_id': output_id, **fixed, **changed, 'updated': utc_now()})
                except Duplicate:
                    continue
                return True
            # Whoever came between has changed one of these: then look again.
            as_seen = {'output_id': output_id, 'epoch': there['epoch'], 'start': there['start'], 'end': there['end']}
            if await self._blocks.update_one(as_seen, {'$set': {**changed, 'updated': utc_now()}}):
                return True
        return True  # others write the same, and have been faster each time

    async def _characters_before(self, stream: Stream, block: Piece) -> int:
        """How many characters have begun before a block, as far as they have come."""
        if block.start == 0:
            return 0
        earlier = {**_where(stream), 'start': {'$lt': block.start}}
        last = await self._blocks.find_one(earlier, _HIDDEN, sort=[('start', -1)])
        return last.get('before', last['start']) + characters(last['data']) if last else block.start

    async def places(self, stream: Stream) -> list[tuple[int, int]]:
        """Where the blocks begin that are kept: offset of the first byte, and characters before it; by offset."""
        kept = await self._blocks.all(
            _where(stream), {'_id': False, 'start': True, 'before': True}, sort=[('start', 1)]
        )
        # Blocks of the release before do not know: as many as there are bytes.
        return [(each['start'], each['before'] if 'before' in each else each['start']) for each in kept]

    async def newest_epoch(self, task_id: str) -> int:
        """The epoch of the last attempt that has printed something; 0 when none has."""
        found = await self._blocks.find_one({'task_id': task_id}, {'epoch': True}, sort=[('epoch', -1)])
        return int(found['epoch']) if found else 0

    async def span(self, stream: Stream) -> tuple[int, int]:
        """The offset of the first byte that is kept, and that behind the last; both 0 when there is none."""
        bounds = {'_id': False, 'start': True, 'end': True}
        kept = await self._blocks.all(_where(stream), bounds)
        return (min(each['start'] for each in kept), max(each['end'] for each in kept)) if kept else (0, 0)

    async def pieces(self, stream: Stream, offset: int, limit: int) -> list[Piece]:
        """What is kept from an offset on, by offset, so many blocks that a number of bytes is among them.

        Args:
            stream: whose.
            offset: of the first byte that matters.
            limit: how many bytes matter.
        """
        where = {**_where(stream), 'end': {'$gt': offset}, 'start': {'$lt': offset + limit}}
        found = await self._blocks.all(where, {'_id': False, 'start': True, 'data': True}, sort=[('start', 1)])
        if not found:
            # All of that is gone already.
            where = {**_where(stream), 'start': {'$gte': offset + limit}}
            found = await self._blocks.all(where, sort=[('start', 1)], limit=1)
        return [_piece(each) for each in found]

    async def remove_older(self, time: datetime, limit: int) -> int:
        """Remove blocks that nothing was added to since a time, a number of them at the most; how many there were."""
        where = {'updated': {'$lt': time}}
        old = self._blocks.find(where, {'_id': True}, sort=[('updated', 1)], limit=limit)
        return await self._blocks.delete_many({**where, '_id': {'$in': [each['_id'] async for each in old]}})


def _where(stream: Stream) -> Document:
    return {'task_id': stream.task_id, 'stream': stream.name, 'epoch': stream.epoch}


def _piece(block: Mapping[str, object]) -> Piece:
    return Piece(int(block['start']), bytes(block['data']))  # type: ignore[call-overload]
