"""Where a task or a job is: operators ask for it by its id alone, users in the datasets that they may read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from iceprod_tasks.client import AsyncClient, NotFound, NotPermitted

T = TypeVar('T')

_AT_ONCE = 16


async def find(
    client: AsyncClient, dataset_id: str, anywhere: Callable[[], Awaitable[T]], within: Callable[[str], Awaitable[T]]
) -> T:
    """Read something that belongs to a dataset.

    Args:
        client: the service.
        dataset_id: of the dataset; '' where the user does not say.
        anywhere: asks for it by its id alone, as operators may.
        within: asks for it in a dataset.

    Raises:
        NotFound: it is nowhere that the user may read.
    """
    if dataset_id:
        return await within(dataset_id)
    try:
        return await anywhere()
    except NotPermitted:
        pass
    datasets = list(await client.datasets(keys=['dataset_id']))
    # What people ask for is most often new.
    datasets.reverse()
    for start in range(0, len(datasets), _AT_ONCE):
        asked = (_or_none(within(each)) for each in datasets[start : start + _AT_ONCE])
        for found in await asyncio.gather(*asked):
            if found is not None:
                return found
    raise NotFound('there is none with this id in the datasets that you may read', code=404)


async def _or_none(asked: Awaitable[T]) -> T | None:
    try:
        return await asked
    except NotFound:
        return None
