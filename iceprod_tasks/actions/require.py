"""Require: set what tasks of one name need, raised or lowered."""

import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from iceprod_tasks.actions.portions import rest
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.signatures import grown_signature, signature_with


async def require(service: Service, dataset_id: str, name: str, values: Mapping[str, Any]) -> None:
    """Set requirements of all tasks with this name in a dataset; requirements that are not named stay.

    Args:
        service: the service.
        dataset_id: of the dataset.
        name: of the tasks.
        values: requirement to value, valid by its schema.

    Raises:
        NotFound: no task has this name.
    """
    tasks = service.store.tasks
    where = {'dataset_id': dataset_id, 'name': name}
    kinds = await tasks.kinds(where, service.store.admission.at_most)
    signatures = {old: signature_with(old, needs, values) for old, needs in kinds.items()}
    changed, began = 0, time.monotonic()
    async with aclosing(tasks.set_requirements(where, values, signatures)) as portions:
        async for count in portions:
            changed += count
            await rest(began, count)
            began = time.monotonic()
    if not changed:
        raise NotFound('Tasks not found')
    await sign(service)


async def sign(service: Service) -> int:
    """Give unfinished tasks without a signature theirs, and gather rare ones if there are too many; how many changed.

    A change of requirements leaves some without when another one crosses it. Such tasks can be claimed as they are,
    only not as fast.
    """
    signed = 0
    async for task in service.store.tasks.unsigned():
        needs = task['requirements']
        # Nobody knows whether they have grown. If they have, an exact signature would be one more for each.
        signed += await service.store.tasks.resign(task['task_id'], needs, grown_signature(needs))
    return signed + await service.store.kinds.gather()
