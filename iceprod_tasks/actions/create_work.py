"""Create work: a task that carries its command with it, under the name that a client of another service gives it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.datasets import ENDED, SHARED_GROUP, access_record, new_dataset
from iceprod_tasks.domain.errors import AlreadyNamed, BeingDeleted, InvalidRequest, Unavailable
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import DEFAULT_PRIORITY, Task, new_task
from iceprod_tasks.domain.work import Work

LONGEST_NAME = 128
FAILURES_AT_MOST = 100
"""The largest number of failures, or of evictions, that a task can have without being given up."""


@dataclass(frozen=True, slots=True)
class External:
    """The name that a client of another service gives a task.

    Args:
        system: the other service's name.
        app: the application that the task belongs to; it gets a dataset.
        id: of the task, in its application.
    """

    system: str
    app: str
    id: str

    def __str__(self) -> str:
        return f'{self.app}/{self.id}'

    def document(self) -> dict[str, str]:
        """As it is stored."""
        return {'system': self.system, 'app': self.app, 'id': self.id}


@dataclass(frozen=True, slots=True)
class NewWork:
    """A task to be made.

    Args:
        external: its name.
        work: what it runs.
        requirements: what it needs of a pilot, beside what its work needs.
        priority: among queued tasks.
        max_failures: with more it is given up; 0 gives it one try.
        max_evictions: taken from so many pilots, it is lost at the next one.
        max_lease_seconds: no claim holds it for longer without a sign of life; None for what its pilot asks for.
        keep_seconds: how long it is remembered after its end; None for what the service does.
        about: what else its client wants to read of it.
    """

    external: External
    work: Work
    requirements: Mapping[str, Any]
    priority: float = DEFAULT_PRIORITY
    max_failures: int = 0
    max_evictions: int = 0
    max_lease_seconds: float | None = None
    keep_seconds: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


async def create_work(service: Service, caller: Caller, wanted: NewWork, origin: Origin) -> str:
    """Store a task that carries its work with it, queued at once.

    Its dataset is that of its application: made with the first task, owned by whoever made that, without jobs, so that
    it never ends. While the dataset is suspended, its new tasks are too.

    Args:
        service: the service.
        caller: who asks.
        wanted: the task.
        origin: of its id and its time.

    Returns:
        The new task's id.

    Raises:
        InvalidRequest: a name is empty or too long, or a number is out of bounds.
        AlreadyNamed: there is a task with this name.
        BeingDeleted: its dataset is.
        Unavailable: the dataset, or a task with this name, was removed at this moment.
    """
    _check(wanted)
    task_id = origin.new_id()
    if (twin := await service.store.tasks.find_named(wanted.external.document())) is not None:
        return _same(wanted.external, twin, task_id)
    stored = await service.store.tasks.add_named(await _made(service, caller, wanted, task_id, origin))
    if not stored:
        raise Unavailable
    service.news.stirred()
    return _same(wanted.external, stored, task_id)


async def prepare_work(service: Service, caller: Caller, wanted: NewWork, origin: Origin) -> Task:
    """A task as `create_work` would store it, and its dataset, which is stored.

    Raises:
        InvalidRequest: a name is empty or too long, or a number is out of bounds.
        BeingDeleted: its dataset is.
        Unavailable: the dataset was removed at this moment.
    """
    _check(wanted)
    return await service.store.operated.admitted(await _made(service, caller, wanted, origin.new_id(), origin))


async def _made(service: Service, caller: Caller, wanted: NewWork, task_id: str, origin: Origin) -> Task:
    job_id, dataset_id = origin.new_id(), origin.new_id()
    dataset = await _dataset(service, caller, wanted.external, dataset_id, origin)
    return _task(wanted, dataset, task_id, job_id, origin)


def _check(wanted: NewWork) -> None:
    for name, value in wanted.external.document().items():
        if not 0 < len(value) <= LONGEST_NAME:
            raise InvalidRequest(f'{name} must have 1 to {LONGEST_NAME} characters')
    for name, number in (('max_failures', wanted.max_failures), ('max_evictions', wanted.max_evictions)):
        if not 0 <= number <= FAILURES_AT_MOST:
            raise InvalidRequest(f'{name} is no number from 0 to {FAILURES_AT_MOST}')


def _same(external: External, stored: str, task_id: str) -> str:
    """The id of the task that has the name; a request that is worked on again meets what it has made itself."""
    if stored != task_id:
        raise AlreadyNamed(str(external), stored)
    return stored


async def _dataset(
    service: Service, caller: Caller, external: External, dataset_id: str, origin: Origin
) -> Mapping[str, Any]:
    datasets = service.store.datasets
    found = await datasets.find_named(external.system, external.app)
    if found is None:
        await service.store.people.register(caller.name)
        number = await datasets.next_number()
        given = {
            'description': f'tasks of {external.app}',
            'jobs_submitted': 0,
            'tasks_submitted': 0,
            'tasks_per_job': 1,
            'group': SHARED_GROUP,
            'external': {'system': external.system, 'app': external.app},
        }
        made = new_dataset(given, dataset_id=dataset_id, number=number, owner=caller.name, now=origin.began)
        await datasets.add_named(made, access_record(dataset_id, caller.name, SHARED_GROUP))
        # Of several that come at once, one has made it.
        found = await datasets.find_named(external.system, external.app)
    if found is None:
        raise Unavailable
    if found.get('deleting'):
        raise BeingDeleted
    if found['status'] in ENDED:
        # Somebody has set that by hand; no chore would look after its tasks.
        await datasets.reopen([found['dataset_id']], suspended=False)
    return found


def _task(wanted: NewWork, dataset: Mapping[str, Any], task_id: str, job_id: str, origin: Origin) -> Task:
    needs = {**wanted.requirements, 'work': True}
    if wanted.work.image:
        needs['container'] = True
    given = {
        'dataset_id': dataset['dataset_id'],
        'job_id': job_id,
        'job_index': 0,
        'task_index': 0,
        'name': wanted.external.id,
        'depends': [],
        'requirements': needs,
        'status': 'suspended' if dataset['status'] == 'suspended' else 'queued',
        'priority': wanted.priority,
    }
    return {
        **new_task(given, task_id, origin.began, managed=True),
        'external': wanted.external.document(),
        'work': wanted.work.document(),
        'max_failures': wanted.max_failures,
        'max_evictions': wanted.max_evictions,
        'max_lease_seconds': wanted.max_lease_seconds,
        'keep_seconds': wanted.keep_seconds,
        'about': dict(wanted.about),
    }
