"""What people do to many tasks, jobs or a dataset at once: suspend, resume, reset, rerun, hard reset, cancel."""

from dataclasses import asdict
from typing import Any

from iceprod_tasks.actions.act import Asked, act_on_tasks
from iceprod_tasks.actions.act_on_jobs import act_on_dataset, act_on_jobs
from iceprod_tasks.domain.actions import ACTIONS
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.long_bodies import unique
from iceprod_tasks.rest.routing import DATASET, PEOPLE_WRITE, Route, begins_work, in_lane

ACTION = rf'(?P<action>{"|".join(ACTIONS)})'


class _Actions(Handler):
    """What all actions share."""

    async def asked(self, action: str, schema: str) -> Asked:
        """What the request asks for; no body at all means everything."""
        body: dict[str, Any] = await self.long_body(schema, optional=True)
        for name in ('tasks', 'jobs'):
            if name in body:
                body[name] = await unique(body[name])
        return Asked(action, **body, request=self.origin.request)


class DatasetTaskActionsHandler(_Actions):
    """Many tasks of a dataset."""

    async def post(self, dataset_id: str, action: str) -> None:
        """Do something to tasks: those named, those of the jobs named, or all of the dataset.

        It may be repeated at any time; a task that is where the action leads is unchanged. Work that a pilot with a
        lease holds is asked to stop before it is suspended or cancelled.

        Args:
            dataset_id (str): the dataset id
            action (str): suspend, resume, reset, rerun, hard_reset or cancel

        Returns:
            dict: {action, dry_run, changed, unchanged, refused, stopping (numbers), examples (of each)}
        """
        asked = await self.asked(action, 'task_action')
        done = await act_on_tasks(self.service, self.caller.name, dataset_id, asked)
        self.answer({'action': action, 'dry_run': asked.dry_run, **asdict(done)})


class DatasetJobActionsHandler(_Actions):
    """Many jobs of a dataset."""

    async def post(self, dataset_id: str, action: str) -> None:
        """Do something to jobs and all their tasks: to the jobs named, or all of the dataset.

        Args:
            dataset_id (str): the dataset id
            action (str): suspend, resume, reset, rerun, hard_reset or cancel

        Returns:
            dict: {action, dry_run, changed, unchanged, refused (numbers of jobs), examples, tasks (the same of tasks)}
        """
        asked = await self.asked(action, 'job_action')
        jobs, tasks = await act_on_jobs(self.service, self.caller.name, dataset_id, asked)
        self.answer(
            {'action': action, 'dry_run': asked.dry_run, **_without_stopping(asdict(jobs)), 'tasks': asdict(tasks)}
        )


class DatasetActionsHandler(_Actions):
    """A whole dataset."""

    async def post(self, dataset_id: str, action: str) -> None:
        """Do something to a dataset, its jobs and its tasks.

        A suspended or cancelled dataset makes no new jobs; one that is resumed makes those that are missing.

        Args:
            dataset_id (str): the dataset id
            action (str): suspend, resume, reset, rerun, hard_reset or cancel

        Returns:
            dict: {action, dry_run, changed, unchanged, refused (1 or 0 datasets), examples, dataset: {result: changed,
            unchanged or refused, status}, jobs and tasks (the same of them)}
        """
        asked = await self.asked(action, 'dataset_action')
        done = await act_on_dataset(self.service, self.caller.name, dataset_id, asked)
        self.answer(
            {
                'action': action,
                'dry_run': asked.dry_run,
                **_without_stopping(asdict(done.dataset)),
                'dataset': {'result': done.verdict, 'status': done.status},
                'jobs': _without_stopping(asdict(done.jobs)),
                'tasks': asdict(done.tasks),
            }
        )


def _without_stopping(done: dict[str, Any]) -> dict[str, Any]:
    """Datasets and jobs are never asked to stop; their tasks are."""
    return {key: value for key, value in done.items() if key != 'stopping'}


ROUTES = (
    Route(
        rf'/datasets/{DATASET}/task_actions/{ACTION}',
        DatasetTaskActionsHandler,
        {'post': in_lane('bulk', begins_work(PEOPLE_WRITE))},
        keyed='post',
        bulk=True,
    ),
    Route(
        rf'/datasets/{DATASET}/job_actions/{ACTION}',
        DatasetJobActionsHandler,
        {'post': in_lane('bulk', begins_work(PEOPLE_WRITE))},
        keyed='post',
        bulk=True,
    ),
    Route(
        rf'/datasets/{DATASET}/dataset_actions/{ACTION}',
        DatasetActionsHandler,
        {'post': in_lane('bulk', begins_work(PEOPLE_WRITE))},
        keyed='post',
    ),
)
