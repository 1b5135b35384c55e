"""Datasets: many jobs made from one config, owned by a user and a group."""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.dependencies import check_circles, graph
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.files import check_local
from iceprod_tasks.domain.images import check_image
from iceprod_tasks.domain.placeholders import unknown_names

DATASET_STATUSES = ('processing', 'truncated', 'suspended', 'errors', 'complete')
"""All statuses, in the order every summary lists them."""

ENDED = ('errors', 'complete')
"""Where a dataset has an end_date."""

CONFIG_VERSION = 1
"""The `version` of configs that this service materializes; others are other systems' and stay untouched."""

DEFAULT_PRIORITY = 0.5
SHARED_GROUP = 'users'
"""The group every user is in; it may read, but owning a dataset by it gives nobody else write permission."""


def is_ours(config: Mapping[str, Any]) -> bool:
    """Whether a config is of our own version, the only one that becomes tasks."""
    return config.get('version') == CONFIG_VERSION and not isinstance(config.get('version'), bool)


def new_dataset(given: Mapping[str, Any], *, dataset_id: str, number: int, owner: str, now: Any) -> dict[str, Any]:
    """A dataset as it is first stored.

    Args:
        given: description, jobs_submitted, tasks_submitted, tasks_per_job, group and optional fields; `depends_on`,
            the sorted ids of the other datasets that its tasks depend on.
        dataset_id: its id.
        number: its running number.
        owner: name of the user who submits it.
        now: the time of creation, UTC.
    """
    status = given.get('status', 'processing')
    return {
        'priority': DEFAULT_PRIORITY,
        'debug': False,
        'jobs_immutable': False,
        'retention_days': None,
        'archive': False,
        'status': status,
        'depends_on': [],
        **given,
        'dataset_id': dataset_id,
        'dataset': number,
        'username': owner,
        'start_date': now,
        'truncated': status == 'truncated',
        'end_date': now if status in ENDED else None,
        'status_changed': now,
        'jobs_materialized': 0,
        'deleting': None,
        'base_priority': None,
        'base_factors': None,
        'base_version': 0,
        'base_version_applied': 0,
    }


def access_record(dataset_id: str, owner: str, group: str) -> dict[str, Any]:
    """Who may read and write a dataset."""
    return {
        'dataset_id': dataset_id,
        'read_groups': sorted({'admin', group, SHARED_GROUP}),
        'write_groups': sorted({'admin', group} - {SHARED_GROUP}),
        'read_users': [owner],
        'write_users': [owner],
    }


def check_sizes(given: Mapping[str, Any]) -> None:
    """Refuse numbers of jobs and tasks that contradict each other.

    A dataset without jobs is there to grow, and needs to know its tasks a job; of others old clients may leave it out.

    Raises:
        InvalidRequest: they do.
    """
    jobs, tasks, per_job = given['jobs_submitted'], given['tasks_submitted'], given['tasks_per_job']
    if jobs == 0 and per_job <= 0:
        raise InvalidRequest('"tasks_per_job" must be > 0')
    if tasks != 0 and jobs * per_job != tasks:
        raise InvalidRequest('"tasks_per_job" does not match "tasks_submitted"/"jobs_submitted"')


def check_growth(dataset: Mapping[str, Any], jobs_submitted: int) -> None:
    """Say why a dataset cannot have so many jobs.

    Raises:
        InvalidRequest: their number is fixed or larger already, or nobody knows how many tasks a job has.
    """
    if dataset['jobs_immutable']:
        raise InvalidRequest('jobs_submitted is immutable')
    if dataset['jobs_submitted'] > jobs_submitted:
        raise InvalidRequest('jobs_submitted must be larger than before')
    if dataset['tasks_per_job'] <= 0:
        raise InvalidRequest('tasks_per_job not valid')


def check_config(config: Mapping[str, Any], tasks_per_job: int | None) -> None:
    """Refuse a config of ours that could not become tasks.

    Args:
        config: already valid by its schema.
        tasks_per_job: of the dataset, None when it has no record.

    Raises:
        InvalidRequest: a placeholder names nothing, two tasks have one name, dependencies inside the config form a
            circle, a file would leave its directory, an image is none, or the number of tasks is not the dataset's.
    """
    tasks: Sequence[Mapping[str, Any]] = config['tasks']
    for place, name in unknown_names(list(tasks), 'tasks'):
        raise InvalidRequest(f'{place}: unknown name {name}')
    if tasks_per_job is not None and len(tasks) != tasks_per_job:
        raise InvalidRequest(f'the config has {len(tasks)} tasks, the dataset {tasks_per_job} a job')
    names: set[str] = set()
    for index, task in enumerate(tasks):
        if task['name'] in names:
            raise InvalidRequest(f'tasks[{index}].name: {task["name"]} is already the name of another task')
        names.add(task['name'])
        for number, file in enumerate(task.get('files', ())):
            check_local(file.get('local', ''), f'tasks[{index}].files[{number}].local')
        check_image(task, f'tasks[{index}]')
    check_circles('', tasks, graph('', tasks, {}), {})


def needs(described: Mapping[str, Any]) -> dict[str, Any]:
    """The requirements of a task as its config describes it.

    One with an image needs a pilot that runs containers. Pilots that do not say whether they do may take it.

    Args:
        described: an entry of `tasks`.
    """
    required = dict(described.get('requirements', {}))
    return {**required, 'container': True} if described.get('image') else required


def ended_as(job_counts: Mapping[str, int]) -> str | None:
    """How a dataset has ended whose jobs have all been made, if it has.

    Args:
        job_counts: its jobs by status.

    Returns:
        The dataset's new status, or None while a job goes on.
    """
    if job_counts.get('processing') or not job_counts:
        return None
    if job_counts.get('errors'):
        return 'errors'
    return 'suspended' if job_counts.get('suspended') else 'complete'
