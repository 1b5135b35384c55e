"""Amend: change what a dataset is, how urgent it is, its own status, and how many jobs it has."""

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.datasets import check_growth
from iceprod_tasks.domain.errors import Conflict, NotFound


async def describe_anew(service: Service, dataset_id: str, description: str) -> None:
    """Set a dataset's description.

    Raises:
        NotFound: there is no such dataset.
    """
    await _set(service, dataset_id, 'description', description)


async def prioritize(service: Service, dataset_id: str, priority: float) -> None:
    """Set how urgent a dataset is.

    Raises:
        NotFound: there is no such dataset.
    """
    await _set(service, dataset_id, 'priority', float(priority))
    service.news.reweigh()


async def move_dataset(service: Service, dataset_id: str, status: str) -> None:
    """Set a dataset's status, and nothing of its jobs and tasks.

    Args:
        service: the service.
        dataset_id: of the dataset.
        status: the new one.

    Raises:
        NotFound: there is no such dataset.
    """
    if not await service.store.datasets.put_status(dataset_id, status):
        raise NotFound('Dataset not found')
    service.news.stirred()


async def grow(service: Service, dataset_id: str, jobs_submitted: int) -> None:
    """Give a dataset more jobs; one that had ended goes on, unless it was truncated.

    Raises:
        NotFound: there is no such dataset.
        InvalidRequest: it cannot have so many.
    """
    datasets = service.store.datasets
    if not await datasets.grow(dataset_id, jobs_submitted):
        dataset = await datasets.get(dataset_id)
        if dataset is None:
            raise NotFound('Dataset not found')
        check_growth(dataset, jobs_submitted)
        raise Conflict('the dataset has changed meanwhile: repeat the request')
    service.news.stirred()


async def _set(service: Service, dataset_id: str, name: str, value: object) -> None:
    if not await service.store.datasets.set_field(dataset_id, name, value):
        raise NotFound('Dataset not found')
    service.news.stirred()
