"""A pilot's entry at the service: what it offers and runs, for people to see; and whether it is told to drain."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from iceprod_tasks.client import AsyncClient, ClientError, NotFound, NotPermitted
from iceprod_tasks.pilot.diary import Diary

log = logging.getLogger(__name__)

_LAST_SECONDS = 5.0


class Presence:
    """Keeps the entry of a pilot up to date while a block runs; nothing of its work depends on that.

    Args:
        client: the way to the service.
        about: what never changes: queue_host, queue_version, resources, and what else there is to say.
        diary: what it does.
        seconds: between two signs of life.
    """

    def __init__(self, client: AsyncClient, about: Mapping[str, Any], diary: Diary, seconds: float) -> None:
        self._client = client.retrying(0)
        self._about = about
        self._diary = diary
        self._seconds = seconds
        self._pilot_id = ''
        self._telling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._telling = asyncio.create_task(self._tell_until_cancelled())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._telling is not None:
            self._telling.cancel()
            [result] = await asyncio.gather(self._telling, return_exceptions=True)
            if isinstance(result, Exception):
                log.error('signs of life broke off', exc_info=result)
        await self._leave()

    async def _tell_until_cancelled(self) -> None:
        while True:
            try:
                await self._tell()
            except (NotPermitted, NotFound) as error:
                if not self._pilot_id:
                    log.info('no entry as a pilot: %s', error)
                    return
                self._pilot_id = ''  # somebody has removed it, or it was silent for too long
            except ClientError as error:
                log.debug('sign of life: %s', error)
            await self._rest()

    async def _rest(self) -> None:
        """Until the next sign of life is due; that the pilot takes no more tasks is told at once."""
        if self._diary.drained.is_set():
            await asyncio.sleep(self._seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._diary.drained.wait()

    async def _tell(self) -> None:
        now = self._diary.now()
        if not self._pilot_id:
            self._pilot_id = await self._client.register_pilot({**self._about, **now})
            return
        entry = await self._client.update_pilot(self._pilot_id, now)
        if isinstance(order := entry.get('drain'), dict):
            self._diary.drain(f'{order.get("who", "somebody")} asked for it: {order.get("why", "")}'.removesuffix(': '))

    async def _leave(self) -> None:
        if self._pilot_id:
            try:
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._client.remove_pilot(self._pilot_id)
            except (ClientError, TimeoutError) as error:
                log.debug('the entry stays: %s', error)
