"""Outputs: pilots send what their commands print, and people read it while it comes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.claimants import NEEDED, is_past, may_be_of
from iceprod_tasks.domain.errors import NotFound, NotYours, StaleClaim, TaskGone
from iceprod_tasks.domain.outputs import Piece, piece_at
from iceprod_tasks.storage.outputs import Stream

LONGEST_WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.5
"""How often a reader that waits looks for what other processes have taken in."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that a pilot speaks of.

    Args:
        task_id: of the task.
        claim_id: of the claim.
        epoch: of the claim.
    """

    task_id: str
    claim_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to read.

    Args:
        stream: `stdout` or `stderr`.
        offset: of the first byte; from the end on when negative.
        limit: bytes at the most.
        wait_seconds: how long to wait for something to read.
        epoch: of the attempt; None for the one that runs, or else the last one that has printed something.
    """

    stream: str
    offset: int = 0
    limit: int = 65536
    wait_seconds: float = 0.0
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Some of a stream.

    Args:
        epoch: of the attempt.
        piece: the bytes, and where they begin.
        first: the offset of the first byte that is kept.
        size: how many bytes have been printed, as far as they have come.
        ended: whether the attempt is over.
    """

    epoch: int
    piece: Piece
    first: int
    size: int
    ended: bool


async def append_output(
    service: Service, caller: Caller, attempt: Attempt, pieces: Sequence[tuple[str, Piece]]
) -> None:
    """Keep what the command of an attempt has printed.

    The end of the claim does not matter, as long as no other has come after it: what a command printed last may come
    after the report.

    Args:
        service: the service.
        caller: who sends it.
        attempt: whose output it is.
        pieces: each with the stream that it is of.

    Raises:
        TaskGone: there is no such task.
        StaleClaim: it is not the last claim of the task.
        NotYours: to a pilot, the same, and where the claim is another's.
    """
    dataset_id = await dataset_of(service, caller, attempt)
    for stream, piece in pieces:
        await service.store.outputs.append(Stream(attempt.task_id, stream, attempt.epoch), dataset_id, piece)
    service.arrivals.tell(attempt.task_id)


async def dataset_of(service: Service, caller: Caller, attempt: Attempt) -> str:
    """The dataset of the task of an attempt, which must be its last.

    Raises:
        TaskGone: there is no such task.
        StaleClaim: it is not the last claim of the task.
        NotYours: to a pilot, the same, and where the claim is another's.
    """
    task = await service.store.tasks.get(attempt.task_id, keys=(*NEEDED, 'dataset_id'))
    is_known = task is not None and attempt.claim_id in (task.get('claims') or ())
    if caller.is_bound and (task is None or not (may_be_of(task, caller) or is_past(task, attempt.claim_id))):
        raise NotYours
    if task is None:
        raise TaskGone
    if not is_known or task['epoch'] != attempt.epoch or task['claims'][-1] != attempt.claim_id:
        raise StaleClaim
    return str(task['dataset_id'])


async def read_output(service: Service, task_id: str, wanted: Wanted, dataset_id: str | None = None) -> Output:
    """Some of what the command of a task has printed.

    Args:
        service: the service.
        task_id: of the task.
        wanted: what of it.
        dataset_id: only if the task belongs to this dataset.

    Raises:
        NotFound: there is no such task.
    """
    until = time.monotonic() + min(wanted.wait_seconds, LONGEST_WAIT_SECONDS)
    while True:
        # Before the look, so that what comes meanwhile is noticed.
        news = service.arrivals.next(task_id)
        async with service.looks:
            output = await _look(service, task_id, wanted, dataset_id)
        left_seconds = until - time.monotonic()
        if output.piece.data or output.ended or left_seconds <= 0 or service.drain.begun:
            return output
        await asyncio.wait([news], timeout=min(left_seconds, _LOOK_SECONDS))


async def _look(service: Service, task_id: str, wanted: Wanted, dataset_id: str | None) -> Output:
    task = await service.store.tasks.get(task_id, dataset_id, ('status', 'epoch'))
    if task is None:
        raise NotFound('Task not found')
    now, runs = task.get('epoch') or 0, task['status'] == 'processing'
    epoch = wanted.epoch
    if epoch is None:
        epoch = now if runs else await _last_epoch(service, task_id)
    ended = not runs or epoch < now
    stream = Stream(task_id, wanted.stream, epoch)
    # After the status: what is printed last comes before the end.
    first, size = await service.store.outputs.span(stream)
    told = await _told(service, stream) if ended and not size else b''
    size = size or len(told)
    offset = wanted.offset if wanted.offset >= 0 else max(first, size + wanted.offset)
    piece = Piece(offset, b'')
    if offset < size:
        offset = max(offset, first)
        kept = [Piece(0, told)] if told else await service.store.outputs.pieces(stream, offset, wanted.limit)
        piece = piece_at(kept, offset, wanted.limit)
    return Output(epoch, piece, first, size, ended=ended)


async def _last_epoch(service: Service, task_id: str) -> int:
    """The epoch of the last attempt that has printed something; 0 when none has."""
    said = await service.store.messages.last_words(task_id)
    return max(await service.store.outputs.newest_epoch(task_id), said.get('epoch') or 0 if said else 0)


async def _told(service: Service, stream: Stream) -> bytes:
    """What the report of an attempt has of a stream of which nothing was sent: all of it, where it was little."""
    said = await service.store.messages.last_words(stream.task_id, stream.epoch)
    return str(said.get(stream.name) or '').encode() if said else b''
