"""Depend: what the tasks of a dataset wait for, in other datasets too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iceprod_tasks.actions import permit
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.datasets import is_ours
from iceprod_tasks.domain.dependencies import (
    NOWHERE,
    ById,
    Dependency,
    Described,
    Node,
    OfDataset,
    OfJob,
    Place,
    Resolved,
    check_circles,
    graph,
    listed,
    where,
)
from iceprod_tasks.domain.errors import InvalidRequest, NotPermitted

DATASETS_AT_MOST = 100
"""Datasets that the tasks of one dataset may depend on, directly or by way of others."""

_NO_NODE: Node = ('', '')
"""Where a task is that does not exist: it is looked up like others, so that the time it takes tells nothing."""


@dataclass(frozen=True, slots=True)
class Depending:
    """A dataset whose tasks may depend on others.

    Args:
        dataset_id: its id.
        tasks: of its config, valid by its schema.
        jobs_submitted: how many jobs it has, None when it has no record.
    """

    dataset_id: str
    tasks: Sequence[Described]
    jobs_submitted: int | None = None


@dataclass(frozen=True, slots=True)
class _Other:
    """A dataset that is depended on, and that the caller may read."""

    record: Mapping[str, Any] | None
    tasks: Sequence[Described] | None


async def check_dependencies(service: Service, caller: Caller, depending: Depending) -> list[str]:
    """Refuse dependencies that lead nowhere, or back.

    A dataset that does not exist and one that the caller may not read give the same error.

    Args:
        service: the service.
        caller: who wants to have them.
        depending: the dataset, and what its config says; without a circle in it.

    Returns:
        The sorted ids of the other datasets.

    Raises:
        InvalidRequest: an entry of `depends` names nothing, a task of the same dataset by other than its name, a
            dataset with fewer jobs, or there is a circle.
    """
    entries = [each for each in listed(depending.tasks) if not isinstance(each[2], OfJob)]
    if not entries:
        return []
    nodes = await _nodes(service, depending.tasks)
    named = {each.dataset_id for _, _, each in entries if isinstance(each, OfDataset)} - {depending.dataset_id}
    _check_number(named)
    led_to = {nodes.get(each.task_id, _NO_NODE)[0] for _, _, each in entries if isinstance(each, ById)}
    others = await _others(service, caller, (named | led_to) - {depending.dataset_id})
    for task_index, position, dependency in entries:
        if problem := _problem(depending, dependency, nodes, others):
            raise InvalidRequest(f'{where(task_index, position)}: {problem}')
    check_circles(depending.dataset_id, depending.tasks, await _reached(service, depending), nodes)
    return list(others)


async def resolve(service: Service, dataset_id: str, tasks: Sequence[Described]) -> list[list[Resolved]]:
    """What each task of a config waits for, as places that give an id for each job_index.

    Args:
        service: the service.
        dataset_id: of the config's dataset.
        tasks: of the config.
    """
    entries = list(listed(tasks))
    places = _places(dataset_id, tasks)
    for other_id in sorted({each.dataset_id for _, _, each in entries if isinstance(each, OfDataset)}):
        places |= _places(other_id, await _described(service, other_id) or ())
    waits_for: list[dict[Resolved, None]] = [{} for _ in tasks]
    for task_index, _, dependency in entries:
        match dependency:
            case ById():
                place: Resolved = dependency
            case OfJob(name):
                place = places[dataset_id, name]
            case OfDataset(other_id, name):
                # What a config has no more keeps its dependents waiting, and shows as a missing task.
                place = places.get((other_id, name), Place(other_id, NOWHERE))
        waits_for[task_index][place] = None
    return [list(places) for places in waits_for]


def _places(dataset_id: str, tasks: Sequence[Described]) -> dict[Node, Resolved]:
    return {(dataset_id, task['name']): Place(dataset_id, index) for index, task in enumerate(tasks)}


def _check_number(dataset_ids: Collection[str]) -> None:
    if len(dataset_ids) > DATASETS_AT_MOST:
        raise InvalidRequest(f'tasks: dependencies lead to more than {DATASETS_AT_MOST} other datasets')


def _problem(
    depending: Depending, dependency: Dependency, nodes: Mapping[str, Node], others: Mapping[str, _Other | None]
) -> str:
    """What is wrong with a dependency outside of the job; '' when nothing is."""
    match dependency:
        case ById(task_id):
            other_id, _ = nodes.get(task_id, ('', ''))
            if other_id == depending.dataset_id:
                return 'a task of the same dataset is named by its name alone'
            return '' if others.get(other_id) else f'there is no task named {task_id}'
        case OfDataset(depending.dataset_id, _):
            return 'a task of the same dataset is named by its name alone'
        case OfDataset(other_id, name):
            return _problem_elsewhere(depending, other_id, name, others[other_id])
    return ''


def _problem_elsewhere(depending: Depending, other_id: str, name: str, other: _Other | None) -> str:
    if other is None or other.record is None:
        return f'there is no task named {other_id}:{name}, and no dataset {other_id} that you may read'
    if other.tasks is None:
        return f'dataset {other_id} has no config that tasks are made from; name its tasks by their ids'
    if all(task['name'] != name for task in other.tasks):
        return f'dataset {other_id} has no task named {name}'
    jobs = other.record['jobs_submitted']
    if depending.jobs_submitted is not None and jobs < depending.jobs_submitted:
        return f'dataset {other_id} has {jobs} jobs, this one {depending.jobs_submitted}'
    return ''


async def _others(service: Service, caller: Caller, dataset_ids: Collection[str]) -> dict[str, _Other | None]:
    """The datasets that are depended on, in order; None for those that the caller may not read.

    Those do not count: how many there are is not told.
    """
    others: dict[str, _Other | None] = {}
    for dataset_id in sorted(dataset_ids):
        others[dataset_id] = await _readable(service, caller, dataset_id)
        _check_number([each for each, other in others.items() if other is not None])
    return others


async def _readable(service: Service, caller: Caller, dataset_id: str) -> _Other | None:
    try:
        await permit.check(service, caller, dataset_id, 'read')
    except NotPermitted:
        return None
    record = await service.store.datasets.get(dataset_id)
    if dataset_id == _NO_NODE[0] or (record is not None and record.get('deleting')):
        return None
    return _Other(record, await _described(service, dataset_id))


async def _described(service: Service, dataset_id: str) -> Sequence[Described] | None:
    """The tasks of a dataset's config, None where it has none that tasks are made from."""
    config = await service.store.datasets.config(dataset_id)
    return config['tasks'] if config is not None and is_ours(config) else None


async def _nodes(service: Service, tasks: Sequence[Described]) -> dict[str, Node]:
    return await service.store.tasks.nodes([each.task_id for _, _, each in listed(tasks) if isinstance(each, ById)])


async def _reached(service: Service, depending: Depending) -> dict[Node, list[Node]]:
    """The graph of a dataset's tasks, and of all datasets that they lead to."""
    waits_for: dict[Node, list[Node]] = {}
    pending, seen = [depending], {depending.dataset_id}
    while pending:
        each = pending.pop()
        own = graph(each.dataset_id, each.tasks, await _nodes(service, each.tasks))
        waits_for |= own
        further = {dataset_id for targets in own.values() for dataset_id, _ in targets} - seen
        seen |= further
        _check_number(seen - {depending.dataset_id})
        pending += [Depending(other, await _described(service, other) or ()) for other in sorted(further)]
    return waits_for
