"""What pilots, and the programs that submit them to a batch system (grids), say about themselves.

These are notes for people and for such programs. What a pilot holds is said by its claims, never by these.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.times import read_time

_UNCHANGEABLE = frozenset({'_id', 'pilot_id', 'registered_by', 'submit_date', 'last_update', 'drain'})
_GRID_UNCHANGEABLE = frozenset({'_id', 'grid_id', 'start_date', 'last_update'})


def new_pilot(given: Mapping[str, Any], pilot_id: str, now: datetime, registered_by: str) -> dict[str, Any]:
    """A pilot as stored.

    Args:
        given: queue_host, queue_version, resources, and what else there is to say; what only the service sets is
            overwritten.
        pilot_id: its id.
        now: the time of it, UTC.
        registered_by: subject of the token that it is made with.
    """
    return {
        'tasks': [],
        'host': '',
        'site': '',
        'version': '',
        'grid_queue_id': '',
        'resources_available': {},
        'resources_claimed': {},
        **_own(given, _UNCHANGEABLE),
        'pilot_id': pilot_id,
        'registered_by': registered_by,
        'submit_date': now,
        'start_date': '',
        'last_update': now,
        'drain': None,
    }


def drain_order(who: str, why: str, now: datetime) -> dict[str, Any]:
    """An order to take no more tasks, as it stands in a pilot's entry.

    Args:
        who: gives it.
        why: in words for people.
        now: the time of it, UTC.
    """
    return {'who': who, 'why': why, 'when': now}


def new_grid(given: Mapping[str, Any], grid_id: str, now: datetime) -> dict[str, Any]:
    """A grid as stored.

    Args:
        given: host, queues, version, and what else there is to say; what only the service sets is overwritten.
        grid_id: its id.
        now: the time of it, UTC.
    """
    own = _own(given, _GRID_UNCHANGEABLE)
    return {'debug': False, **own, 'grid_id': grid_id, 'start_date': now, 'last_update': now}


def pilot_changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a client may set in a pilot; `start_date` becomes a time.

    Raises:
        InvalidRequest: there is none, one cannot be changed, or `start_date` is no time.
    """
    changes = _changes(given, _UNCHANGEABLE)
    if changes.get('start_date'):
        changes['start_date'] = read_time(changes['start_date'], 'start_date')
    return changes


def grid_changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a client may set in a grid.

    Raises:
        InvalidRequest: there is none, or one cannot be changed.
    """
    return _changes(given, _GRID_UNCHANGEABLE)


def _own(given: Mapping[str, Any], service_fields: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in service_fields}


def _changes(given: Mapping[str, Any], unchangeable: frozenset[str]) -> dict[str, Any]:
    if not given:
        raise InvalidRequest('Missing update data')
    for key in given:
        if key in unchangeable:
            raise InvalidRequest(f'key {key} cannot be changed')
    return dict(given)
