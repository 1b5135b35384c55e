"""What has happened to tasks in the last hour, from what they remember of it themselves."""

import heapq
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from iceprod_tasks.actions.named import changed_named, time_of_names
from iceprod_tasks.dialects.drove.envelope import Violations
from iceprod_tasks.dialects.drove.handler import READ, DroveHandler
from iceprod_tasks.dialects.drove.names import SYSTEM
from iceprod_tasks.dialects.drove.states import TERMINAL, result_of, timeline
from iceprod_tasks.dialects.drove.translate import executor_id, instance_id, milliseconds
from iceprod_tasks.rest.routing import Route, in_lane

EVENTS_AT_MOST = 1024
EVENTS_KEPT = timedelta(minutes=60)
_TYPE = 'TASK_STATE_CHANGE'

Event = dict[str, Any]


class _EventsHandler(DroveHandler):
    """What routes of events have in common."""

    async def _events(self) -> list[dict[str, Any]]:
        """The newest events behind a time, the newest first."""
        size = self.integer('size')
        size = EVENTS_AT_MOST if size is None else size
        if not 0 < size <= EVENTS_AT_MOST:
            raise Violations([f'size must be from 1 to {EVENTS_AT_MOST}'])
        now = await time_of_names(self.service)
        # What is asked for may be no time at all.
        asked = min(self.integer('lastSyncTime') or 0, milliseconds(now + EVENTS_KEPT))
        since = max(asked, milliseconds(now - EVENTS_KEPT))
        newest = _Newest(size)
        async for task in changed_named(self.service, SYSTEM, since):
            if newest.is_full_before(milliseconds(task['updated'])):
                # Those that follow have changed even earlier.
                break
            newest.add(event for event in task_events(task) if event['time'] > since)
        return newest.events()


class EventsHandler(_EventsHandler):
    """What has happened."""

    async def get(self) -> None:
        """List it, the newest first.

        Params (optional):
            lastSyncTime: only what happened later, in ms since 1970
            size: how much at the most, 1024 unless told

        Returns:
            dict: `data` is a list, of each event `type`, `id`, `time` in ms, and `metadata`
        """
        self.succeed(await self._events())


class LatestEventsHandler(_EventsHandler):
    """What has happened, and until when."""

    async def get(self) -> None:
        """List it, the newest first.

        Params (optional):
            lastSyncTime, size: as of all events

        Returns:
            dict: `data` has `events`, and `lastSyncTime` for the next question
        """
        events = await self._events()
        self.succeed({'events': events, 'lastSyncTime': _synced(events, self.integer('lastSyncTime'))})


class EventsSummaryHandler(_EventsHandler):
    """How much has happened."""

    async def get(self) -> None:
        """Count it.

        Params (optional):
            lastSyncTime, size: as of all events

        Returns:
            dict: `data` has `eventsCount`, a number for each type, and `lastSyncTime`
        """
        events = await self._events()
        counts = {_TYPE: len(events)} if events else {}
        self.succeed({'eventsCount': counts, 'lastSyncTime': _synced(events, self.integer('lastSyncTime'))})


def task_events(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The changes of state of a task as events."""
    metadata = {
        'APP_NAME': task['external']['app'],
        'TASK_ID': task['external']['id'],
        'INSTANCE_ID': instance_id(task['task_id']),
        'EXECUTABLE': str(((task.get('about') or {}).get('executable') or {}).get('url', '')),
        'CREATED': milliseconds(task['create_date']),
    }
    executor = {'EXECUTOR_ID': executor_id(task.get('pilot') or ''), 'EXECUTOR_HOST': task.get('host') or ''}
    result = result_of(task)
    events = []
    for number, (when, state) in enumerate(timeline(task)):
        told: dict[str, Any] = {**metadata, 'CURRENT_STATE': state}
        if state != 'PENDING':
            told |= {name: value for name, value in executor.items() if value}
        if state in TERMINAL and result is not None:
            told |= {'RESULT_STATUS': result.status, 'RESULT_EXIT_CODE': result.exit_code}
            told |= {'ERROR': result.message} if result.message else {}
        name = f'{task["task_id"]}-{number}'
        events.append({'type': _TYPE, 'id': name, 'time': milliseconds(when), 'metadata': told})
    return events


class _Newest:
    """The newest of some events, with no more of them in memory.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, int, Event]] = []
        self._number = 0

    def add(self, events: Iterable[Event]) -> None:
        """Look at some."""
        for event in events:
            self._number += 1
            entry = event['time'], self._number, event
            if len(self._heap) < self._size:
                heapq.heappush(self._heap, entry)
            else:
                heapq.heappushpop(self._heap, entry)

    def is_full_before(self, time: int) -> bool:
        """Whether nothing that happened up to a time has a place any more."""
        return len(self._heap) == self._size and self._heap[0][0] > time

    def events(self) -> list[Event]:
        """They themselves, the newest first."""
        return [event for _, _, event in sorted(self._heap, reverse=True)]


def _synced(events: list[dict[str, Any]], asked: int | None) -> int:
    return int(events[0]['time']) if events else asked or 0


ROUTES = (
    Route(r'/apis/v1/cluster/events', EventsHandler, {'get': in_lane('list', READ)}),
    Route(r'/apis/v1/cluster/events/latest', LatestEventsHandler, {'get': in_lane('list', READ)}),
    Route(r'/apis/v1/cluster/events/summary', EventsSummaryHandler, {'get': in_lane('list', READ)}),
)
