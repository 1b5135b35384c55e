"""Submit: a dataset, and the config that its tasks are made from."""

from collections.abc import Mapping
from typing import Any

from iceprod_tasks.actions.depend import Depending, check_dependencies
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.datasets import access_record, check_config, check_sizes, is_ours, new_dataset
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.origins import Origin


async def submit(service: Service, caller: Caller, given: Mapping[str, Any], origin: Origin) -> str:
    """Store a new dataset, with its config where one comes along.

    Args:
        service: the service.
        caller: who submits; the owner.
        given: the dataset's fields, valid by their schema, and optionally `config`.
        origin: of its id and its time.

    Returns:
        The new dataset's id.

    Raises:
        InvalidRequest: its numbers contradict each other, or the config could not become tasks: see
            `check_dependencies` too.
    """
    datasets, dataset_id = service.store.datasets, origin.new_id()
    if origin.again and await datasets.get(dataset_id) is not None:
        return dataset_id
    fields = {key: value for key, value in given.items() if key != 'config'}
    check_sizes(fields)
    config = given.get('config')
    if config is not None and is_ours(config):
        check_config(config, fields['tasks_per_job'])
        depending = Depending(dataset_id, config['tasks'], fields['jobs_submitted'])
        fields['depends_on'] = await check_dependencies(service, caller, depending)
    await service.store.people.register(caller.name)
    number = await datasets.next_number()
    dataset = new_dataset(fields, dataset_id=dataset_id, number=number, owner=caller.name, now=origin.began)
    await datasets.add(dataset, access_record(dataset_id, caller.name, fields['group']), config)
    service.news.stirred()
    return dataset_id


async def configure(service: Service, caller: Caller, dataset_id: str, config: Mapping[str, Any]) -> None:
    """Put a dataset's config in place. One of another system's version is kept as it is.

    Raises:
        InvalidRequest: a config of ours could not become tasks, or names another dataset.
    """
    if config.get('dataset_id', dataset_id) != dataset_id:
        raise InvalidRequest('dataset_id mismatch')
    depends_on: list[str] = []
    if is_ours(config):
        dataset = await service.store.datasets.get(dataset_id)
        check_config(config, dataset['tasks_per_job'] if dataset else None)
        depending = Depending(dataset_id, config['tasks'], dataset['jobs_submitted'] if dataset else None)
        depends_on = await check_dependencies(service, caller, depending)
    await service.store.datasets.set_config(dataset_id, config, depends_on)
    service.news.stirred()
