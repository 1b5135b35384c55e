"""Materialize: the jobs and tasks that a dataset's config describes come into being.

Every id is made from the dataset's id and the place in it, and what is there already is left alone. So a crash at any
point leaves no hole and no twin: the next run makes the same documents again, and only missing ones are stored.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.depend import resolve
from iceprod_tasks.actions.service import Service
from iceprod_tasks.actions.weigh import base_of, late_days
from iceprod_tasks.domain import jobs as jobs_domain
from iceprod_tasks.domain.datasets import needs
from iceprod_tasks.domain.dependencies import Place, Resolved, task_in
from iceprod_tasks.domain.files import new_file
from iceprod_tasks.domain.placeholders import expand_all
from iceprod_tasks.domain.priorities import offset, priority
from iceprod_tasks.domain.priorities import place as place_of
from iceprod_tasks.domain.requirements import Requirements, fits
from iceprod_tasks.domain.statuses import TRANSITIONS
from iceprod_tasks.domain.tasks import Task, materialized_id, new_task
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.transitions import Note

_TASKS_AT_ONCE = 2000
_WHO = 'scheduler'


async def materialize_all(service: Service) -> int:
    """Make missing jobs of every dataset, a bounded number of each; how many jobs."""
    return sum([await materialize(service, dataset) async for dataset in service.store.datasets.unmade()])


async def materialize(service: Service, dataset: Mapping[str, Any], *, at_most_tasks: int = 20_000) -> int:
    """Make jobs of a dataset that are still missing.

    Args:
        service: the service.
        dataset: the dataset; without a config of our version nothing is made.
        at_most_tasks: where to stop for this time.

    Returns:
        How many jobs were made or found made; 0 when all are there.
    """
    dataset_id = dataset['dataset_id']
    config = await service.store.datasets.own_config(dataset_id)
    if config is None:
        return 0
    base = await base_of(service, dataset)
    plan = _Plan(dataset, config, await resolve(service, dataset_id, config['tasks']), base)
    first: int = dataset['jobs_materialized']
    end: int = min(dataset['jobs_submitted'], first + max(1, at_most_tasks // plan.tasks_per_job))
    step = max(1, _TASKS_AT_ONCE // plan.tasks_per_job)
    for start in range(first, end, step):
        indexes = range(start, min(start + step, end))
        # A job can end only with all its tasks, so it may be seen before them; the other way round a pilot could
        # claim a task of no job.
        await service.store.jobs.add_absent([plan.job(index) for index in indexes])
        await service.store.files.add_absent([entry for index in indexes for entry in plan.files(index)])
        tasks = [task for index in indexes for task in plan.tasks(index)]
        if await service.store.tasks.add_absent(tasks) < len(tasks):
            # Somebody else made some of them, perhaps long ago and with another base.
            await service.store.weights.rewrite_again(dataset_id)
        await service.store.weights.written_with(dataset_id, base)
        if not await service.store.datasets.advance(dataset_id, indexes.stop):
            await _hold_back(service, dataset_id, [task_id for index in indexes for task_id in plan.task_ids(index)])
            return start - first
    return max(0, end - first)


async def _hold_back(service: Service, dataset_id: str, task_ids: Sequence[str]) -> None:
    """Suspend tasks that were being made while somebody suspended their dataset."""
    if await _status(service, dataset_id) != 'suspended':
        return
    note = Note(who=_WHO, why='the dataset is suspended')
    await service.store.tasks.move_many(TRANSITIONS['suspend'], note, task_ids, dataset_id)
    if await _status(service, dataset_id) == 'processing':
        # Whoever has resumed it meanwhile may not have found them suspended yet.
        note = Note(who=_WHO, why='the dataset goes on')
        await service.store.tasks.move_many(TRANSITIONS['resume'], note, task_ids, dataset_id)


async def _status(service: Service, dataset_id: str) -> str:
    dataset = await service.store.datasets.get(dataset_id)
    return dataset['status'] if dataset else ''


async def unmade(service: Service, offer: Requirements) -> int:
    """How many tasks that would fit an offer are described by configs and not made yet."""
    return sum([
        jobs_missing async for jobs_missing, task in unmade_tasks(service) if fits(needs(task), offer)
    ])  # fmt: skip


async def unmade_tasks(service: Service) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
    """The tasks that configs describe and that are not made yet: in how many jobs each is missing, and the task."""
    async for dataset in service.store.datasets.unmade():
        jobs_missing = dataset['jobs_submitted'] - dataset['jobs_materialized']
        config = await service.store.datasets.own_config(dataset['dataset_id'])
        for task in config['tasks'] if config is not None else ():
            yield jobs_missing, task


class _Plan:
    """What a dataset's config makes of each job_index."""

    def __init__(
        self,
        dataset: Mapping[str, Any],
        config: Mapping[str, Any],
        waits_for: Sequence[Sequence[Resolved]],
        base: float,
    ) -> None:
        self._dataset_id: str = dataset['dataset_id']
        self._now = utc_now()
        self._base = base
        self._late_days = late_days(dataset, self._now)
        self._described: Sequence[Mapping[str, Any]] = config['tasks']
        self._waits_for = waits_for
        self.tasks_per_job = len(self._described)
        self._patterns = [self._pattern(index) for index in range(self.tasks_per_job)]

    def _pattern(self, task_index: int) -> Task:
        """All of a task that is the same in every job."""
        described = self._described[task_index]
        given = {
            'dataset_id': self._dataset_id,
            'job_id': '',
            'job_index': 0,
            'task_index': task_index,
            'name': described['name'],
            'depends': [],
            'requirements': needs(described),
            'status': 'idle' if self._waits_for[task_index] else 'waiting',
        }
        pattern = new_task(given, '', self._now, managed=True, priority_offset=0.0)
        return {**pattern, 'max_evictions': described.get('max_evictions')}

    def job(self, job_index: int) -> dict[str, Any]:
        """The job of this index."""
        return jobs_domain.new_job(self._dataset_id, job_index, self.tasks_per_job, self._now)

    def task_ids(self, job_index: int) -> list[str]:
        """The ids of the tasks of the job of this index."""
        return [materialized_id(self._dataset_id, job_index, index) for index in range(self.tasks_per_job)]

    def tasks(self, job_index: int) -> Iterator[Task]:
        """The tasks of the job of this index."""
        job_id = jobs_domain.materialized_id(self._dataset_id, job_index)
        ids = self.task_ids(job_index)
        made: dict[Resolved, str] = {Place(self._dataset_id, index): task_id for index, task_id in enumerate(ids)}
        for index, pattern in enumerate(self._patterns):
            depends = [made.get(place) or task_in(place, job_index) for place in self._waits_for[index]]
            own = offset(place_of(index, self.tasks_per_job, job_index), self._late_days)
            yield {
                **pattern,
                'task_id': ids[index],
                'job_id': job_id,
                'job_index': job_index,
                'depends': depends,
                'priority': priority(self._base, own),
                'priority_offset': own,
            }

    def files(self, job_index: int) -> Iterator[dict[str, Any]]:
        """The file entries of the job of this index."""
        for task_index, described in enumerate(self._described):
            task_id = materialized_id(self._dataset_id, job_index, task_index)
            names = {
                'dataset_id': self._dataset_id,
                'job_index': job_index,
                'task_index': task_index,
                'job_id': jobs_domain.materialized_id(self._dataset_id, job_index),
                'task_id': task_id,
            }
            for given in described.get('files', ()):
                yield new_file(self._dataset_id, task_id, expand_all(given, names))
