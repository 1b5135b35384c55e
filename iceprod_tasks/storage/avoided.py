"""Avoided machines: where queued tasks have failed last, so that others may try them first."""

import time
from collections.abc import Sequence
from datetime import timedelta

from iceprod_tasks.storage.client import Collection, Document, utc_now
from iceprod_tasks.storage.together import Together

AVOIDED_SECONDS = 60.0
"""For so long after it was queued again, a task is left to other machines."""

_FRESH_SECONDS = 0.5
_FAILED: Document = {'status': 'queued', 'failed_on': {'$gt': ''}}


def untried_on(host: str) -> Document:
    """The filter of tasks that did not fail on a machine the last time, or have waited for another one long enough."""
    long_ago = utc_now() - timedelta(seconds=AVOIDED_SECONDS)
    return {'$or': [{'failed_on': {'$ne': host}}, {'status_changed': {'$lt': long_ago}}]}


class Avoided:
    """The machines on which queued tasks have failed last.

    There are few, and mostly none. Claims that come from anywhere else are not held up by them.

    Args:
        tasks: the collection `tasks`.
    """

    def __init__(self, tasks: Collection) -> None:
        self._tasks = tasks
        self._hosts: frozenset[str] = frozenset()
        self._fresh_until = 0.0
        self._reading: Together[None, None] = Together(self._read, at_most=10_000)

    async def has(self, host: str) -> bool:
        """Whether a machine is one, as of half a second ago."""
        if time.monotonic() >= self._fresh_until:
            await self._reading.ask('hosts', None)
        return host in self._hosts

    async def _read(self, askers: Sequence[None]) -> Sequence[None]:
        began = time.monotonic()
        # One index key for each machine.
        pipeline: list[Document] = [{'$match': _FAILED}, {'$sort': {'failed_on': 1}}, {'$group': {'_id': '$failed_on'}}]
        self._hosts = frozenset([each['_id'] async for each in self._tasks.aggregate(pipeline, hint='failed_on')])
        self._fresh_until = began + _FRESH_SECONDS
        return askers
