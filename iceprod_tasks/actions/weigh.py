"""Weigh: the bases of datasets, from which the priorities of their tasks follow."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.priorities import Contender, unfinished_jobs
from iceprod_tasks.domain.priorities import weigh as weigh_all


async def weigh(service: Service) -> int:
    """Compute the base of every dataset with work left, and store those that have changed; how many.

    Any number of processes may do so at once: they read the same and compute the same.
    """
    weights, people = service.store.weights, service.store.people
    datasets = await weights.datasets()
    processing = await weights.jobs_processing([dataset['dataset_id'] for dataset in datasets])
    contenders = [_contender(each, processing.get(each['dataset_id'], 0)) for each in datasets]
    found = weigh_all(contenders, await people.user_priorities(), await people.group_priorities())
    changed = 0
    for dataset in datasets:
        factors = found[dataset['dataset_id']]
        if asdict(factors) != dataset.get('base_factors'):
            changed += await weights.set_base(dataset, factors.base, asdict(factors))
    return changed


async def base_of(service: Service, dataset: Mapping[str, Any]) -> float:
    """The base of a dataset; one that has none yet is weighed now.

    A dataset that has ended before it was ever weighed has 0 until it goes on.
    """
    base: float | None = dataset.get('base_priority')
    if base is None:
        await weigh(service)
        base = (await service.store.datasets.get(dataset['dataset_id']) or {}).get('base_priority')
    return 0.0 if base is None else base


def late_days(dataset: Mapping[str, Any], now: datetime) -> float:
    """How long after its dataset a task comes into being now."""
    return float((now - dataset['start_date']) / timedelta(days=1))


def _contender(dataset: Mapping[str, Any], jobs_processing: int) -> Contender:
    return Contender(
        dataset_id=dataset['dataset_id'],
        user=dataset['username'],
        group=dataset['group'],
        priority=dataset['priority'],
        jobs=dataset['jobs_submitted'],
        unfinished_tasks=unfinished_jobs(dataset, jobs_processing) * max(1, dataset['tasks_per_job']),
        age_days=dataset['age_days'],
        suspended=dataset['status'] == 'suspended',
    )
