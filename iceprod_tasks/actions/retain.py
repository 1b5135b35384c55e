"""Retain: how long a dataset is kept after its end."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import BeingDeleted, NotFound


async def retain(service: Service, dataset_id: str, given: Mapping[str, Any]) -> None:
    """Set a dataset's retention.

    Args:
        service: the service.
        dataset_id: of the dataset.
        given: `days`, None for the service's own, and optionally `archive`; valid by their schema.

    Raises:
        NotFound: there is no such dataset.
        BeingDeleted: it is too late.
    """
    changes = {'retention_days': given['days']} | {key: given[key] for key in ('archive',) if key in given}
    if not await service.store.datasets.set_retention(dataset_id, changes):
        if await service.store.datasets.get(dataset_id) is None:
            raise NotFound('Dataset not found')
        raise BeingDeleted
