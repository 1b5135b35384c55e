"""Jobs: the tasks of one job_index, and when such a job has ended."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.statuses import RUNNABLE

JOB_STATUSES = ('processing', 'suspended', 'errors', 'complete')
"""All statuses, in the order every summary lists them."""

IDENTITY = ('job_id', 'dataset_id', 'job_index')
"""Set once; nothing changes them."""

SERVICE_FIELDS = ('status_changed', 'create_date', 'tasks_total', '_id')
"""What clients never set: POST overwrites them, PATCH refuses them."""


def materialized_id(dataset_id: str, job_index: int) -> str:
    """The id of a job that a dataset's config describes: the same one at every attempt to make it."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f'job:{dataset_id}:{job_index}').hex


def checked_id(text: str) -> str:
    """A job id that a client has made, in the one form that ids have here.

    Raises:
        InvalidRequest: it is no UUID.
    """
    try:
        return uuid.UUID(hex=text).hex
    except ValueError:
        raise InvalidRequest('job_id should be a valid uuid') from None


def new_job(dataset_id: str, job_index: int, tasks_total: int, now: Any) -> dict[str, Any]:
    """A job as it is first stored.

    Args:
        dataset_id: of its dataset.
        job_index: its place in the dataset, from 0.
        tasks_total: how many tasks it will have; it cannot end with fewer. 0 when nobody knows.
        now: the time of creation, UTC.
    """
    return {
        'job_id': materialized_id(dataset_id, job_index),
        'dataset_id': dataset_id,
        'job_index': job_index,
        'status': 'processing',
        'status_changed': now,
        'create_date': now,
        'tasks_total': tasks_total,
    }


def stuck(idle: Mapping[str, Sequence[str]], lost: Mapping[str, str]) -> dict[str, str]:
    """The idle tasks of a job that can only go on if somebody does something.

    A task needs all that it depends on. So one dependency that will not complete by itself is enough, near or far.

    Args:
        idle: what each idle task of the job depends on.
        lost: tasks that will not complete by themselves; each with what that makes of a job, errors or suspended.

    Returns:
        Those of the idle tasks, each with what it makes of the job; errors where there are reasons for both.
    """
    waited_for_by: dict[str, list[str]] = {}
    for task_id, depends in idle.items():
        for name in depends:
            waited_for_by.setdefault(name, []).append(task_id)
    found: dict[str, str] = {}
    for fate in ('errors', 'suspended'):
        reached = [name for name, its_fate in lost.items() if its_fate == fate]
        while reached:
            for task_id in waited_for_by.get(reached.pop(), ()):
                if task_id not in found:
                    found[task_id] = fate
                    reached.append(task_id)
    return found


def ended_as(tasks_total: int, counts: Mapping[str, int], fates: Collection[str] = ()) -> str | None:
    """How a job has ended, if it has.

    A job waits for its last running task before it is called anything but processing, and tasks held back by
    failed ones do not keep it open.

    Args:
        tasks_total: how many tasks it has when materialized; with 0, unknown, nobody but its client ends it.
        counts: its tasks by status.
        fates: what each idle task that is `stuck` makes of the job; any other idle task keeps it open.

    Returns:
        The job's new status, or None while it goes on.
    """
    number = sum(counts.values())
    if not 0 < tasks_total <= number or any(counts.get(status) for status in RUNNABLE):
        return None
    if counts.get('idle', 0) > len(fates):
        return None
    if counts.get('complete', 0) == number:
        return 'complete' if number else None
    return 'errors' if counts.get('failed') or 'errors' in fates else 'suspended'
