"""What a task of a config waits for: how an entry of `depends` is read, and whether tasks wait in a circle."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.tasks import materialized_id

T = TypeVar('T')

Described = Mapping[str, Any]
"""An entry of a config's `tasks`."""

Node = tuple[str, str]
"""The id of a dataset, and the name of a task in its config."""

NOWHERE = -1
"""The task_index of a name that a config has no more; no task ever has the id that is made from it."""

_OF_DATASET = re.compile(r'(?P<dataset_id>\w+):(?P<name>.+)', re.DOTALL)
_SHOWN_IN_CIRCLE = 10


@dataclass(frozen=True, slots=True)
class OfJob:
    """Another task of the same job."""

    name: str


@dataclass(frozen=True, slots=True)
class OfDataset:
    """A task of the job with the same job_index in another dataset."""

    dataset_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ById:
    """One task, the same one for every job."""

    task_id: str


Dependency = OfJob | OfDataset | ById


@dataclass(frozen=True, slots=True)
class Place:
    """A task of a config, as one of each job."""

    dataset_id: str
    task_index: int


Resolved = Place | ById
"""What a dependency comes down to."""


def read(entry: str, names: Container[str]) -> Dependency:
    """What an entry of `depends` means.

    Args:
        entry: as it stands in the config.
        names: of the config's tasks. They come first: a name may look like anything.
    """
    if entry in names:
        return OfJob(entry)
    if of_dataset := _OF_DATASET.fullmatch(entry):
        return OfDataset(of_dataset['dataset_id'], of_dataset['name'])
    return ById(entry)


def listed(tasks: Sequence[Described]) -> Iterator[tuple[int, int, Dependency]]:
    """Every entry of every `depends` of a config.

    Yields:
        (place of the task, place of the entry in its `depends`, what it means), in the order of the config.
    """
    names = {task['name'] for task in tasks}
    for task_index, task in enumerate(tasks):
        for position, entry in enumerate(task.get('depends', ())):
            yield task_index, position, read(entry, names)


def where(task_index: int, position: int) -> str:
    """The place of an entry, as errors name it."""
    return f'tasks[{task_index}].depends[{position}]'


def task_in(resolved: Resolved, job_index: int) -> str:
    """The id of the task that a job with this job_index depends on."""
    match resolved:
        case Place(dataset_id, task_index):
            return materialized_id(dataset_id, job_index, task_index)
        case ById(task_id):
            return task_id


def graph(dataset_id: str, tasks: Sequence[Described], nodes: Mapping[str, Node]) -> dict[Node, list[Node]]:
    """What each task of a config waits for.

    Args:
        dataset_id: of the config's dataset.
        tasks: of the config.
        nodes: where the tasks are that it names by their ids; those that are missing here are left out.
    """
    waits_for: dict[Node, list[Node]] = {(dataset_id, task['name']): [] for task in tasks}
    for task_index, _, dependency in listed(tasks):
        if (node := node_of(dependency, dataset_id, nodes)) is not None:
            waits_for[dataset_id, tasks[task_index]['name']].append(node)
    return waits_for


def node_of(dependency: Dependency, dataset_id: str, nodes: Mapping[str, Node]) -> Node | None:
    """Where a dependency of a dataset's task leads, None when nobody knows; `nodes` as for `graph`."""
    match dependency:
        case OfJob(name):
            return dataset_id, name
        case OfDataset(other_id, name):
            return other_id, name
        case ById(task_id):
            return nodes.get(task_id)


def check_circles(
    dataset_id: str, tasks: Sequence[Described], waits_for: Mapping[Node, Sequence[Node]], nodes: Mapping[str, Node]
) -> None:
    """Refuse a config some of whose tasks would wait for themselves in the end.

    Args:
        dataset_id: of the config's dataset.
        tasks: of the config.
        waits_for: the `graph` of the config, and of all that it leads to.
        nodes: as for `graph`.

    Raises:
        InvalidRequest: there is a circle. Names of other datasets' tasks are not told.
    """
    if not (found := circle(waits_for)):
        return
    following = dict(zip(found, [*found[1:], *found[:1]], strict=True))
    names = [name for other_id, name in found if other_id == dataset_id]
    how = ' through other datasets' if len(names) < len(found) else f': {_shown(names)}'
    for task_index, position, dependency in listed(tasks):
        own = dataset_id, tasks[task_index]['name']
        if own in following and following[own] == node_of(dependency, dataset_id, nodes):
            raise InvalidRequest(f'{where(task_index, position)}: dependencies form a circle{how}')
    raise InvalidRequest('tasks: dependencies lead to a circle of other datasets')


def circle(waits_for: Mapping[T, Sequence[T]]) -> list[T]:
    """Some that wait for each other, each followed by one that it waits for; none when there is no circle."""
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        # The sorter begins with what must come first, and ends with what it began with.
        return list(reversed(error.args[1][1:]))
    return []


def _shown(names: Sequence[str]) -> str:
    return ' -> '.join([*names[:_SHOWN_IN_CIRCLE], '...' if len(names) > _SHOWN_IN_CIRCLE else names[0]])
