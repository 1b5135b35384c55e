"""Clear: what came for datasets after they were gone."""

import asyncio

from iceprod_tasks.actions.service import Service
from iceprod_tasks.storage.belongings import PARTS


async def clear(service: Service, limit: int) -> int:
    """Remove what came for datasets after they were gone; how many datasets have left no trace now."""
    cleared = 0
    for dataset_id in await service.store.deletions.traces(limit):
        # A trace is laid before the record goes: with a record the deletion is not at its end.
        if await service.store.datasets.get(dataset_id) is None:
            for part in PARTS:
                async for _ in service.store.belongings.remove(part, dataset_id):
                    await asyncio.sleep(0)
            await service.store.deletions.remove_config(dataset_id)
            await service.store.deletions.remove_access(dataset_id)
            await service.store.deletions.forget(dataset_id)
            cleared += 1
    return cleared
