"""Create work: a task that carries its command with it, under the name that a client of another service gives it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.actions.lead import write_as_leader
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.datasets import ENDED, SHARED_GROUP, access_record, new_dataset
from iceprod_tasks.domain.errors import BeingDeleted, InvalidRequest, Unavailable
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import DEFAULT_PRIORITY, Task, new_task
from iceprod_tasks.domain.work import Work
from iceprod_tasks.storage.client import Duplicate, Session

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


async def prepare_work(service: Service, caller: Caller, wanted: NewWork, origin: Origin) -> Task:
    """A task that carries its work with it, as it is to be stored: queued at once.

    Its dataset is that of its application: made with the first task, owned by whoever made that, without jobs, so that
    it never ends. While the dataset is suspended, its new tasks are too.

    Args:
        service: the service, which leads.
        caller: who asks.
        wanted: the task.
        origin: of its id and its time.

    Raises:
        InvalidRequest: a name is empty or too long, or a number is out of bounds.
        BeingDeleted: its dataset is.
        NotLeader: another service leads.
        Unavailable: the dataset was removed at this moment.
    """
    _check(wanted)
    task_id, job_id, dataset_id = origin.new_id(), origin.new_id(), origin.new_id()
    dataset = await _dataset(service, caller, wanted.external, dataset_id, origin)
    return await service.store.operated.admitted(_task(wanted, dataset, task_id, job_id, origin))


def _check(wanted: NewWork) -> None:
    for name, value in wanted.external.document().items():
        if not 0 < len(value) <= LONGEST_NAME:
            raise InvalidRequest(f'{name} must have 1 to {LONGEST_NAME} characters')
    for name, number in (('max_failures', wanted.max_failures), ('max_evictions', wanted.max_evictions)):
        if not 0 <= number <= FAILURES_AT_MOST:
            raise InvalidRequest(f'{name} is no number from 0 to {FAILURES_AT_MOST}')


async def _dataset(
    service: Service, caller: Caller, external: External, dataset_id: str, origin: Origin
) -> Mapping[str, Any]:
    datasets = service.store.datasets

    async def made(session: Session) -> None:
        found = await datasets.find_named(external.system, external.app, session)
        if found is not None:
            # Somebody has ended it by hand; no chore would look after its tasks.
            await datasets.reopen([found['dataset_id']], suspended=False, session=session)
            return
        await service.store.people.register(caller.name, session)
        given = {
            'description': f'tasks of {external.app}',
            'jobs_submitted': 0,
            'tasks_submitted': 0,
            'tasks_per_job': 1,
            'group': SHARED_GROUP,
            'external': {'system': external.system, 'app': external.app},
        }
        number = await datasets.next_number(session)
        new = new_dataset(given, dataset_id=dataset_id, number=number, owner=caller.name, now=origin.began)
        await datasets.add_named(new, access_record(dataset_id, caller.name, SHARED_GROUP), session)

    found = await datasets.find_named(external.system, external.app)
    if found is None or found['status'] in ENDED:
        with suppress(Duplicate):  # of several that come at once, one has made it
            await write_as_leader(service, made)
        found = await datasets.find_named(external.system, external.app)
    if found is None:
        raise Unavailable
    if found.get('deleting'):
        raise BeingDeleted
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
