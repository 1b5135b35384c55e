"""Rank: which tasks come next, and what their priorities consist of."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.priorities import explain
from iceprod_tasks.storage.datasets import in_statuses
from iceprod_tasks.storage.readable import Choice

AT_MOST = 100

_UNFINISHED = Choice(statuses=[status for status in DATASET_STATUSES if status != 'complete'])

_SHOWN = ('task_id', 'dataset_id', 'name', 'job_index', 'task_index', 'status', 'priority')


async def rank(service: Service, caller: Caller, number: int, dataset_id: str | None = None) -> list[dict[str, Any]]:
    """The next tasks in the order in which they would be handed out if pilots came that take any: queued, then waiting.

    Args:
        service: the service.
        caller: who asks; a user sees tasks of datasets that they may read.
        number: how many.
        dataset_id: of this dataset only.

    Returns:
        What tells the task, its priority, and `factors` that add up to it; None for a task that keeps a priority of
        its own.

    Raises:
        InvalidRequest: the number is out of bounds.
        NotPermitted: the caller may not read this dataset.
    """
    if not 1 <= number <= AT_MOST:
        raise InvalidRequest(f'limit must be between 1 and {AT_MOST}')
    among = await _readable(service, caller, dataset_id)
    order = service.store.order
    tasks = await order.queued(number, among)
    if len(tasks) < number:
        tasks += await order.waiting(number - len(tasks), among)
    datasets = service.store.datasets.select(in_statuses(among=sorted({task['dataset_id'] for task in tasks})))
    records = {dataset['dataset_id']: dataset async for dataset in datasets}
    return [_described(task, records.get(task['dataset_id'], {})) for task in tasks]


async def _readable(service: Service, caller: Caller, dataset_id: str | None) -> list[str] | None:
    """The datasets to look at, None for all."""
    if dataset_id is not None:
        await permit.check(service, caller, dataset_id, 'read')
        return [dataset_id]
    if caller.operates:
        return None
    # Whatever a complete dataset has queued, nobody will look for here.
    found = service.store.datasets.readable(_UNFINISHED.where, caller.name, caller.groups, ('dataset_id',))
    return [dataset['dataset_id'] async for dataset in found]


def _described(task: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    factors = dataset.get('base_factors') if task.get('weighed') else None
    parts = explain(task, dataset['tasks_per_job'], factors) if factors else None
    return {**{name: task[name] for name in _SHOWN}, 'factors': parts}
