"""Delete: a dataset and all that belongs to it, archived first where that is asked.

First the record is marked; from then on the dataset takes no changes. Then it is decided whether it may go: whoever has
the mark in hand looks whether work runs. If some does, and the deletion is not forced, the mark is taken back and
nothing has happened. If none does, it is decided: what could be claimed is cancelled, and a claim that slipped in
between is asked to stop as in a forced deletion. Then the archive is written, then everything is removed in portions,
the record last but one. Each step can be repeated, so an interrupted deletion is taken up where it was.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from iceprod_tasks.actions import archive as archiving
from iceprod_tasks.actions import permit
from iceprod_tasks.actions.act import Asked, act_on_tasks
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import (
    ArchiveFailed,
    BeingDeleted,
    Conflict,
    DependedOn,
    NotFound,
    NotPermitted,
    Unavailable,
)
from iceprod_tasks.domain.retention import GOES_ON
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage.archives import packed
from iceprod_tasks.storage.belongings import PARTS
from iceprod_tasks.storage.deletions import ASKED, REMOVING, STOPPING, Demand
from iceprod_tasks.storage.tasks import in_dataset
from iceprod_tasks.storage.transitions import Note

T = TypeVar('T')

ANSWER_WITHIN_SECONDS = 20.0
"""What takes longer goes on without the request that began it."""

_AT_ONCE = 2000
_KEEP_EVERY_SECONDS = 10.0
_ARCHIVE_AGAIN_SECONDS = 300.0
_CLAIMABLE = ('reset', 'idle', 'waiting', 'queued')
_RUNNING = ('processing',)
_WHY = 'the dataset is being deleted'
_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Deletion:
    """How far a deletion has come.

    Args:
        deleted: how many documents of each part this run removed; None when it is not at its end.
        archive: the name of the archive in the folder of archives, None when there is none.
        stopping: how many tasks still run.
    """

    deleted: Mapping[str, int] | None = None
    archive: str | None = None
    stopping: int = 0


async def delete(
    service: Service, caller: Caller, dataset_id: str, *, force: bool = False, archive: bool | None = None
) -> Deletion:
    """Delete a dataset, or go on with a deletion that was interrupted.

    Args:
        service: the service.
        caller: who asks.
        dataset_id: of the dataset.
        force: although tasks run, which are stopped, and although unfinished datasets depend on it.
        archive: whether to write an archive first; None for what the dataset says.

    Raises:
        NotFound: there is no such dataset.
        Conflict: work runs, or an unfinished dataset depends on it; nothing has changed.
        ArchiveFailed: the archive cannot be written; nothing is deleted.
    """
    asked = Demand(caller.name, new_id(), force=force, archive=archive)
    dataset = await service.store.deletions.begin(dataset_id, asked)
    if dataset is not None:
        try:
            return await _Run(service, dataset, time.monotonic() + ANSWER_WITHIN_SECONDS).work()
        except DependedOn as error:
            raise await _for_readers(service, caller, error) from None
    if await service.store.datasets.get(dataset_id) is None:
        await service.store.deletions.remove_access(dataset_id)
        raise NotFound('Dataset not found')
    if force:
        await service.store.deletions.insist(dataset_id)
    return Deletion(stopping=await service.store.counts.in_statuses(dataset_id, _RUNNING))


async def take_up(service: Service) -> Deletion | None:
    """Go on with the deletion that has been left alone for longest; None when there is none.

    Raises:
        Conflict: it may not be done after all, and its mark is taken back.
        ArchiveFailed: the archive cannot be written; nothing is deleted.
    """
    dataset = await service.store.deletions.take_up(new_id())
    return None if dataset is None else await _Run(service, dataset).work()


async def delete_expired(service: Service, seen: Mapping[str, Any], who: str) -> Deletion | None:
    """Delete a dataset whose retention is over, as it says itself; None when it has changed since it was seen.

    Raises:
        Conflict: it goes on, or an unfinished dataset depends on it; nothing has changed.
        ArchiveFailed: the archive cannot be written; nothing is deleted.
    """
    dataset = await service.store.deletions.begin_expiry(seen, Demand(who, new_id(), expiry=True))
    return None if dataset is None else await _Run(service, dataset).work()


class _TakenOver(Exception):
    """Somebody else has the deletion in hand."""


@dataclass(slots=True)
class _Run:
    """The work on one deletion by whoever has it in hand.

    Args:
        service: the service.
        dataset: the record as marked for this run.
        end: when to leave the rest to others, by the monotonic clock; None for never.
    """

    service: Service
    dataset: Mapping[str, Any]
    end: float | None = None
    _kept: float = field(default_factory=time.monotonic)

    @property
    def _dataset_id(self) -> str:
        return str(self.dataset['dataset_id'])

    @property
    def _mark(self) -> Mapping[str, Any]:
        mark: Mapping[str, Any] = self.dataset['deleting']
        return mark

    async def work(self) -> Deletion:
        """Go on until the dataset is gone, or work has to be waited for."""
        rest_seconds = 0.0
        try:
            if self._mark['stage'] == ASKED:
                await self._decide()
            if self._mark['stage'] == STOPPING:
                stopping = await self._stop()
                if stopping:
                    return Deletion(stopping=stopping)
                await self._note(stage=REMOVING, archived=await self._archive() if self._mark['archive'] else None)
            return await self._remove()
        except (_TakenOver, BeingDeleted):
            # Somebody else has it in hand; an archive that was overtaken is not kept.
            return Deletion()
        except ArchiveFailed:
            rest_seconds = _ARCHIVE_AGAIN_SECONDS
            raise
        finally:
            # What cannot be released now can be taken up when its time is over.
            with suppress(Unavailable):
                await self.service.store.deletions.release(
                    self._dataset_id, self._mark['worker'], rest_seconds=rest_seconds
                )

    async def _decide(self) -> None:
        """Go on to the stage from which there is no way back, or take the mark back."""
        deletions = self.service.store.deletions
        while error := await self._objection():
            if await deletions.take_back(self._dataset_id, self._mark['worker'], force=self._mark['force']):
                raise error
            # It has been forced meanwhile.
            await self._note()
        await self._note(stage=STOPPING)

    async def _objection(self) -> Conflict | ArchiveFailed | None:
        if self._mark['archive']:
            try:
                await self.service.archives.check()
            except ArchiveFailed as error:
                return error
        if self._mark['force']:
            return None
        going_on = GOES_ON if self._mark['expiry'] else _RUNNING
        running = await self.service.store.counts.in_statuses(self._dataset_id, going_on)
        if running:
            return Conflict(f'{running} {"task is" if running == 1 else "tasks are"} {_or(going_on)}')
        dependents = (await self.service.store.deletions.dependents([self._dataset_id])).get(self._dataset_id)
        return DependedOn(dependents) if dependents else None

    async def _stop(self) -> int:
        """Cancel what could be claimed, and ask what runs to stop; how many tasks still run."""
        who, dataset_id = self._mark['who'], self._dataset_id
        while await self.service.store.counts.in_statuses(dataset_id, (*_CLAIMABLE, *_RUNNING)):
            async for _ in self._keeping(_cancelled(self.service, who, dataset_id, _CLAIMABLE)):
                pass
            running = await _stop_work(self.service, who, dataset_id)
            if running:
                return running
        return 0

    async def _archive(self) -> str:
        lines = self._keeping(archiving.pieces(self.service, self.dataset))
        return (await self.service.archives.write(self._dataset_id, packed(lines))).name

    async def _remove(self) -> Deletion:
        """Remove everything; without a config nobody makes tasks, so it goes first."""
        deletions, removed = self.service.store.deletions, dict.fromkeys(PARTS, 0)
        await deletions.remove_config(self._dataset_id)
        for part in PARTS:
            async with aclosing(self._keeping(self._portions(part))) as portions:
                async for count in portions:
                    removed[part] += count
                    if self.end is not None and time.monotonic() > self.end:
                        return Deletion()
        await deletions.remove_record(self._dataset_id)
        await deletions.remove_access(self._dataset_id)
        return Deletion(removed, self._mark['archived'])

    async def _portions(self, part: str) -> AsyncIterator[int]:
        """Remove a part until nothing of it is found any more."""
        found = True
        while found:
            found = False
            began = time.monotonic()
            async for count in self.service.store.belongings.remove(part, self._dataset_id):
                found = True
                yield count
                # However much there is to remove, half of the time belongs to everybody else.
                await asyncio.sleep(time.monotonic() - began)
                began = time.monotonic()

    async def _keeping(self, steps: AsyncIterator[T]) -> AsyncGenerator[T]:
        """The same steps; between them others get a turn, and the deletion is held on to."""
        async for step in steps:
            yield step
            await asyncio.sleep(0)
            if time.monotonic() - self._kept > _KEEP_EVERY_SECONDS:
                await self._note()

    async def _note(self, **changes: Any) -> None:
        dataset = await self.service.store.deletions.keep(self._dataset_id, self._mark['worker'], **changes)
        if dataset is None:
            raise _TakenOver
        self.dataset, self._kept = dataset, time.monotonic()


async def _stop_work(service: Service, who: str, dataset_id: str) -> int:
    """Have the work on a dataset's tasks end; how many tasks still run."""
    await act_on_tasks(service, who, dataset_id, Asked('cancel', statuses=_RUNNING, reason=_WHY))
    return await service.store.counts.in_statuses(dataset_id, _RUNNING)


async def _cancelled(service: Service, who: str, dataset_id: str, statuses: Iterable[str]) -> AsyncIterator[int]:
    """Cancel a dataset's tasks of some statuses, portion by portion; how many each had."""
    note = Note(who=who, why=_WHY)
    for status in statuses:
        while task_ids := await _portion(service, dataset_id, status):
            yield await service.store.tasks.move_many(TRANSITIONS['cancel'], note, task_ids, dataset_id)


async def _portion(service: Service, dataset_id: str, status: str) -> list[str]:
    found = service.store.tasks.select(in_dataset(dataset_id, [status]), keys=('task_id',), limit=_AT_ONCE)
    return [task['task_id'] async for task in found]


def _or(words: Iterable[str]) -> str:
    return ' or '.join(sorted(words))


async def _for_readers(service: Service, caller: Caller, error: DependedOn) -> DependedOn:
    """The same error, which names no dataset that the caller may not read."""
    told = []
    for dataset_id in error.dataset_ids[:_LOOKED_AT]:
        with suppress(NotPermitted):
            await permit.check(service, caller, dataset_id, 'read')
            told.append(dataset_id)
    return DependedOn(told, others=len(told) < len(error.dataset_ids))
