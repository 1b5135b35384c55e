"""The task document: its fields, who sets them, and what a new one looks like.

A task is one unit of work; a *job* is the tasks of one job_index; a *claim* is a pilot's hold on a task, told apart
from all others by its claim_id, and from earlier ones of the same task by its epoch.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from iceprod_tasks.domain.signatures import signature

Task = dict[str, Any]

SCHEMA_VERSION = 1
DEFAULT_PRIORITY = 1.0
LOG_LENGTH = 50
"""Entries a task's log keeps, the newest ones."""
PHASES_LENGTH = 50
"""Phases of attempts that a task remembers, the newest ones."""
CLAIMS_LENGTH = 10
"""Claim ids a task remembers, the newest ones."""

_LONGEST_RETRY_DELAY_SECONDS = 3600.0

IDENTITY = ('task_id', 'dataset_id', 'job_id', 'name')
"""Set once; nothing changes them."""

CLAIM_FIELDS = (
    'claim_id', 'instance_id', 'claims', 'epoch', 'lease_until', 'lease_seconds', 'pilot', 'stop',
    'claimed_by', 'host',
)  # fmt: skip
"""A pilot's hold on the task; only transitions change them."""

NEW_ATTEMPT: Mapping[str, Any] = {
    'phase': '', 'steps': {'completed': 0, 'total': 1}, 'resources_used': {}, 'heartbeat_at': None,
}  # fmt: skip
"""What heartbeats say of an attempt, before the first one."""

SERVICE_FIELDS = (
    *CLAIM_FIELDS, *NEW_ATTEMPT, 'max_evictions', 'status_changed', 'create_date', 'log', 'log_dropped', 'signature',
    'managed', 'outcome', 'updated', 'evictions', 'replays', 'external', 'nodes', 'schema_version', '_id',
    'priority_offset', 'weighed', 'was', 'phases', 'failed_on', 'messages', 'message_at', 'message_count',
    'work', 'max_failures', 'max_lease_seconds', 'keep_seconds', 'about',
)  # fmt: skip
"""What clients never set: POST overwrites them, PATCH refuses them."""

KEY_FIELDS = frozenset({'claim_id', 'instance_id', 'claims', 'replays'})
"""For whoever claimed the task, and nobody else: a claim id is the key to a claim."""

SECRET_FIELDS = KEY_FIELDS | {'signature', 'claimed_by'}
"""Left out of what users and other pilots read."""

HIDDEN_FIELDS = frozenset({'was', 'messages', 'message_at', 'message_count'})
"""For the service itself; messages have routes of their own."""

SORTABLE = frozenset({
    'task_id', 'dataset_id', 'job_id', 'name', 'task_index', 'job_index', 'status', 'priority', 'status_changed',
    'create_date', 'failures', 'evictions', 'walltime', 'walltime_err', 'walltime_err_n', 'site',
})  # fmt: skip
"""Plain fields that a listing can be sorted by."""


def new_id() -> str:
    """An id nobody can guess: 32 hex characters, no clock or machine address in them."""
    return uuid.uuid4().hex


def materialized_id(dataset_id: str, job_index: int, task_index: int) -> str:
    """The id of a task that a dataset's config describes: the same one at every attempt to make it."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f'task:{dataset_id}:{job_index}:{task_index}').hex


def new_task(
    given: Mapping[str, Any], task_id: str, now: Any, *, managed: bool, priority_offset: float | None = None
) -> Task:
    """A task as it is first stored.

    Args:
        given: what the client or the config says; own fields of the service in it are overwritten.
        task_id: its id.
        now: the time of creation, UTC.
        managed: whether the dataset has a record, so that the scheduler cares for the task.
        priority_offset: what it adds to the base of its dataset; None for a task that keeps the priority it has.

    Returns:
        The document.
    """
    return {
        'status': 'waiting',
        'priority': DEFAULT_PRIORITY,
        **given,
        'task_id': task_id,
        'status_changed': now,
        'create_date': now,
        'failures': 0,
        'evictions': 0,
        'walltime': 0.0,
        'walltime_err': 0.0,
        'walltime_err_n': 0,
        'site': '',
        'signature': signature(given['requirements']),
        'managed': managed,
        'weighed': priority_offset is not None,
        'priority_offset': priority_offset or 0.0,
        'claim_id': '',
        'instance_id': '',
        'claims': [],
        'epoch': 0,
        'lease_until': None,
        'lease_seconds': None,
        'pilot': '',
        'claimed_by': '',
        'host': '',
        'stop': None,
        'log': [],
        'outcome': None,
        **NEW_ATTEMPT,
        'max_evictions': None,
        'updated': now,
        'external': None,
        'nodes': None,
        'schema_version': SCHEMA_VERSION,
    }


def retry_delay_seconds(failures: int, first_seconds: float) -> float:
    """How long a reset task rests before its next try: nothing after a reset by hand, then doubling up to an hour."""
    return min(first_seconds * 2 ** (failures - 1), _LONGEST_RETRY_DELAY_SECONDS) if failures > 0 else 0.0
