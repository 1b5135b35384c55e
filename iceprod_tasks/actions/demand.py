"""Demand: what the tasks need that are to be run, so that pilots can be started for them."""

from typing import Any

from iceprod_tasks.actions.materialize import unmade_tasks
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.datasets import needs
from iceprod_tasks.domain.signatures import signature


async def demand(service: Service) -> list[dict[str, Any]]:
    """What waits to be run, a row for each kind of tasks.

    Tasks that wait for others are left out, whether they are made yet or not.

    Returns:
        Of each kind `requirements`, None where its tasks may need anything; and how many are `waiting` and `queued`,
        and how many are described by configs and `unmade`.
    """
    rows = {name: {**row, 'unmade': 0} for name, row in (await service.store.demand.of_each_kind()).items()}
    async for jobs_missing, task in unmade_tasks(service):
        if task.get('depends'):
            continue
        required = needs(task)
        empty = {'requirements': required, 'waiting': 0, 'queued': 0, 'unmade': 0}
        rows.setdefault(signature(required), empty)['unmade'] += jobs_missing
    return list(rows.values())
