"""Act on jobs and datasets: the same as on tasks, and their own status goes along.

The dataset goes first, then its jobs, then their tasks: so a suspended dataset makes no new tasks while its old ones
are being suspended, and no task runs in a job that has ended. What a crash leaves half done, the same request ends.
"""

from dataclasses import dataclass
from typing import Any

from iceprod_tasks.actions.act import Asked, Done, act_on_tasks
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.actions import ACTIONS, DATASET_STEPS, JOB_STEPS, VERDICTS, GroupStep, Verdict
from iceprod_tasks.domain.errors import NotFound

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class DatasetDone:
    """What became of a dataset that an action was about.

    Args:
        verdict: what it meant for the dataset itself.
        dataset: the same in numbers: one dataset that was changed, unchanged or refused.
        status: the dataset's status afterwards.
        jobs: what became of its jobs.
        tasks: what became of its tasks.
    """

    verdict: Verdict
    dataset: Done
    status: str
    jobs: Done
    tasks: Done


async def act_on_jobs(service: Service, who: str, dataset_id: str, asked: Asked) -> tuple[Done, Done]:
    """Do something to jobs of a dataset and to all their tasks.

    Returns:
        What became of the jobs, and of their tasks.

    Raises:
        NotFound: there is no such dataset, or none of the jobs is its.
    """
    jobs = await _move_jobs(service, dataset_id, asked)
    if jobs.changed and ACTIONS[asked.action].runs_again and not asked.dry_run:
        # One whose jobs had all been suspended goes on with them.
        await service.store.datasets.reopen([dataset_id], suspended=True)
        await service.store.weights.rewrite_again(dataset_id)
    try:
        return jobs, await act_on_tasks(service, who, dataset_id, asked)
    except NotFound:
        # Jobs may have no tasks.
        if jobs.changed + jobs.unchanged + jobs.refused:
            return jobs, Done()
        raise NotFound('Dataset not found' if asked.jobs is None else 'Jobs not found') from None


async def act_on_dataset(service: Service, who: str, dataset_id: str, asked: Asked) -> DatasetDone:
    """Do something to a dataset, all its jobs and all its tasks.

    Raises:
        NotFound: there is no such dataset.
    """
    step = DATASET_STEPS[asked.action]
    dataset = await service.store.datasets.get(dataset_id)
    if dataset is None:
        raise NotFound('Dataset not found')
    verdict = step.verdict(dataset['status'])
    if verdict == 'changed' and not asked.dry_run:
        if asked.action == 'hard_reset':
            await service.store.datasets.untruncate(dataset_id)
        await service.store.datasets.set_status(dataset_id, step.sources, step.target)
    jobs, tasks = await act_on_jobs(service, who, dataset_id, asked)
    after = await service.store.datasets.get(dataset_id) or dataset
    itself = Done()
    itself.count(verdict)
    itself.show(
        verdict, [dataset_id if verdict == 'changed' else {'dataset_id': dataset_id, 'status': after['status']}]
    )
    return DatasetDone(verdict, itself, after['status'], jobs, tasks)


async def _move_jobs(service: Service, dataset_id: str, asked: Asked) -> Done:
    step, done = JOB_STEPS[asked.action], Done()
    found: dict[Verdict, list[dict[str, Any]]] = {verdict: [] for verdict in VERDICTS}
    async for job in service.store.jobs.named(dataset_id, asked.jobs):
        verdict = step.verdict(job['status'])
        done.count(verdict)
        found[verdict].append(job)
        if len(found[verdict]) >= _AT_ONCE:
            await _settle(service, step, done, found, dry_run=asked.dry_run)
    await _settle(service, step, done, found, dry_run=asked.dry_run)
    return done


async def _settle(
    service: Service, step: GroupStep, done: Done, found: dict[Verdict, list[dict[str, Any]]], *, dry_run: bool
) -> None:
    """Move the jobs found so far that the action leads on, and keep a few of all as examples."""
    changed = [job['job_id'] for job in found['changed']]
    if changed and not dry_run:
        await service.store.jobs.set_status(changed, step.sources, step.target)
    done.show('changed', changed)
    done.show('unchanged', found['unchanged'])
    done.show('refused', found['refused'])
    for jobs in found.values():
        jobs.clear()
